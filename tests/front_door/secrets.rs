//! Secrets that are in AWS Secrets Manager, and change there.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::routing::post;
use http::{HeaderMap, StatusCode};
use per_user_db::handler::Handler;
use per_user_db::http_client::{self, HttpClient};
use per_user_db::secrets::{SecretsError, SecretsManager};
use per_user_db::settings::{self, Settings};
use per_user_db::worker::{SecretRefresher, Worker};
use serde_json::{Value, json};
use standin::clerk::{SignUp, user_id};
use standin::hookdeck;
use tokio::time::Instant;

use crate::world::{Answered, SECRET, World, delivery};

const KEY: &str = "xau_fake_local_development_key";

/// Secrets Manager with one secret.
#[derive(Clone, Default)]
struct Keeper(Arc<Mutex<Kept>>);

#[derive(Default)]
struct Kept {
    members: Value,
    refusal: Option<(u16, &'static str)>,
    n_readings: usize,
}

impl Keeper {
    fn new(signing_secret: &str, key: &str) -> Self {
        let keeper = Self::default();
        keeper.change(signing_secret, key);
        keeper
    }

    fn change(&self, signing_secret: &str, key: &str) {
        let members = json!({ "HOOKDECK_WEBHOOK_SECRET": signing_secret, "XATA_API_KEY": key });
        self.0.lock().unwrap().members = members;
    }

    fn n_readings(&self) -> usize {
        self.0.lock().unwrap().n_readings
    }

