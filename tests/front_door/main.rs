//! Tests through the function's entry point: a Function URL event in, a response, a log line and
//! requests to stand-ins out.
#![allow(clippy::unwrap_used, reason = "a failed unwrap fails the test")]
#![allow(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a test prints what it measures or skips"
)]
#![allow(missing_docs, unreachable_pub, reason = "no other crate uses a test")]

mod binary;
mod cancellation;
mod clerk_backend;
mod clerk_events;
mod concurrency;
mod conformance;
mod deletion;
mod docs;
mod geography;
mod hookdeck_engine;
mod hookdeck_signature;
mod hostile;
mod lite;
mod log;
mod metrics;
mod mmdb;
mod numbers;
mod projects;
mod provisioning;
mod secrecy;
mod secrets;
mod svix_signature;
mod table;
mod test_app;
mod time;
