use std::collections::BTreeMap;

use cli::output::{self, Status};
use serde::Serialize;

use super::{Outcome, Target};
use crate::failure::{Failure, FailureKind};

/// How many users stand for a group of failures.
const EXAMPLES: usize = 3;

/// What a run has done.
#[derive(Debug, Default, Serialize)]
pub(crate) struct Report {
    pub(crate) run: String,
    /// How many there were to do.
    pub(crate) databases: usize,
    pub(crate) count: Count,
    pub(super) failures: BTreeMap<String, Group>,
    /// Why the run did not come to its end.
    pub(crate) stopped: Option<String>,
    #[serde(skip)]
    pub(crate) is_interrupted: bool,
    /// The command that goes on.
    pub(crate) resume: Option<String>,
}

#[derive(Debug, Default, Clone, Copy, Serialize)]
pub(crate) struct Count {
    pub(crate) changed: usize,
    pub(crate) unchanged: usize,
    pub(crate) skipped: usize,
    pub(crate) failed: usize,
    pub(crate) unclear: usize,
    /// Those that an earlier part of the run has done.
    pub(crate) done_before: usize,
}

/// Failures with one code.
#[derive(Debug, Default, Serialize)]
pub(super) struct Group {
    count: usize,
    /// The first one's.
    message: String,
    users: Vec<String>,
}

impl Count {
    pub(crate) fn bad(&self) -> usize {
        self.failed + self.unclear
    }

    /// How many have ended in this run.
    pub(crate) fn ended(&self) -> usize {
        self.changed + self.unchanged + self.skipped + self.bad()
    }
}

impl Report {
    pub(crate) fn add(&mut self, target: &Target, result: &Result<Outcome, Failure>) {
        match result {
            Ok(Outcome::Changed { .. }) => self.count.changed += 1,
            Ok(Outcome::Unchanged) => self.count.unchanged += 1,
            Ok(Outcome::Skipped(_)) => self.count.skipped += 1,
            Err(Failure { code, message, kind, .. }) => {
                match kind {
                    FailureKind::Unclear => self.count.unclear += 1,
                    FailureKind::Transient | FailureKind::Permanent => self.count.failed += 1,
                }
                let group = self.failures.entry(code.clone()).or_default();
                group.count += 1;
                if group.message.is_empty() {
                    group.message.clone_from(message);
                }
                if group.users.len() < EXAMPLES {
                    group.users.push(target.user.clone());
                }
            }
        }
    }

    /// How many are left to do.
    fn left(&self) -> usize {
        self.databases.saturating_sub(self.count.ended() + self.count.done_before)
    }
}

impl output::Report for Report {
    fn text(&self) -> Vec<String> {
        let Count { changed, unchanged, skipped, failed, unclear, done_before } = self.count;
        let mut text = Vec::new();
        if !self.failures.is_empty() {
            let rows = self.failures.iter().map(|(code, Group { count, message, users })| {
                [code.clone(), count.to_string(), message.clone(), users.join("\n")]
            });
            text.push(output::listing(
                ["code", "times", "what, in the first of them", "such as"],
                rows,
            ));
        }
        let parts = [
            (changed, "changed"),
            (unchanged, "had nothing to do"),
            (skipped, "left out"),
            (done_before, "done before"),
            (failed, "failed"),
            (unclear, "unclear"),
            (self.left(), "not begun, or cut off"),
        ];
        let parts = parts.into_iter().filter(|(n, _)| *n > 0);
        let parts = parts.map(|(n, words)| format!("{n} {words}")).collect::<Vec<_>>().join(", ");
        text.push(format!(
            "{}: {parts}. Run {}.",
            output::count(self.databases, "database"),
            self.run
        ));
        text
    }

    fn status(&self) -> Status {
        let resume = self.resume.iter().map(|command| format!("; go on with: {command}"));
        let resume: String = resume.collect();
        match (&self.stopped, self.count.bad()) {
            (Some(why), _) if self.is_interrupted => Status::Interrupted(format!("{why}{resume}")),
            (Some(why), _) => Status::Failure(format!("the run stopped: {why}{resume}")),
            (None, 0) => Status::Success,
            (None, n) => Status::Failure(format!("{n} of {} failed{resume}", self.databases)),
        }
    }
}