    /// It checks what AWS needs to see; the signature itself is AWS's own code.
    fn router(&self) -> Router {
        let kept = self.0.clone();
        let answer = move |headers: HeaderMap, body: String| async move {
            let kept = &mut *kept.lock().unwrap();
            kept.n_readings += 1;
            assert_eq!(headers["x-amz-target"], "secretsmanager.GetSecretValue");
            assert_eq!(headers["content-type"], "application/x-amz-json-1.1");
            assert_eq!(headers["x-amz-security-token"], "a-token");
            let authorization = headers["authorization"].to_str().unwrap();
            assert!(authorization.starts_with("AWS4-HMAC-SHA256 Credential=AKIAFAKE/20260107/"));
            assert!(authorization.contains("/eu-central-1/secretsmanager/aws4_request"));
            assert!(authorization.contains("SignedHeaders=content-type;host;x-amz-"));
            assert_eq!(body, r#"{"SecretId":"per-user-db"}"#);
            if let Some((status, body)) = kept.refusal {
                return (StatusCode::from_u16(status).unwrap(), body.to_owned());
            }
            let secret = json!({ "Name": "x", "SecretString": kept.members.to_string() });
            (StatusCode::OK, secret.to_string())
        };
        Router::new().route("/secrets/", post(answer))
    }

    fn source(&self, world: &World, client: &HttpClient) -> SecretsManager {
        let place = settings::secrets(variables(&[])).unwrap().unwrap();
        assert!(self.0.lock().unwrap().refusal.is_none());
        SecretsManager::new(place, client.clone(), world.clock.clone())
    }
}

fn variables(changes: &[(&str, &str)]) -> Vec<(std::ffi::OsString, std::ffi::OsString)> {
    let mut variables = BTreeMap::from([
        ("SECRETS_ID", "per-user-db"),
        ("AWS_REGION", "eu-central-1"),
        ("AWS_ACCESS_KEY_ID", "AKIAFAKE"),
        ("AWS_SECRET_ACCESS_KEY", "fake"),
        ("AWS_SESSION_TOKEN", "a-token"),
        ("AWS_ENDPOINT_URL", "http://localhost/secrets"),
        ("XATA_API_URL", "http://localhost"),
        ("XATA_ORGANIZATION_ID", "org123"),
        ("XATA_PROJECT_ID", "prj_a"),
    ]);
    variables.extend(changes.iter().copied());
    variables.into_iter().map(|(name, value)| (name.into(), value.into())).collect()
}

/// A world whose function has its secrets from the keeper.
async fn world(keeper: &Keeper) -> World {
    let world = World::new();
    let services = keeper.router().merge(world.xata.router());
    let client = http_client::boxed(standin::serve::client(services));
    let source = keeper.source(&world, &client);
    let secret = source.read(Instant::now() + Duration::from_secs(5)).await.expect("a secret");
    let settings = Settings::read_with(variables(&[]), &secret).expect("settings that work");
    let function = Handler::new(settings, client.clone(), world.clock.clone());
    let renewal = SecretRefresher::new(source, variables(&[]), client, secret);
    let worker = Worker::new(function, world.clock.clone(), crate::world::metrics());
    world.working_as(worker.with_secret_refresher(renewal))
}

async fn deliver(world: &World, seed: u64, signing_secret: &str) -> Answered {
    let body = SignUp::new(&user_id(seed)).user_created();
    let mut request = delivery(body.clone());
    let signature = hookdeck::signature(signing_secret, &body).parse().unwrap();
    request.headers_mut().insert("x-hookdeck-signature", signature);
    world.send(request).await
}

async fn minute() {
    tokio::time::advance(Duration::from_secs(61)).await;
}

#[tokio::test(start_paused = true)]
async fn secrets_are_read_once_and_then_used() {
    let keeper = Keeper::new(SECRET, KEY);
    let world = world(&keeper).await;
    for seed in 1..=3 {
        minute().await;
        assert_eq!(deliver(&world, seed, SECRET).await.word("status"), "created");
    }
    assert_eq!(keeper.n_readings(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_signing_secret_that_was_rotated_works_with_the_first_delivery_that_needs_it() {
    let keeper = Keeper::new("old", KEY);
    let world = world(&keeper).await;
    keeper.change(SECRET, KEY);
    minute().await;
    let answered = deliver(&world, 1, SECRET).await;
    assert_eq!(answered.row(), (200, "created", None, None));
    assert_eq!(answered.line["secrets"], "renewed");
    assert_eq!(deliver(&world, 2, SECRET).await.line.get("secrets"), None);
    assert_eq!(keeper.n_readings(), 2);
}

#[tokio::test(start_paused = true)]
async fn a_key_of_xata_s_that_was_rotated_works_with_the_first_delivery_that_needs_it() {
    let keeper = Keeper::new(SECRET, "xau_retired");
    let world = world(&keeper).await;
    minute().await;
    let refused = deliver(&world, 1, SECRET).await;
    assert_eq!(refused.row(), (500, "misconfigured", Some("key_refused"), None));
    keeper.change(SECRET, KEY);
    minute().await;
    assert_eq!(deliver(&world, 1, SECRET).await.row(), (200, "created", None, None));
    assert_eq!(keeper.n_readings(), 3);
}

#[tokio::test(start_paused = true)]
async fn whoever_sends_forgeries_causes_one_reading_a_minute_at_most() {
    let keeper = Keeper::new(SECRET, KEY);
    let world = world(&keeper).await;
    for _ in 0..5 {
        assert_eq!(deliver(&world, 1, "a guess").await.status, 401);
    }
    assert_eq!(keeper.n_readings(), 1, "just read at start");
    minute().await;
    for _ in 0..5 {
        let answered = deliver(&world, 1, "a guess").await;
        assert_eq!(answered.row(), (401, "unauthorized", None, None));
    }
    assert_eq!(keeper.n_readings(), 2);
}

#[tokio::test(start_paused = true)]
async fn what_cannot_be_read_again_leaves_everything_as_it_was() {
    let keeper = Keeper::new(SECRET, KEY);
    let world = world(&keeper).await;
    keeper.0.lock().unwrap().refusal = Some((500, "{}"));
    minute().await;
    let answered = deliver(&world, 1, "a guess").await;
    assert_eq!((answered.status, &answered.line["secrets"]), (401, &json!("unreadable")));
    keeper.0.lock().unwrap().refusal = None;
    keeper.change("", KEY);
    minute().await;
    let answered = deliver(&world, 1, "a guess").await;
    assert_eq!((answered.status, &answered.line["secrets"]), (401, &json!("unusable")));
    assert_eq!(deliver(&world, 1, SECRET).await.word("status"), "created");
}

#[tokio::test(start_paused = true)]
async fn a_secret_that_cannot_be_used_says_why_and_never_what_is_in_it() {
    let keeper = Keeper::new("s3cret", "s3cret");
    let world = World::new();
    let client = http_client::boxed(standin::serve::client(keeper.router()));
    let source = keeper.source(&world, &client);
    let read = async || source.read(Instant::now() + Duration::from_secs(5)).await;
    let refused = |word: &str| Err(SecretsError::Refused(word.to_owned()));
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
        keeper.0.lock().unwrap().refusal = Some((status, body));
        let found = read().await;
        let shown = found.as_ref().err().map(ToString::to_string).unwrap_or_default();
        assert!(!shown.contains("s3cret"), "{shown}");
        assert_eq!(found, expected, "{body}");
    }
}
