//! Clerk: its webhook events and their signature, and its Backend API.

pub mod backend;
mod event;
mod object;
pub mod svix;
mod user_id;

pub use backend::{BackendClient, CLERK_TIMEOUT, DirectoryEntry, UserStatus};
pub use event::{Event, IgnoreReason, Instances, Intent, InvalidReason, SAMPLE_USERS, SignUp};
pub use user_id::{NotAUserId, UserId};
