//! What a test does to a branch of Xata's stand-in.

use serde_json::{Value, json};
use standin::xata::platform::{Options, Platform};
use tokio::runtime::Runtime;
use tokio_postgres::NoTls;

/// Runs a statement in a branch, and returns its rows.
pub(crate) fn sql(runtime: &Runtime, xata: &Platform, branch: &str, statement: &str) -> Value {
    let access = xata.connection_string(branch).unwrap();
    runtime.block_on(async {
        let (client, connection) = tokio_postgres::connect(&access, NoTls).await.unwrap();
        tokio::spawn(connection);
        if client.prepare(statement).await.unwrap().columns().is_empty() {
            client.batch_execute(statement).await.unwrap();
            return json!([]);
        }
        let rows = format!("select to_jsonb(it)::text from ({statement}) it");
        let rows = client.query(&rows, &[]).await.unwrap();
        rows.iter().map(|row| serde_json::from_str::<Value>(row.get(0)).unwrap()).collect()
    })
}

/// Puts a branch to sleep, as an idle one with scale to zero is.
pub(crate) fn hibernate(runtime: &Runtime, xata: &Platform, url: &str, branch: &str) {
    let scale_to_zero = json!({ "enabled": true, "inactivityPeriodMinutes": 30 });
    patch(runtime, xata, url, branch, &json!({ "hibernate": true, "scaleToZero": scale_to_zero }));
}

/// Changes a branch, as an operator does.
pub(crate) fn patch(runtime: &Runtime, xata: &Platform, url: &str, branch: &str, change: &Value) {
    let all = xata.databases();
    let project = &all.iter().find(|it| it.id == branch).unwrap().project;
    let path = format!("organizations/org123/projects/{project}/branches/{branch}");
    let key = Options::default().api_key;
    runtime.block_on(async {
        let request = crate::client().patch(format!("{url}/{path}"));
        let answer = request.bearer_auth(key).json(change).send().await.unwrap();
        assert!(answer.status().is_success());
    });
}
