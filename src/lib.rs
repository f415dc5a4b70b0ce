//! `per-user-db` gives every Clerk user a database of their own in Xata.

pub mod clerk;
pub mod hookdeck;
pub mod http_client;
pub mod provision;
pub mod region;
pub mod request;
pub mod xata;

/// Where the time of day comes from: the live clock, or a test's own.
pub type Clock = std::sync::Arc<dyn Fn() -> std::time::SystemTime + Send + Sync>;
