//! The promises of the front door, kept through the front door: a Function URL event in, a response
//! out, stand-ins behind, and one line in the log.
#![allow(clippy::unwrap_used, clippy::print_stdout, reason = "tests fail loudly and show numbers")]
#![allow(missing_docs, unreachable_pub, reason = "nobody calls a test")]

mod binary;
mod clerk_events;
mod docs;
mod hookdeck_engine;
mod hookdeck_signature;
mod numbers;
mod projects;
mod provisioning;
mod secrecy;
mod table;
mod time;
mod world;
