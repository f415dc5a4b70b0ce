//! The schema: a directory of SQL files, and which of them were applied to a template.

use std::fs;
use std::path::Path;

use anyhow::{Result, anyhow, bail};
use bytes::Bytes;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::statements::{self, Statement};

/// A batch over `/sql` has at most a hundred items. This tool adds two: the record of the file, and the
/// error that ends a trial.
const MAX_STATEMENTS: usize = 98;

/// A file, which is applied as one transaction.
#[derive(Debug)]
pub(crate) struct File {
    pub(crate) name: String,
    /// As `sha256sum` writes it.
    pub(crate) sha256: String,
    pub(crate) statements: Vec<Statement>,
}

/// A template's record of a file that was applied to it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct AppliedFile {
    pub(crate) name: String,
    pub(crate) sha256: String,
}

/// Reads the `*.sql` files of a directory, in the order of their names.
pub(crate) fn read(directory: &Path) -> Result<Vec<File>> {
    let shown = directory.display();
    let unreadable = |error| anyhow!("--schema {shown} cannot be read: {error}");
    let mut files = Vec::new();
    for entry in fs::read_dir(directory).map_err(unreadable)? {
        let path = entry.map_err(unreadable)?.path();
        let Some(name) = path.file_name().and_then(|name| name.to_str()) else { continue };
        let is_sql = path.extension().is_some_and(|extension| extension == "sql");
        if is_sql && !name.starts_with('.') && path.is_file() {
            let text = fs::read_to_string(&path);
            let text = text.map_err(|error| anyhow!("{name} cannot be read: {error}"))?;
            files.push(File::new(name, &text)?);
        }
    }
    if files.is_empty() {
        bail!("--schema {shown} has no file whose name ends in .sql");
    }
    files.sort_unstable_by(|a, b| a.name.cmp(&b.name));
    Ok(files)
}

impl File {
    fn new(name: &str, text: &str) -> Result<Self> {
        let statements = statements::split(text.trim_start_matches('\u{feff}'));
        let statements =
            statements.map_err(|error| anyhow!("{name}, line {}: {}", error.line, error.why))?;
        if statements.len() > MAX_STATEMENTS {
            bail!(
                "{name} has {} statements, and one transaction over Xata's /sql has room for \
                 {MAX_STATEMENTS}: split it into several files",
                statements.len()
            );
        }
        let sha256 = format!("{:x}", Bytes::copy_from_slice(&Sha256::digest(text)));
        Ok(Self { name: name.to_owned(), sha256, statements })
    }

    pub(crate) fn record(&self) -> AppliedFile {
        AppliedFile { name: self.name.clone(), sha256: self.sha256.clone() }
    }
}

/// The indexes of the files that a template misses. All templates must have the same files in the same
/// order.
pub(crate) fn missing_files(
    template: &str,
    applied: &[AppliedFile],
    files: &[File],
) -> Result<Vec<usize>> {
    for AppliedFile { name, sha256 } in applied {
        match files.iter().find(|file| file.name == *name) {
            None => bail!(
                "{name} was applied to {template}, and is not in the directory: put it back, \
                 because another template would not get it"
            ),
            Some(file) if file.sha256 != *sha256 => bail!(
                "{name} was changed after it was applied to {template}: undo that, and write the \
                 change as a new file, whose name sorts after it"
            ),
            Some(_) => {}
        }
    }
    let last = applied.iter().map(|it| &it.name).max();
    let is_missing = |file: &File| applied.iter().all(|it| it.name != file.name);
    let missing = files.iter().enumerate().filter(|(_, file)| is_missing(file));
    missing
        .map(|(index, file)| match last {
            Some(last) if file.name < *last => bail!(
                "{} is new and sorts before {last}, which was applied to {template} already: give \
                 it a name that sorts after",
                file.name
            ),
            _ => Ok(index),
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn files(names: &[&str]) -> Vec<File> {
        names.iter().map(|name| File::new(name, name).expect("a file")).collect()
    }

    #[test]
    fn missing_files_sort_after_the_applied_ones() {
        let applied = |names| files(names).iter().map(File::record).collect::<Vec<_>>();
        let missing = |actual, desired| {
            missing_files("t", &applied(actual), &files(desired)).map_err(|it| it.to_string())
        };
        assert_eq!(missing(&[], &["a", "b"]), Ok(vec![0, 1]));
        assert_eq!(missing(&["a"], &["a", "b"]), Ok(vec![1]));
        assert_eq!(missing(&["a", "b"], &["a", "b"]), Ok(vec![]));
        assert!(missing(&["b"], &["a", "b"]).is_err_and(|why| why.contains("sorts before b")));
        assert!(missing(&["a", "b"], &["b"]).is_err_and(|why| why.contains("put it back")));
    }

    #[test]
    fn a_file_that_does_not_fit_into_one_batch_is_refused() {
        assert!(File::new("a", &"select 1;".repeat(98)).is_ok());
        let error = File::new("a", &"select 1;".repeat(99)).expect_err("too many").to_string();
        assert!(error.contains("a has 99 statements"), "{error}");
    }
}
