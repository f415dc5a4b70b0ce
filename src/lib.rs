//! `per-user-db` gives every Clerk user a database of their own in Xata.

pub mod clerk;
pub mod hookdeck;
pub mod region;
pub mod request;
