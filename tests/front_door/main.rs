//! The promises of the front door, kept through the front door: a Function URL event in, a response
//! out, stand-ins behind, and one line in the log.
#![allow(clippy::unwrap_used, reason = "tests fail loudly")]
#![allow(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "and say what they measured or skipped"
)]
#![allow(missing_docs, unreachable_pub, reason = "nobody calls a test")]

mod binary;
mod cancellation;
mod clerk_backend;
mod clerk_events;
mod conformance;
mod docs;
mod geography;
mod hookdeck_engine;
mod hookdeck_signature;
mod hostile;
mod lite;
mod metrics;
mod mmdb;
mod numbers;
mod parting;
mod projects;
mod provisioning;
mod secrecy;
mod secrets;
mod svix_signature;
mod table;
mod time;
mod world;
