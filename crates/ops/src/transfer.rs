use std::process::ExitCode;
use std::time::SystemTime;

use anyhow::{Context as _, Result, bail, ensure};
use cli::output::{self, Status};
use per_user_db::clerk::{UserId, UserStatus};
use per_user_db::provision::parked_name;
use serde::Serialize;
use sqlx::{AssertSqlSafe, Connection, Executor, Row};

use crate::context::Context;
use crate::directory::UserLookup;
use crate::failure::Failure;
use crate::fleet::{Branch, UnreadableProject, UserDatabases};
use crate::prompt;
use crate::reconcile::{MIN_AGE, region_asked_instead};

/// The tables of an application.
const TABLES: &str = "select format('%I.%I', nspname, relname) from pg_class \
     join pg_namespace on pg_namespace.oid = relnamespace \
     where relkind in ('r', 'p') and relname <> '_sqlx_migrations' and nspname <> 'per_user_db' \
     and nspname !~ '^(pg_|information_schema$|xata)' order by 1";

/// Hand a user's database to another user: someone who returns under a new id, or a merge of accounts
///
/// The database gets the name of TO, and its entry at Clerk; FROM loses both. Both users are looked at
/// first. TO must exist, and must have no database; an empty one, in which no table has a row, is parked
/// with --replace-empty. The same command with the users exchanged undoes it. Run again after an
/// interruption, it goes on.
///
/// The settings are those of the function, from the environment or `.env`. Exit codes: 0 done, 1
/// failed, 2 wrong usage, 3 a preview, and nothing was changed.
#[derive(clap::Args)]
#[expect(clippy::struct_excessive_bools, reason = "each is a flag of the command line")]
pub(crate) struct Arguments {
    /// The user who has the database, user_…
    #[arg(value_parser = |text: &str| UserId::try_from(text))]
    from: UserId,
    /// The user who gets it, user_…
    #[arg(value_parser = |text: &str| UserId::try_from(text))]
    to: UserId,
    /// Park the database of TO, if all of its tables are empty
    #[arg(long)]
    replace_empty: bool,
    /// Show what would be done, and change nothing
    #[arg(long)]
    dry_run: bool,
    /// Do not ask before the change
    #[arg(long)]
    yes: bool,
    /// Print one JSON document instead of text
    #[arg(long)]
    json: bool,
}

/// The plan and its result.
#[derive(Serialize)]
struct Report {
    from: String,
    to: String,
    database: Branch,
    /// The empty database of TO, which is parked.
    replaced: Option<Branch>,
    /// An earlier run has renamed the database, and was interrupted.
    is_renamed: bool,
    from_at_clerk: UserLookup,
    to_at_clerk: UserLookup,
    done: bool,
}

pub(crate) async fn run(arguments: Arguments) -> Result<ExitCode> {
    let Arguments { from, to, dry_run, yes, json, .. } = &arguments;
    ensure!(from != to, "both users are {from}");
    let context = Context::read()?;
    let spinner = output::spinner("asking Xata and Clerk");
    let plan = Report::plan(&context, &arguments).await;
    spinner.finish_and_clear();
    let mut report = plan?;
    if !*dry_run && (*yes || report.is_confirmed(*json)?) {
        report.apply(&context, from, to).await?;
    }
    output::report(&report, *json)
}

impl Report {
    async fn plan(context: &Context, arguments: &Arguments) -> Result<Self> {
        let Arguments { from, to, replace_empty, .. } = arguments;
        let (of_from, of_to) =
            (context.fleet.databases_of(from).await, context.fleet.databases_of(to).await);
        for databases in [&of_from, &of_to] {
            if let Some(UnreadableProject { project, problem }) = databases.unreadable.first() {
                bail!("nothing was changed: {project} could not be read: {problem}");
            }
        }
        let (from_at_clerk, to_at_clerk) = (context.look_up(from).await, context.look_up(to).await);
        match &to_at_clerk {
            UserLookup::Found { .. } | UserLookup::NotAsked => {}
            UserLookup::NotFound { .. } => bail!(
                "nothing was changed: Clerk does not know {to}, so the database would count as that of \
                 a user who is gone"
            ),
            failed @ UserLookup::Failed { .. } => bail!("nothing was changed: {}", failed.words()),
        }
        let age = to.created_at().and_then(|at| SystemTime::now().duration_since(at).ok());
        ensure!(
            age.is_none_or(|age| age >= MIN_AGE),
            "nothing was changed: {to} signed up less than {} minutes ago, and the function may still be \
             making a database; wait so long",
            MIN_AGE.as_secs() / 60
        );
        let UserDatabases { mut databases, parked, .. } = of_from;
        let is_renamed = databases.is_empty() && Self::is_renamed(&from_at_clerk, &of_to.databases);
        let mut taken = of_to.databases;
        let database = if is_renamed { taken.pop() } else { databases.pop() };
        let Some(database) = database else {
            let hint = if parked.is_empty() { "" } else { ", but a parked copy: unpark it first" };
            bail!("nothing was changed: {from} has no database{hint}");
        };
        ensure!(
            databases.is_empty(),
            "nothing was changed: {from} has several databases: see `cargo ops user {from}`"
        );
        if let UserLookup::Found { preferences, .. } = &to_at_clerk
            && let Some(wanted) = region_asked_instead(&context.policy, preferences, &database)
        {
            bail!(
                "nothing was changed: the metadata of {to} asks for the region {wanted:?}, and the \
                 database is in {}: correct db_region at Clerk, if that is right",
                database.region
            );
        }
        let replaced = taken.pop();
        ensure!(
            taken.is_empty(),
            "nothing was changed: {to} has several databases: see `cargo ops user {to}`"
        );
        if let Some(replaced) = &replaced {
            ensure!(
                *replace_empty,
                "nothing was changed: {to} has a database, {}: --replace-empty parks it if it is empty",
                replaced.place()
            );
            let full = tables_with_rows(context, replaced).await?;
            ensure!(
                full.is_empty(),
                "nothing was changed: the database of {to} is not empty: {} has rows",
                full.join(", ")
            );
        }
        let (from, to) = (from.to_string(), to.to_string());
        Ok(Self {
            from,
            to,
            database,
            replaced,
            is_renamed,
            from_at_clerk,
            to_at_clerk,
            done: false,
        })
    }

