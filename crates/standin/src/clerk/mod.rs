//! Clerk: the webhook events it sends, and its [`backend`] API (docs/vendors/clerk.md).

pub mod backend;
mod event;

pub use self::event::{SignUp, user_id, user_id_at};
