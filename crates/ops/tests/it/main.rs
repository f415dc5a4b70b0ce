//! `cargo ops`, run as a program.
#![allow(clippy::unwrap_used, reason = "tests fail loudly")]

mod branches;
mod doctor;
mod fleet;
mod moved;
mod setup_guided;
mod setup_hookdeck;
mod setup_xata;
#[path = "../../../cli/tests/support/mod.rs"]
mod support;
mod sweep;
mod unpark;
mod user;
mod world;

use std::process::Command;
use std::sync::Arc;
use std::time::SystemTime;

use per_user_db::handler::Handler;
use per_user_db::settings::Settings;
use per_user_db::telemetry::Metrics;
use per_user_db::worker::Worker;
use per_user_db::{Clock, http_client};
use support::{busy_port, client, file, run, runtime, serve};

fn ops(arguments: &[&str]) -> Command {
    support::command(env!("CARGO_BIN_EXE_ops"), arguments)
}

/// The URL of a port that no server listens on.
fn unused_url() -> String {
    let (listener, port) = busy_port();
    drop(listener);
    format!("http://127.0.0.1:{port}")
}

/// The function with these settings, which logs nothing.
fn worker(settings: Settings) -> Worker {
    worker_with_metrics(settings, None)
}

fn worker_with_metrics(settings: Settings, metrics: Option<Metrics>) -> Worker {
    let clock: Clock = Arc::new(SystemTime::now);
    let function = Handler::new(settings, http_client::live(), clock.clone());
    Worker::new(function, clock, metrics)
}
