//! The ledger of `--watch`: a line for each seed that has ended, and the report. The console shows it.

use std::fs::{self, File};
use std::io::Write;
use std::path::Path;
use std::sync::{Mutex, PoisonError};
use std::time::SystemTime;

use anyhow::Context;
use serde_json::json;

use super::report::Report;

/// Beside the runs of `cargo ops`.
const RUNS: &str = ".ops/runs";

pub(crate) struct Ledger(Mutex<File>);

impl Ledger {
    pub(crate) fn create(n_seeds: u64) -> anyhow::Result<Self> {
        let now = humantime::format_rfc3339_micros(SystemTime::now()).to_string();
        let id = now.trim_end_matches('Z').replace([':', '.'], "-");
        let directory = Path::new(RUNS).join(id);
        let create = || -> std::io::Result<File> {
            fs::create_dir_all(&directory)?;
            fs::write(Path::new(RUNS).with_file_name(".gitignore"), "*\n")?;
            let info = json!({ "verb": "simulate", "total": n_seeds });
            fs::write(directory.join("run.json"), info.to_string())?;
            File::create(directory.join("ledger.jsonl"))
        };
        let file = create();
        let file = file.with_context(|| format!("{} cannot be created", directory.display()))?;
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
