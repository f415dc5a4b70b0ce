use std::io::Write;
use std::process::ExitCode;

use anyhow::bail;
use comfy_table::{Table, presets};
use per_user_db::clerk::UserId;
use serde::Serialize;
use serde_json::json;

use crate::directory::{Known, Told};
use crate::fleet::{Branch, Changed, Holdings, Parked, Unread};
use crate::live::{self, Live};
use crate::service::Problem;
use cli::output::DRIFT;

/// Give a user their parked database back: its name, and its place at Clerk
///
/// Undoes what `ON_USER_DELETED=park` did. The newest parked copy is renamed to the user's id and
/// woken, and where Clerk is configured and knows the user, the entry that tells an application
/// where the database is gets written. It refuses while a database of that name is there. Run again,
/// it does nothing.
///
/// The settings are those of the function, from the environment or `.env`. Exit codes: 0 done, 1
/// failed, 2 wrong usage, 3 a dry run found a copy to give back.
#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// The user's id at Clerk, user_…
    #[arg(value_parser = live::user_id)]
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

/// What is planned, and what came of it.
#[derive(Serialize)]
struct Report {
    user_id: String,
    dry_run: bool,
    /// The copy to give back.
    copy: Option<Parked>,
    other_copies: Vec<Parked>,
    /// Databases that carry the user's name already.
    databases: Vec<Branch>,
    /// Asked only where there is something to do.
    clerk: Option<Known>,
    outcome: Outcome,
    message: String,
}

#[derive(Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
enum Outcome {
    /// It could be done.
    Planned,
    /// It is done.
    Unparked,
    /// The database is back, and the entry is not written.
    UnparkedWithoutEntry,
    /// There is nothing to do.
    NothingParked,
    /// Nothing was done.
    Refused,
    /// Nobody knows whether it was done.
    Unclear,
}

pub(crate) async fn run(arguments: Arguments) -> anyhow::Result<ExitCode> {
    let live = Live::read()?;
    let mut report = plan(&live, &arguments).await;
    if report.outcome == Outcome::Planned && !arguments.dry_run {
        report.carry_out(&live, &arguments.user).await;
    }
    let is_failure = matches!(
        report.outcome,
        Outcome::UnparkedWithoutEntry | Outcome::Refused | Outcome::Unclear
    );
    report.print(arguments.json, is_failure)?;
    if is_failure {
        bail!("{}", report.message);
    }
    let is_drift = report.outcome == Outcome::Planned;
    Ok(if is_drift { ExitCode::from(DRIFT) } else { ExitCode::SUCCESS })
}

