//! Secrets in AWS Secrets Manager, and their rotation.

use std::ffi::OsString;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::routing::post;
use http::{HeaderMap, StatusCode};
use per_user_db::handler::Handler;
use per_user_db::http_client::HttpClient;
use per_user_db::secrets::{SecretsError, SecretsManager};
use per_user_db::settings::{self, Settings};
use per_user_db::worker::SecretRefresher;
use serde_json::{Value, json};
use standin::hookdeck;
use tokio::time::Instant;

use crate::test_app::{
    MINUTE, SECRET, TestApp, TestResponse, client, delivery, user_created, with_header, worker,
};

const KEY: &str = "xau_fake_local_development_key";

/// A stand-in of AWS Secrets Manager with one secret.
#[derive(Clone, Default)]
struct SecretsManagerStandIn(Arc<Mutex<StandInState>>);

#[derive(Default)]
struct StandInState {
    members: Value,
    refusal: Option<(u16, &'static str)>,
    n_reads: usize,
}

impl SecretsManagerStandIn {
    fn new(signing_secret: &str, key: &str) -> Self {
        let manager = Self::default();
        manager.rotate(signing_secret, key);
        manager
    }

    fn rotate(&self, signing_secret: &str, key: &str) {
        let members = json!({ "HOOKDECK_WEBHOOK_SECRET": signing_secret, "XATA_API_KEY": key });
        self.0.lock().unwrap().members = members;
    }

    fn n_reads(&self) -> usize {
        self.0.lock().unwrap().n_reads
    }

