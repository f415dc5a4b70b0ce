//! The binary: errors at start, and payloads that are no HTTP request.

use std::io::Read;
use std::process::{Child, Command, Stdio};
use std::thread::JoinHandle;
use std::time::SystemTime;

use axum::{Json, Router};
use per_user_db::worker::TIMEOUT;
use serde_json::{Value, json};
use standin::runtime_api::RuntimeApi;
use tokio::io::AsyncReadExt;
use tokio::net::{TcpListener, TcpStream};
use tokio::time::timeout;

use crate::test_app::{MINUTE, SECRET, delivery, payload, user_created, without_header};

fn command(variables: &[(&str, &str)]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_per-user-db"));
    command.env_clear().envs(variables.iter().copied());
    command
}

/// Checks that the start fails with exit code 1 and one line on stderr, and returns the line.
fn start_error(variables: &[(&str, &str)]) -> String {
    let output = command(variables).output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert!(output.stdout.is_empty());
    let text = String::from_utf8(output.stderr).unwrap();
    assert_eq!(text.lines().count(), 1, "{text}");
    text
}

const IN_LAMBDA: (&str, &str) = ("AWS_LAMBDA_RUNTIME_API", "127.0.0.1:1");
/// The key is first.
pub const SETTINGS: [(&str, &str); 4] = [
    ("XATA_API_KEY", "xau_fake"),
    ("HOOKDECK_WEBHOOK_SECRET", SECRET),
    ("XATA_ORGANIZATION_ID", "org123"),
    ("XATA_PROJECT_ID", "prj_a"),
];

#[test]
fn outside_lambda_the_error_names_cargo_dev() {
    assert!(start_error(&[]).contains("cargo dev"));
}

#[test]
fn an_invalid_setting_is_named_in_one_line() {
    let line = start_error(&[IN_LAMBDA]);
    assert!(line.contains("HOOKDECK_WEBHOOK_SECRET is missing"), "{line}");
    let secret = "xau_fake but with a blank";
    let line = start_error(&[&[IN_LAMBDA, ("XATA_API_KEY", secret)], &SETTINGS[1..]].concat());
    assert!(line.contains("XATA_API_KEY") && !line.contains(secret), "{line}");
}

/// The real program with this Runtime API. It is killed when it is dropped.
pub struct Process {
    child: Child,
    stdout: Output,
    stderr: Output,
}

type Output = Option<JoinHandle<String>>;

