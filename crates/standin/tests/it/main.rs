//! The stand-ins, driven as a client drives them: in memory under a paused clock, and on a socket.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on says where it stopped")]

mod clerk;
mod conformance;
mod create;
mod faults;
mod function_url;
mod helpers;
mod hookdeck;
mod hookdeck_admin;
mod hookdeck_filter;
mod hookdeck_pace;
mod list;
mod lite;
mod platform;
mod postgres;
mod runtime_api;
mod socket;
