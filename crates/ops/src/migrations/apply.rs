use std::time::Duration;

use futures_util::StreamExt;
use sqlx::migrate::{Migrate, Migration};
use sqlx::postgres::{PgConnection, PgErrorPosition};
use sqlx::{AssertSqlSafe, Connection, Executor, Row};
use tokio::time::{Instant, sleep};

use super::directory::{Directory, File, hex};
use crate::failure::{Failure, postgres_error};

const TABLE: &str = "_sqlx_migrations";

/// Which database it is, and which tables exist: sqlx's record, and the one that `ops setup xata` wrote
/// before. A table that an application keeps locked must not hold up its other statements behind ours.
const LOOK: &str = "set lock_timeout = '5s'; \
                    select current_database(), to_regclass('_sqlx_migrations') is not null, \
                    to_regclass('per_user_db.schema_files') is not null";

/// Roles that can log in, besides those of every branch.
const EXTRA_ROLES: &str = "select rolname::text from pg_catalog.pg_roles \
     where rolcanlogin and not rolsuper and rolname !~ '^(xata|cnpg_|pg_|postgres$|streaming_replica$)' \
     order by 1";

/// How long another run may hold the lock.
const LOCK_TIMEOUT: Duration = Duration::from_mins(1);
const LOCK_PAUSE: Duration = Duration::from_millis(500);

/// A database that can be migrated. Each exchange with it costs a round trip, so what belongs together is
/// sent together: several statements in one message, and no prepared ones.
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
    /// The name of the database.
    name: String,
}

impl Database {
    pub(crate) fn new(connection: PgConnection) -> Self {
        Self { connection }
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
        if state.versions.len() == directory.files.len() {
            return Ok(Change { from, to });
        }
        self.lock(&state.name).await?;
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
        if !state.has_table {
            self.connection.ensure_migrations_table(TABLE).await.map_err(from_sqlx)?;
        }
        let records: Vec<_> = state.adopted(directory)?.iter().map(record).collect();
        if !records.is_empty() {
            self.connection.execute(AssertSqlSafe(records.join("; "))).await?;
        }
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
        self.connection.execute("BEGIN").await?;
        let applied = match execute(&mut self.connection, file).await {
            Ok(()) => self.record_and_commit(file).await,
            Err(failure) => Err(failure),
        };
        if applied.is_err() {
            // A connection that ended has no transaction any more.
            let _rolled_back = self.connection.execute("ROLLBACK").await;
        }
        applied
    }

    async fn record_and_commit(&mut self, file: &File) -> Result<(), Failure> {
        // A file of pg_dump takes the schema of sqlx's table out of the path.
        let end = format!("reset search_path; {}; COMMIT", record(file));
        let ended = self.connection.execute(AssertSqlSafe(end)).await;
        ended
            .map(drop)
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
        let recorded = self.connection.execute(AssertSqlSafe(record(file))).await;
        recorded.map(drop).map_err(|error| Failure::from(error).unclear())
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
    async fn lock(&mut self, database: &str) -> Result<(), Failure> {
        let query = format!("select pg_try_advisory_lock({})", lock_id(database));
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
        let row = self.connection.fetch_one(LOOK).await?;
        let (has_table, has_earlier): (bool, bool) = (row.try_get(1)?, row.try_get(2)?);
        let mut state = State { has_table, name: row.try_get(0)?, ..State::default() };
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

/// The statement that records a file as sqlx does (`skip` in sqlx-postgres 0.9), without its parameters.
fn record(file: &File) -> String {
    let Migration { version, description, checksum, .. } = &file.migration;
    let (description, checksum) = (hex(description.as_bytes()), hex(checksum));
    format!(
        "insert into {TABLE} (version, description, success, checksum, execution_time) values \
         ({version}, convert_from(decode('{description}', 'hex'), 'UTF8'), true, \
         decode('{checksum}', 'hex'), -1)"
    )
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
