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
