//! `docs/connect/`: how an application finds the database of its user.

use serde_json::{Value, json};
use standin::clerk::backend::{self, Backend};
use standin::clerk::{SignUp, user_id};
use standin::xata::platform::{self, Platform};
use tokio::net::TcpListener;
use tokio::time::Duration;

use self::snippet::{Access, connection_string};

#[expect(unreachable_pub, reason = "an application chooses the visibility of its module")]
#[path = "../../../../docs/connect/connect.rs"]
mod snippet;

const PROJECT: &str = "prj_a";

/// The two services, with one user and one database, whose password does not exist yet.
struct Services {
    clerk: Backend,
    xata: Platform,
    user_id: String,
    database: Value,
    access: Access,
}

impl Services {
    async fn start() -> Self {
        let clerk = Backend::new(backend::Options::default());
        let user_id = user_id(0);
        clerk.insert(SignUp::new(&user_id));
        let options = platform::Options::default();
        let (api_key, organization) = (options.api_key.clone(), options.organization.clone());
        let xata = Platform::new(options);
        xata.insert_project(PROJECT, "per-user-db");
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        tokio::spawn(standin::serve::serve(listener, clerk.beside(xata.router())));

        let branches = format!("{url}/organizations/{organization}/projects/{PROJECT}/branches");
        let create = json!({
            "name": user_id,
            "mode": "custom",
            "configuration": {
                "region": "eu-central-1",
                "image": "postgresql:17",
                "instanceType": "xata.micro",
                "replicas": 0,
            },
        });
        let request = crate::client().post(branches).bearer_auth(&api_key).json(&create);
        let database = request.send().await.unwrap().error_for_status().unwrap().json();
        let database = database.await.unwrap();
        let access = Access {
            clerk_api_url: format!("{url}/v1"),
            clerk_secret_key: backend::Options::default().secret_key,
            xata_api_url: url,
            xata_api_key: api_key,
            xata_organization_id: organization,
            xata_project_ids: vec![PROJECT.to_owned()],
        };
        Self { clerk, xata, user_id, database, access }
    }

    /// The entry, as the function writes it.
    fn write_entry(&self) {
        let entry = json!({
            "id": self.database["id"],
            "name": self.user_id,
            "project": PROJECT,
            "region": "eu-central-1",
            "status": "created",
        });
        self.clerk.change_user(&self.user_id, |user| {
            user.private_metadata = json!({ "database": entry, "plan": "free" });
        });
    }

    async fn ask(&self) -> Result<Option<String>, reqwest::Error> {
        connection_string(&crate::client(), &self.access, &self.user_id).await
    }

    /// Checks that a refused key is an error with this URL and without the key.
    async fn is_refused_by(&self, url: &str) {
        let error = self.ask().await.unwrap_err();
        assert_eq!(error.status().map(|it| it.as_u16()), Some(401));
        let text = format!("{error} {error:?}");
        assert!(text.contains(url) && !text.contains("refused_key"), "{text}");
    }
}

/// Waits until every password exists.
async fn wait_for_passwords() {
    tokio::time::pause();
    tokio::time::advance(Duration::from_secs(10)).await;
    tokio::time::resume();
}

#[tokio::test]
async fn an_application_finds_the_database_of_its_user() {
    let services = Services::start().await;
    services.write_entry();
    wait_for_passwords().await;
    let found = services.ask().await.unwrap().unwrap();
    let (user, rest) = found.split_at("postgresql://xata:".len());
    let (password, place) = rest.split_once('@').unwrap();
    let id = services.database["id"].as_str().unwrap();
    assert_eq!((user, password.len()), ("postgresql://xata:", 64));
    assert_eq!(place, format!("{id}.eu-central-1.xata.tech/xata?sslmode=require"));

    // An older version of Xata gives no host.
    services.xata.change(|options| options.credentials_with_host = false);
    assert_eq!(services.ask().await.unwrap(), Some(found));
}

#[tokio::test]
async fn without_an_entry_the_database_is_found_by_its_name() {
    let mut services = Services::start().await;
    services.write_entry();
    wait_for_passwords().await;
    let found = services.ask().await.unwrap();
    assert!(found.is_some());
    services.access.xata_project_ids.insert(0, "prj_empty".to_owned());
    services.xata.insert_project("prj_empty", "per-user-db");
    for metadata in [json!({}), json!({ "plan": "free" }), Value::Null] {
        services.clerk.change_user(&services.user_id, |user| user.private_metadata = metadata);
        assert_eq!(services.ask().await.unwrap(), found);
    }
}

#[tokio::test]
async fn a_user_without_a_database_has_no_connection_string_yet() {
    let mut services = Services::start().await;
    services.user_id = user_id(1);
    services.clerk.insert(SignUp::new(&services.user_id));
    assert_eq!(services.ask().await.unwrap(), None);
}

#[tokio::test]
async fn a_database_without_credentials_has_no_connection_string_yet() {
    let services = Services::start().await;
    services.write_entry();
    assert_eq!(services.ask().await.unwrap(), None);
    services.xata.change(|options| options.credentials_with_host = false);
    assert_eq!(services.ask().await.unwrap(), None);
}

#[tokio::test]
async fn a_refused_key_is_an_error_without_the_key_in_its_text() {
    let mut services = Services::start().await;
    services.write_entry();
    services.access.xata_api_key = "xau_refused_key".to_owned();
    services.is_refused_by("/credentials").await;
    services.access.clerk_secret_key = "sk_test_refused_key".to_owned();
    services.is_refused_by("/v1/users/").await;
}

#[tokio::test]
async fn a_user_that_clerk_does_not_have_is_an_error() {
    let mut services = Services::start().await;
    services.user_id = user_id(1);
    let error = services.ask().await.unwrap_err();
    assert_eq!(error.status().map(|it| it.as_u16()), Some(404));
}

#[test]
fn the_page_shows_the_two_snippets_as_they_are() {
    let page = include_str!("../../../../docs/connect.md");
    let rust = include_str!("../../../../docs/connect/connect.rs");
    let typescript = include_str!("../../../../docs/connect/connect.ts");
    assert!(page.contains(&format!("```rust\n{rust}```\n")));
    assert!(page.contains(&format!("```ts\n{typescript}```\n")));
}
