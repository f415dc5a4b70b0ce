//! `per-user-db` gives every Clerk user a database of their own in Xata.
//!
//! One delivery walks the rooms of this house in this order, and nothing flows back:
//!
//! | room | its question |
//! | --- | --- |
//! | [`request`] | what arrived: the Function URL's event, as an HTTP request |
//! | [`function`] | one delivery in, one answer out: the order of work and nothing else |
//! | [`hookdeck`] | who sent this: signature, delivery headers |
//! | [`clerk`] | what happened: event, user id; Clerk's own signature; who is still there |
//! | [`region`] | where: preference, then address, then default; the country table |
//! | [`provision`] | make it so: the only place that decides to try again |
//! | [`xata`] | how to ask: the [`Databases`](xata::Databases) port, the platform and Xata Lite |
//! | [`answer`] | the only statuses we can send |
//!
//! Beside the way: [`settings`] turns the environment into types once, at start; [`http_client`] is
//! the outgoing call that everything upstream goes through, and [`trouble`] what is in its way;
//! [`telemetry`] is what a delivery leaves, a line in the [`log`] and metrics.
//!
//! [`worker`] is one process: it hands invocations to the function and keeps its time; [`secrets`] is
//! where the secrets are when they are not in the environment.
//!
//! The process itself is `main.rs`: cold start only. What the rooms promise to people outside is in
//! the README; why they are built like this is in `docs/decisions.md`.

pub mod answer;
pub mod clerk;
pub mod function;
pub mod hookdeck;
pub mod http_client;
pub mod log;
pub mod provision;
pub mod region;
pub mod request;
pub mod secrets;
pub mod settings;
pub mod telemetry;
pub mod trouble;
pub mod worker;
pub mod xata;

/// Where the time of day comes from: the live clock, or a test's own.
pub type Clock = std::sync::Arc<dyn Fn() -> std::time::SystemTime + Send + Sync>;
