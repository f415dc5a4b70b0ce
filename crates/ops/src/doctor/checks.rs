//! The results of the checks, a row for each.

use cli::output::{self, Status};
use indicatif::ProgressBar;
use serde::Serialize;

use crate::service::ApiError;

/// The result of a check; the worst comes last.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum State {
    Ok,
    Warning,
    Broken,
}

#[derive(Serialize)]
struct Row {
    check: String,
    state: State,
    what: String,
    mend: Option<String>,
}

/// All results, and what was left out.
#[derive(Serialize)]
pub(super) struct Checks {
    /// The worst of all.
    state: State,
    #[serde(rename = "checks")]
    rows: Vec<Row>,
    not_looked_at: Vec<&'static str>,
    #[serde(skip)]
    progress: ProgressBar,
}

impl Checks {
    pub(super) fn new(progress: ProgressBar) -> Self {
        Self { state: State::Ok, rows: Vec::new(), not_looked_at: Vec::new(), progress }
    }

    /// Shows what is being checked.
    pub(super) fn begin(&self, message: impl Into<String>) {
        self.progress.set_message(message.into());
    }

    fn push(&mut self, check: String, state: State, what: String, mend: Option<String>) {
        self.state = self.state.max(state);
        self.rows.push(Row { check, state, what, mend });
    }

    pub(super) fn ok(&mut self, check: impl Into<String>, what: impl Into<String>) {
        self.push(check.into(), State::Ok, what.into(), None);
    }

    pub(super) fn add(
        &mut self,
        check: impl Into<String>,
        state: State,
        what: impl Into<String>,
        mend: impl Into<String>,
    ) {
        self.push(check.into(), state, what.into(), Some(mend.into()));
    }

    pub(super) fn warning(
        &mut self,
        check: impl Into<String>,
        what: impl Into<String>,
        mend: impl Into<String>,
    ) {
        self.add(check, State::Warning, what, mend);
    }

    pub(super) fn broken(
        &mut self,
        check: impl Into<String>,
        what: impl Into<String>,
        mend: impl Into<String>,
    ) {
        self.add(check, State::Broken, what, mend);
    }

    /// A service that does not respond is as broken as one that refuses: the function meets the same.
    pub(super) fn error(&mut self, check: impl Into<String>, error: ApiError) {
        self.broken(check, error.what, error.mend);
    }

    /// The error of a call that the function itself does not make, and that a key with few scopes may
    /// be refused.
    pub(super) fn optional_error(&mut self, check: &str, error: ApiError, scope: &str) {
        if error.is_refusal() {
            let mend = format!("to have it checked, give the key the scope {scope}");
            self.warning(check, format!("not checked: {}", error.what), mend);
        } else {
            self.error(check, error);
        }
    }

    /// Names something that is not checked, and why.
    pub(super) fn leave_out(&mut self, what: &'static str) {
        self.not_looked_at.push(what);
    }

    /// The rows that are broken, a sentence for each.
    pub(super) fn faults(&self) -> Vec<String> {
        let broken = self.rows.iter().filter(|row| row.state == State::Broken);
        let words = broken.map(|Row { check, what, mend, .. }| {
            format!("{check}: {what}; {}", mend.as_deref().unwrap_or_default())
        });
        words.collect()
    }

    pub(super) fn finish(&self) {
        self.progress.finish_and_clear();
    }
}

impl output::Report for Checks {
    fn text(&self) -> Vec<String> {
        let rows = self.rows.iter().map(|Row { check, state, what, mend }| {
            let state = match state {
                State::Ok => "ok",
                State::Warning => "warning",
                State::Broken => "broken",
            };
            let mend = mend.as_deref().unwrap_or("–");
            [check, state, what, mend].map(str::to_owned)
        });
        let mut text = vec![output::listing(["check", "state", "what", "what to do"], rows)];
        text.extend(self.not_looked_at.iter().map(|what| format!("Not checked: {what}.")));
        if self.state == State::Ok {
            text.push("Nothing to do.".to_owned());
        }
        text
    }

    fn status(&self) -> Status {
        Status::drift_if(self.state == State::Broken)
    }
}
