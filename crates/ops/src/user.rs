use std::io::Write;
use std::process::ExitCode;
use std::time::SystemTime;

use anyhow::bail;
use comfy_table::{Table, presets};
use per_user_db::clerk::UserId;
use per_user_db::settings::OnUserDeleted;
use serde::Serialize;

use crate::directory::{Entry, Known};
use crate::fleet::{Branch, Holdings, Parked, Unread, moment};
use crate::live::{self, Live};
use crate::organization::State;
use crate::service::Problem;
use cli::output::DRIFT;

/// Show what is known of one user: at Clerk, in Xata, and whether the two agree
///
/// Asks Clerk whether the user is there, looks for their database in every project, and says what to
/// do where something is amiss. It changes nothing, and shows no e-mail address, name or secret.
///
/// The settings are those of the function, from the environment or `.env`. Exit codes: 0 all is
/// well, 1 something could not be asked, 2 wrong usage, 3 something is amiss.
#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// The user's id at Clerk, user_…
    #[arg(value_parser = live::user_id)]
    user: UserId,
    /// Print one JSON document instead of the table
    #[arg(long)]
    json: bool,
}

/// What is known of one user.
#[derive(Serialize)]
struct Report {
    user_id: String,
    /// When the id was made, if it tells.
    made_at: Option<String>,
    clerk: Known,
    home_project: String,
    databases: Vec<Database>,
    entry: Option<Compared>,
    parked: Vec<Parked>,
    /// Projects that could not be looked into.
    unread: Vec<Unread>,
    findings: Vec<Finding>,
}

/// A database that carries the user's name.
#[derive(Serialize)]
struct Database {
    #[serde(flatten)]
    branch: Branch,
    is_home: bool,
    state: Option<State>,
    #[serde(skip_serializing_if = "Option::is_none")]
    problem: Option<Problem>,
}

/// The entry at Clerk, beside the facts.
#[derive(Serialize)]
struct Compared {
    verdict: Verdict,
    #[serde(flatten)]
    says: Option<Entry>,
    differences: Vec<String>,
}

#[derive(Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
enum Verdict {
    AsItShouldBe,
    Missing,
    Differs,
    /// There may be a database that was not seen.
    NotCompared,
}

/// Something that a person should act on.
#[derive(Serialize)]
struct Finding {
    what: &'static str,
    mend: String,
}

pub(crate) async fn run(arguments: Arguments) -> anyhow::Result<ExitCode> {
    let live = Live::read()?;
    let report = Report::new(&live, &arguments.user).await;
    report.print(arguments.json)?;
    if !report.is_complete() {
        bail!("not everything could be asked; the report says what, and why");
    }
    Ok(if report.findings.is_empty() { ExitCode::SUCCESS } else { ExitCode::from(DRIFT) })
}

impl Report {
    async fn new(live: &Live, user_id: &UserId) -> Self {
        let clerk = live.known(user_id).await;
        let Holdings { home, databases: branches, parked, unread } =
            live.fleet.holdings(user_id).await;
        let mut databases = Vec::new();
        for branch in branches {
            let (state, problem) = match live.fleet.describe(&branch).await {
                Ok((_, state)) => (Some(state), None),
                Err(problem) => (None, Some(problem)),
            };
            databases.push(Database { is_home: branch.project == home, branch, state, problem });
        }
        let mut report = Self {
            user_id: user_id.to_string(),
            made_at: user_id.created_at().and_then(|created_at| {
                moment(created_at.duration_since(SystemTime::UNIX_EPOCH).ok()?.as_secs())
            }),
            clerk,
            home_project: home,
            databases,
            entry: None,
            parked,
            unread,
            findings: Vec::new(),
        };
        report.entry = report.compare();
        report.findings = report.find(live.on_user_deleted);
        report
    }

    /// Compares the entry with the database; with several, with the one that it is nearest to.
    fn compare(&self) -> Option<Compared> {
        let Known::Here { entry, .. } = &self.clerk else { return None };
        let Some(entry) = entry else {
            let (verdict, differences) = (Verdict::Missing, Vec::new());
            return Some(Compared { verdict, says: None, differences });
        };
        let differences = self.databases.iter().map(|it| entry.differences(&it.branch));
        let nearest = differences.min_by_key(Vec::len);
        let verdict = match &nearest {
            Some(differences) if differences.is_empty() => Verdict::AsItShouldBe,
            _ if !self.unread.is_empty() => Verdict::NotCompared,
            _ => Verdict::Differs,
        };
        let differences = nearest.unwrap_or_else(|| vec!["there is no database".to_owned()]);
        Some(Compared { verdict, says: Some(entry.clone()), differences })
    }

