use reqwest::{Client, Error, StatusCode};
use serde::Deserialize;

/// The addresses of the APIs, `https://api.clerk.com/v1` and `https://api.xata.tech`, and the keys.
pub struct Access {
    pub clerk_api_url: String,
    pub clerk_secret_key: String,
    pub xata_api_url: String,
    pub xata_api_key: String,
    pub xata_organization_id: String,
}

#[derive(Deserialize)]
struct User {
    private_metadata: Option<Metadata>,
}

#[derive(Deserialize)]
struct Metadata {
    database: Option<Database>,
}

#[derive(Deserialize)]
struct Database {
    id: String,
    project: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Connection {
    connection_string: Option<String>,
}

/// The connection string of a user's database. `None` means "not yet": ask again in a few seconds.
///
/// It contains the database's password: keep it on the server, and out of logs.
pub async fn connection_string(
    http: &Client,
    access: &Access,
    user_id: &str,
) -> Result<Option<String>, Error> {
    let user = http.get(format!("{}/users/{user_id}", access.clerk_api_url));
    let user = user.bearer_auth(&access.clerk_secret_key).header("Clerk-API-Version", "2026-05-12");
    let user: User = user.send().await?.error_for_status()?.json().await?;
    let Some(Database { id, project }) = user.private_metadata.and_then(|it| it.database) else {
        return Ok(None);
    };

    let Access { xata_api_url, xata_organization_id, .. } = access;
    let project = format!("{xata_api_url}/organizations/{xata_organization_id}/projects/{project}");
    let branch = format!("{project}/branches/{id}");
    let ask = |url: &str| http.get(url).bearer_auth(&access.xata_api_key).send();
    let credentials = ask(&format!("{branch}/credentials?username=xata")).await?;
    if credentials.status() == StatusCode::NOT_FOUND {
        return Ok(None);
    }
    let mut found: Connection = credentials.error_for_status()?.json().await?;
    if found.connection_string.is_none() {
        // Older versions of Xata return it with the branch, and null means "not yet" there.
        found = ask(&branch).await?.error_for_status()?.json().await?;
    }
    // The database requires TLS, and not every version of Xata says so in the string.
    let bare = found.connection_string.as_deref().and_then(|it| it.split('?').next());
    Ok(bare.map(|it| format!("{it}?sslmode=require")))
}
