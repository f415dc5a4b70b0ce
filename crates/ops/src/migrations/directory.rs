use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use anyhow::{Context, Result, bail, ensure};
use bytes::Bytes;
use sha2::{Digest, Sha256};
use sqlx::migrate::{Migration, Migrator};

use super::statements::{self, Statement};

/// Marks of tools whose files hold the way back, too. sqlx would apply both parts.
const OTHER_TOOLS: [(&str, &str); 4] = [
    ("-- +goose ", "goose"),
    ("-- migrate:up", "dbmate"),
    ("-- migrate:down", "dbmate"),
    ("-- +migrate ", "sql-migrate"),
];

/// The files, the lowest version first.
#[derive(Debug)]
pub(crate) struct Directory {
    pub(crate) files: Vec<File>,
    /// Over names and contents, as `sha256sum` writes it.
    pub(crate) digest: String,
}

/// A file, which is applied as one transaction unless its first line says otherwise.
#[derive(Debug)]
pub(crate) struct File {
    pub(crate) name: String,
    pub(crate) migration: Migration,
    pub(crate) statements: Vec<Statement>,
    /// As `sha256sum` writes it.
    pub(crate) sha256: String,
}

impl Directory {
    /// Reads the directory, and checks everything that needs no database.
    pub(crate) async fn read(path: &Path) -> Result<Self> {
        let shown = path.display();
        let mut names = BTreeMap::<i64, String>::new();
        let entries = fs::read_dir(path).with_context(|| format!("{shown} cannot be read"))?;
        for entry in entries {
            let entry = entry.with_context(|| format!("{shown} cannot be read"))?;
            let name = entry.file_name().to_string_lossy().into_owned();
            let is_sql =
                Path::new(&name).extension().is_some_and(|it| it.eq_ignore_ascii_case("sql"));
            if !is_sql || name.starts_with('.') || entry.path().is_dir() {
                continue;
            }
            let version = version(&name)?;
            if let Some(other) = names.insert(version, name.clone()) {
                bail!(
                    "{other} and {name} have the same version, {version}: give the newer one a \
                     higher number"
                );
            }
        }
        ensure!(
            !names.is_empty(),
            "{shown} has no file whose name is like 1_create_notes.sql: a number, _, words, .sql"
        );
        let migrator =
            Migrator::new(path).await.with_context(|| format!("{shown} cannot be read"))?;
        let files = migrator.iter().map(|migration| {
            let name = names.remove(&migration.version).unwrap_or_default();
            File::new(name, migration.clone())
        });
        let files = files.collect::<Result<Vec<_>>>()?;
        let digest = files.iter().fold(Sha256::new(), |digest, File { name, sha256, .. }| {
            digest.chain_update(format!("{name}\n{sha256}\n"))
        });
        Ok(Self { files, digest: hex(&digest.finalize()) })
    }

    /// The version of a database that has the first `n` files; 0 is none.
    pub(crate) fn version_of(&self, n: usize) -> i64 {
        self.files[..n].last().map_or(0, |file| file.migration.version)
    }

    /// The version of the newest file.
    pub(crate) fn newest(&self) -> i64 {
        self.version_of(self.files.len())
    }
}

/// The number at the beginning of a file's name. sqlx ignores a file that has none.
fn version(name: &str) -> Result<i64> {
    let (number, rest) = name.split_once('_').unwrap_or_default();
    let words = rest.strip_suffix(".sql");
    let is_number = !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit());
    let version = number.parse().ok().filter(|version| is_number && *version > 0);
    let (Some(version), Some(words)) = (version, words) else {
        bail!(
            "{name}: the name must be a version, _, words and .sql, such as 1_create_notes.sql, or \
             sqlx ignores the file; rename it without changing it, or move it away"
        );
    };
    ensure!(
        words.strip_suffix(".down").is_none(),
        "{name}: a file that leads back is never applied here; move it away, and undo a change with \
         a new file"
    );
    Ok(version)
}

