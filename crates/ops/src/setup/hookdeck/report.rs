//! What is told: the same in the table and in the document.

use std::io::Write;

use comfy_table::{ContentArrangement, Table, presets};
use serde::Serialize;

use super::difference::{Difference, Plan};
use super::there::{Secret, There};
use super::wish::Wish;

/// A table is as wide as this at most.
const WIDTH: u16 = 120;

#[derive(Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Outcome {
    /// It could be done.
    Planned,
    /// It is done.
    Done,
    /// There was nothing to do.
    Unchanged,
    /// Nothing was done.
    Refused,
    /// Some of it may be done.
    Failed,
    /// It was taken, and is not all as wanted.
    Incomplete,
    /// Nobody knows whether it was done.
    Unclear,
}

impl Outcome {
    pub(super) fn is_failure(self) -> bool {
        !matches!(self, Self::Planned | Self::Done | Self::Unchanged)
    }
}

#[derive(Serialize)]
pub(super) struct Report {
    source: String,
    /// Of connection and destination.
    name: String,
    destination_type: &'static str,
    destination: String,
    dry_run: bool,
    secret_given: bool,
    /// None until it is looked at.
    secret: Option<Secret>,
    differences: Vec<Difference>,
    notes: Vec<String>,
    /// Where Clerk is to send its events.
    source_url: Option<String>,
    pub(super) outcome: Outcome,
    pub(super) message: String,
    next: Vec<String>,
}

impl Report {
    pub(super) fn new(wish: &Wish, dry_run: bool, notes: Vec<String>) -> Self {
        Self {
            source: wish.source.clone(),
            name: wish.name.clone(),
            destination_type: wish.target.kind(),
            destination: wish.target.place().1.to_owned(),
            dry_run,
            secret_given: wish.secret.is_some(),
            secret: None,
            differences: Vec::new(),
            notes,
            source_url: None,
            outcome: Outcome::Unclear,
            message: String::new(),
            next: Vec::new(),
        }
    }

    pub(super) fn end(&mut self, outcome: Outcome, message: impl Into<String>) {
        (self.outcome, self.message) = (outcome, message.into());
        if matches!(outcome, Outcome::Done | Outcome::Unchanged) {
            self.next = self.next_steps();
        }
    }

    /// What is there, and what is to be changed.
    pub(super) fn plan(&mut self, plan: &Plan, there: &There) {
        self.see(there);
        self.differences.clone_from(&plan.differences);
        let mut note = |text: String| self.notes.push(text);
        match there.secret {
            Secret::Kept => note("The source keeps the secret that it has.".to_owned()),
            Secret::Unseen => note(
                "Hookdeck does not show the secret that the source has; yours is sent each time."
                    .to_owned(),
            ),
            _ => {}
        }
        if !there.others.is_empty() {
            note(format!(
                "Events of this source go through other connections, too: {}. Delete in Hookdeck those \
                 that are not wanted.",
                there.others.join(", ")
            ));
        }
        if there.connection.as_ref().is_some_and(|it| !it.value["paused_at"].is_null()) {
            note("The connection is paused, and stays so: unpause it in Hookdeck.".to_owned());
        }
    }

    pub(super) fn done(&mut self, there: &There) {
        self.see(there);
        self.end(Outcome::Done, format!("Done: {} → {}.", self.source, self.name));
    }

    pub(super) fn incomplete(&mut self, left: &Plan, there: &There) {
        self.see(there);
        let left: Vec<_> = left.differences.iter().map(|it| it.row()[0]).collect();
        let message = format!(
            "Hookdeck took the change, and yet this is not as wanted: {}. Run this again in a minute; \
             if it stays so, change it in Hookdeck's dashboard",
            left.join(", ")
        );
        self.end(Outcome::Incomplete, message);
    }

    fn see(&mut self, there: &There) {
        self.secret = Some(there.secret);
        self.source_url = there.url().map(str::to_owned);
    }

    fn next_steps(&self) -> Vec<String> {
        let mut next = Vec::new();
        let url =
            self.source_url.as_deref().unwrap_or("the URL that Hookdeck shows for the source");
        if self.secret == Some(Secret::Missing) {
            next.push(format!(
                "In Clerk, add a webhook endpoint with {url}, subscribed to user.created and user.deleted."
            ));
            next.push(
                "Set CLERK_WEBHOOK_SIGNING_SECRET, here or in .env, to the signing secret that Clerk shows \
                 for it, and run this again: until then, Hookdeck signs whatever anybody sends there."
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
        } else if self.secret != Some(Secret::Missing) {
            next.push(format!(
                "See whether all is well: cargo ops doctor --url {}",
                self.destination
            ));
        }
        next
    }

    /// What differs, before it is changed.
    pub(super) fn print_plan(&self) -> anyhow::Result<()> {
        let mut out = std::io::stdout();
        if !self.differences.is_empty() {
            let mut table = Table::new();
            table.load_style(presets::UTF8_BORDERS_ONLY);
            table.set_content_arrangement(ContentArrangement::Dynamic).set_width(WIDTH);
            table.set_header(["what", "now", "becomes", "why"]);
            table.add_rows(self.differences.iter().map(Difference::row));
            writeln!(out, "{table}")?;
        }
        for note in &self.notes {
            writeln!(out, "{note}")?;
        }
        Ok(())
    }

    pub(super) fn print(&self, as_json: bool) -> anyhow::Result<()> {
        let mut out = std::io::stdout();
        if as_json {
            writeln!(out, "{}", serde_json::to_string_pretty(self)?)?;
            return Ok(());
        }
        if self.outcome.is_failure() {
            return Ok(());
        }
        writeln!(out, "{}", self.message)?;
        if let Some(url) = &self.source_url {
            writeln!(out, "The source's URL, for Clerk: {url}")?;
        }
        for (n, step) in self.next.iter().enumerate() {
            if n == 0 {
                writeln!(out, "Next:")?;
            }
            writeln!(out, "  {}. {step}", n + 1)?;
        }
        Ok(())
    }
}
