//! Where a command that takes long leaves what it has done: a directory for each run, below the current
//! one. `cargo ops` goes on from there, and the console of `cargo dev` shows it.

use std::fs::{self, DirBuilder};
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use anyhow::Context;
use serde::Serialize;

/// The directory of the runs.
pub const DIRECTORY: &str = ".ops/runs";

/// What a run was started with, in its directory.
pub const INFO: &str = "run.json";

/// What it has done: a line for each step, as JSON.
pub const LEDGER: &str = "ledger.jsonl";

/// Creates the directory of a run that begins now, with what it was started with. Only its owner reads
/// it, and git ignores it. Returns the id and the path.
///
/// # Errors
/// When the directory cannot be created.
pub fn create(info: &impl Serialize) -> anyhow::Result<(String, PathBuf)> {
    let now = humantime::format_rfc3339_micros(SystemTime::now()).to_string();
    let id = now.trim_end_matches('Z').replace([':', '.'], "-");
    let directory = Path::new(DIRECTORY).join(&id);
    let create = || -> std::io::Result<()> {
        DirBuilder::new().mode(0o700).recursive(true).create(DIRECTORY)?;
        fs::write(Path::new(DIRECTORY).with_file_name(".gitignore"), "*\n")?;
        DirBuilder::new().mode(0o700).create(&directory)?;
        fs::write(directory.join(INFO), serde_json::to_string_pretty(info)?)
    };
    create().with_context(|| format!("{} cannot be created", directory.display()))?;
    Ok((id, directory))
}

/// The second in which a run began, as its id tells it.
pub fn started_at(id: &str) -> Option<SystemTime> {
    let (date, time) = (id.get(..10)?, id.get(11..19)?.replace('-', ":"));
    humantime::parse_rfc3339(&format!("{date}T{time}Z")).ok()
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn the_time_of_a_run_is_that_in_its_id() {
        for (id, second) in [
            ("2026-11-29T15-30-12-345678", Some(1_795_966_212)),
            ("1970-01-01T00-00-00-000000", Some(0)),
            ("2000-02-29T23-59-59-1", Some(951_868_799)),
            ("2026", None),
            ("é", None),
        ] {
            let at = second.map(|second| SystemTime::UNIX_EPOCH + Duration::from_secs(second));
            assert_eq!(started_at(id), at, "{id}");
        }
    }
}
