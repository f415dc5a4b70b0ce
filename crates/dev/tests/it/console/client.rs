//! A client of the console, which sends what the page sends.

use std::collections::VecDeque;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use reqwest::{Method, RequestBuilder, Response, StatusCode};
use serde_json::{Value, json};
use tokio::runtime::Runtime;
use tokio::time::timeout;

use crate::{Background, client, dev, runtime};

/// Longer than anything that a test waits for.
pub(super) const PATIENCE: Duration = Duration::from_mins(1);

/// A running `cargo dev` with its console.
pub(super) struct Console {
    pub(super) url: String,
    pub(super) function_url: String,
    pub(super) client: reqwest::Client,
    runtime: Runtime,
    _process: Background,
}

impl Console {
    pub(super) fn start() -> Self {
        Self::start_with(&["--console-port", "0"], [])
    }

    pub(super) fn start_with<const N: usize>(flags: &[&str], settings: [(&str, &str); N]) -> Self {
        let mut command = dev(&[&["--port", "0"], flags].concat());
        command.envs(settings);
        Self::start_command(command)
    }

    /// In this directory.
    pub(super) fn start_in(directory: &Path) -> Self {
        let mut command = dev(&["--port", "0", "--console-port", "0"]);
        command.current_dir(directory);
        Self::start_command(command)
    }

    fn start_command(mut command: Command) -> Self {
        command.stdout(Stdio::null()).stderr(Stdio::piped());
        let mut process = Background(command.spawn().unwrap());
        let mut lines =
            BufReader::new(process.0.stderr.take().unwrap()).lines().map(Result::unwrap);
        let mut url_after = |beginning: &str| {
            let line = lines.find(|line| line.starts_with(beginning)).unwrap();
            line.split_ascii_whitespace().find(|it| it.starts_with("http")).unwrap().to_owned()
        };
        let function_url = url_after("The function listens");
        let url = url_after("The console is at").trim_end_matches('/').to_owned();
        // The log must not stop for want of a reader.
        std::thread::spawn(move || lines.for_each(drop));
        Self { url, function_url, client: client(), runtime: runtime(), _process: process }
    }

    /// Runs a test against the console. Each wait in it has an end.
    pub(super) fn test(&self, test: impl Future<Output = ()>) {
        self.runtime.block_on(async { timeout(2 * PATIENCE, test).await.expect("in time") });
    }

    pub(super) fn request(&self, method: Method, path: &str) -> RequestBuilder {
        self.client.request(method, format!("{}{path}", self.url))
    }

    pub(super) async fn get(&self, path: &str) -> Response {
        self.request(Method::GET, path).send().await.unwrap()
    }

    pub(super) async fn json(&self, path: &str) -> Value {
        self.get(path).await.json().await.unwrap()
    }

    /// What the page sends.
    pub(super) async fn post(&self, path: &str, body: Value) -> (StatusCode, Value) {
        let request = self.request(Method::POST, path).header("origin", &self.url).json(&body);
        let response = request.send().await.unwrap();
        (response.status(), response.json().await.unwrap())
    }

    pub(super) async fn done(&self, path: &str, body: Value) -> Value {
        let (status, answer) = self.post(path, body).await;
        assert_eq!((status, &answer["ok"]), (StatusCode::OK, &json!(true)), "{path}: {answer}");
        answer
    }

    pub(super) async fn sign_up(&self, body: Value) -> String {
        self.done("/api/sign-ups", body).await["user"].as_str().unwrap().to_owned()
    }

    pub(super) async fn switch(&self, id: &str, on: bool) {
        self.done(&format!("/api/switches/{id}"), json!({ "on": on })).await;
    }

    pub(super) async fn stream(&self) -> Messages {
        self.stream_after(None).await
    }

    pub(super) async fn stream_after(&self, last: Option<u64>) -> Messages {
        let request = self.request(Method::GET, "/api/stream");
        let request = match last {
            Some(last) => request.header("last-event-id", last),
            None => request,
        };
        let response = request.send().await.unwrap();
        assert_eq!(response.headers()["content-type"], "text/event-stream");
        let mut messages = Messages::new(response);
        // From here on, nothing is missed.
        messages.more().await;
        messages
    }

    /// The rows of a user as they are now, the newest first.
    pub(super) async fn rows(&self, user: &str) -> Vec<Value> {
        let state = self.json("/api/state").await;
        let rows = state["rows"].as_array().unwrap().iter();
        rows.filter(|row| row["user"] == user).cloned().collect()
    }

    pub(super) async fn databases(&self, user: &str) -> Vec<Value> {
        let state = self.json("/api/state").await;
        let databases = state["databases"].as_array().unwrap().iter();
        databases.filter(|it| it["user"] == user).cloned().collect()
    }

    pub(super) async fn detail(&self, user: &str) -> Value {
        let row = self.rows(user).await.remove(0);
        self.json(&format!("/api/events/{}", row["id"].as_str().unwrap())).await
    }
}

/// A message of the stream.
#[derive(Debug)]
pub(super) struct Message {
    pub(super) id: u64,
    pub(super) event: String,
    pub(super) data: Value,
}

/// The stream of messages, as a browser reads it.
pub(super) struct Messages {
    response: Response,
    bytes: Vec<u8>,
    /// The messages that have arrived whole.
    ready: VecDeque<Message>,
}

impl Messages {
    pub(super) fn new(response: Response) -> Self {
        Self { response, bytes: Vec::new(), ready: VecDeque::new() }
    }

    async fn more(&mut self) {
        let piece = timeout(PATIENCE, self.response.chunk()).await.expect("in time").unwrap();
        self.bytes.extend(piece.expect("the stream goes on"));
        let Some(end) = self.bytes.windows(2).rposition(|it| it == b"\n\n") else { return };
        let whole: Vec<u8> = self.bytes.drain(..end + 2).collect();
        for block in std::str::from_utf8(&whole).unwrap().split_terminator("\n\n") {
            let field = |name: &str| {
                block.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(": "))
            };
            self.ready.extend(field("event").map(|event| Message {
                id: field("id").unwrap().parse().unwrap(),
                event: event.to_owned(),
                data: serde_json::from_str(field("data").unwrap()).unwrap(),
            }));
        }
    }

    pub(super) async fn next(&mut self) -> Message {
        loop {
            match self.ready.pop_front() {
                Some(message) => return message,
                None => self.more().await,
            }
        }
    }

    /// Waits for a message.
    pub(super) async fn find(&mut self, event: &str, is_it: impl Fn(&Value) -> bool) -> Value {
        let found = async {
            loop {
                let message = self.next().await;
                if message.event == event && is_it(&message.data) {
                    return message.data;
                }
            }
        };
        let Ok(found) = timeout(PATIENCE, found).await else { panic!("no such {event}") };
        found
    }

    pub(super) async fn row(&mut self, user: &str, is_it: impl Fn(&Value) -> bool) -> Value {
        self.find("row", |row| row["user"] == user && is_it(row)).await
    }

    /// The row of a sign-up, when it is acknowledged.
    pub(super) async fn acknowledged(&mut self, user: &str) -> Value {
        self.row(user, |row| row["type"] == "user.created" && row["status"] == "successful").await
    }
}
