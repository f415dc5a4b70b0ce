//! The Xata Lite API: the databases of one workspace, by name (`contracts/xata-lite.md`, whose sections are cited).
//!
//! The service is retired and its server was never published. Where the contract says that something is unknown,
//! [`Options`] selects it, or the function that decides it says so.
//!
//! [`Lite::router`] answers as the service would; the other methods of [`Lite`] act behind its back:
//! they set a scene, or look at the outcome.
//!
//! | file | what is in it |
//! | --- | --- |
//! | `options` | what is allowed, how long things take, what the contract leaves open |
//! | `router` | routes, request ids, authorization, recording, faults |
//! | `call` | the names of the calls |
//! | `create`, `databases` | the handlers |
//! | `decode`, `wire`, `refusal` | bodies in, bodies out, errors |
//! | `state` | what is stored |

mod call;
mod create;
mod databases;
mod decode;
mod options;
mod refusal;
mod router;
mod state;
mod wire;

use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use http::{HeaderName, HeaderValue, StatusCode};

pub use self::call::Call;
pub use self::options::{Duplicate, Options, Region, Status};

use self::state::State;
use crate::clock::Clock;
use crate::fault::Answer;
use crate::gate::{Gate, gated};

/// The branch that a database begins with (section 3.6).
const FIRST_BRANCH: &str = "main";
const RATE_LIMIT_RESET: HeaderName = HeaderName::from_static("x-ratelimit-reset");

/// The service, as one workspace sees it. Clones are the same one.
#[derive(Clone, Debug)]
pub struct Lite(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    state: Mutex<State>,
    gate: Gate<Call>,
}

/// A database as it is stored (sections 3.1 and 3.2).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Database {
    /// The name, unique within the workspace.
    pub name: String,
    /// Where it is.
    pub region: String,
    /// When it was created, since the Unix epoch.
    pub created_at: Duration,
    /// Its first branch.
    pub branch: String,
    /// `ui.color`, all that can be stored on a database.
    pub color: Option<String>,
    /// `postgresEnabled`, if the create gave it.
    pub postgres_enabled: Option<bool>,
    /// `defaultClusterID`, if the create gave it.
    pub default_cluster: Option<String>,
}

gated!(Lite, Call, State);

impl Lite {
    /// An empty workspace.
    pub fn new(options: Options) -> Self {
        Self(Arc::new(Shared { state: Mutex::new(State::new(options)), gate: Gate::default() }))
    }

    /// All calls of sections 3.1 to 3.5. Routers of one workspace share everything.
    pub fn router(&self) -> Router {
        router::router(self.clone())
    }

    /// Changes the settings; requests under way may have read the old ones.
    pub fn change(&self, change: impl FnOnce(&mut Options)) {
        change(&mut self.state().options);
    }

    /// The wall clock of its timestamps.
    pub fn clock(&self) -> Clock {
        self.state().options.clock
    }

    /// Puts databases in place, in a region that need not be on offer and past the cap, though they count towards it.
    ///
    /// # Panics
    ///
    /// If a name is taken.
    pub fn insert(&self, region: &str, names: impl IntoIterator<Item = impl Into<String>>) {
        let mut state = self.state();
        let created_at = state.options.clock.now();
        for name in names {
            let database = Database {
                name: name.into(),
                region: region.into(),
                created_at,
                branch: FIRST_BRANCH.into(),
                color: None,
                postgres_enabled: None,
                default_cluster: None,
            };
            state.insert(database).unwrap_or_else(|refusal| panic!("{}", refusal.message));
        }
    }

    /// Removes a database and tells whether there was one.
    pub fn remove(&self, name: &str) -> bool {
        self.state().remove(name).is_ok()
    }

    /// All databases, by name.
    pub fn databases(&self) -> Vec<Database> {
        self.state().databases().cloned().collect()
    }

    /// The database of exactly this name, if there is one: names are unique (section 2).
    pub fn databases_named(&self, name: &str) -> Vec<Database> {
        self.state().database(name).cloned().into_iter().collect()
    }
}

/// The answer at the rate limit (sections 4 and 5). `reset` is `x-ratelimit-reset`: seconds, or whatever a
/// client should survive, such as an epoch time. Aim it with [`crate::fault::Effect::Answer`]: a request
/// answered so was not processed.
pub fn rate_limited(reset: &'static str) -> Answer {
    let mut answer = Answer::message(StatusCode::TOO_MANY_REQUESTS, "rate limit exceeded");
    answer.headers.insert(RATE_LIMIT_RESET, HeaderValue::from_static(reset));
    answer
}
