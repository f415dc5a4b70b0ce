//! Clerk's Backend API: the users of one instance and their metadata (docs/vendors/clerk.md, "Backend API").
//!
//! It has only the calls that the product may need. Where the service's behaviour is unknown, [`Options`] selects it, or a
//! comment says what is assumed.
//!
//! | file | what is in it |
//! | --- | --- |
//! | `options` | the settings |
//! | `routes` | the calls, and what every request is checked for |
//! | `query` | which users a list shows, and in what order |
//! | `state`, `user` | what is stored, its rules, the rate limits |
//! | `error` | the error codes |

mod error;
mod options;
mod query;
mod routes;
mod state;
mod user;

pub use self::options::Options;

use self::state::Instance;
use super::SignUp;
use crate::fault;
use crate::service::Service;

/// The stand-in of one instance.
pub type Backend = Service<Instance>;

/// A call of the API, to aim a [`fault::Fault`] at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "the names are those of the vendor's document")]
pub enum Call {
    Any,
    GetInstance,
    GetUserList,
    GetUsersCount,
    GetUser,
    UpdateUser,
    UpdateUserMetadata,
    ReplaceUserMetadata,
    DeleteUser,
}

impl fault::Call for Call {
    const ANY: Self = Self::Any;
}

/// What a test does to the instance without a call of the API. It causes no event.
impl Backend {
    /// The bodies of the webhook events that the calls have caused since the last time, in order: `user.updated` for
    /// every change, `user.deleted` for every deletion.
    pub fn take_events(&self) -> Vec<Vec<u8>> {
        std::mem::take(&mut self.state().events)
    }

    /// Stores a user: the one that [`SignUp::user_created`] sends.
    ///
    /// # Panics
    ///
    /// If the id is taken.
    pub fn insert(&self, sign_up: SignUp) {
        let user_id = sign_up.user_id.clone();
        assert!(self.state().insert(sign_up), "the user exists already: {user_id}");
    }

    /// Removes a user and tells whether there was one.
    pub fn remove(&self, user_id: &str) -> bool {
        self.state().remove(user_id).is_some()
    }

    /// A user as it is now, metadata and names included.
    pub fn user(&self, user_id: &str) -> Option<SignUp> {
        self.state().user(user_id).ok().map(|user| user.sign_up.clone())
    }

    /// Changes a user's metadata or names.
    ///
    /// # Panics
    ///
    /// If there is no such user.
    pub fn change_user(&self, user_id: &str, change: impl FnOnce(&mut SignUp)) {
        let mut state = self.state();
        let user = state.user_mut(user_id);
        change(&mut user.unwrap_or_else(|| panic!("there is no user {user_id}")).sign_up);
    }
}
