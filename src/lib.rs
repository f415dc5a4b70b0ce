//! `per-user-db` gives every Clerk user a database of their own in Xata.
//!
//! A delivery passes through these modules in this order:
//!
//! | module | what it does |
//! | --- | --- |
//! | [`worker`] | one process: deadlines, panics, secrets that change |
//! | [`request`] | the Function URL's event as an HTTP request |
//! | [`handler`] | one delivery in, one response out: the order of work and nothing else |
//! | [`hookdeck`] | the signature of a delivery, and its headers |
//! | [`clerk`] | the event and its user; Clerk's own signature; Clerk's Backend API |
//! | [`region`] | the region of a user's database, and the reason for it |
//! | [`provision`] | the decisions for one user, and the only place that retries |
//! | [`xata`] | the two APIs of Xata |
//! | [`response`] | the only responses that the function sends |
//! | [`telemetry`] | the log line and the metrics of a delivery |
//!
//! [`settings`] parses the environment at start, and [`secrets`] reads the secrets that are kept
//! elsewhere. [`http_client`] sends every outgoing request, and [`error`] names what can go wrong with
//! one.
//!
//! README.md describes what callers can rely on; `docs/decisions.md` gives the reasons.

pub mod clerk;
pub mod error;
pub mod handler;
pub mod hookdeck;
pub mod http_client;
pub mod provision;
pub mod region;
pub mod request;
pub mod response;
pub mod secrets;
pub mod settings;
pub mod telemetry;
pub mod worker;
pub mod xata;

/// The time of day: the system's clock, or a test's.
pub type Clock = std::sync::Arc<dyn Fn() -> std::time::SystemTime + Send + Sync>;
