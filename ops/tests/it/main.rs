//! The companion tool, as a person or a script runs it.
#![allow(clippy::unwrap_used, reason = "tests fail loudly")]

mod connect;
mod dev;
mod doctor;
mod send;
mod setup_hookdeck;
mod setup_xata;
mod simulate;
mod standins;
mod unpark;
mod user;
mod world;

use std::net::TcpListener;
use std::path::Path;
use std::process::{Child, Command};

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

/// A file of the repository.
fn file(name: &str) -> String {
    format!("{}/../{name}", env!("CARGO_MANIFEST_DIR"))
}
