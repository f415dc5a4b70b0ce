//! Hookdeck's admin API: the sources, destinations and connections of one project (`contracts/hookdeck.md` sections 7 to
//! 9 and 11 A, which are cited).
//!
//! Only what the setup of a connection needs is there; where the contract says that something is unknown, [`Options`]
//! selects it. What is set up here is not delivered through: [`super::Engine`] is another thing.
//!
//! [`Admin::router`] answers as the service would; the other methods of [`Admin`] act behind its back: they set a scene,
//! or look at the outcome.
//!
//! | file | what is in it |
//! | --- | --- |
//! | `options` | whose project it is, and which reading of what is unknown |
//! | `router` | routes, key, version, recording, faults |
//! | `call` | the names of the calls |
//! | `handlers` | the calls |
//! | `input`, `rules` | what a body may hold |
//! | `state`, `upsert` | what is stored, and how it changes |
//! | `refusal` | errors |

mod call;
mod handlers;
mod input;
mod options;
mod refusal;
mod router;
mod rules;
mod state;
mod upsert;

use std::sync::{Arc, Mutex};

use axum::Router;
use axum::extract::Request;
use serde_json::Value;
use tower::ServiceExt;

pub use self::call::Call;
pub use self::options::{Options, Swap};

use self::state::State;
use crate::gate::{Gate, gated};

/// The version of the API that is spoken today.
pub const VERSION: &str = "2026-09-01";
/// The one before, which is still served.
pub const OLD_VERSION: &str = "2025-07-01";

/// The service, as one project sees it. Clones are the same one.
#[derive(Clone, Debug)]
pub struct Admin(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    state: Mutex<State>,
    gate: Gate<Call>,
}

gated!(Admin, Call, State);

impl Admin {
    /// An empty project.
    pub fn new(options: Options) -> Self {
        Self(Arc::new(Shared { state: Mutex::new(State::new(options)), gate: Gate::default() }))
    }

    /// All calls. Routers of one project share everything.
    pub fn router(&self) -> Router {
        router::router(self.clone())
    }

    /// All calls, and another stand-in's router for every path that this service has nothing to do with: both on one
    /// socket.
    pub fn beside(&self, other: Router) -> Router {
        let own = self.router();
        Router::new().fallback_service(tower::service_fn(move |request: Request| {
            let version = request.uri().path().split('/').nth(1).unwrap_or_default();
            let is_own = [VERSION, OLD_VERSION].contains(&version);
            if is_own { &own } else { &other }.clone().oneshot(request)
        }))
    }

    /// Changes the settings; requests under way may have read the old ones.
    pub fn change(&self, change: impl FnOnce(&mut Options)) {
        change(&mut self.state().options);
    }

    /// Puts a connection in place, or changes it, as a `PUT /connections` of today's version would.
    ///
    /// # Panics
    ///
    /// If that would be refused.
    pub fn put_connection(&self, body: &Value) -> Value {
        let upserted = self.state().upsert_connection(body, VERSION);
        upserted.unwrap_or_else(|refusal| panic!("{refusal:?}: {body}"))
    }

    /// Puts a source in place, or changes it, likewise.
    ///
    /// # Panics
    ///
    /// If that would be refused.
    pub fn put_source(&self, body: &Value) -> Value {
        let upserted = self.state().upsert_source(body);
        upserted.unwrap_or_else(|refusal| panic!("{refusal:?}: {body}"))
    }

    /// Puts a destination in place, or changes it, likewise.
    ///
    /// # Panics
    ///
    /// If that would be refused.
    pub fn put_destination(&self, body: &Value) -> Value {
        let upserted = self.state().upsert_destination(body, VERSION);
        upserted.unwrap_or_else(|refusal| panic!("{refusal:?}: {body}"))
    }

    /// All connections of this name as they are, secrets included.
    pub fn connections(&self, name: &str) -> Vec<Value> {
        self.state().connections_named(name)
    }

    /// The source of this name as it is, secrets included.
    pub fn source(&self, name: &str) -> Option<Value> {
        self.state().source_named(name)
    }

    /// Disables everything that has this name: sources, destinations, connections.
    pub fn disable(&self, name: &str) {
        self.state().disable(name);
    }

    /// Pauses the connections of this name.
    pub fn pause(&self, name: &str) {
        self.state().pause(name);
    }
}
