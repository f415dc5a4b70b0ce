//! Secrets in AWS Secrets Manager, and their rotation.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::response::IntoResponse;
use axum::routing::{get, post};
use bytes::Bytes;
use futures_util::future::join_all;
use http::{HeaderMap, Request, StatusCode};
use per_user_db::handler::Handler;
use per_user_db::http_client::HttpClient;
use per_user_db::secrets::{SecretsError, SecretsManager};
use per_user_db::settings::{self, Settings, Variables};
use per_user_db::worker::{SECRETS_TIMEOUT, SecretRefresher};
use serde_json::{Value, json};
use standin::clerk::{SignUp, user_id, user_id_at};
use standin::hookdeck;
use tokio::time::Instant;

use crate::svix_signature;
use crate::test_app::{
    CLERK, DELETE, KEY, MINUTE, SECRET, TestApp, TestResponse, client, delivery, retry,
    user_created, with_header, worker,
};

/// A stand-in of AWS Secrets Manager with one secret.
#[derive(Clone, Default)]
struct SecretsManagerStandIn(Arc<Mutex<StandInState>>);

struct StandInState {
    members: Value,
    refusal: Option<(u16, &'static str)>,
    n_reads: usize,
    /// The time that each read takes.
    latency: Duration,
    /// The session token of the role's credentials.
    session: String,
    /// What the endpoint of the credentials wants as `Authorization`.
    authorization: String,
}

impl Default for StandInState {
    fn default() -> Self {
        Self {
            members: Value::Null,
            refusal: None,
            n_reads: 0,
            latency: Duration::ZERO,
            session: "a-token".to_owned(),
            authorization: "fake-authorization".to_owned(),
        }
    }
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

    /// A manager whose other secrets are right.
    fn with(member: &str, value: &str) -> Self {
        let manager = Self::new(SECRET, KEY);
        manager.set(member, value);
        manager
    }

    fn set(&self, member: &str, value: &str) {
        self.0.lock().unwrap().members[member] = value.into();
    }

    fn n_reads(&self) -> usize {
        self.0.lock().unwrap().n_reads
    }

