//! What was found, a row for each check.

use std::io::Write;

use comfy_table::{ContentArrangement, Table, presets};
use serde::Serialize;

use crate::service::Obstacle;

/// Wider lines are hard to read.
const WIDTH: u16 = 120;

/// How a check ended; the worst comes last.
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

/// For machines.
#[derive(Serialize)]
struct Document<'a> {
    /// The worst of all.
    state: State,
    checks: &'a [Row],
    not_looked_at: &'a [&'static str],
}

#[derive(Default)]
pub(super) struct Report {
    rows: Vec<Row>,
    left_out: Vec<&'static str>,
}

impl State {
    fn words(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Warning => "warning",
            Self::Broken => "broken",
        }
    }
}

impl Report {
    /// The worst of all.
    pub(super) fn state(&self) -> State {
        self.rows.iter().map(|row| row.state).max().unwrap_or(State::Ok)
    }

    pub(super) fn ok(&mut self, check: impl Into<String>, what: impl Into<String>) {
        self.rows.push(Row {
            check: check.into(),
            state: State::Ok,
            what: what.into(),
            mend: None,
        });
    }

    pub(super) fn add(
        &mut self,
        check: impl Into<String>,
        state: State,
        what: impl Into<String>,
        mend: impl Into<String>,
    ) {
        let (check, what) = (check.into(), what.into());
        self.rows.push(Row { check, state, what, mend: Some(mend.into()) });
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

    /// Whoever gives no answer is as broken as whoever refuses: users would meet the same.
    pub(super) fn obstacle(&mut self, check: impl Into<String>, obstacle: Obstacle) {
        self.broken(check, obstacle.what, obstacle.mend);
    }

    /// Names something that was not looked at, and why.
    pub(super) fn leave_out(&mut self, what: &'static str) {
        self.left_out.push(what);
    }

    pub(super) fn print(&self, as_json: bool) -> anyhow::Result<()> {
        let mut out = std::io::stdout();
        if as_json {
            let document =
                Document { state: self.state(), checks: &self.rows, not_looked_at: &self.left_out };
            writeln!(out, "{}", serde_json::to_string_pretty(&document)?)?;
            return Ok(());
        }
        writeln!(out, "{}", self.table())?;
        for left_out in &self.left_out {
            writeln!(out, "Not looked at: {left_out}.")?;
        }
        if self.state() == State::Ok {
            writeln!(out, "Nothing to do.")?;
        }
        Ok(())
    }

    fn table(&self) -> Table {
        let mut table = Table::new();
        table.load_style(presets::UTF8_BORDERS_ONLY);
        table.set_content_arrangement(ContentArrangement::Dynamic).set_width(WIDTH);
        table.set_header(["check", "state", "what", "mend"]);
        for Row { check, state, what, mend } in &self.rows {
            table.add_row([check, state.words(), what, mend.as_deref().unwrap_or("–")]);
        }
        table
    }
}
