//! Clerk's Backend API: the users of one instance and their metadata (`contracts/clerk.md`, whose sections are cited).
//!
//! Only the calls that the product may need are there, section 11 and `GET /v1/instance`; where the contract says that
//! something is unknown, [`Options`] selects it, or the function that decides it says so.
//!
//! [`Backend::router`] answers as the service would; the other methods of [`Backend`] act behind its back:
//! they set a scene, or look at the outcome.
//!
//! | file | what is in it |
//! | --- | --- |
//! | `options` | whose instance it is, and what is allowed |
//! | `router` | routes, key, version, recording, faults |
//! | `call` | the names of the calls |
//! | `users`, `metadata`, `query` | the handlers, and what they need |
//! | `refusal`, `limit` | errors, rate limits |
//! | `state` | what is stored |

mod call;
mod limit;
mod metadata;
mod options;
mod query;
mod refusal;
mod router;
mod state;
mod users;

use std::sync::{Arc, Mutex};

use axum::Router;
use axum::extract::Request;
use tower::ServiceExt;

pub use self::call::Call;
pub use self::options::Options;

use self::state::State;
use super::SignUp;
use crate::clock::Clock;
use crate::gate::{Gate, gated};

/// The service, as one instance sees it. Clones are the same one.
#[derive(Clone, Debug)]
pub struct Backend(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    state: Mutex<State>,
    gate: Gate<Call>,
}

gated!(Backend, Call, State);

impl Backend {
    /// An instance without users.
    pub fn new(options: Options) -> Self {
        Self(Arc::new(Shared { state: Mutex::new(State::new(options)), gate: Gate::default() }))
    }

    /// All calls. Routers of one instance share everything.
    pub fn router(&self) -> Router {
        router::router(self.clone())
    }

    /// All calls, and another stand-in's router for every path that this service has nothing to do with: both on one
    /// socket.
    pub fn beside(&self, other: Router) -> Router {
        let own = self.router();
        Router::new().fallback_service(tower::service_fn(move |request: Request| {
            let is_own = request.uri().path().starts_with(call::BASE);
            if is_own { &own } else { &other }.clone().oneshot(request)
        }))
    }

    /// Changes the settings; requests under way may have read the old ones.
    pub fn change(&self, change: impl FnOnce(&mut Options)) {
        change(&mut self.state().options);
    }

    /// The wall clock of its timestamps and limits.
    pub fn clock(&self) -> Clock {
        self.state().options.clock
    }

    /// The bodies of the webhook events that the calls have caused since the last time, in order: `user.updated` for
    /// every change, `user.deleted` for every deletion (section 5). What is done behind the service's back causes none.
    pub fn take_events(&self) -> Vec<Vec<u8>> {
        std::mem::take(&mut self.state().events)
    }

    /// Puts a user in place: the one that [`SignUp::user_created`] sends.
    ///
    /// # Panics
    ///
    /// If the id is taken.
    pub fn insert(&self, sign_up: SignUp) {
        let user_id = sign_up.user_id.clone();
        assert!(self.state().insert(sign_up), "the user is there already: {user_id}");
    }

    /// Removes a user and tells whether there was one.
    pub fn remove(&self, user_id: &str) -> bool {
        self.state().remove(user_id).is_some()
    }

    /// A user as it is now, metadata and names included.
    pub fn user(&self, user_id: &str) -> Option<SignUp> {
        self.state().known(user_id).ok().map(|user| user.sign_up.clone())
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
