use std::time::Duration;

use futures_util::StreamExt;
use sqlx::migrate::Migrate;
use sqlx::postgres::{PgConnection, PgErrorPosition};
use sqlx::{AssertSqlSafe, Connection, Executor, Row};
use tokio::time::{Instant, sleep};

use super::directory::{Directory, File};
use crate::failure::{Failure, postgres_error};

const TABLE: &str = "_sqlx_migrations";

/// A table that an application keeps locked must not hold up its other statements behind ours.
const PREPARE: &str = "set lock_timeout = '5s'";

/// Which tables exist: sqlx's record, and the one that `ops setup xata` wrote before.
const TABLES: &str = "select to_regclass('_sqlx_migrations') is not null, \
                      to_regclass('per_user_db.schema_files') is not null";

/// Roles that can log in, besides those of every branch.
const EXTRA_ROLES: &str = "select rolname::text from pg_catalog.pg_roles \
     where rolcanlogin and not rolsuper and rolname !~ '^(xata|cnpg_|pg_|postgres$|streaming_replica$)' \
     order by 1";

/// How long another run may hold the lock.
const LOCK_TIMEOUT: Duration = Duration::from_mins(1);
const LOCK_PAUSE: Duration = Duration::from_millis(500);

/// A database that can be migrated.
pub(crate) struct Database {
    connection: PgConnection,
}

/// The version before and after; 0 is none.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Change {
    pub(crate) from: i64,
    pub(crate) to: i64,
}

/// What a database has of a directory.
#[derive(Debug, Default)]
struct State {
    /// With their checksums, the lowest version first.
    versions: Vec<(i64, Vec<u8>)>,
    /// The hashes of the files that `ops setup xata` recorded before it used sqlx's table.
    earlier: Vec<String>,
    has_table: bool,
}

impl Database {
    pub(crate) async fn new(mut connection: PgConnection) -> Result<Self, Failure> {
        connection.execute(PREPARE).await?;
        Ok(Self { connection })
    }

    /// Ends the connection, so that the database can sleep.
    pub(crate) async fn close(self) {
        let _already_closed = self.connection.close().await;
    }

    /// The number of files that are applied; the files after them are missing.
    ///
    /// # Errors
    /// When the database has something that the directory has not, or has it otherwise.
    pub(crate) async fn n_applied(&mut self, directory: &Directory) -> Result<usize, Failure> {
        self.state().await?.n_applied(directory)
    }

    /// The roles besides the default one that can log in.
    pub(crate) async fn extra_roles(&mut self) -> Result<Vec<String>, Failure> {
        self.texts(EXTRA_ROLES).await
    }

    async fn texts(&mut self, query: &'static str) -> Result<Vec<String>, Failure> {
        let rows = self.connection.fetch_all(query).await?;
        Ok(rows.iter().map(|row| row.try_get(0)).collect::<Result<_, _>>()?)
    }

    /// Applies the files that the database misses, and tells the index of each one before it.
    pub(crate) async fn migrate(
        &mut self,
        directory: &Directory,
        mut tell: impl FnMut(usize),
    ) -> Result<Change, Failure> {
        let state = self.state().await?;
        let n_applied = state.n_applied(directory)?;
        let (from, to) = (directory.version_of(n_applied), directory.newest());
        if n_applied == directory.files.len() && state.has_table {
            return Ok(Change { from, to });
        }
        self.lock().await?;
        let result = self.migrate_locked(directory, &mut tell).await;
        // A connection that ended has no lock any more.
        let _unlocked = self.connection.execute("select pg_advisory_unlock_all()").await;
        result.map(|()| Change { from, to })
    }

