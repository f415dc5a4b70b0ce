use std::process::ExitCode;

use cli::output::{self, Status};
use per_user_db::clerk::{UserId, UserStatus};
use serde::Serialize;

use crate::context::Context;
use crate::directory::UserLookup;
use crate::fleet::{Branch, ParkedDatabase, RenameError, UnreadableProject, UserDatabases};

/// Give a user their parked database back: its name, and its entry at Clerk
///
/// Undoes what `ON_USER_DELETED=park` did. The newest parked copy is renamed to the user's id and
/// woken. Where Clerk is configured and knows the user, the entry that tells an application where the
/// database is gets written. The command refuses while another database has that name. Run again, it
/// does nothing.
///
/// The settings are those of the function, from the environment or `.env`. Exit codes: 0 done, 1
/// failed, 2 wrong usage, 3 a dry run found a copy to give back.
#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// The user's id at Clerk, user_…
    #[arg(value_parser = |text: &str| UserId::try_from(text))]
    user: UserId,
    /// Take the copy that was parked at this second since 1970, not the newest; `ops user` shows them
    #[arg(long, value_name = "SECONDS")]
    since: Option<u64>,
    /// Show what would be done, and change nothing
    #[arg(long)]
    dry_run: bool,
    /// Print one JSON document instead of the table
    #[arg(long)]
    json: bool,
}

/// The plan and its result.
#[derive(Serialize)]
struct Report {
    user_id: String,
    dry_run: bool,
    /// The copy to give back.
    copy: Option<ParkedDatabase>,
    other_copies: Vec<ParkedDatabase>,
    /// Databases that have the user's name already.
    databases: Vec<Branch>,
    /// None where there is nothing to do.
    clerk: Option<UserLookup>,
    outcome: Outcome,
    message: String,
}

#[derive(Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
enum Outcome {
    Planned,
    Unparked,
    /// The database is back, and the entry is not written.
    UnparkedWithoutEntry,
    NothingParked,
    /// Nothing was changed.
    Refused,
    /// The change may have been applied.
    Unclear,
}

pub(crate) async fn run(arguments: Arguments) -> anyhow::Result<ExitCode> {
    let context = Context::read()?;
    let spinner = output::spinner("asking Xata and Clerk");
    let mut report = Report::plan(&context, &arguments).await;
    if report.outcome == Outcome::Planned && !arguments.dry_run {
        spinner.set_message("giving the database back");
        (report.outcome, report.message) = report.apply(&context, &arguments.user).await;
    }
    spinner.finish_and_clear();
    output::report(&report, arguments.json)
}

impl Report {
    /// Finds the copy, and what prevents giving it back.
    async fn plan(context: &Context, arguments: &Arguments) -> Self {
        let Arguments { user, since, dry_run, .. } = arguments;
        let UserDatabases { databases, mut parked, unreadable, .. } =
            context.fleet.databases_of(user).await;
        let seconds: Vec<_> = parked.iter().map(|copy| copy.since.to_string()).collect();
        let places: Vec<_> = databases.iter().map(Branch::place).collect();
        let (seconds, places) = (seconds.join(", "), places.join(" and "));
        let position = match since {
            Some(since) => parked.iter().position(|copy| copy.since == *since),
            None => (!parked.is_empty()).then_some(0), // the newest comes first
        };
        let copy = position.map(|position| parked.remove(position));
        let (outcome, message) = if let Some(UnreadableProject { project, problem }) =
            unreadable.first()
        {
            let message = format!("nothing was done: {project} could not be read: {problem}");
            (Outcome::Refused, message)
        } else if !databases.is_empty() && seconds.is_empty() {
            let message = format!("Nothing is parked, and the user has a database: {places}.");
            (Outcome::NothingParked, message)
        } else if !databases.is_empty() {
            let message = format!(
                "nothing was done: the name {user} is taken, by {places}. To go on, see what is in \
                 it; rename it in Xata to parked/{user}/ and the seconds since 1970, or delete it \
                 if it is not needed; then run this again, with --since and the copy that you want: \
                 {seconds}"
            );
            (Outcome::Refused, message)
        } else if seconds.is_empty() {
            let message = format!(
                "nothing is parked for {user}, and the user has no database: a replay of the \
                 user.created event in Hookdeck creates a new, empty one"
            );
            (Outcome::Refused, message)
        } else if copy.is_none() {
            let message =
                format!("nothing was done: no copy is parked since then, but since {seconds}");
            (Outcome::Refused, message)
        } else {
            (Outcome::Planned, "Nothing was changed: this is a dry run.".to_owned())
        };
        let clerk = match outcome {
            Outcome::Planned => Some(context.look_up(user).await),
            _ => None,
        };
        let (user_id, dry_run) = (user.to_string(), *dry_run);
        Self { user_id, dry_run, copy, other_copies: parked, databases, clerk, outcome, message }
    }

