//! What happened: Clerk's webhook event, and whose it is; and whether they are still there.

pub mod backend;
mod event;
pub mod svix;
mod user_id;

pub use backend::{Backend, Entry, Presence};
pub use event::{Event, Ignored, Instances, Intent, Invalid, Metadata, SignUp};
pub use user_id::{NotAUserId, UserId};