impl Process {
    pub fn start(api: &RuntimeApi, variables: &[(&str, &str)]) -> Self {
        let mut command = command(variables);
        command.envs(api.variables()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let stdout = read(child.stdout.take().unwrap());
        let stderr = read(child.stderr.take().unwrap());
        Self { child, stdout: Some(stdout), stderr: Some(stderr) }
    }

    pub fn kill(&mut self) {
        self.child.kill().unwrap();
    }

    /// Waits for its end: the exit code, and what it wrote to standard output and standard error.
    pub fn output(mut self) -> (Option<i32>, String, String) {
        let [stdout, stderr] =
            [&mut self.stdout, &mut self.stderr].map(|it| it.take().unwrap().join().unwrap());
        (self.child.wait().unwrap().code(), stdout, stderr)
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ended = self.child.kill();
        let _ended = self.child.wait();
    }
}

/// Reads while the program writes: a full pipe would stop it.
fn read(mut pipe: impl Read + Send + 'static) -> JoinHandle<String> {
    std::thread::spawn(move || {
        let mut text = String::new();
        pipe.read_to_string(&mut text).unwrap();
        text
    })
}

/// A deadline that Lambda sets.
pub fn deadline() -> SystemTime {
    SystemTime::now() + TIMEOUT
}

#[tokio::test]
async fn the_program_answers_what_the_runtime_api_hands_out_and_ends_with_its_connection() {
    let api = RuntimeApi::start().unwrap();
    let process = Process::start(&api, &SETTINGS);
    let first_next = api.first_next().await;
    let unsigned = without_header(delivery(user_created(1)), "x-hookdeck-signature");
    let (unauthorized, invalid) = tokio::join!(
        api.invoke(payload(&unsigned).into(), deadline()),
        api.invoke(payload(&delivery("{}")).into(), deadline()),
    );
    assert!(first_next <= unauthorized.handed_out_at);
    assert!(unauthorized.answered_at <= invalid.handed_out_at, "one after the other");
    for (invoked, status) in [(&unauthorized, 401), (&invalid, 400)] {
        let response: Value = serde_json::from_slice(invoked.result.as_ref().unwrap()).unwrap();
        assert_eq!(response["statusCode"], status);
    }
    api.end();
    let (code, stdout, _) = process.output();
    assert_eq!(code, Some(1));
    for invoked in [unauthorized, invalid] {
        let id = format!("\"request_id\":\"{}\"", invoked.request_id);
        assert_eq!(stdout.matches(&id).count(), 1, "{stdout}");
    }
}

#[tokio::test]
async fn a_payload_that_lambda_http_cannot_adapt_is_answered_401_and_logs_no_panic() {
    let api = RuntimeApi::start().unwrap();
    let variables = [&SETTINGS[..], &[("LOG_LEVEL", "trace")]].concat();
    let mut process = Process::start(&api, &variables);
    let with_host = |host: &str| {
        let mut event: Value = serde_json::from_str(&payload(&delivery(user_created(1)))).unwrap();
        event["headers"]["host"] = host.into();
        event.to_string()
    };
    let hosts = ["a b", "[", "pl4nted:99999"].map(with_host);
    // Of these, a part is left unread.
    let others = ["null", "[1,2]", r#"{"rawPath":7,"x":"pl4nted"}"#, "pl4nted"].map(str::to_owned);
    for event in [&hosts[..], &others].concat() {
        let response = api.invoke(event.clone().into(), deadline()).await.result.unwrap();
        let response: Value = serde_json::from_slice(&response).unwrap();
        assert_eq!(response["statusCode"], 401, "{event}: {response}");
    }
    process.kill();
    let (_, stdout, stderr) = process.output();
    assert!(stdout.contains("no_http_request"), "{stdout}");
    for text in ["panic at", "panicked", "pl4nted"] {
        assert!(!stdout.contains(text), "{stdout}");
    }
    assert_eq!(stderr, "");
}

/// The real program with a secret that is sent only once there is a connection to Xata, and that
/// connection.
async fn start_with_secret(api: &RuntimeApi, scheme: &str) -> (Process, TcpListener, TcpStream) {
    let listeners = (TcpListener::bind("127.0.0.1:0"), TcpListener::bind("127.0.0.1:0"));
    let (manager, xata) = (listeners.0.await.unwrap(), listeners.1.await.unwrap());
    let url = |scheme, of: &TcpListener| format!("{scheme}://{}", of.local_addr().unwrap());
    let variables = [
        ("SECRETS_ID", "per-user-db"),
        ("AWS_REGION", "eu-central-1"),
        ("AWS_ACCESS_KEY_ID", "AKIAFAKE"),
        ("AWS_SECRET_ACCESS_KEY", "fake"),
        ("AWS_ENDPOINT_URL", &url("http", &manager)),
        ("XATA_API_URL", &url(scheme, &xata)),
    ];
    let process = Process::start(api, &[&variables, &SETTINGS[2..]].concat());
    let accepted = timeout(MINUTE, xata.accept()).await.expect("a connection before the secret");
    let (to_xata, _) = accepted.unwrap();
    let members = json!({ "HOOKDECK_WEBHOOK_SECRET": SECRET, "XATA_API_KEY": "xau_fake" });
    let secret = Json(json!({ "SecretString": members.to_string() }));
    let router = Router::new().fallback(async || secret);
    tokio::spawn(standin::serve::serve(manager, router));
    (process, xata, to_xata)
}

#[tokio::test]
async fn the_first_request_to_xata_uses_the_connection_that_was_opened_beside_the_secret() {
    let api = RuntimeApi::start().unwrap();
    let (_process, _xata, mut to_xata) = start_with_secret(&api, "http").await;
    let _unanswered = api.invoke(payload(&delivery(user_created(1))).into(), deadline());
    let mut request = [0; 1024];
    let n = timeout(MINUTE, to_xata.read(&mut request)).await.expect("a request").unwrap();
    let request = String::from_utf8_lossy(&request[..n]);
    assert!(
        request.starts_with("POST /organizations/org123/projects/prj_a/branches "),
        "{request}"
    );
    assert!(request.contains("Bearer xau_fake\r\n"), "{request}");
}

#[tokio::test]
async fn no_delivery_waits_for_the_connection_that_is_opened_beside_the_secret() {
    let api = RuntimeApi::start().unwrap();
    let (_process, _xata, mut to_xata) = start_with_secret(&api, "https").await;
    let invoked = api.invoke(payload(&delivery("{}")).into(), deadline()).await;
    let response: Value = serde_json::from_slice(&invoked.result.unwrap()).unwrap();
    assert_eq!(response["statusCode"], 400);
    // The handshake, which has no answer, is still under way.
    let _hello = to_xata.read(&mut [0; 4096]).await.unwrap();
    assert!(to_xata.try_read(&mut [0]).is_err(), "the program still waits");
}
