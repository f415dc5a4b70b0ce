//! The companion tool, as a person or a script runs it.
#![allow(clippy::unwrap_used, reason = "tests fail loudly")]

mod connect;
mod dev;
mod doctor;
mod events;
mod send;
mod setup_hookdeck;
mod setup_xata;
mod simulate;
mod standins;
mod unpark;
mod user;
mod world;

use std::io::{BufRead, BufReader};
use std::net::TcpListener;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::SystemTime;

use axum::Router;
use per_user_db::function::Function;
use per_user_db::settings::Settings;
use per_user_db::worker::Worker;
use per_user_db::{Clock, http_client};
use tokio::runtime::{Builder, Runtime};

/// `ops`, without the settings of whoever runs the tests: an empty environment, and a directory
/// where no `.env` lies around.
fn ops(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_ops"));
    command.env_clear().current_dir(Path::new("/")).args(arguments);
    command
}

/// Exit code, standard output, standard error.
fn run(command: &mut Command) -> (i32, String, String) {
    let output = command.output().unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (output.status.code().unwrap(), text(output.stdout), text(output.stderr))
}

/// Runs whoever answers, beside the test.
fn runtime() -> Runtime {
    Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap()
}

/// Serves on any port, and returns the URL.
fn serve(runtime: &Runtime, router: Router) -> String {
    let listener = runtime.block_on(tokio::net::TcpListener::bind("127.0.0.1:0")).unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    runtime.spawn(standin::serve::serve(listener, router));
    url
}

/// An application's client. Its reqwest, built together with ours, has no cryptography of its own.
fn client() -> reqwest::Client {
    let _installed = rustls::crypto::ring::default_provider().install_default();
    reqwest::Client::new()
}

/// The function with these settings, which logs nothing.
fn worker(settings: Settings) -> Worker {
    let clock: Clock = Arc::new(SystemTime::now);
    let function = Function::new(settings, http_client::live(), clock.clone());
    Worker::new(function, clock, None)
}

/// A port where somebody else listens already, as long as this lives.
fn busy_port() -> (TcpListener, String) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port().to_string();
    (listener, port)
}

/// Kills a process that stays, whatever the test comes to.
struct Staying(Child);

impl Drop for Staying {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// `ops dev --live` with these settings, and the URL that it answers on.
fn live_function(settings: impl IntoIterator<Item = (String, String)>) -> (Staying, String) {
    let mut command = ops(&["dev", "--live", "--port", "0"]);
    command.envs(settings).stderr(Stdio::piped());
    let mut staying = Staying(command.spawn().unwrap());
    let mut welcome = String::new();
    BufReader::new(staying.0.stderr.as_mut().unwrap()).read_line(&mut welcome).unwrap();
    let url = welcome.split_ascii_whitespace().find(|word| word.starts_with("http://"));
    (staying, url.unwrap().to_owned())
}

/// A file of the repository.
fn file(name: &str) -> String {
    format!("{}/../{name}", env!("CARGO_MANIFEST_DIR"))
}
