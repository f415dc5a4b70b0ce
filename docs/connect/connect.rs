use reqwest::{Client, Error, StatusCode};
use serde::Deserialize;

/// The addresses of the APIs, `https://api.clerk.com/v1` and `https://api.xata.tech`, the keys, and
/// the projects in `XATA_PROJECT_ID`.
pub struct Access {
    pub clerk_api_url: String,
    pub clerk_secret_key: String,
    pub xata_api_url: String,
    pub xata_api_key: String,
    pub xata_organization_id: String,
    pub xata_project_ids: Vec<String>,
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
struct Branches {
    branches: Vec<Branch>,
}

#[derive(Deserialize)]
struct Branch {
    id: String,
    name: String,
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
    let mut database = user.private_metadata.and_then(|it| it.database);

    let Access { xata_api_url, xata_organization_id, .. } = access;
    let projects = format!("{xata_api_url}/organizations/{xata_organization_id}/projects");
    let ask = |url: &str| http.get(url).bearer_auth(&access.xata_api_key).send();
    if database.is_none() {
        // The entry is missing: look for the name, which is the user id. This reads whole lists.
        for project in &access.xata_project_ids {
            let list = ask(&format!("{projects}/{project}/branches")).await?.error_for_status()?;
            let Branches { branches } = list.json().await?;
            if let Some(Branch { id, .. }) = branches.into_iter().find(|it| it.name == user_id) {
                database = Some(Database { id, project: project.clone() });
                break;
            }
        }
    }
    let Some(Database { id, project }) = database else { return Ok(None) };

    let branch = format!("{projects}/{project}/branches/{id}");
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