    /// Asks, where there is a terminal.
    fn is_confirmed(&self, as_json: bool) -> Result<bool> {
        if as_json || !prompt::is_possible() {
            return Ok(false);
        }
        output::Report::text(self)[..1].iter().try_for_each(output::line)?;
        prompt::confirm("Hand it over?")
    }

    /// Whether the entry of FROM still names the only database of TO: the rename is done, and the
    /// entries are not.
    fn is_renamed(from: &UserLookup, of_to: &[Branch]) -> bool {
        let UserLookup::Found { entry: Some(entry), .. } = from else { return false };
        matches!(of_to, [only] if entry.names(only))
    }

    async fn apply(&mut self, context: &Context, from: &UserId, to: &UserId) -> Result<()> {
        let again = "Run this again: it looks first";
        if let Some(replaced) = &self.replaced {
            let name = parked_name(to, SystemTime::now());
            let renamed = context.fleet.rename(replaced, &name, false).await;
            renamed
                .with_context(|| format!("the empty database of {to} was not parked. {again}"))?;
        }
        if !self.is_renamed {
            let renamed = context.fleet.rename(&self.database, to.as_str(), false).await;
            renamed.with_context(|| format!("the database was not handed over. {again}"))?;
            self.database.name = to.to_string();
        }
        let Some(directory) = &context.directory else {
            self.done = true;
            return Ok(());
        };
        // TO first: as long as FROM has an entry, another run can go on.
        let written = directory.write_entry(to, &self.database).await;
        match written {
            Ok(UserStatus::Exists(_)) => {}
            Ok(UserStatus::Deleted) => bail!(
                "the database is handed over, and Clerk says that {to} is gone meanwhile: hand it back \
                 with the users exchanged, or let user.deleted remove it"
            ),
            Err(error) => bail!(
                "the database is handed over, and the entry of {to} is not written: {error}. {again}"
            ),
        }
        if matches!(self.from_at_clerk, UserLookup::Found { entry: Some(_), .. }) {
            directory.clear_entry(from).await.map_err(|error| {
                anyhow::anyhow!("the database is handed over, and the entry of {from} is still there: {error}. {again}")
            })?;
        }
        self.done = true;
        Ok(())
    }
}

/// The tables of an application in a database that have a row.
async fn tables_with_rows(context: &Context, branch: &Branch) -> Result<Vec<String>> {
    let Branch { project, id, .. } = branch;
    let mut connection = context.fleet.organization.connect(project, id).await?;
    let mut full = Vec::new();
    let result: Result<(), sqlx::Error> = async {
        for row in connection.fetch_all(TABLES).await? {
            let table: String = row.try_get(0)?;
            let query = AssertSqlSafe(format!("select exists (select from {table})"));
            if connection.fetch_one(query).await?.try_get(0)? {
                full.push(table);
            }
        }
        Ok(())
    }
    .await;
    let _already_closed = connection.close().await;
    result.map_err(Failure::from)?;
    Ok(full)
}

impl output::Report for Report {
    fn text(&self) -> Vec<String> {
        let mut table = output::table();
        table.add_row(["database", &self.database.place()]);
        table.add_row(["  region", &self.database.region]);
        table.add_row(["from", &format!("{}, {}", self.from, self.from_at_clerk.words())]);
        table.add_row(["to", &format!("{}, {}", self.to, self.to_at_clerk.words())]);
        if let Some(replaced) = &self.replaced {
            table.add_row(["is parked", &format!("{}, which is empty", replaced.place())]);
        }
        if self.is_renamed {
            table.add_row(["is renamed", "already, by an earlier run"]);
        }
        let message = if self.done {
            "The database is handed over; the same command with the users exchanged undoes it. Where the first \
             user stays, `cargo ops backfill --user` with their id creates a new, empty one."
        } else {
            "Nothing was changed: --yes goes on without a question."
        };
        vec![table.to_string(), message.to_owned()]
    }

    fn status(&self) -> Status {
        Status::drift_if(!self.done)
    }
}
