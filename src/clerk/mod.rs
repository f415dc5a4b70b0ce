//! What happened: Clerk's webhook event, and whose it is.

mod event;
pub mod svix;
mod user_id;

pub use event::{Event, Ignored, Instances, Intent, Invalid, Metadata, SignUp};
pub use user_id::UserId;
