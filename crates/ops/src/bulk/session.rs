use anyhow::Result;

use super::ledger::{Ledger, RunInfo, States};
use super::preview::{Effort, Preview, is_confirmed};
use super::{Options, Selection, Target};
use crate::context::Context;

/// A run that is about to begin, or to go on.
pub(crate) struct Session {
    info: RunInfo,
    resumed: Option<(Ledger, States)>,
}

impl Session {
    /// Reads the files of the selection. With `--resume`, opens the ledger, whose selection counts.
    pub(crate) fn open(
        context: &Context,
        verb: &str,
        digest: String,
        selection: Selection,
        options: &Options,
    ) -> Result<Self> {
        let mut info = RunInfo::new(context, verb, digest);
        info.selection = selection.read_files()?;
        let resumed = options.resume.as_deref().map(|run| Ledger::resume(run, &mut info));
        Ok(Self { resumed: resumed.transpose()?, info })
    }

    pub(crate) fn selection(&self) -> &Selection {
        &self.info.selection
    }

    /// Shows the preview and asks; then the ledger, and what it has so far. None where nothing may be
    /// changed.
    pub(crate) async fn confirm(
        self,
        context: &Context,
        effort: Effort,
        targets: &[Target],
        options: &Options,
        notes: Vec<String>,
    ) -> Result<Option<(Ledger, States)>> {
        let preview = Preview::new(context, effort, targets, options, notes).await;
        if !is_confirmed(&preview, options)? {
            return Ok(None);
        }
        Ok(Some(match self.resumed {
            Some(resumed) => resumed,
            None => (Ledger::create(&self.info)?, States::new()),
        }))
    }
}