    async fn apply(&self, context: &Context, user: &UserId) -> (Outcome, String) {
        let Some(ParkedDatabase { branch, .. }) = &self.copy else {
            return (self.outcome, self.message.clone());
        };
        let (again, name) = ("Run this again: it looks first", user.to_string());
        match context.fleet.rename(branch, &name, true).await {
            Ok(()) => {}
            Err(error @ RenameError::Refused(_)) => {
                return (Outcome::Refused, format!("nothing was done: {error}. {again}"));
            }
            Err(error @ RenameError::Unclear(_)) => {
                return (Outcome::Unclear, format!("{error}. {again}"));
            }
        }
        self.write_entry(context, user, &Branch { name, ..branch.clone() }).await
    }

    /// Writes the entry, once the database is back.
    async fn write_entry(
        &self,
        context: &Context,
        user: &UserId,
        database: &Branch,
    ) -> (Outcome, String) {
        let place = database.place();
        let back =
            |rest: &str| (Outcome::Unparked, format!("The database is back: {place}. {rest}"));
        let result = match (&self.clerk, &context.directory) {
            (Some(UserLookup::Found { .. }), Some(directory)) => {
                directory.write_entry(user, database).await.map_err(|error| error.to_string())
            }
            (Some(UserLookup::NotFound { .. }), _) => Ok(UserStatus::Deleted),
            (Some(UserLookup::Failed { problem }), _) => Err(problem.clone()),
            _ => return back("No entry was written at Clerk: CLERK_SECRET_KEY is not set."),
        };
        match result {
            Ok(UserStatus::Exists(_)) => back("The entry at Clerk is written."),
            Ok(UserStatus::Deleted) => back(
                "But Clerk says that the user is gone: no entry was written, and a retried \
                 user.deleted removes the database again.",
            ),
            Err(problem) => {
                let message = format!(
                    "the database is back, {place}, but its entry at Clerk could not be written: \
                     {problem}. Then replay the user.created event in Hookdeck, which writes it"
                );
                (Outcome::UnparkedWithoutEntry, message)
            }
        }
    }
}

impl output::Report for Report {
    fn text(&self) -> Vec<String> {
        let mut text = Vec::new();
        if let (Some(copy), Some(clerk)) = (&self.copy, &self.clerk) {
            let is_written = matches!(clerk, UserLookup::Found { .. });
            let ParkedDatabase { branch, .. } = copy;
            let mut table = output::table();
            table.add_row(["user", &self.user_id]);
            table.add_row(["parked copy", &branch.id]);
            table.add_row(["  project", &branch.project]);
            table.add_row(["  region", &branch.region]);
            table.add_row(["  since", &copy.since_words()]);
            let others: Vec<_> = self.other_copies.iter().map(|it| it.since.to_string()).collect();
            if !others.is_empty() {
                table.add_row(["other copies", &format!("since {}", others.join(", "))]);
            }
            table.add_row(["at Clerk", &clerk.words()]);
            table.add_row(["is renamed", &format!("{} → {}", branch.name, self.user_id)]);
            table.add_row(["is woken", "yes"]);
            let entry = if is_written { "is written" } else { "is not written" };
            table.add_row(["entry at Clerk", entry]);
            text.push(table.to_string());
        }
        if !matches!(self.status(), Status::Failure(_)) {
            text.push(self.message.clone());
        }
        text
    }

    fn status(&self) -> Status {
        match self.outcome {
            Outcome::Planned => Status::Drift,
            Outcome::Unparked | Outcome::NothingParked => Status::Success,
            Outcome::UnparkedWithoutEntry | Outcome::Refused | Outcome::Unclear => {
                Status::Failure(self.message.clone())
            }
        }
    }
}