    /// Checks the headers that AWS requires. AWS's own crate makes the signature.
    fn router(&self) -> Router {
        let state = self.0.clone();
        let respond = move |headers: HeaderMap, body: String| async move {
            let latency = {
                let mut state = state.lock().unwrap();
                state.n_reads += 1;
                state.latency
            };
            tokio::time::sleep(latency).await;
            let state = state.lock().unwrap();
            assert_eq!(headers["x-amz-target"], "secretsmanager.GetSecretValue");
            assert_eq!(headers["content-type"], "application/x-amz-json-1.1");
            assert_eq!(headers["x-amz-security-token"], state.session);
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
        let state = self.0.clone();
        let credentials = move |headers: HeaderMap| async move {
            let state = state.lock().unwrap();
            if headers.get("authorization").is_none_or(|it| *it != *state.authorization) {
                return (StatusCode::UNAUTHORIZED, String::new());
            }
            let credentials = json!({
                "AccessKeyId": "AKIAFAKE", "SecretAccessKey": "fake", "Token": state.session,
                "Expiration": "2026-01-07T12:00:00Z",
            });
            (StatusCode::OK, credentials.to_string())
        };
        Router::new()
            .route("/secrets/", post(respond))
            .route("/2021-04-23/credentials", get(credentials))
    }
}

fn source(app: &TestApp, variables: &Variables, client: &HttpClient) -> SecretsManager {
    let settings = settings::secrets(variables()).unwrap().unwrap();
    SecretsManager::new(settings, variables.clone(), client.clone(), app.clock.clone())
}

/// The environment, with these changes; an empty value unsets a variable.
fn variables(changes: &[(&'static str, &str)]) -> Variables {
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
        ("REGION_BY_CONTINENT", "EU=eu-central-1,OC=ap-southeast-2"),
    ];
    let variables = variables.iter().chain(changes);
    let variables: BTreeMap<OsString, OsString> =
        variables.map(|(name, value)| (name.into(), value.into())).collect();
    Arc::new(move || variables.clone().into_iter().collect())
}

/// An app whose function reads its secrets from the stand-in.
async fn app(manager: &SecretsManagerStandIn) -> TestApp {
    app_with(manager, &variables(&[]), Router::new()).await
}

/// The same, with this environment, and with another service.
async fn app_with(
    manager: &SecretsManagerStandIn,
    variables: &Variables,
    routes: Router,
) -> TestApp {
    let app = TestApp::new();
    let client = client(app.clerk.beside(manager.router().merge(routes).merge(app.xata.router())));
    let source = source(&app, variables, &client);
    let secret = source.read(Instant::now() + Duration::from_secs(5)).await.expect("a secret");
    let settings = Settings::read_with(variables(), &secret).expect("valid settings");
    let handler = Handler::new(settings, client.clone(), app.clock.clone());
    let refresher = SecretRefresher::new(source, variables.clone(), client, secret);
    let worker = worker(handler, &app.clock).with_secret_refresher(refresher);
    app.with_worker(worker)
}

fn signed(seed: u64, signing_secret: &str) -> Request<Bytes> {
    let body = user_created(seed);
    let signature = hookdeck::signature(signing_secret, &body);
    with_header(delivery(body), "x-hookdeck-signature", &signature)
}

async fn deliver(app: &TestApp, seed: u64, signing_secret: &str) -> TestResponse {
    app.send(signed(seed, signing_secret)).await
}

/// The outcomes of eight deliveries at once.
async fn deliver_eight(app: &TestApp, signing_secret: &str) -> Vec<&'static str> {
    join_all((1..=8).map(|seed| app.outcome(signed(seed, signing_secret)))).await
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

/// The environment with Clerk's stand-in.
fn with_clerk() -> Variables {
    variables(&[CLERK[1], DELETE])
}

#[tokio::test(start_paused = true)]
async fn the_first_delivery_after_the_rotation_of_clerk_s_key_is_accepted_with_its_entry() {
    let manager = SecretsManagerStandIn::with(CLERK[0].0, "sk_test_retired");
    let app = app_with(&manager, &with_clerk(), Router::new()).await;
    app.clerk.insert(SignUp::new(&user_id(1)));
    pass_interval().await;
    let refused = deliver(&app, 1, SECRET).await;
    assert_eq!(refused.row(), (500, "misconfigured", Some("clerk_key_refused"), None));
    manager.set(CLERK[0].0, CLERK[0].1);
    pass_interval().await;
    let again = app.send(retry(user_created(1), 2)).await;
    assert_eq!(again.row(), (200, "exists", None, None));
    assert_eq!(
        (&again.log_line["secrets"], again.log_line["directory"].as_str()),
        (&json!("renewed"), Some("written"))
    );

    // The key can be refused after the database was created.
    let manager = SecretsManagerStandIn::with(CLERK[0].0, "sk_test_retired");
    let app = app_with(&manager, &with_clerk(), Router::new()).await;
    app.clerk.insert(SignUp::new(&user_id(1)));
    manager.set(CLERK[0].0, CLERK[0].1);
    pass_interval().await;
    let created = deliver(&app, 1, SECRET).await;
    assert_eq!(created.row(), (200, "created", None, None));
    assert_eq!(created.log_line["directory"], "written");
    assert_eq!(app.databases(&user_id(1)).len(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_deletion_reads_the_secrets_again_when_clerk_refuses_the_key() {
    let sign_up = SignUp::new(&user_id_at(1, 1_767_784_000));
    let manager = SecretsManagerStandIn::with(CLERK[0].0, "sk_test_retired");
    let app = app_with(&manager, &with_clerk(), Router::new()).await;
    app.xata.insert("prj_a", "eu-central-1", [sign_up.user_id.clone()]);
    tokio::time::advance(60 * MINUTE).await;
    manager.set(CLERK[0].0, CLERK[0].1);
    let response = app.deliver(sign_up.user_deleted(sign_up.timestamp_ms + 3_600_000)).await;
    assert_eq!(response.row(), (200, "removed", None, None));
    assert_eq!(response.log_line["secrets"], "renewed");
}

#[tokio::test(start_paused = true)]
async fn a_key_of_another_instance_and_a_key_without_rights_are_read_again() {
    let (name, key) = CLERK[0];
    let manager = SecretsManagerStandIn::with(name, key);
    let app = app_with(&manager, &with_clerk(), Router::new()).await;
    app.clerk.change(|it| it.instance_id = "ins_other".to_owned());
    pass_interval().await;
    manager.set(name, "sk_test_another");
    app.clerk.change(|it| it.secret_key = key.to_owned());
    let foreign = deliver(&app, 1, SECRET).await;
    assert_eq!(foreign.log_line["secrets"], "renewed");
    assert_eq!(foreign.row(), (500, "misconfigured", Some("clerk_key_refused"), None));
}

#[tokio::test(start_paused = true)]
async fn a_rotated_svix_secret_is_read_again_whether_reported_or_enforced() {
    let name = "CLERK_WEBHOOK_SIGNING_SECRET";
    for check in ["report", "enforce"] {
        let [current, retired] = ["current", "previous"].map(svix_signature::secret);
        let manager = SecretsManagerStandIn::with(name, &retired);
        let variables = variables(&[("SVIX_CHECK", check)]);
        let app = app_with(&manager, &variables, Router::new()).await;
        manager.set(name, &current);
        pass_interval().await;
        let response = app.send(svix_signature::signed(false)).await;
        assert_eq!(response.row(), (200, "created", None, None), "{check}");
        assert_eq!((response.log_line.get("svix"), manager.n_reads()), (None, 2), "{check}");
        assert_eq!(response.log_line["secrets"], "renewed");

        // A wrong signature is read for at most once a minute, and a report stops no delivery.
        pass_interval().await;
        for n_reads in [3, 3] {
            let tampered = app.send(svix_signature::signed(true)).await;
            let status = if check == "report" { 200 } else { 401 };
            assert_eq!((tampered.status, manager.n_reads()), (status, n_reads), "{check}");
            assert_eq!(tampered.log_line["svix"], "no_matching_signature");
        }
        assert_eq!(
            app.methods().iter().filter(|it| *it == "POST").count(),
            if check == "report" { 3 } else { 1 }
        );
    }
}

#[tokio::test(start_paused = true)]
async fn a_rotated_key_of_ip_api_is_read_again_before_a_region_is_chosen() {
    let ip_api = |uri: http::Uri| async move {
        let query = uri.query().unwrap_or_default();
        if query.ends_with("key=current") {
            r#"{"countryCode":"AU"}"#.into_response()
        } else {
            StatusCode::FORBIDDEN.into_response()
        }
    };
    let routes = Router::new().route("/json/{ip}", get(ip_api));
    let manager = SecretsManagerStandIn::with("IP_API_KEY", "retired");
    let variables = variables(&[("GEO_LOOKUP", "ip-api"), ("IP_API_URL", "http://localhost")]);
    let app = app_with(&manager, &variables, routes).await;
    // Refused, the key fails no sign-up, and the line says so.
    let refused = deliver(&app, 1, SECRET).await;
    assert_eq!(refused.row(), (200, "created", None, None));
    let line = &refused.log_line;
    let found = (&line["level"], &line["placement"], &line["lookup"]);
    assert_eq!(found, (&json!("WARN"), &json!("default"), &json!("key_refused")));
    manager.set("IP_API_KEY", "current");
    pass_interval().await;
    let renewed = deliver(&app, 2, SECRET).await;
    assert_eq!(renewed.row(), (200, "created", None, None));
    let line = &renewed.log_line;
    let found = (&line["region"], line.get("lookup"), &line["secrets"]);
    assert_eq!(found, (&json!("ap-southeast-2"), None, &json!("renewed")));
    assert_eq!(app.databases(&user_id(2)).len(), 1);
}

const ENDPOINT: (&str, &str) =
    ("AWS_CONTAINER_CREDENTIALS_FULL_URI", "http://localhost/2021-04-23/credentials");
const WITHOUT_KEYS: [(&str, &str); 3] =
    [("AWS_ACCESS_KEY_ID", ""), ("AWS_SECRET_ACCESS_KEY", ""), ("AWS_SESSION_TOKEN", "")];

/// Rotates a secret and the role's credentials, and expects that both are read.
async fn expect_both_rotations(app: &TestApp, manager: &SecretsManagerStandIn) {
    manager.rotate("rotated", KEY);
    pass_interval().await;
    let response = deliver(app, 1, "rotated").await;
    assert_eq!((response.status, &response.log_line["secrets"]), (200, &json!("renewed")));
}

#[tokio::test(start_paused = true)]
async fn the_credentials_of_the_role_are_read_from_the_container_s_endpoint_each_time() {
    let manager = SecretsManagerStandIn::new(SECRET, KEY);
    let token = ("AWS_CONTAINER_AUTHORIZATION_TOKEN", "fake-authorization");
    let variables = variables(&[&WITHOUT_KEYS[..], &[ENDPOINT, token]].concat());
    let app = app_with(&manager, &variables, Router::new()).await;
    manager.0.lock().unwrap().session = "a-newer-token".to_owned();
    expect_both_rotations(&app, &manager).await;
}

#[tokio::test(start_paused = true)]
async fn the_token_of_the_container_s_endpoint_is_read_from_its_file_each_time() {
    let path = std::env::temp_dir().join(format!("per-user-db-{}-token", std::process::id()));
    std::fs::write(&path, "fake-authorization\n").unwrap();
    let manager = SecretsManagerStandIn::new(SECRET, KEY);
    let file = ("AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE", path.to_str().unwrap());
    let variables = variables(&[&WITHOUT_KEYS[..], &[ENDPOINT, file]].concat());
    let app = app_with(&manager, &variables, Router::new()).await;
    manager.0.lock().unwrap().authorization = "another-authorization".to_owned();
    std::fs::write(&path, "another-authorization\n").unwrap();
    expect_both_rotations(&app, &manager).await;
    std::fs::remove_file(&path).unwrap();
    pass_interval().await;
    assert_eq!(deliver(&app, 1, "wrong").await.log_line["secrets"], "unreadable");
}

#[tokio::test(start_paused = true)]
async fn the_credentials_of_the_role_are_read_from_the_environment_each_time() {
    let manager = SecretsManagerStandIn::new(SECRET, KEY);
    let of_stand_in = manager.clone();
    let fixed = variables(&[]);
    let variables: Variables = Arc::new(move || {
        let session = of_stand_in.0.lock().unwrap().session.clone();
        let other = fixed().into_iter().filter(|(name, _)| name != "AWS_SESSION_TOKEN");
        other.chain([("AWS_SESSION_TOKEN".into(), session.into())]).collect()
    });
    let app = app_with(&manager, &variables, Router::new()).await;
    manager.0.lock().unwrap().session = "a-newer-token".to_owned();
    expect_both_rotations(&app, &manager).await;
}

#[tokio::test(start_paused = true)]
async fn credentials_that_cannot_be_had_are_an_error_without_a_secret() {
    let manager = SecretsManagerStandIn::new(SECRET, KEY);
    let app = TestApp::new();
    let token = ("AWS_CONTAINER_AUTHORIZATION_TOKEN", "s3cret");
    let variables = variables(&[&WITHOUT_KEYS[..], &[ENDPOINT, token]].concat());
    let source = source(&app, &variables, &client(manager.router()));
    let error = source.read(Instant::now() + Duration::from_secs(5)).await.unwrap_err();
    assert_eq!(
        error.to_string(),
        "AWS_CONTAINER_CREDENTIALS_FULL_URI does not return credentials: 401"
    );
    for (changes, problem) in [
        (&WITHOUT_KEYS[..], "AWS_ACCESS_KEY_ID is missing, and SECRETS_ID needs it"),
        (&[("AWS_SECRET_ACCESS_KEY", "")], "AWS_SECRET_ACCESS_KEY is missing"),
        (
            &[WITHOUT_KEYS[0], ("AWS_CONTAINER_CREDENTIALS_FULL_URI", "http://example.com/")],
            "AWS_CONTAINER_CREDENTIALS_FULL_URI must be an https URL",
        ),
    ] {
        let error = settings::secrets(self::variables(changes)()).unwrap_err().to_string();
        assert!(error.starts_with(problem), "{error}");
    }
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
async fn eight_deliveries_that_are_refused_at_once_wait_for_one_read() {
    let manager = SecretsManagerStandIn::new("old", KEY);
    let app = app(&manager).await;
    manager.rotate(SECRET, KEY);
    manager.0.lock().unwrap().latency = Duration::from_secs(3);
    pass_interval().await;
    assert_eq!(deliver_eight(&app, SECRET).await, ["created"; 8]);
    assert_eq!(manager.n_reads(), 2);

    // A key that Xata refuses is read again as the signing secret is.
    app.platform().change(|it| it.api_key = "xau_newer".to_owned());
    manager.rotate(SECRET, "xau_newer");
    pass_interval().await;
    assert_eq!(deliver_eight(&app, SECRET).await, ["exists"; 8]);
    assert_eq!(manager.n_reads(), 3);
}

#[tokio::test(start_paused = true)]
async fn a_delivery_that_begins_while_the_secrets_are_read_is_handled_with_the_new_ones() {
    let manager = SecretsManagerStandIn::new("old", KEY);
    let app = app(&manager).await;
    manager.rotate(SECRET, KEY);
    manager.0.lock().unwrap().latency = Duration::from_secs(3);
    pass_interval().await;
    let began_at = Instant::now();
    let later = async {
        tokio::time::sleep(Duration::from_secs(1)).await;
        // One that is not refused does not wait.
        assert_eq!(app.outcome(signed(2, "old")).await, "created");
        assert_eq!(began_at.elapsed(), Duration::from_secs(1));
        app.outcome(signed(3, SECRET)).await
    };
    let outcomes = tokio::join!(app.outcome(signed(1, SECRET)), later);
    assert_eq!(outcomes, ("created", "created"));
    assert_eq!((began_at.elapsed(), manager.n_reads()), (Duration::from_secs(3), 2));
}

#[tokio::test(start_paused = true)]
async fn eight_refused_deliveries_are_answered_when_the_secrets_cannot_be_read() {
    let manager = SecretsManagerStandIn::new(SECRET, KEY);
    let app = app(&manager).await;
    manager.0.lock().unwrap().latency = MINUTE;
    pass_interval().await;
    let began_at = Instant::now();
    assert_eq!(deliver_eight(&app, "wrong").await, ["unauthorized"; 8]);
    assert_eq!(began_at.elapsed(), SECRETS_TIMEOUT);
    // Within a minute nobody tries again, or waits.
    assert_eq!(deliver_eight(&app, "wrong").await, ["unauthorized"; 8]);
    assert_eq!((began_at.elapsed(), manager.n_reads()), (SECRETS_TIMEOUT, 2));
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
    let source = source(&app, &variables(&[]), &client(manager.router()));
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
