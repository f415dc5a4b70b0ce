//! What the tests of both command lines share.

use std::net::TcpListener;
use std::path::Path;
use std::process::Command;

use axum::Router;
use tokio::runtime::{Builder, Runtime};

/// A binary without the settings of the person who runs the tests: an empty environment but for a
/// clock that the tests run with, and a directory without an `.env`.
pub(crate) fn command(binary: &str, arguments: &[&str]) -> Command {
    let mut command = Command::new(binary);
    let clock = std::env::vars_os()
        .filter(|(name, _)| name == "LD_PRELOAD" || name.to_string_lossy().starts_with("FAKETIME"));
    command.env_clear().envs(clock).current_dir(Path::new("/")).args(arguments);
    command
}

/// Exit code, standard output, standard error.
pub(crate) fn run(command: &mut Command) -> (i32, String, String) {
    let output = command.output().unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (output.status.code().unwrap(), text(output.stdout), text(output.stderr))
}

/// Runs servers beside the test.
pub(crate) fn runtime() -> Runtime {
    Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap()
}

/// Serves on a free port, and returns the URL.
pub(crate) fn serve(runtime: &Runtime, router: Router) -> String {
    let listener = runtime.block_on(tokio::net::TcpListener::bind("127.0.0.1:0")).unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    runtime.spawn(standin::serve::serve(listener, router));
    url
}

/// An application's client. Its reqwest, built together with the function's, has no cryptography of
/// its own.
pub(crate) fn client() -> reqwest::Client {
    let _installed = rustls::crypto::ring::default_provider().install_default();
    reqwest::Client::new()
}

/// A port that is taken as long as the listener lives.
pub(crate) fn busy_port() -> (TcpListener, String) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port().to_string();
    (listener, port)
}

/// The path of a file of the repository.
pub(crate) fn file(name: &str) -> String {
    format!("{}/../../{name}", env!("CARGO_MANIFEST_DIR"))
}