    /// Checks the headers that AWS requires. AWS's own crate makes the signature.
    fn router(&self) -> Router {
        let state = self.0.clone();
        let respond = move |headers: HeaderMap, body: String| async move {
            let state = &mut *state.lock().unwrap();
            state.n_reads += 1;
            assert_eq!(headers["x-amz-target"], "secretsmanager.GetSecretValue");
            assert_eq!(headers["content-type"], "application/x-amz-json-1.1");
            assert_eq!(headers["x-amz-security-token"], "a-token");
            let authorization = headers["authorization"].to_str().unwrap();
            assert!(authorization.starts_with("AWS4-HMAC-SHA256 Credential=AKIAFAKE/20260107/"));
            assert!(authorization.contains("/eu-central-1/secretsmanager/aws4_request"));
            assert!(authorization.contains("SignedHeaders=content-type;host;x-amz-"));
            assert_eq!(body, r#"{"SecretId":"per-user-db"}"#);
            if let Some((status, body)) = state.refusal {
                return (StatusCode::from_u16(status).unwrap(), body.to_owned());
            }
            let secret = json!({ "Name": "x", "SecretString": state.members.to_string() });
            (StatusCode::OK, secret.to_string())
        };
        Router::new().route("/secrets/", post(respond))
    }
}

fn source(app: &TestApp, client: &HttpClient) -> SecretsManager {
    let settings = settings::secrets(variables()).unwrap().unwrap();
    SecretsManager::new(settings, client.clone(), app.clock.clone())
}

fn variables() -> Vec<(OsString, OsString)> {
    let variables = [
        ("SECRETS_ID", "per-user-db"),
        ("AWS_REGION", "eu-central-1"),
        ("AWS_ACCESS_KEY_ID", "AKIAFAKE"),
        ("AWS_SECRET_ACCESS_KEY", "fake"),
        ("AWS_SESSION_TOKEN", "a-token"),
        ("AWS_ENDPOINT_URL", "http://localhost/secrets"),
        ("XATA_API_URL", "http://localhost"),
        ("XATA_ORGANIZATION_ID", "org123"),
        ("XATA_PROJECT_ID", "prj_a"),
    ];
    variables.into_iter().map(|(name, value)| (name.into(), value.into())).collect()
}

/// An app whose function reads its secrets from the stand-in.
async fn app(manager: &SecretsManagerStandIn) -> TestApp {
    let app = TestApp::new();
    let client = client(manager.router().merge(app.xata.router()));
    let source = source(&app, &client);
    let secret = source.read(Instant::now() + Duration::from_secs(5)).await.expect("a secret");
    let settings = Settings::read_with(variables(), &secret).expect("valid settings");
    let handler = Handler::new(settings, client.clone(), app.clock.clone());
    let refresher = SecretRefresher::new(source, variables(), client, secret);
    let worker = worker(handler, &app.clock).with_secret_refresher(refresher);
    app.with_worker(worker)
}

async fn deliver(app: &TestApp, seed: u64, signing_secret: &str) -> TestResponse {
    let body = user_created(seed);
    let signature = hookdeck::signature(signing_secret, &body);
    app.send(with_header(delivery(body), "x-hookdeck-signature", &signature)).await
}

/// Lets the minimum interval between two reads pass.
async fn pass_interval() {
    tokio::time::advance(MINUTE + Duration::from_secs(1)).await;
}

#[tokio::test(start_paused = true)]
async fn secrets_are_read_once_at_start() {
    let manager = SecretsManagerStandIn::new(SECRET, KEY);
    let app = app(&manager).await;
    for seed in 1..=3 {
        pass_interval().await;
        assert_eq!(deliver(&app, seed, SECRET).await.outcome(), "created");
    }
    assert_eq!(manager.n_reads(), 1);
}

#[tokio::test(start_paused = true)]
async fn the_first_delivery_with_a_rotated_signing_secret_is_accepted() {
    let manager = SecretsManagerStandIn::new("old", KEY);
    let app = app(&manager).await;
    manager.rotate(SECRET, KEY);
    pass_interval().await;
    let response = deliver(&app, 1, SECRET).await;
    assert_eq!(response.row(), (200, "created", None, None));
    assert_eq!(response.log_line["secrets"], "renewed");
    assert_eq!(deliver(&app, 2, SECRET).await.log_line.get("secrets"), None);
    assert_eq!(manager.n_reads(), 2);
}

#[tokio::test(start_paused = true)]
async fn the_first_delivery_after_the_rotation_of_xata_s_key_is_accepted() {
    let manager = SecretsManagerStandIn::new(SECRET, "xau_retired");
    let app = app(&manager).await;
    pass_interval().await;
    let refused = deliver(&app, 1, SECRET).await;
    assert_eq!(refused.row(), (500, "misconfigured", Some("key_refused"), None));
    manager.rotate(SECRET, KEY);
    pass_interval().await;
    assert_eq!(deliver(&app, 1, SECRET).await.row(), (200, "created", None, None));
    assert_eq!(manager.n_reads(), 3);
}

#[tokio::test(start_paused = true)]
async fn forged_deliveries_cause_at_most_one_read_per_minute() {
    let manager = SecretsManagerStandIn::new(SECRET, KEY);
    let app = app(&manager).await;
    for _ in 0..5 {
        assert_eq!(deliver(&app, 1, "wrong").await.status, 401);
    }
    assert_eq!(manager.n_reads(), 1, "only the read at start");
    pass_interval().await;
    for _ in 0..5 {
        let response = deliver(&app, 1, "wrong").await;
        assert_eq!(response.row(), (401, "unauthorized", None, None));
    }
    assert_eq!(manager.n_reads(), 2);
}

#[tokio::test(start_paused = true)]
async fn a_payload_that_is_no_http_request_causes_no_read() {
    let manager = SecretsManagerStandIn::new(SECRET, KEY);
    let app = app(&manager).await;
    pass_interval().await;
    assert_eq!(app.invoke("{}").await.row(), (401, "unauthorized", None, None));
    assert_eq!(manager.n_reads(), 1, "only the read at start");
}

#[tokio::test(start_paused = true)]
async fn the_old_secrets_stay_in_use_when_the_new_ones_cannot_be_read_or_used() {
    let manager = SecretsManagerStandIn::new(SECRET, KEY);
    let app = app(&manager).await;
    manager.0.lock().unwrap().refusal = Some((500, "{}"));
    pass_interval().await;
    let response = deliver(&app, 1, "wrong").await;
    assert_eq!((response.status, &response.log_line["secrets"]), (401, &json!("unreadable")));
    manager.0.lock().unwrap().refusal = None;
    manager.rotate("", KEY);
    pass_interval().await;
    let response = deliver(&app, 1, "wrong").await;
    assert_eq!((response.status, &response.log_line["secrets"]), (401, &json!("unusable")));
    assert_eq!(deliver(&app, 1, SECRET).await.outcome(), "created");
}

#[tokio::test(start_paused = true)]
async fn the_error_of_an_unusable_secret_has_a_cause_and_no_part_of_the_secret() {
    let manager = SecretsManagerStandIn::new("s3cret", "s3cret");
    let app = TestApp::new();
    let source = source(&app, &client(manager.router()));
    let read = async || source.read(Instant::now() + Duration::from_secs(5)).await;
    let refused = |code: &str| Err(SecretsError::Refused(code.to_owned()));
    for (status, body, expected) in [
        (400, r#"{"__type":"ResourceNotFoundException"}"#, refused("ResourceNotFoundException")),
        (
            400,
            r#"{"__type":"com.amazonaws#AccessDeniedException"}"#,
            refused("AccessDeniedException"),
        ),
        (400, r#"{"__type":"<b>\n"}"#, refused("400")),
        (503, "<html>", refused("503")),
        (200, r#"{"SecretBinary":"s3cret"}"#, Err(SecretsError::NotAnObject)),
        (200, r#"{"SecretString":"s3cret"}"#, Err(SecretsError::NotAnObject)),
        (200, r#"{"SecretString":"{\"a\":{\"s3cret\":1}}"}"#, Err(SecretsError::NotAnObject)),
    ] {
        manager.0.lock().unwrap().refusal = Some((status, body));
        let found = read().await;
        let shown = found.as_ref().err().map(ToString::to_string).unwrap_or_default();
        assert!(!shown.contains("s3cret"), "{shown}");
        assert_eq!(found, expected, "{body}");
    }
}
