use std::time::UNIX_EPOCH;

use cli::output::{self, Status};
use per_user_db::clerk::UserId;
use per_user_db::settings::OnUserDeleted;
use serde::Serialize;

use crate::context::Context;
use crate::directory::{Entry, METADATA_LIMIT_BYTES, UserLookup};
use crate::fleet::{Branch, ParkedDatabase, UnreadableProject, UserDatabases, rfc3339};
use crate::organization::BranchState;

/// Show one user's state at Clerk and in Xata, and whether the two agree
///
/// Asks Clerk whether the user exists, looks for the user's database in every project, and says what
/// to do where something is wrong. It changes nothing, and shows no e-mail address, name or secret.
///
/// The settings are those of the function, from the environment or `.env`. Exit codes: 0 nothing is
/// wrong, 1 something could not be asked, 2 wrong usage, 3 something is wrong.
#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// The user's id at Clerk, user_…
    #[arg(value_parser = |text: &str| UserId::try_from(text))]
    user: UserId,
    /// Print one JSON document instead of the table
    #[arg(long)]
    json: bool,
}

/// The state of one user.
#[derive(Serialize)]
struct Report {
    user_id: String,
    /// When the id was created, if it tells.
    made_at: Option<String>,
    clerk: UserLookup,
    home_project: String,
    databases: Vec<Database>,
    entry: Option<EntryComparison>,
    parked: Vec<ParkedDatabase>,
    unread: Vec<UnreadableProject>,
    findings: Vec<Finding>,
}

/// A database that has the user's name.
#[derive(Serialize)]
struct Database {
    #[serde(flatten)]
    branch: Branch,
    is_home: bool,
    state: Option<BranchState>,
    #[serde(skip_serializing_if = "Option::is_none")]
    problem: Option<String>,
}

/// The directory entry at Clerk, compared with the database.
#[derive(Serialize)]
struct EntryComparison {
    verdict: Verdict,
    #[serde(flatten)]
    entry: Option<Entry>,
    differences: Vec<String>,
}

#[derive(Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
enum Verdict {
    #[serde(rename = "as_it_should_be")]
    Matches,
    Missing,
    Differs,
    /// A project that could not be read may hold the database.
    NotCompared,
}

/// A problem that the operator should act on.
#[derive(Serialize)]
struct Finding {
    what: &'static str,
    mend: String,
}

pub(crate) async fn run(arguments: Arguments) -> anyhow::Result<std::process::ExitCode> {
    let context = Context::read()?;
    let spinner = output::spinner("asking Clerk and Xata");
    let report = Report::new(&context, &arguments.user).await;
    spinner.finish_and_clear();
    output::report(&report, arguments.json)
}

impl Report {
    async fn new(context: &Context, user_id: &UserId) -> Self {
        let clerk = context.look_up(user_id).await;
        let UserDatabases { home, databases: branches, parked, unreadable } =
            context.fleet.databases_of(user_id).await;
        let mut databases = Vec::new();
        for branch in branches {
            let (state, problem) = match context.fleet.describe(&branch).await {
                Ok(described) => (Some(described.state()), None),
                Err(error) => (None, Some(error.to_string())),
            };
            databases.push(Database { is_home: branch.project == home, branch, state, problem });
        }
        let mut report = Self {
            user_id: user_id.to_string(),
            made_at: user_id.created_at().and_then(|created_at| {
                rfc3339(created_at.duration_since(UNIX_EPOCH).ok()?.as_secs())
            }),
            clerk,
            home_project: home,
            databases,
            entry: None,
            parked,
            unread: unreadable,
            findings: Vec::new(),
        };
        report.entry = report.compare();
        report.findings = report.find(context.on_user_deleted);
        report
    }

    /// Compares the entry with the database; with several, with the one that it is nearest to.
    fn compare(&self) -> Option<EntryComparison> {
        let UserLookup::Found { entry, .. } = &self.clerk else { return None };
        let Some(entry) = entry else {
            let (verdict, differences) = (Verdict::Missing, Vec::new());
            return Some(EntryComparison { verdict, entry: None, differences });
        };
        let differences = self.databases.iter().map(|it| entry.differences(&it.branch));
        let nearest = differences.min_by_key(Vec::len);
        let verdict = match &nearest {
            Some(differences) if differences.is_empty() => Verdict::Matches,
            _ if !self.unread.is_empty() => Verdict::NotCompared,
            _ => Verdict::Differs,
        };
        let differences = nearest.unwrap_or_else(|| vec!["the user has no database".to_owned()]);
        Some(EntryComparison { verdict, entry: Some(entry.clone()), differences })
    }

