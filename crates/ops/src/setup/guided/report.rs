//! The output of `ops setup`: what was shown line by line, as one document.

use cli::output::{self, Status};
use serde::Serialize;
use serde_json::Value;

use super::samconfig::Change;
use super::settings::Question;

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Outcome {
    /// Everything is set up.
    Done,
    /// The operator has to deploy.
    AwaitsDeployment,
    /// The operator has to add the endpoint at Clerk.
    AwaitsEndpoint,
    /// Values are missing, and nothing was set up at a service.
    Missing,
    /// A dry run found something to do.
    Planned,
    Failed,
}

/// Where the value of a setting is from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum State {
    /// It was in the environment or `.env`.
    Kept,
    /// It was answered or found, and is in `.env`.
    Stored,
    /// It was found, and this is a dry run.
    Found,
}

/// A setting, without its value.
#[derive(Serialize)]
pub(super) struct Row {
    pub(super) name: &'static str,
    pub(super) state: State,
    pub(super) what: String,
}

#[derive(Serialize)]
pub(super) struct Report {
    pub(super) dry_run: bool,
    pub(super) outcome: Outcome,
    pub(super) settings: Vec<Row>,
    pub(super) missing: Vec<Question>,
    /// The document of `setup xata`, where it ran.
    pub(super) xata: Option<Value>,
    /// The parameters in samconfig.toml that differed.
    pub(super) parameters: Vec<Change>,
    /// The document of `setup hookdeck`, where it ran.
    pub(super) hookdeck: Option<Value>,
    pub(super) source_url: Option<String>,
    pub(super) message: String,
    pub(super) next: Vec<String>,
    /// Whether the operator has read the next steps already.
    #[serde(skip)]
    pub(super) has_shown_next: bool,
}

impl Report {
    /// The next steps, numbered.
    pub(super) fn steps(&self) -> Vec<String> {
        self.next.iter().zip(1..).map(|(step, n)| format!("  {n}. {step}")).collect()
    }
}

impl output::Report for Report {
    fn text(&self) -> Vec<String> {
        if self.outcome == Outcome::Failed {
            return Vec::new();
        }
        let missing = self.missing.iter().map(|it| format!("{:<29} {}", it.name, it.source));
        let mut text: Vec<_> = missing.collect();
        text.push(self.message.clone());
        if !self.has_shown_next && !self.next.is_empty() {
            text.push("Next:".to_owned());
            text.extend(self.steps());
        }
        text
    }

    fn status(&self) -> Status {
        match self.outcome {
            Outcome::Failed => Status::Failure(self.message.clone()),
            Outcome::Missing | Outcome::Planned => Status::Drift,
            Outcome::Done | Outcome::AwaitsDeployment | Outcome::AwaitsEndpoint => Status::Success,
        }
    }
}
