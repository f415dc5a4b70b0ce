//! The output of `ops setup hookdeck`.

use cli::output::{self, Status};
use serde::Serialize;

use super::actual::{Actual, Secret};
use super::delivery_flag;
use super::desired::{Desired, Target};
use super::diff::{Diff, Difference};

#[derive(Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Outcome {
    /// There are differences, and this is a dry run.
    Planned,
    Done,
    /// There were no differences.
    Unchanged,
    /// Nothing was changed.
    Refused,
    /// Some of the change may have been applied.
    Failed,
    /// The request was accepted, and differences are left.
    Incomplete,
    /// The change may have been applied.
    Unclear,
}

impl Outcome {
    fn is_success(self) -> bool {
        matches!(self, Self::Planned | Self::Done | Self::Unchanged)
    }
}

#[derive(Serialize)]
pub(crate) struct Report {
    source: String,
    /// Of connection and destination.
    name: String,
    destination_type: &'static str,
    destination: String,
    #[serde(skip)]
    delivery_flag: String,
    pub(super) dry_run: bool,
    secret_given: bool,
    /// None until it was read.
    secret: Option<Secret>,
    differences: Vec<Difference>,
    notes: Vec<String>,
    /// Where Clerk has to send its events.
    source_url: Option<String>,
    outcome: Outcome,
    message: String,
    next: Vec<String>,
}

impl Report {
    pub(super) fn new(desired: &Desired, dry_run: bool, notes: Vec<String>) -> Self {
        Self {
            source: desired.source.clone(),
            name: desired.name.clone(),
            destination_type: desired.target.kind(),
            destination: desired.target.place().1.to_owned(),
            delivery_flag: match desired.target {
                Target::Http(_, policy) => delivery_flag(policy),
                Target::Cli(_) => String::new(),
            },
            dry_run,
            secret_given: desired.secret.is_some(),
            secret: None,
            differences: Vec::new(),
            notes,
            source_url: None,
            outcome: Outcome::Unclear,
            message: String::new(),
            next: Vec::new(),
        }
    }

    pub(super) fn add_diff(&mut self, diff: &Diff, actual: &Actual) {
        self.see(actual);
        self.differences.clone_from(&diff.differences);
        match actual.secret {
            Secret::Kept => self.notes.push("The source keeps the secret that it has.".to_owned()),
            Secret::Hidden => self.notes.push(
                "Hookdeck does not show the secret that the source has; yours is sent each time."
                    .to_owned(),
            ),
            _ => {}
        }
        if !actual.others.is_empty() {
            self.notes.push(format!(
                "Events of this source go through other connections, too: {}. Delete in Hookdeck those \
                 that you do not want.",
                actual.others.join(", ")
            ));
        }
        if actual.connection.as_ref().is_some_and(|it| !it.value["paused_at"].is_null()) {
            self.notes
                .push("The connection is paused, and stays so: unpause it in Hookdeck.".to_owned());
        }
    }

    /// Takes what the actual state shows now.
    pub(super) fn see(&mut self, actual: &Actual) {
        self.secret = Some(actual.secret);
        self.source_url = actual.url().map(str::to_owned);
    }

    pub(super) fn finish(&mut self, outcome: Outcome, message: String) {
        (self.outcome, self.message) = (outcome, message);
        if matches!(outcome, Outcome::Done | Outcome::Unchanged) {
            self.next = self.next_steps();
        }
    }

    fn next_steps(&self) -> Vec<String> {
        let mut next = Vec::new();
        let url =
            self.source_url.as_deref().unwrap_or("the URL that Hookdeck shows for the source");
        let has_secret = self.secret != Some(Secret::Missing);
        if !has_secret {
            next.push(format!(
                "In Clerk, add a webhook endpoint with {url}, subscribed to user.created and user.deleted."
            ));
            next.push(
                "Set CLERK_WEBHOOK_SIGNING_SECRET, here or in .env, to the signing secret that Clerk shows \
                 for it, and run this again: until then, Hookdeck accepts and signs events of any sender."
                    .to_owned(),
            );
        }
        next.push(
            "Set HOOKDECK_WEBHOOK_SECRET of the function to the project's signing secret, which only \
             Hookdeck's dashboard shows: Settings, Project, Secrets."
                .to_owned(),
        );
        if self.destination_type == "CLI" {
            next.push(format!(
                "Forward to this machine: hookdeck listen 9000 {}, with the port of the function.",
                self.source
            ));
        } else if has_secret {
            let (url, flag) = (&self.destination, &self.delivery_flag);
            next.push(format!("Check everything: cargo ops doctor --url {url}{flag}"));
        }
        next
    }
}

impl Report {
    /// Where Clerk has to send its events.
    pub(crate) fn source_url(&self) -> Option<&str> {
        self.source_url.as_deref()
    }

    /// Whether the source has no secret, so that Hookdeck accepts events of any sender.
    pub(crate) fn lacks_secret(&self) -> bool {
        self.secret.is_none_or(|it| it == Secret::Missing)
    }

    /// The differences and the result, without the next steps.
    pub(crate) fn changes(&self) -> Vec<String> {
        let mut text = Vec::new();
        if !self.differences.is_empty() {
            let rows = self
                .differences
                .iter()
                .map(|it| [it.what.clone(), it.now.clone(), it.becomes.clone(), it.why.to_owned()]);
            text.push(output::listing(["what", "now", "becomes", "why"], rows));
        }
        text.extend(self.notes.iter().cloned());
        if self.outcome.is_success() {
            text.push(self.message.clone());
        }
        text
    }
}

impl output::Report for Report {
    fn text(&self) -> Vec<String> {
        let mut text = self.changes();
        if !self.outcome.is_success() {
            return text;
        }
        text.extend(
            self.source_url.iter().map(|url| format!("The source's URL, for Clerk: {url}")),
        );
        if !self.next.is_empty() {
            text.push("Next:".to_owned());
        }
        text.extend(self.next.iter().zip(1..).map(|(step, n)| format!("  {n}. {step}")));
        text
    }

    fn status(&self) -> Status {
        match self.outcome {
            Outcome::Planned => Status::Drift,
            Outcome::Done | Outcome::Unchanged => Status::Success,
            _ => Status::Failure(self.message.clone()),
        }
    }
}
