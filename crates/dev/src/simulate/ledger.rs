//! The ledger of `--watch`: a line for each seed that has ended, and the report. The console shows it.

use std::fs::File;
use std::io::Write;
use std::sync::{Mutex, PoisonError};

use anyhow::Context;
use cli::runs;
use serde_json::json;

use super::report::Report;

pub(crate) struct Ledger(Mutex<File>);

impl Ledger {
    pub(crate) fn create(n_seeds: u64) -> anyhow::Result<Self> {
        let (_, directory) = runs::create(&json!({ "verb": "simulate", "total": n_seeds }))?;
        let path = directory.join(runs::LEDGER);
        let file = File::create(&path);
        let file = file.with_context(|| format!("{} cannot be created", path.display()))?;
        Ok(Self(Mutex::new(file)))
    }

    /// Records a seed. A ledger that cannot be written stops no simulation.
    pub(crate) fn ended(&self, seed: u64, violations: &[String]) {
        let step = if violations.is_empty() { "done" } else { "failed" };
        let error = violations.join("; ");
        self.append(&json!({ "step": step, "user": format!("seed {seed}"), "error": error }));
    }

    /// Records the report.
    pub(crate) fn report(&self, report: &Report) {
        self.append(&json!({ "report": report }));
    }

    fn append(&self, line: &serde_json::Value) {
        let mut file = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        // One write, so that the console reads whole lines.
        let _not_shown = file.write_all(format!("{line}\n").as_bytes());
    }
}