/// Finds the copy, and whatever is in the way.
async fn plan(live: &Live, arguments: &Arguments) -> Report {
    let Arguments { user, since, dry_run, .. } = arguments;
    let Holdings { databases, mut parked, unread, .. } = live.fleet.holdings(user).await;
    let seconds: Vec<_> = parked.iter().map(|copy| copy.since.to_string()).collect();
    let places: Vec<_> = databases.iter().map(Branch::place).collect();
    let (seconds, places) = (seconds.join(", "), places.join(" and "));
    let copy = match since {
        Some(since) => parked.iter().position(|copy| copy.since == *since),
        None => (!parked.is_empty()).then_some(0), // the newest comes first
    };
    let copy = copy.map(|position| parked.remove(position));
    let (outcome, message) = if let Some(Unread { project, problem }) = unread.first() {
        (Outcome::Refused, format!("nothing was done: {project} could not be read: {problem}"))
    } else if !databases.is_empty() && seconds.is_empty() {
        let message = format!("Nothing is parked, and the database is there: {places}.");
        (Outcome::NothingParked, message)
    } else if !databases.is_empty() {
        let message = format!(
            "nothing was done: the name {user} is taken, by {places}. To go on, see what is in it; \
             rename it in Xata to parked/{user}/ and the seconds since 1970, or delete it if nobody \
             needs it; then run this again, with --since and the copy that you want: {seconds}"
        );
        (Outcome::Refused, message)
    } else if seconds.is_empty() {
        let message = format!(
            "nothing is parked for {user}, and there is no database: a replay of the user.created \
             event in Hookdeck makes a new, empty one"
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
        Outcome::Planned => Some(live.known(user).await),
        _ => None,
    };
    Report {
        user_id: user.to_string(),
        dry_run: *dry_run,
        copy,
        other_copies: parked,
        databases,
        clerk,
        outcome,
        message,
    }
}

impl Report {
    async fn carry_out(&mut self, live: &Live, user: &UserId) {
        let Some(Parked { branch, .. }) = &self.copy else { return };
        let name = user.to_string();
        let change = json!({ "name": name, "hibernate": false });
        let changed = match live.fleet.change(branch, &change).await {
            // Perhaps it was done: what it is called now tells.
            Changed::Unclear(problem) => match live.fleet.describe(branch).await {
                Ok((now, _)) if now == name => Changed::Done,
                Ok(_) => Changed::Refused(problem),
                Err(again) => Changed::Unclear(Problem(format!("{problem}; {again}"))),
            },
            certain => certain,
        };
        let database = Branch { name, ..branch.clone() };
        (self.outcome, self.message) = match changed {
            Changed::Done => self.tell(live, user, &database).await,
            Changed::Refused(problem) => {
                let message =
                    format!("nothing was done: {problem}. Run this again: it looks first");
                (Outcome::Refused, message)
            }
            Changed::Unclear(problem) => {
                let message = format!(
                    "nobody knows whether it was done: {problem}. Run this again: it looks first"
                );
                (Outcome::Unclear, message)
            }
        };
    }

    /// Writes the entry, and says how the whole of it ended.
    async fn tell(&self, live: &Live, user: &UserId, database: &Branch) -> (Outcome, String) {
        let place = database.place();
        let told = match (&self.clerk, &live.directory) {
            (Some(Known::Here { .. }), Some(directory)) => directory.tell(user, database).await,
            (Some(Known::Gone { .. }), _) => Told::Gone,
            (Some(Known::Unknown { problem }), _) => Told::Failed(problem.clone()),
            _ => {
                let message = format!(
                    "The database is back: {place}. No entry was written at Clerk: \
                     CLERK_SECRET_KEY is not set."
                );
                return (Outcome::Unparked, message);
            }
        };
        match told {
            Told::Written => {
                let message = format!("The database is back: {place}. The entry at Clerk says so.");
                (Outcome::Unparked, message)
            }
            Told::Gone => {
                let message = format!(
                    "The database is back: {place}. But Clerk says that the user is gone: there is \
                     no entry to write, and a user.deleted that comes again takes it away again."
                );
                (Outcome::Unparked, message)
            }
            Told::Failed(problem) => {
                let message = format!(
                    "the database is back, {place}, but its entry at Clerk could not be written: \
                     {problem}. Then replay the user.created event in Hookdeck, which writes it"
                );
                (Outcome::UnparkedWithoutEntry, message)
            }
        }
    }

    fn print(&self, as_json: bool, is_failure: bool) -> anyhow::Result<()> {
        let mut out = std::io::stdout();
        if as_json {
            writeln!(out, "{}", serde_json::to_string_pretty(self)?)?;
            return Ok(());
        }
        if let (Some(copy), Some(clerk)) = (&self.copy, &self.clerk) {
            writeln!(out, "{}", self.table(copy, clerk))?;
        }
        if !is_failure {
            writeln!(out, "{}", self.message)?;
        }
        Ok(())
    }

    fn table(&self, Parked { branch, since, since_date }: &Parked, clerk: &Known) -> Table {
        let entry = match clerk {
            Known::Here { .. } => "is written",
            Known::NotAsked | Known::Unknown { .. } | Known::Gone { .. } => "is not written",
        };
        let mut table = Table::new();
        table.load_style(presets::UTF8_BORDERS_ONLY);
        table.add_row(["user", &self.user_id]);
        table.add_row(["parked copy", &branch.id]);
        table.add_row(["  project", &branch.project]);
        table.add_row(["  region", &branch.region]);
        table.add_row(["  since", &format!("{} ({since})", since_date.as_deref().unwrap_or("–"))]);
        let others: Vec<_> = self.other_copies.iter().map(|it| it.since.to_string()).collect();
        if !others.is_empty() {
            table.add_row(["other copies", &format!("since {}", others.join(", "))]);
        }
        table.add_row(["at Clerk", &clerk.words()]);
        table.add_row(["is renamed", &format!("{} → {}", branch.name, self.user_id)]);
        table.add_row(["is woken", "yes"]);
        table.add_row(["entry at Clerk", entry]);
        table
    }
}