impl File {
    fn new(name: String, migration: Migration) -> Result<Self> {
        let sql = migration.sql.as_str();
        ensure!(
            !sql.starts_with('\u{feff}'),
            "{name} begins with a byte order mark, which is no SQL: save it as UTF-8 without one"
        );
        let is_theirs = |mark: &str| sql.lines().any(|it| it.trim_start().starts_with(mark));
        if let Some((mark, tool)) = OTHER_TOOLS.iter().find(|(mark, _)| is_theirs(mark)) {
            bail!(
                "{name} is a file of {tool} ({}), and may hold the way back, too: keep only the SQL \
                 that leads forward, or run {tool} itself with `cargo ops each`",
                mark.trim_end()
            );
        }
        let statements = statements::split(sql)
            .map_err(|error| anyhow::anyhow!("{name}, line {}: {}", error.line, error.why))?;
        if migration.no_tx {
            ensure!(
                statements.len() == 1,
                "{name} has {} statements and runs without a transaction: after a failure it would be \
                 unclear which were applied; give each a file of its own",
                statements.len()
            );
        } else if let Some((statement, word)) =
            statements.iter().find_map(|it| Some((it, it.transaction_word()?)))
        {
            bail!(
                "{name}, line {}: {word}: a file is one transaction already; take this out",
                statement.line
            );
        }
        let sha256 = hex(&Sha256::digest(sql));
        Ok(Self { name, migration, statements, sha256 })
    }

    /// The line of a statement, from 1.
    pub(crate) fn line_of(&self, statement: usize) -> Option<usize> {
        self.statements.get(statement).map(|it| it.line)
    }
}

/// As `sha256sum` writes a digest.
pub(crate) fn hex(bytes: &[u8]) -> String {
    format!("{:x}", Bytes::copy_from_slice(bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(sql: &str) -> Result<File> {
        let sql = sqlx::AssertSqlSafe(sql.to_owned());
        let no_tx = sql.0.starts_with("-- no-transaction");
        let sql = sqlx::SqlSafeStr::into_sql_str(sql);
        let kind = sqlx::migrate::MigrationType::Simple;
        File::new("1_a.sql".to_owned(), Migration::new(1, "a".into(), kind, sql, no_tx))
    }

    #[test]
    fn a_name_that_sqlx_would_ignore_is_refused() {
        for good in ["1_a.sql", "0002_add_notes.sql", "20260102030405_x.sql", "3_a.up.sql"] {
            assert!(version(good).is_ok(), "{good}");
        }
        for bad in [
            "a.sql",
            "01-tables.sql",
            "1.sql",
            "_a.sql",
            "x1_a.sql",
            "+1_a.sql",
            "0_a.sql",
            "1_a.SQL",
        ] {
            let error = version(bad).expect_err(bad).to_string();
            assert!(error.contains("rename it"), "{error}");
        }
        let error = version("1_a.down.sql").expect_err("down").to_string();
        assert!(error.contains("leads back"), "{error}");
    }

    #[test]
    fn a_file_that_another_tool_reads_otherwise_is_refused() {
        for (sql, tool) in [
            ("-- +goose Up\ncreate table a ();\n-- +goose Down\ndrop table a;", "goose"),
            ("-- migrate:up\ncreate table a ();\n\n-- migrate:down\ndrop table a;", "dbmate"),
            ("-- +migrate Up\ncreate table a ();", "sql-migrate"),
        ] {
            let error = file(sql).expect_err(tool).to_string();
            assert!(error.contains(tool), "{error}");
        }
        assert!(file("\u{feff}select 1").is_err());
    }

    #[test]
    fn a_file_is_one_transaction_or_one_statement() {
        assert!(file("select 1; select 2;").is_ok());
        assert!(file("-- no-transaction\ncreate index concurrently a on b (c);").is_ok());
        for bad in [
            "-- no-transaction\nselect 1; select 2",
            "-- no-transaction\n",
            "begin; select 1; commit",
        ] {
            assert!(file(bad).is_err(), "{bad}");
        }
    }
}
