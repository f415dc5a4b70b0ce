//! The Xata Lite API: the databases of one workspace, by name (docs/vendors/xata.md, "Xata Lite").
//!
//! The service is retired and its server was never published. Where its behaviour is unknown,
//! [`Options`] selects it, or a comment says what is assumed.
//!
//! | file | what is in it |
//! | --- | --- |
//! | `options` | what is allowed, how long things take, and what is unknown |
//! | `routes` | the calls, with the bodies that they take and answer |
//! | `state` | what is stored, and its rules |

mod options;
mod routes;
mod state;

use http::{HeaderName, HeaderValue, StatusCode};

pub use self::options::{Duplicate, Options, Region, Status};
pub use self::state::{Database, Ui};

use self::state::{FIRST_BRANCH, Workspace};
use crate::fault::{self, CannedResponse};
use crate::service::Service;

const RATE_LIMIT_RESET: HeaderName = HeaderName::from_static("x-ratelimit-reset");

/// The stand-in of one workspace.
pub type Lite = Service<Workspace>;

/// A call of the API, to aim a [`fault::Fault`] at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "the names are those of the vendor's document")]
pub enum Call {
    Any,
    ListDatabases,
    CreateDatabase,
    GetDatabase,
    UpdateDatabase,
    RenameDatabase,
    DeleteDatabase,
    ListRegions,
}

impl fault::Call for Call {
    const ANY: Self = Self::Any;
}

/// What a test does to the workspace without a call of the API.
impl Lite {
    /// Stores databases. Their region need not be on offer; they count towards the limit without being refused by it.
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
                ui: None,
                postgres_enabled: None,
                default_cluster: None,
            };
            state.insert(database).unwrap_or_else(|error| panic!("{}", error.message));
        }
    }

    /// Removes a database and tells whether there was one.
    pub fn remove(&self, name: &str) -> bool {
        self.state().remove(name).is_some()
    }

    /// All databases, by name.
    pub fn databases(&self) -> Vec<Database> {
        self.state().databases().cloned().collect()
    }

    /// The database of exactly this name, if there is one: names are unique.
    pub fn databases_named(&self, name: &str) -> Vec<Database> {
        self.state().known(name).cloned().into_iter().collect()
    }
}

/// The response at the rate limit. `reset` is `x-ratelimit-reset`: seconds, or anything else that a client has to
/// survive, such as an epoch time. Use it with [`fault::Effect::Answer`]: the service has not processed such a request.
pub fn rate_limited(reset: &'static str) -> CannedResponse {
    let mut response =
        CannedResponse::message(StatusCode::TOO_MANY_REQUESTS, "rate limit exceeded");
    response.headers.insert(RATE_LIMIT_RESET, HeaderValue::from_static(reset));
    response
}