    /// What the operator should act on. What could not be asked leads to no finding.
    fn find(&self, on_user_deleted: OnUserDeleted) -> Vec<Finding> {
        let mut findings = Vec::new();
        let mut found = |what, mend: String| findings.push(Finding { what, mend });
        let user = &self.user_id;
        let is_gone = matches!(self.clerk, UserLookup::NotFound { .. });
        let is_all_read = self.unread.is_empty();
        let replay = "replay the user.created event in Hookdeck";
        if self.databases.is_empty() && is_all_read && !is_gone {
            let is_found = matches!(self.clerk, UserLookup::Found { .. });
            let if_here = if is_found { "" } else { "if the user still exists, " };
            if self.parked.is_empty() {
                found("no database", format!("{if_here}{replay}"));
            } else {
                let unpark = format!("give it back with `cargo ops unpark {user}`");
                let mend = format!("{if_here}{unpark}; a replay would make a new, empty one");
                found("no database, but a parked copy", mend);
            }
        }
        if !self.databases.is_empty() && is_gone {
            let replay = "replay the user.deleted event in Hookdeck".to_owned();
            let mend = match on_user_deleted {
                OnUserDeleted::Retain => format!(
                    "nothing, if it is to be kept: ON_USER_DELETED is retain here; with park or \
                     delete, {replay}"
                ),
                OnUserDeleted::Park | OnUserDeleted::Delete => replay,
            };
            found("user gone at Clerk, database still there", mend);
        }
        if self.databases.len() > 1 {
            let mend = format!(
                "find out which one the application uses, and rename the others in Xata to \
                 parked/{user}/ and the seconds since 1970; then {replay}"
            );
            found("several databases", mend);
        }
        if !self.databases.is_empty() && !self.parked.is_empty() && !is_gone {
            let mend = format!(
                "if the user's data is in the copy, rename the database in Xata, and then \
                 `cargo ops unpark {user}`"
            );
            found("a parked copy beside the database", mend);
        }
        if self.databases.iter().any(|it| it.state == Some(BranchState::Fault)) {
            found("database at fault", "see it in Xata; it may recover".to_owned());
        }
        if self.databases.len() == 1 && is_all_read {
            let mend = match self.clerk.full_metadata_bytes() {
                Some(bytes) => format!(
                    "make room in the user's metadata at Clerk, which has {bytes} bytes of \
                     {METADATA_LIMIT_BYTES}; then {replay}"
                ),
                None => replay.to_owned(),
            };
            match self.entry.as_ref().map(|entry| entry.verdict) {
                Some(Verdict::Missing) => found("entry missing at Clerk", mend),
                Some(Verdict::Differs) => found("entry at Clerk differs", mend),
                Some(Verdict::Matches | Verdict::NotCompared) | None => {}
            }
        }
        findings
    }

    fn is_complete(&self) -> bool {
        self.unread.is_empty()
            && !matches!(self.clerk, UserLookup::Failed { .. })
            && self.databases.iter().all(|database| database.problem.is_none())
    }
}

impl output::Report for Report {
    fn text(&self) -> Vec<String> {
        let mut text = vec![self.table().to_string()];
        text.extend(self.findings.iter().map(|Finding { what, mend }| format!("{what}: {mend}")));
        if self.findings.is_empty() && self.is_complete() {
            text.push("Nothing to do.".to_owned());
        }
        text
    }

    fn status(&self) -> Status {
        if !self.is_complete() {
            let message = "not everything could be asked; the report says what, and why";
            return Status::Failure(message.to_owned());
        }
        Status::drift_if(!self.findings.is_empty())
    }
}

impl Report {
    fn table(&self) -> comfy_table::Table {
        let mut table = output::table();
        let none = if self.unread.is_empty() { "none" } else { "none seen" };
        table.add_row(["user", &self.user_id]);
        table.add_row(["id made", self.made_at.as_deref().unwrap_or("–")]);
        table.add_row(["at Clerk", &self.clerk.words()]);
        table.add_row(["home project", &self.home_project]);
        for UnreadableProject { project, problem } in &self.unread {
            table.add_row(["not read", &format!("{project}: {problem}")]);
        }
        if self.databases.is_empty() {
            table.add_row(["database", none]);
        }
        for Database { branch, is_home, state, problem } in &self.databases {
            let elsewhere = if *is_home { "" } else { ", which is not the home project" };
            let state = state.map(|state| state.words().to_owned());
            let problem = problem.as_ref().map(|problem| format!("unknown: {problem}"));
            table.add_row(["database", &branch.id]);
            table.add_row(["  project", &format!("{}{elsewhere}", branch.project)]);
            table.add_row(["  region", &branch.region]);
            table.add_row(["  created", branch.created_at.as_deref().unwrap_or("–")]);
            table.add_row(["  state", &state.or(problem).unwrap_or_default()]);
        }
        let verdict = self.entry.as_ref().map(|it| match it.verdict {
            Verdict::Matches => "matches the database".to_owned(),
            Verdict::Missing => "missing".to_owned(),
            Verdict::Differs => format!("differs: {}", it.differences.join("; ")),
            Verdict::NotCompared => "not compared: not every project was read".to_owned(),
        });
        table.add_row(["entry at Clerk", verdict.as_deref().unwrap_or("–")]);
        if let Some(entry) = self.entry.as_ref().and_then(|it| it.entry.as_ref()) {
            table.add_row(["  region", entry.region.as_deref().unwrap_or("–")]);
        }
        if self.parked.is_empty() {
            table.add_row(["parked", none]);
        }
        for parked in &self.parked {
            table.add_row(["parked", &parked.branch.id]);
            table.add_row(["  project", &parked.branch.project]);
            table.add_row(["  region", &parked.branch.region]);
            table.add_row(["  since", &parked.since_words()]);
        }
        table
    }
}
