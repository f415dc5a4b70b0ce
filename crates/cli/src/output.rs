//! How every command speaks: results on standard output, notes and progress on standard error.

use std::fmt::Display;
use std::io::Write;
use std::process::ExitCode;
use std::time::Duration;

use comfy_table::{Table, presets};
use indicatif::{ProgressBar, ProgressStyle};
use serde::Serialize;

/// The exit code of a command that found something to do and changed nothing.
pub const DRIFT: u8 = 3;

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
    Ok(writeln!(std::io::stdout(), "{text}")?)
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
    let _closed = writeln!(std::io::stderr(), "{text}");
}

/// An empty table in the style of every table.
pub fn table() -> Table {
    let mut table = Table::new();
    table.load_style(presets::UTF8_BORDERS_ONLY);
    table
}

/// A spinner for work of unknown length; hidden where standard error is no terminal.
pub fn spinner(message: &'static str) -> ProgressBar {
    let style = ProgressStyle::with_template("{spinner} {msg}, {elapsed}");
    let spinner = ProgressBar::new_spinner()
        .with_style(style.expect("the template is a constant"))
        .with_message(message);
    spinner.enable_steady_tick(Duration::from_millis(100));
    spinner
}

/// A bar for this many steps; hidden where standard error is no terminal.
pub fn bar(unit: &str, steps: u64) -> ProgressBar {
    let template = format!("{unit} {{wide_bar}} {{pos}}/{{len}}, {{eta}} left");
    let style = ProgressStyle::with_template(&template).expect("the template is a constant");
    ProgressBar::new(steps).with_style(style)
}
