//! The two files that the set-up writes: `.env`, and samconfig.toml in the repository.

use std::collections::BTreeMap;
use std::fs;
use std::io::{ErrorKind, Write};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, anyhow, bail};

/// Where the two files are.
pub(super) struct Files {
    /// The file that `environment::variables` reads, which need not exist.
    pub(super) dotenv: PathBuf,
    pub(super) samconfig: PathBuf,
}

impl Files {
    /// Finds the files in the current directory or above.
    pub(super) fn find() -> Result<Self> {
        let current = std::env::current_dir().context("the current directory cannot be read")?;
        let find = |name: &str| current.ancestors().map(|it| it.join(name)).find(|it| it.is_file());
        let samconfig = find("samconfig.toml").ok_or_else(|| {
            anyhow!("samconfig.toml is neither here nor above: run this in the repository")
        })?;
        let dotenv = find(".env").unwrap_or_else(|| samconfig.with_file_name(".env"));
        Ok(Self { dotenv, samconfig })
    }

    /// Writes a setting to `.env`, and changes no other one.
    pub(super) fn store(&self, name: &str, value: &str) -> Result<()> {
        let shown = self.dotenv.display();
        let before = match fs::read_to_string(&self.dotenv) {
            Ok(text) => text,
            Err(error) if error.kind() == ErrorKind::NotFound => String::new(),
            Err(error) => bail!("{shown} cannot be read: {error}"),
        };
        let after = with_setting(&before, name, value);
        let (mut expected, actual) = (settings(&before), settings(&after));
        expected.insert(name.to_owned(), value.to_owned());
        if !actual.keys().eq(expected.keys()) || actual.get(name).map(String::as_str) != Some(value)
        {
            bail!(
                "{name} cannot be written to {shown}, whose lines are not all NAME='value': correct it"
            );
        }
        replace(&self.dotenv, &after, None).with_context(|| format!("{shown} cannot be written"))
    }
}

/// Replaces a file in one step, so that a reader finds the old text or the new one. Without
/// permissions, only its owner may read it, from the beginning.
pub(super) fn replace(path: &Path, text: &str, permissions: Option<fs::Permissions>) -> Result<()> {
    let path = &fs::canonicalize(path).unwrap_or_else(|_| path.to_owned()); // a link stays one
    let (directory, name) = path.parent().zip(path.file_name()).context("it has no name")?;
    let mut prefix = name.to_owned(); // git ignores what begins with .env
    prefix.push(".");
    let mut file = tempfile::Builder::new().prefix(&prefix).tempfile_in(directory)?;
    file.write_all(text.as_bytes())?;
    if let Some(permissions) = permissions {
        file.as_file().set_permissions(permissions)?;
    }
    file.as_file().sync_all()?;
    file.persist(path)?;
    Ok(())
}

fn settings(text: &str) -> BTreeMap<String, String> {
    dotenvy::from_read_iter(text.as_bytes()).filter_map(Result::ok).collect()
}

/// The text with this setting: in place of its last line, which is the one that counts, or at the end.
fn with_setting(text: &str, name: &str, value: &str) -> String {
    // Between these quotes every character stands for itself, except that dotenvy does not see the end
    // of them after a backslash. So a backslash is outside of them, as a quote is.
    let quoted = value.chars().map(|it| match it {
        '\'' | '\\' => format!("'\\{it}'"),
        it => it.to_string(),
    });
    let assignment = format!("{name}='{}'", quoted.collect::<String>());
    let mut lines: Vec<_> = text.lines().map(str::to_owned).collect();
    let own = lines.iter_mut().rev().find_map(|line| {
        let bare = line.trim_start();
        let (export, bare) = match bare.strip_prefix("export ") {
            Some(bare) => ("export ", bare.trim_start()),
            None => ("", bare),
        };
        let is_own = bare.strip_prefix(name)?.trim_start().starts_with('=');
        is_own.then_some((line, export))
    });
    match own {
        Some((line, export)) => *line = format!("{export}{assignment}"),
        None => lines.push(assignment),
    }
    lines.join("\n") + "\n"
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use super::*;

    #[test]
    fn a_shell_and_dotenvy_read_the_value_that_was_written() {
        let directory = tempfile::tempdir().expect("a directory");
        let files = Files { dotenv: directory.path().join(".env"), samconfig: PathBuf::new() };
        for value in [
            "plain",
            "a=b,c=d/e",
            "it's",
            "''",
            r#"$HOME `id` "quoted" \n \\ # ! ~"#,
            " blanks around ",
            "ends in \\",
            "ünïcödé",
        ] {
            files.store("VALUE", value).expect(value);
            let text = fs::read_to_string(&files.dotenv).expect("the file");
            assert_eq!(settings(&text)["VALUE"], value);
            let script = "set -a; . ./.env; printf %s \"$VALUE\"";
            let shell = Command::new("sh").args(["-c", script]).current_dir(&directory).output();
            assert_eq!(String::from_utf8(shell.expect("a shell").stdout).as_deref(), Ok(value));
        }
    }

    #[test]
    fn every_other_line_stays_and_the_last_line_of_a_name_is_replaced() {
        for (before, after) in [
            ("", "A='new'\n"),
            ("# about\n\nB=1", "# about\n\nB=1\nA='new'\n"),
            ("A=1\nB=2 # kept\nA=\"3\"\nAB=4\n", "A=1\nB=2 # kept\nA='new'\nAB=4\n"),
            ("  export  A=1\n# A=2\n", "export A='new'\n# A=2\n"),
            ("A = 1\n", "A='new'\n"),
        ] {
            assert_eq!(with_setting(before, "A", "new"), after);
        }
    }

    #[test]
    fn a_file_that_would_lose_a_setting_is_left_as_it_is() {
        let directory = tempfile::tempdir().expect("a directory");
        let files = Files { dotenv: directory.path().join(".env"), samconfig: PathBuf::new() };
        let text = "B='1\nA=2\n3'\n";
        fs::write(&files.dotenv, text).expect("the file");
        let error = files.store("A", "new").expect_err("the line is inside of a value");
        assert!(error.to_string().contains("A cannot be written"), "{error}");
        assert_eq!(fs::read_to_string(&files.dotenv).expect("the file"), text);
    }
}