    async fn migrate_locked(
        &mut self,
        directory: &Directory,
        tell: &mut impl FnMut(usize),
    ) -> Result<(), Failure> {
        // Another run may have been here before the lock.
        let state = self.state().await?;
        let n_applied = state.n_applied(directory)?;
        let mut transaction = self.connection.begin().await?;
        transaction.ensure_migrations_table(TABLE).await.map_err(from_sqlx)?;
        for file in state.adopted(directory)? {
            transaction.skip(TABLE, &file.migration).await.map_err(from_sqlx)?;
        }
        transaction.commit().await?;
        for (index, file) in directory.files.iter().enumerate().skip(n_applied) {
            tell(index);
            if file.migration.no_tx {
                self.apply_without_transaction(file).await?;
            } else {
                self.apply(file).await?;
            }
        }
        Ok(())
    }

    /// Applies a file and records it, in one transaction.
    async fn apply(&mut self, file: &File) -> Result<(), Failure> {
        let mut transaction = self.connection.begin().await?;
        execute(&mut transaction, file).await?;
        // A file of pg_dump takes the schema of sqlx's table out of the path.
        transaction.execute("reset search_path").await?;
        transaction.skip(TABLE, &file.migration).await.map_err(from_sqlx)?;
        transaction
            .commit()
            .await
            .map_err(|error| Failure::from(error).after(&format!("{}, at its commit", file.name)))
    }

    async fn apply_without_transaction(&mut self, file: &File) -> Result<(), Failure> {
        self.check_indexes(file).await?;
        let executed = execute(&mut self.connection, file).await;
        if let Err(failure) = executed {
            // The statement goes on without the connection, or has left an index that is not valid.
            return Err(match self.check_indexes(file).await {
                Err(invalid) if invalid.code == "invalid_index" => failure.after(&invalid.message),
                Err(_) => failure.unclear(),
                Ok(()) => failure,
            });
        }
        let recorded = self.connection.skip(TABLE, &file.migration).await;
        recorded.map_err(|error| from_sqlx(error).unclear())
    }

    /// Refuses a database with an index that a broken `create index concurrently` left behind:
    /// `if not exists` would take it for the index.
    async fn check_indexes(&mut self, file: &File) -> Result<(), Failure> {
        let query =
            "select indexrelid::regclass::text from pg_index where not indisvalid order by 1";
        let names = self.texts(query).await?.join(", ");
        if names.is_empty() {
            return Ok(());
        }
        let message = format!(
            "an earlier attempt left an index that is not valid: {names}; drop it (`drop index \
             concurrently`), and run this again for {}",
            file.name
        );
        Err(Failure::permanent("invalid_index", message))
    }

    /// Takes the lock that the sqlx command line takes, without waiting inside PostgreSQL: a
    /// transaction that waits there and `create index concurrently` wait for each other.
    async fn lock(&mut self) -> Result<(), Failure> {
        let name: String =
            self.connection.fetch_one("select current_database()").await?.try_get(0)?;
        let query = format!("select pg_try_advisory_lock({})", lock_id(&name));
        let deadline = Instant::now() + LOCK_TIMEOUT;
        loop {
            let row = self.connection.fetch_one(AssertSqlSafe(query.clone())).await?;
            if row.try_get(0)? {
                return Ok(());
            }
            if Instant::now() > deadline {
                let message = "another run migrates this database: wait until it has ended";
                return Err(Failure::transient("locked", message));
            }
            sleep(LOCK_PAUSE).await;
        }
    }

    async fn state(&mut self) -> Result<State, Failure> {
        let row = self.connection.fetch_one(TABLES).await?;
        let (has_table, has_earlier): (bool, bool) = (row.try_get(0)?, row.try_get(1)?);
        let mut state = State { has_table, ..State::default() };
        if has_table {
            let query = "select version, checksum, success from _sqlx_migrations order by version";
            for row in self.connection.fetch_all(query).await? {
                let version: i64 = row.try_get(0)?;
                if !row.try_get::<bool, _>(2)? {
                    let message = format!(
                        "version {version} is recorded as half applied: mend the database by hand, \
                         then delete the record from _sqlx_migrations"
                    );
                    return Err(Failure::permanent("half_applied", message));
                }
                state.versions.push((version, row.try_get(1)?));
            }
        }
        if has_earlier && state.versions.is_empty() {
            let query = "select sha256 from per_user_db.schema_files order by name";
            state.earlier = self.texts(query).await?;
        }
        Ok(state)
    }
}

