//! The binary: errors at start, and payloads that are no HTTP request.

use std::process::{Command, Stdio};
use std::sync::Arc;

use axum::Router;
use axum::extract::State;

use axum::routing::{get, post};
use tokio::net::TcpListener;
use tokio::sync::{Mutex, mpsc};

use crate::test_app::{delivery, payload, user_created};

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
const SETTINGS: [(&str, &str); 4] = [
    ("XATA_API_KEY", "xau_fake"),
    ("HOOKDECK_WEBHOOK_SECRET", "fake"),
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

/// A stand-in of Lambda's Runtime API: the events to send, and the function's responses.
#[derive(Clone)]
struct RuntimeApi {
    events: Arc<Mutex<mpsc::UnboundedReceiver<String>>>,
    responses: mpsc::UnboundedSender<String>,
}

impl RuntimeApi {
    fn router(self) -> Router {
        let next = async |State(api): State<Self>| {
            let event = api.events.lock().await.recv().await.unwrap_or_default();
            let headers = [
                ("lambda-runtime-aws-request-id", "request-1"),
                ("lambda-runtime-deadline-ms", "1"),
                ("lambda-runtime-invoked-function-arn", "arn:aws:lambda:x:1:function:y"),
            ];
            (headers, event)
        };
        let respond = async |State(api): State<Self>, body: String| {
            let _ = api.responses.send(body);
            http::StatusCode::ACCEPTED
        };
        Router::new()
            .route("/2018-06-01/runtime/invocation/next", get(next))
            .route("/2018-06-01/runtime/invocation/{id}/response", post(respond))
            .with_state(self)
    }
}

#[tokio::test]
async fn a_payload_that_lambda_http_cannot_adapt_is_answered_401_and_logs_no_panic() {
    let (events, receiver) = mpsc::unbounded_channel();
    let (sender, mut responses) = mpsc::unbounded_channel();
    let api = RuntimeApi { events: Arc::new(Mutex::new(receiver)), responses: sender };
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let server = tokio::spawn(standin::serve::serve(listener, api.router()));
    let variables = [
        ("AWS_LAMBDA_RUNTIME_API", &*address),
        ("AWS_LAMBDA_FUNCTION_NAME", "per-user-db"),
        ("AWS_LAMBDA_FUNCTION_VERSION", "1"),
        ("AWS_LAMBDA_FUNCTION_MEMORY_SIZE", "256"),
        ("LOG_LEVEL", "trace"),
    ];
    let mut function = command(&[&variables[..], &SETTINGS].concat())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    for host in ["a b", "[", "pl4nted:99999"] {
        let mut event: serde_json::Value =
            serde_json::from_str(&payload(&delivery(user_created(1)))).unwrap();
        event["headers"]["host"] = host.into();
        events.send(event.to_string()).unwrap();
        let response = responses.recv().await.unwrap();
        assert!(response.contains("\"statusCode\":401"), "{host}: {response}");
    }
    function.kill().unwrap();
    server.abort();
    let output = function.wait_with_output().unwrap();
    let stdout = String::from_utf8(output.stdout).unwrap();
    assert!(stdout.contains("no_http_request"), "{stdout}");
    for text in ["panic at", "panicked", "pl4nted"] {
        assert!(!stdout.contains(text), "{stdout}");
    }
    assert_eq!(String::from_utf8(output.stderr).unwrap(), "");
}
