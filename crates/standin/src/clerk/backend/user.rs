//! A user as it is stored.

use serde_json::Value;

use crate::clerk::event::SignUp;

/// A user: the sign-up, with what was changed since.
#[derive(Debug)]
pub(super) struct User {
    pub(super) sign_up: SignUp,
    /// In milliseconds since the Unix epoch.
    pub(super) updated_at: u64,
}

impl User {
    pub(super) fn object(&self) -> Value {
        let mut object = self.sign_up.user();
        object["updated_at"] = self.updated_at.into();
        object
    }
}
