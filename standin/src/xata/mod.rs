//! Xata.

pub mod platform;
