//! How a workspace is set up: what it allows, how long things take, and what is unknown of the service.

use std::time::Duration;

use http::StatusCode;
use serde::Serialize;

use crate::clock::Clock;

/// The settings of a [`super::Lite`]; changed at run time with [`super::Lite::change`].
#[derive(Clone, Debug)]
pub struct Options {
    /// The one workspace there is: slug, dash and six characters.
    pub workspace: String,
    /// The only bearer token that is accepted.
    pub api_key: String,
    /// The regions on offer.
    pub regions: Vec<Region>,
    /// What a create answers whose name is taken.
    pub duplicate: Duplicate,
    /// What the 201 of a create says. With [`Status::Failed`] nothing is created.
    pub status: Status,
    /// How long a create takes. A client that hangs up meanwhile has created nothing.
    pub create_latency: Duration,
    /// How many databases the workspace may have; `None` is no limit.
    pub most_databases: Option<usize>,
    /// The wall clock of all timestamps.
    pub clock: Clock,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            workspace: "tutorial-abc123".into(),
            api_key: "xau_fake_local_lite_key".into(),
            regions: vec![
                Region::new("ap-southeast-2", "Sydney"),
                Region::new("eu-central-1", "Frankfurt"),
                Region::new("eu-west-1", "Ireland"),
                Region::new("us-east-1", "N. Virginia"),
                Region::new("us-west-2", "Oregon"),
            ],
            duplicate: Duplicate::Unprocessable,
            status: Status::Completed,
            create_latency: Duration::ZERO,
            most_databases: None,
            clock: Clock::start(),
        }
    }
}

/// A region as the service lists it.
#[derive(Clone, Debug, Serialize)]
pub struct Region {
    /// The id, such as `eu-west-1`.
    pub id: String,
    /// The name for people.
    pub name: String,
}

impl Region {
    /// A region of this id and name.
    pub fn new(id: &str, name: &str) -> Self {
        Self { id: id.into(), name: name.into() }
    }
}

/// What a create answers whose name is taken; the service's answer is unknown.
/// None of them changes the database.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Duplicate {
    /// 201, as if it had just been created.
    Created,
    /// 409, of which only a general list of statuses knows.
    Conflict,
    /// 422, the best guess.
    Unprocessable,
    /// 423, as if another operation were in progress.
    Locked,
}

impl Duplicate {
    /// The status of the error, unless the create succeeds.
    pub(super) const fn error_status(self) -> Option<StatusCode> {
        match self {
            Self::Created => None,
            Self::Conflict => Some(StatusCode::CONFLICT),
            Self::Unprocessable => Some(StatusCode::UNPROCESSABLE_ENTITY),
            Self::Locked => Some(StatusCode::LOCKED),
        }
    }
}

/// The member `status` of a successful answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Status {
    /// It is done.
    Completed,
    /// It counts as done.
    Pending,
    /// It was not done, though the HTTP status says otherwise.
    Failed,
}