    /// What a person should act on. What could not be asked is none of it.
    fn find(&self, on_user_deleted: OnUserDeleted) -> Vec<Finding> {
        let mut findings = Vec::new();
        let mut found = |what, mend: String| findings.push(Finding { what, mend });
        let user = &self.user_id;
        let is_gone = matches!(self.clerk, Known::Gone { .. });
        let is_all_read = self.unread.is_empty();
        let replay = "replay the user.created event in Hookdeck";
        if self.databases.is_empty() && is_all_read && !is_gone {
            let is_known = matches!(self.clerk, Known::Here { .. });
            let if_here = if is_known { "" } else { "if the user is still there, " };
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
        if self.databases.iter().any(|it| it.state == Some(State::Fault)) {
            found("database at fault", "see it in Xata; it may recover".to_owned());
        }
        if self.databases.len() == 1 && is_all_read {
            match self.entry.as_ref().map(|entry| entry.verdict) {
                Some(Verdict::Missing) => found("entry missing at Clerk", replay.to_owned()),
                Some(Verdict::Differs) => found("entry at Clerk differs", replay.to_owned()),
                Some(Verdict::AsItShouldBe | Verdict::NotCompared) | None => {}
            }
        }
        findings
    }

    fn is_complete(&self) -> bool {
        self.unread.is_empty()
            && !matches!(self.clerk, Known::Unknown { .. })
            && self.databases.iter().all(|database| database.problem.is_none())
    }

    fn print(&self, as_json: bool) -> anyhow::Result<()> {
        let mut out = std::io::stdout();
        if as_json {
            writeln!(out, "{}", serde_json::to_string_pretty(self)?)?;
            return Ok(());
        }
        writeln!(out, "{}", self.table())?;
        for Finding { what, mend } in &self.findings {
            writeln!(out, "{what}: {mend}")?;
        }
        if self.findings.is_empty() && self.is_complete() {
            writeln!(out, "Nothing to do.")?;
        }
        Ok(())
    }

    fn table(&self) -> Table {
        let mut table = Table::new();
        table.load_style(presets::UTF8_BORDERS_ONLY);
        table.add_row(["user", &self.user_id]);
        table.add_row(["id made", self.made_at.as_deref().unwrap_or("–")]);
        table.add_row(["at Clerk", &self.clerk.words()]);
        table.add_row(["home project", &self.home_project]);
        for Unread { project, problem } in &self.unread {
            table.add_row(["not read", &format!("{project}: {problem}")]);
        }
        if self.databases.is_empty() {
            table.add_row(["database", if self.unread.is_empty() { "none" } else { "none seen" }]);
        }
        for Database { branch, is_home, state, problem } in &self.databases {
            let elsewhere = if *is_home { "" } else { ", which is not the home" };
            let state = state.map(|state| state.words().to_owned());
            let problem = problem.as_ref().map(|problem| format!("not told: {problem}"));
            let state = state.or(problem).unwrap_or_default();
            table.add_row(["database", &branch.id]);
            table.add_row(["  project", &format!("{}{elsewhere}", branch.project)]);
            table.add_row(["  region", &branch.region]);
            table.add_row(["  created", branch.created_at.as_deref().unwrap_or("–")]);
            table.add_row(["  state", &state]);
        }
        if let Some(Compared { verdict, says, differences }) = &self.entry {
            let verdict = match verdict {
                Verdict::AsItShouldBe => "as it should be".to_owned(),
                Verdict::Missing => "missing".to_owned(),
                Verdict::Differs => format!("differs: {}", differences.join("; ")),
                Verdict::NotCompared => "not compared: not every project was read".to_owned(),
            };
            table.add_row(["entry at Clerk", &verdict]);
            if let Some(entry) = says {
                table.add_row(["  region", entry.region.as_deref().unwrap_or("–")]);
            }
        } else {
            table.add_row(["entry at Clerk", "–"]);
        }
        if self.parked.is_empty() {
            table.add_row(["parked", if self.unread.is_empty() { "none" } else { "none seen" }]);
        }
        for Parked { branch, since, since_date } in &self.parked {
            let since_date = since_date.as_deref().unwrap_or("a date out of reach");
            table.add_row(["parked", &branch.id]);
            table.add_row(["  project", &branch.project]);
            table.add_row(["  region", &branch.region]);
            table.add_row(["  since", &format!("{since_date} ({since})")]);
        }
        table
    }
}
