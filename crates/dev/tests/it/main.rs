//! `cargo dev`, run as a process.
#![allow(clippy::unwrap_used, reason = "tests fail loudly")]

mod bench;
mod connect;
mod console;
mod dev;
mod events;
mod scale;
mod send;
mod simulate;
mod standins;
#[path = "../../../cli/tests/support/mod.rs"]
mod support;

use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};

use support::{busy_port, client, file, run, runtime, serve};

fn dev(arguments: &[&str]) -> Command {
    support::command(env!("CARGO_BIN_EXE_dev"), arguments)
}

/// A process that is killed when the test ends.
struct Background(Child);

impl Drop for Background {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// `cargo dev --live` with these settings, and the URL of the function.
fn live_function(settings: impl IntoIterator<Item = (String, String)>) -> (Background, String) {
    let mut command = dev(&["--live", "--port", "0"]);
    command.envs(settings).stderr(Stdio::piped());
    let mut process = Background(command.spawn().unwrap());
    let mut welcome = String::new();
    BufReader::new(process.0.stderr.as_mut().unwrap()).read_line(&mut welcome).unwrap();
    let url = welcome.split_ascii_whitespace().find(|word| word.starts_with("http://"));
    (process, url.unwrap().to_owned())
}
