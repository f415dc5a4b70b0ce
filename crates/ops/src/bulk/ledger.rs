use std::collections::HashMap;
use std::fs::{self, DirBuilder, File, OpenOptions, TryLockError};
use std::io::{BufRead, BufReader, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use anyhow::{Context as _, Result, bail, ensure};
use cli::runs;
use serde::{Deserialize, Serialize};

use super::selection::Selection;
use super::{Outcome, Target};
use crate::context::Context;
use crate::failure::{Failure, FailureKind};

/// What a run was started with.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct RunInfo {
    /// The command line, but for the program of `each` and its arguments, which may hold a secret.
    arguments: Vec<String>,
    /// Such as `migrate`.
    pub(crate) verb: String,
    /// Of the files or the command that the run applies.
    pub(crate) digest: String,
    pub(crate) organization: String,
    pub(crate) selection: Selection,
}

impl RunInfo {
    /// A run over everything.
    pub(crate) fn new(context: &Context, verb: &str, digest: String) -> Self {
        let organization = context.fleet.organization.id.as_str().to_owned();
        let arguments = std::env::args().skip(1).take_while(|it| it != "--").collect();
        let (verb, selection) = (verb.to_owned(), Selection::default());
        Self { arguments, verb, digest, organization, selection }
    }
}

/// What a run has done to a target, by its key.
pub(crate) type States = HashMap<String, State>;

/// The last step of a target.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct State {
    pub(crate) step: Step,
    pub(crate) user: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Step {
    Started,
    Done,
    Failed,
    Unclear,
    Skipped,
}

impl Step {
    /// Whether nothing is left to do.
    pub(crate) fn is_done(self) -> bool {
        matches!(self, Self::Done | Self::Skipped)
    }
}

/// A line of the ledger.
#[derive(Default, Serialize, Deserialize)]
#[serde(default)]
struct Line {
    time: String,
    step: Option<Step>,
    user: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    branch: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    project: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    region: Option<String>,
    attempt: u32,
    #[serde(skip_serializing_if = "Option::is_none")]
    from: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    to: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    code: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<String>,
}

/// The error in a line is at most the end of a program's output.
const LONGEST_LINE_BYTES: u64 = 1024 * 1024;

/// The ledger of one run: a file to which every step is appended. One process at a time has it.
pub(crate) struct Ledger {
    pub(crate) id: String,
    path: PathBuf,
    /// Locked as long as it is open.
    file: File,
}

impl Ledger {
    /// Begins a ledger.
    pub(crate) fn create(info: &RunInfo) -> Result<Self> {
        let (id, directory) = runs::create(info)?;
        Self::open(id, &directory)
    }

    /// Goes on with a ledger, where it is one of the same work, with its selection, and reads what was
    /// done.
    pub(crate) fn resume(id: &str, info: &mut RunInfo) -> Result<(Self, States)> {
        let before = Self::info(id)?;
        ensure!(before.verb == info.verb, "run {id} is one of `cargo ops {}`", before.verb);
        ensure!(
            before.organization == info.organization,
            "run {id} is of the organization {}, and XATA_ORGANIZATION_ID is another one",
            before.organization
        );
        ensure!(
            before.digest == info.digest,
            "run {id} applied something else: what is applied has changed since; start a new run, which \
             looks at every database first"
        );
        ensure!(
            info.selection.is_everything(),
            "--resume goes on with the selection of the run: leave the other options of the selection out"
        );
        info.selection = before.selection;
        let ledger = Self::open(id.to_owned(), &Self::directory(id)?)?;
        let states = Self::states(id)?;
        Ok((ledger, states))
    }

    /// What a run was started with.
    fn info(id: &str) -> Result<RunInfo> {
        let path = Self::directory(id)?.join(runs::INFO);
        let text = fs::read(&path).with_context(|| {
            format!(
                "there is no run {id}: {} cannot be read; see {}",
                path.display(),
                runs::DIRECTORY
            )
        })?;
        serde_json::from_slice(&text)
            .with_context(|| format!("{} is of another version of this tool", path.display()))
    }

