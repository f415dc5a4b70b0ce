//! The output of every command: results on standard output, notes and progress on standard error.

use std::fmt::Display;
use std::io::Write;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::bail;
use comfy_table::{ContentArrangement, Table, presets};
use indicatif::{HumanCount, ProgressBar, ProgressStyle};
use serde::Serialize;

/// The exit code of a command that found something to do and changed nothing.
pub const DRIFT: u8 = 3;

/// The exit code of a command that was interrupted and can go on, as a shell gives it for SIGINT.
pub const INTERRUPTED: u8 = 130;

/// Longer lines are hard to read.
const TABLE_WIDTH: u16 = 120;

/// The result of a command: one JSON document for a program, or the same as text for a reader.
pub trait Report: Serialize {
    /// The text: tables and sentences, each on lines of its own.
    fn text(&self) -> Vec<String>;

    /// How the command ends.
    fn status(&self) -> Status;
}

/// How a command ends.
pub enum Status {
    /// Exit code 0.
    Success,
    /// Exit code [`DRIFT`].
    Drift,
    /// Exit code 1, and this message on standard error.
    Failure(String),
    /// Exit code [`INTERRUPTED`], and this message on standard error.
    Interrupted(String),
}

impl Status {
    /// [`Status::Drift`] where the command found something to do, else [`Status::Success`].
    pub fn drift_if(is_drift: bool) -> Self {
        if is_drift { Self::Drift } else { Self::Success }
    }
}

/// Prints the report, and returns the exit code.
///
/// # Errors
/// The message of [`Status::Failure`], or that standard output is closed or full.
pub fn report(report: &impl Report, as_json: bool) -> anyhow::Result<ExitCode> {
    if as_json {
        json(report)?;
    } else {
        report.text().iter().try_for_each(line)?;
    }
    match report.status() {
        Status::Success => Ok(ExitCode::SUCCESS),
        Status::Drift => Ok(ExitCode::from(DRIFT)),
        Status::Failure(message) => bail!(message),
        Status::Interrupted(message) => {
            note(message);
            Ok(ExitCode::from(INTERRUPTED))
        }
    }
}

/// The exit code of a look: [`DRIFT`] where it found something to do, else 0.
pub fn drift(is_drift: bool) -> ExitCode {
    ExitCode::from(if is_drift { DRIFT } else { 0 })
}

/// The exit code of a check: 0 where it holds, else 1.
pub fn holds(is_true: bool) -> ExitCode {
    ExitCode::from(u8::from(!is_true))
}

/// Prints text and a line break.
///
/// # Errors
/// When standard output is closed or full.
pub fn line(text: impl Display) -> anyhow::Result<()> {
    let mut stdout = std::io::stdout();
    // One write: a program that waits for a line finds everything before it.
    stdout.write_all(format!("{text}\n").as_bytes())?;
    Ok(stdout.flush()?)
}

/// Prints one JSON document.
///
/// # Errors
/// When standard output is closed or full.
pub fn json(document: &impl Serialize) -> anyhow::Result<()> {
    line(serde_json::to_string_pretty(document)?)
}

/// Writes a line to standard error. A closed one must not fail the command.
pub fn note(text: impl Display) {
    let _closed = std::io::stderr().write_all(format!("{text}\n").as_bytes());
}

/// A number of things, such as `1 database` or `9,800 databases`.
pub fn count(n: usize, thing: &str) -> String {
    let s = if n == 1 { "" } else { "s" };
    format!("{} {thing}{s}", HumanCount(n as u64))
}

/// An empty table in the style of every table.
pub fn table() -> Table {
    let mut table = Table::new();
    table.load_style(presets::UTF8_BORDERS_ONLY);
    table
}

/// An empty table that is as wide as a line may be, and breaks longer texts.
pub fn wrapped_table() -> Table {
    let mut table = table();
    table.set_content_arrangement(ContentArrangement::Dynamic).set_width(TABLE_WIDTH);
    table
}

/// A table with a header.
pub fn listing<const N: usize>(
    header: [&str; N],
    rows: impl Iterator<Item = [String; N]>,
) -> String {
    let mut table = wrapped_table();
    table.set_header(header).add_rows(rows);
    table.to_string()
}

/// A spinner for work of unknown length, hidden where standard error is no terminal.
pub fn spinner(message: &'static str) -> ProgressBar {
    let style = ProgressStyle::with_template("{spinner} {msg}, {elapsed}");
    let spinner = ProgressBar::new_spinner()
        .with_style(style.unwrap_or_else(|_| ProgressStyle::default_spinner()))
        .with_message(message);
    spinner.enable_steady_tick(Duration::from_millis(100));
    spinner
}

/// A bar for this many steps, hidden where standard error is no terminal.
pub fn bar(unit: &str, steps: u64) -> ProgressBar {
    let template = format!("{unit} {{wide_bar}} {{pos}}/{{len}}, {{eta}} left");
    let style = ProgressStyle::with_template(&template);
    ProgressBar::new(steps).with_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()))
}

/// A bar whose message tells how far the work is, hidden where standard error is no terminal.
pub fn bar_with_message() -> ProgressBar {
    let style = ProgressStyle::with_template("{wide_bar} {msg}");
    ProgressBar::new(0).with_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()))
}
