//! The runs of the fleet commands (`cargo ops migrate`, `each` and others) and of `cargo dev simulate
//! --watch`, read from `.ops/runs` as they grow.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};

use cli::runs;
use serde_json::{Value, json};

use super::journal::since_epoch_ms;

/// How many runs are shown, and how many lines of each.
const SHOWN: usize = 20;

/// No more of a ledger is read at a time.
const READ_BYTES: u64 = 4 * 1024 * 1024;

/// What has been read of the runs.
pub(super) struct Runs {
    directory: PathBuf,
    read: BTreeMap<String, Run>,
}

#[derive(Default)]
struct Run {
    verb: String,
    /// How many targets there are, where the run knows.
    total: Option<u64>,
    /// How much of the ledger has been read, up to the end of a line.
    offset: u64,
    /// The last step of each target.
    steps: HashMap<String, Step>,
    lines: VecDeque<Value>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Step {
    Started,
    Done,
    Failed,
}

impl Runs {
    pub(super) fn new(directory: &Path) -> Self {
        Self { directory: directory.to_owned(), read: BTreeMap::new() }
    }

    /// The runs of now, the newest first. Only what is new in the files is read.
    pub(super) fn read(&mut self) -> Vec<Value> {
        let entries = std::fs::read_dir(&self.directory).into_iter().flatten().flatten();
        let mut ids: Vec<String> =
            entries.filter_map(|it| it.file_name().into_string().ok()).collect();
        // An id begins with its time.
        ids.sort_unstable_by(|one, other| other.cmp(one));
        ids.truncate(SHOWN);
        self.read.retain(|id, _| ids.contains(id));
        for id in ids {
            let directory = self.directory.join(&id);
            let run = self.read.entry(id).or_default();
            let _later = run.read(&directory);
        }
        let known = self.read.iter().rev().filter(|(_, run)| !run.verb.is_empty());
        known.map(|(id, run)| run.shown(id)).collect()
    }
}

impl Run {
    fn read(&mut self, directory: &Path) -> std::io::Result<()> {
        if self.verb.is_empty() {
            let info = std::fs::read(directory.join(runs::INFO))?;
            let info: Value = serde_json::from_slice(&info).unwrap_or_default();
            info["verb"].as_str().unwrap_or_default().clone_into(&mut self.verb);
            self.total = info["total"].as_u64();
        }
        let mut file = File::open(directory.join(runs::LEDGER))?;
        let length = file.metadata()?.len();
        if length < self.offset {
            // It is another file.
            let (verb, total) = (std::mem::take(&mut self.verb), self.total);
            *self = Self { verb, total, ..Self::default() };
        }
        if length == self.offset {
            return Ok(());
        }
        file.seek(SeekFrom::Start(self.offset))?;
        let mut text = Vec::new();
        file.take(READ_BYTES).read_to_end(&mut text)?;
        // What follows the last line break is not written to its end.
        let end = text.iter().rposition(|byte| *byte == b'\n').map_or(0, |at| at + 1);
        self.offset += end as u64;
        for line in text[..end].split(|byte| *byte == b'\n') {
            if let Ok(line) = serde_json::from_slice(line) {
                self.add(line);
            }
        }
        Ok(())
    }

    fn add(&mut self, line: Value) {
        let step = match line["step"].as_str() {
            Some("started") => Some(Step::Started),
            Some("done" | "skipped") => Some(Step::Done),
            Some("failed" | "unclear") => Some(Step::Failed),
            _ => None,
        };
        let key = line["branch"].as_str().or(line["user"].as_str());
        if let (Some(step), Some(key)) = (step, key) {
            self.steps.insert(key.to_owned(), step);
        }
        if self.lines.len() == SHOWN {
            self.lines.pop_front();
        }
        self.lines.push_back(line);
    }

    fn shown(&self, id: &str) -> Value {
        let count = |step| self.steps.values().filter(|it| **it == step).count();
        json!({
            "id": id,
            "verb": self.verb,
            "started_at": runs::started_at(id).map(since_epoch_ms),
            "done": count(Step::Done),
            "failed": count(Step::Failed),
            "started": count(Step::Started),
            "total": self.total,
            "lines": self.lines,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

    #[test]
    fn a_run_is_read_as_it_grows_and_a_line_counts_once_it_is_whole() -> std::io::Result<()> {
        let directory = tempfile::tempdir()?;
        let mut runs = Runs::new(directory.path());
        assert_eq!(runs.read(), [Value::Null; 0]);
        let run = directory.path().join("2026-11-29T15-30-12-345678");
        std::fs::create_dir(&run)?;
        std::fs::write(run.join("run.json"), r#"{"verb":"migrate","total":7}"#)?;
        let mut ledger = File::create(run.join("ledger.jsonl"))?;
        let mut append = |text: &str| -> std::io::Result<(Value, Value, Value)> {
            ledger.write_all(text.as_bytes())?;
            let run = runs.read().remove(0);
            Ok((run["started"].clone(), run["done"].clone(), run["failed"].clone()))
        };
        let counts = |started: u64, done: u64, failed: u64| {
            (Value::from(started), Value::from(done), Value::from(failed))
        };
        let started = "{\"step\":\"started\",\"user\":\"user_a\",\"branch\":\"a\"}\n";
        assert_eq!(append(started)?, counts(1, 0, 0));
        assert_eq!(append("{\"step\":\"done\",\"user\":\"user_a\",\"br")?, counts(1, 0, 0));
        assert_eq!(append("anch\":\"a\"}\nno JSON\n")?, counts(0, 1, 0));
        assert_eq!(append("{\"step\":\"unclear\",\"user\":\"user_b\"}\n")?, counts(0, 1, 1));
        assert_eq!(
            (&runs.read()[0]["verb"], &runs.read()[0]["total"]),
            (&json!("migrate"), &json!(7))
        );
        assert_eq!(runs.read()[0]["lines"].as_array().map(Vec::len), Some(3));
        Ok(())
    }
}