    /// The last step of each target of a run. A line that a crash cut off is left out.
    pub(crate) fn states(id: &str) -> Result<States> {
        let path = Self::directory(id)?.join(runs::LEDGER);
        let unreadable = || format!("{} cannot be read", path.display());
        let file = File::open(&path).with_context(unreadable)?;
        let mut states = States::new();
        for line in BufReader::new(file).split(b'\n') {
            let line = line.with_context(unreadable)?;
            if let Ok(Line { step: Some(step), user, branch, .. }) = serde_json::from_slice(&line) {
                states.insert(branch.unwrap_or_else(|| user.clone()), State { step, user });
            }
        }
        Ok(states)
    }

    fn directory(id: &str) -> Result<PathBuf> {
        let is_id = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-';
        ensure!(!id.is_empty() && id.bytes().all(is_id), "{id} is no run: see {}", runs::DIRECTORY);
        Ok(Path::new(runs::DIRECTORY).join(id))
    }

    fn open(id: String, directory: &Path) -> Result<Self> {
        let path = directory.join(runs::LEDGER);
        let open = OpenOptions::new().create(true).append(true).read(true).mode(0o600).open(&path);
        let file = open.with_context(|| format!("{} cannot be opened", path.display()))?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                bail!("another process works on run {id}: wait for it")
            }
            Err(TryLockError::Error(error)) => {
                return Err(error).with_context(|| format!("{} cannot be locked", path.display()));
            }
        }
        let ledger = Self { id, path, file };
        ledger.cut_torn_line()?;
        Ok(ledger)
    }

    /// Removes what a crash left of a line, so that the next one begins on its own.
    fn cut_torn_line(&self) -> Result<()> {
        let mut file = &self.file;
        let mut cut = || -> std::io::Result<()> {
            let length = file.seek(SeekFrom::End(0))?;
            let start = file.seek(SeekFrom::Start(length.saturating_sub(LONGEST_LINE_BYTES)))?;
            let mut end = Vec::new();
            file.read_to_end(&mut end)?;
            let whole = end.iter().rposition(|byte| *byte == b'\n').map_or(0, |at| at + 1);
            file.set_len(start + whole as u64)
        };
        cut().with_context(|| self.problem())
    }

    /// The directory of the outputs, which exists.
    pub(crate) fn logs(&self) -> Result<PathBuf> {
        let logs = self.path.with_file_name("logs");
        let created = DirBuilder::new().mode(0o700).recursive(true).create(&logs);
        created.with_context(|| format!("{} cannot be created", logs.display()))?;
        Ok(logs)
    }

    fn problem(&self) -> String {
        format!("{} cannot be written", self.path.display())
    }

    /// Records that an attempt begins. It is on disk when this returns.
    pub(crate) fn started(&self, target: &Target, attempt: u32) -> Result<()> {
        self.append(target, Line { step: Some(Step::Started), attempt, ..Line::default() })?;
        self.file.sync_data().with_context(|| self.problem())
    }

    /// Records how an attempt ended.
    pub(crate) fn ended(
        &self,
        target: &Target,
        attempt: u32,
        result: &Result<Outcome, Failure>,
    ) -> Result<()> {
        let line = Line { attempt, ..Line::default() };
        let line = match result {
            Ok(Outcome::Changed { from, to }) => {
                let (from, to) = (Some(from.clone()), Some(to.clone()));
                Line { step: Some(Step::Done), from, to, ..line }
            }
            Ok(Outcome::Unchanged) => Line { step: Some(Step::Done), ..line },
            Ok(Outcome::Skipped(why)) => {
                Line { step: Some(Step::Skipped), code: Some((*why).to_owned()), ..line }
            }
            Err(Failure { code, message, kind, .. }) => Line {
                step: Some(match kind {
                    FailureKind::Unclear => Step::Unclear,
                    FailureKind::Transient | FailureKind::Permanent => Step::Failed,
                }),
                code: Some(code.clone()),
                error: Some(message.clone()),
                ..line
            },
        };
        self.append(target, line)
    }

    fn append(&self, target: &Target, line: Line) -> Result<()> {
        let branch = target.branch.as_ref();
        let line = Line {
            time: humantime::format_rfc3339_millis(SystemTime::now()).to_string(),
            user: target.user.clone(),
            branch: branch.map(|it| it.id.clone()),
            project: branch.map(|it| it.project.clone()),
            region: target.region.clone(),
            ..line
        };
        // One write, so that lines of one run never mix.
        let text = serde_json::to_string(&line)? + "\n";
        (&self.file).write_all(text.as_bytes()).with_context(|| self.problem())
    }
}