impl State {
    fn n_applied(&self, directory: &Directory) -> Result<usize, Failure> {
        for (version, checksum) in &self.versions {
            let file = directory.files.iter().find(|file| file.migration.version == *version);
            match file {
                None => {
                    let message = format!(
                        "version {version} was applied, and is not in the directory: put its file \
                         back, because another database would not get it"
                    );
                    return Err(Failure::permanent("missing_file", message));
                }
                Some(file) if *file.migration.checksum != **checksum => {
                    let message = format!(
                        "{} was changed after it was applied: undo that, line ends included, and \
                         write the change as a new file with a higher version",
                        file.name
                    );
                    return Err(Failure::permanent("changed_file", message));
                }
                Some(_) => {}
            }
        }
        let n_applied = self.versions.len().max(self.adopted(directory)?.len());
        if let Some((newest, _)) = self.versions.last()
            && let Some(file) = directory.files[..n_applied].iter().find(|file| {
                !self.versions.iter().any(|(version, _)| *version == file.migration.version)
            })
        {
            let message = format!(
                "{} is new, and its version is lower than {newest}, which was applied already: give \
                 it a higher one",
                file.name
            );
            return Err(Failure::permanent("late_file", message));
        }
        Ok(n_applied)
    }

    /// The files that an earlier version of `ops setup xata` applied, found by their contents.
    fn adopted<'a>(&self, directory: &'a Directory) -> Result<&'a [File], Failure> {
        let Some(files) = directory.files.get(..self.earlier.len()) else {
            let message =
                "the database has more files than the directory: put the missing ones back";
            return Err(Failure::permanent("missing_file", message));
        };
        let changed =
            files.iter().zip(&self.earlier).find(|(file, sha256)| file.sha256 != **sha256);
        match changed {
            None => Ok(files),
            Some((file, _)) => {
                let message = format!(
                    "{} is not the file that an earlier version of `cargo ops setup xata` applied in \
                     its place: keep the contents and the order of those files, and put only a \
                     version before their names",
                    file.name
                );
                Err(Failure::permanent("changed_file", message))
            }
        }
    }
}

/// Executes the statements of a file. A failure names the one that PostgreSQL refuses.
async fn execute(connection: &mut PgConnection, file: &File) -> Result<(), Failure> {
    let mut n_done = 0;
    let mut results = connection.execute_many(file.migration.sql.clone());
    while let Some(result) = results.next().await {
        let Err(error) = result else {
            n_done += 1;
            continue;
        };
        let name = &file.name;
        let Some(refusal) = postgres_error(&error) else {
            return Err(Failure::from(error).after(name));
        };
        let sql = file.migration.sql.as_str();
        let line = match refusal.position() {
            Some(PgErrorPosition::Original(position)) => {
                let before = sql.chars().take(position.saturating_sub(1));
                Some(1 + before.filter(|it| *it == '\n').count())
            }
            _ => file.line_of(n_done),
        };
        // PostgreSQL reads the whole file before the first statement.
        let number = match line {
            Some(line) => file.statements.partition_point(|it| it.line <= line).max(n_done + 1),
            None => n_done + 1,
        };
        let line = line.map(|line| format!(", line {line}")).unwrap_or_default();
        return Err(Failure::from(refusal).after(&format!("{name}, statement {number}{line}")));
    }
    Ok(())
}

fn from_sqlx(error: sqlx::migrate::MigrateError) -> Failure {
    match error {
        sqlx::migrate::MigrateError::Execute(error) => Failure::from(error),
        error => Failure::permanent("sqlx", error.to_string()),
    }
}

/// The key of sqlx's advisory lock (`generate_lock_id` in sqlx-postgres 0.9).
fn lock_id(database: &str) -> i64 {
    0x3d32_ad9e
        * i64::from(crc::Crc::<u32>::new(&crc::CRC_32_ISO_HDLC).checksum(database.as_bytes()))
}
