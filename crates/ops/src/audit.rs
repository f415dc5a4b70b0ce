use std::collections::{BTreeMap, HashSet};
use std::process::ExitCode;
use std::time::SystemTime;

use anyhow::{Result, bail};
use cli::output::{self, Status};
use indicatif::ProgressBar;
use per_user_db::clerk::UserId;
use per_user_db::region::Preferences;
use serde::Serialize;

use crate::bulk::{
    Effort, Ledger, Options, Preview, Report as RunReport, Run, RunInfo, States, Target, Work,
    is_confirmed, spread,
};
use crate::context::Context;
use crate::directory::{Directory, Entry, ListedUser, UserLookup};
use crate::fleet::{Branch, ParkedDatabase};
use crate::reconcile::{Branches, Park, Repair, is_settled, region_asked_instead};

/// How many users are shown for each kind of finding; `--json` has all.
const EXAMPLES: usize = 3;

/// Compare all users at Clerk with all databases in Xata, and repair what differs
///
/// Finds users without a database, without a directory entry, with a wrong one, or with several
/// databases; databases in another region than the user's metadata asks for; databases of users who are
/// gone, and branches that belong to no user. Each finding is looked at a second time, alone, before it
/// counts. A healthy database costs no request, and no database is woken.
///
/// --fix repairs: `missing` creates databases as `ops backfill` does, `entries` writes directory entries,
/// and `orphans`, with --yes, parks the databases of users who are gone, at most --cap of them; it never
/// deletes. If more than 1 % of the databases are orphans, and more than the cap, nothing is changed:
/// that is the sign of a wrong key or a wrong list.
///
/// It needs `CLERK_SECRET_KEY`, and `CLERK_INSTANCE_ID` with the instance of that key alone. The settings
/// are those of the function, from the environment or `.env`. Exit codes: 0 nothing differs, or all is
/// repaired, 1 failed, 2 wrong usage, 3 something differs, 130 interrupted.
#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// What to repair; several kinds are separated by commas
    #[arg(long, value_enum, value_delimiter = ',', value_name = "KINDS")]
    fix: Vec<Fix>,
    /// The most databases to park in this run
    #[arg(long, default_value_t = 10, value_name = "NUMBER")]
    cap: usize,
    #[command(flatten)]
    options: Options,
}

#[derive(Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Fix {
    /// Write missing and wrong directory entries
    Entries,
    /// Create missing databases
    Missing,
    /// Park the databases of users who are gone
    Orphans,
}

/// What is not as it should be.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
enum Kind {
    MissingDatabase,
    MissingEntry,
    WrongEntry,
    SeveralDatabases,
    WrongRegion,
    UserGone,
    UnknownBranch,
}

impl Kind {
    fn words(self) -> &'static str {
        match self {
            Self::MissingDatabase => "user without a database",
            Self::MissingEntry => "user without an entry at Clerk",
            Self::WrongEntry => "entry at Clerk names another database",
            Self::SeveralDatabases => "user with several databases",
            Self::WrongRegion => "database in another region than the metadata asks for",
            Self::UserGone => "database of a user who is gone",
            Self::UnknownBranch => "branch of no user, which is no template",
        }
    }

    fn mend(self) -> &'static str {
        match self {
            Self::MissingDatabase => "--fix missing",
            Self::MissingEntry | Self::WrongEntry => "--fix entries",
            Self::SeveralDatabases => "cargo ops user USER says which to keep",
            Self::WrongRegion => "move the data, or correct db_region at Clerk",
            Self::UserGone => "--fix orphans --yes parks it",
            Self::UnknownBranch => "look at it in Xata",
        }
    }

    fn is_about_entry(self) -> bool {
        matches!(self, Self::MissingEntry | Self::WrongEntry)
    }
}

#[derive(Clone, Serialize)]
struct Finding {
    kind: Kind,
    /// The id of the user, or the name of the branch.
    user: String,
    databases: Vec<Branch>,
    /// Where the database should be.
    region: Option<String>,
}

#[derive(Serialize)]
struct Report {
    users: usize,
    databases: usize,
    parked: usize,
    oldest_parked: Option<String>,
    findings: Vec<Finding>,
    /// What seemed to differ, and did not at the second look.
    cleared: usize,
    /// What could not be looked at a second time.
    unknown: Vec<String>,
    repairs: Vec<RunReport>,
    /// Why nothing was repaired.
    refused: Option<String>,
}

pub(crate) async fn run(arguments: Arguments) -> Result<ExitCode> {
    let Arguments { fix, cap, options } = arguments;
    let context = Context::read()?;
    if options.resume.is_some() {
        bail!("an audit needs no --resume: run it again, and it looks at everything first");
    }
    let (directory, instance) = context.only_directory().await?;
    let spinner = output::spinner("asking Xata and Clerk");
    let first = Report::compare(&context, directory).await;
    spinner.finish_and_clear();
    let mut report = first?;
    report.confirm(&context, directory).await?;
    let n_orphans = report.of_kind(Kind::UserGone).count();
    if fix.contains(&Fix::Orphans) && n_orphans > cap && n_orphans * 100 > report.databases {
        report.refused = Some(format!(
            "nothing was changed: {n_orphans} of {} databases look like those of users who are gone, more \
             than 1 % and more than --cap {cap}; check that CLERK_SECRET_KEY is the key of the right \
             instance, and park a few first with a higher --cap",
            report.databases
        ));
    } else if !fix.is_empty() {
        let repair = Repair::new(&context, directory, instance.id);
        report.repair(&context, &fix, cap, &options, &repair).await?;
    }
    output::report(&report, options.json)
}

impl Report {
    /// The first look, at the lists: Xata before Clerk, so that a user who signs up meanwhile is no
    /// orphan.
    async fn compare(context: &Context, directory: &Directory) -> Result<Self> {
        let Branches { mut of_users, parked, others } = Branches::read(context).await?;
        let databases = of_users.values().map(Vec::len).sum();
        let (mut users, mut findings) = (0, Vec::new());
        let see = |user: &ListedUser| {
            users += 1;
            let theirs = of_users.remove(user.id.as_str()).unwrap_or_default();
            let found = kind_of(user.created_at, user.entry.as_ref(), &theirs);
            let region = context.policy.preferred(&user.preferences).ok().and_then(|(it, _)| it);
            let region = region
                .map_or_else(|| context.policy.default.to_string(), |it| it.region.to_string());
            let is_elsewhere = is_elsewhere(context, &user.preferences, &theirs);
            let kinds = found.into_iter().chain(is_elsewhere.then_some(Kind::WrongRegion));
            findings.extend(kinds.map(|kind| Finding {
                kind,
                user: user.id.to_string(),
                databases: theirs.clone(),
                region: Some(region.clone()),
            }));
        };
        directory.for_each_user(see).await?;
        let gone = of_users.into_iter().map(|(user, databases)| (Kind::UserGone, user, databases));
        let unknown = others
            .into_iter()
            .map(|branch| (Kind::UnknownBranch, branch.name.clone(), vec![branch]));
        findings.extend(gone.chain(unknown).map(|(kind, user, databases)| Finding {
            kind,
            user,
            databases,
            region: None,
        }));
        findings.sort_by(|one, other| (one.kind, &one.user).cmp(&(other.kind, &other.user)));
        let oldest_parked =
            parked.iter().min_by_key(|copy| copy.since).map(ParkedDatabase::since_words);
        Ok(Self {
            users,
            databases,
            parked: parked.len(),
            oldest_parked,
            findings,
            cleared: 0,
            unknown: Vec::new(),
            repairs: Vec::new(),
            refused: None,
        })
    }

    /// The second look: a new list of the databases, and each user of a finding alone.
    async fn confirm(&mut self, context: &Context, directory: &Directory) -> Result<()> {
        if self.findings.is_empty() {
            return Ok(());
        }
        let Branches { of_users, others, .. } = Branches::read(context).await?;
        let bar: ProgressBar = output::bar("second look", self.findings.len() as u64);
        let mut confirmed = Vec::new();
        for finding in std::mem::take(&mut self.findings) {
            bar.inc(1);
            if finding.kind == Kind::UnknownBranch {
                if others.iter().any(|branch| branch.id == finding.databases[0].id) {
                    confirmed.push(finding);
                } else {
                    self.cleared += 1;
                }
                continue;
            }
            let theirs = of_users.get(&finding.user).cloned().unwrap_or_default();
            let user_id = UserId::try_from(finding.user.as_str())?;
            let holds = match directory.look_up_patiently(&user_id).await {
                UserLookup::Found { entry, preferences, .. } => {
                    let created_at = user_id.created_at().unwrap_or(SystemTime::UNIX_EPOCH);
                    if finding.kind == Kind::WrongRegion {
                        is_elsewhere(context, &preferences, &theirs)
                    } else {
                        let kind = kind_of(created_at, entry.as_ref(), &theirs);
                        kind == Some(finding.kind)
                    }
                }
                UserLookup::NotFound { .. } => finding.kind == Kind::UserGone && !theirs.is_empty(),
                other @ (UserLookup::Failed { .. } | UserLookup::NotAsked) => {
                    self.unknown.push(format!("{}: {}", finding.user, other.words()));
                    continue;
                }
            };
            if holds {
                confirmed.push(Finding { databases: theirs, ..finding });
            } else {
                self.cleared += 1;
            }
        }
        bar.finish_and_clear();
        self.findings = confirmed;
        Ok(())
    }

    fn of_kind(&self, kind: Kind) -> impl Iterator<Item = &Finding> {
        self.findings.iter().filter(move |finding| finding.kind == kind)
    }

    async fn repair(
        &mut self,
        context: &Context,
        fix: &[Fix],
        cap: usize,
        options: &Options,
        repair: &Repair<'_>,
    ) -> Result<()> {
        let target = |finding: &Finding| match (finding.kind, &finding.databases[..]) {
            (Kind::MissingDatabase, []) => Some(Target {
                user: finding.user.clone(),
                branch: None,
                region: finding.region.clone(),
            }),
            (_, [only]) => Some(Target::database(finding.user.clone(), only.clone())),
            _ => None,
        };
        let is_fixed = |finding: &&Finding| match finding.kind {
            Kind::MissingDatabase => fix.contains(&Fix::Missing),
            kind if kind.is_about_entry() => fix.contains(&Fix::Entries),
            _ => false,
        };
        let wanting = spread(self.findings.iter().filter(is_fixed).filter_map(target).collect());
        let mut orphans: Vec<_> = Vec::new();
        if fix.contains(&Fix::Orphans) {
            orphans.extend(self.of_kind(Kind::UserGone).filter_map(target).take(cap));
        }
        if !orphans.is_empty() && !options.yes {
            output::note("--fix orphans parks databases with --yes only");
            orphans.clear();
        }
        let all: Vec<_> = wanting.iter().chain(&orphans).cloned().collect();
        if all.is_empty() {
            return Ok(());
        }
        let new = wanting.iter().filter(|target| target.branch.is_none()).count();
        let what = format!(
            "create {}, write the entry at Clerk for {}, park {}",
            output::count(new, "database"),
            output::count(wanting.len(), "user"),
            output::count(orphans.len(), "database")
        );
        let requests = (new + 2 * orphans.len()) as u64;
        let effort = Effort { what, requests: 0, fixed_requests: requests, wakes: false };
        let preview = Preview::new(context, effort, &all, options, Vec::new()).await;
        if !is_confirmed(&preview, options)? {
            return Ok(());
        }
        self.run(context, options, repair, "audit --fix", wanting, |kind| {
            kind == Kind::MissingDatabase || kind.is_about_entry()
        })
        .await?;
        if self.repairs.iter().any(|run| run.stopped.is_some()) {
            return Ok(());
        }
        let is_orphan = |kind| kind == Kind::UserGone;
        self.run(context, options, &Park(repair), "audit --fix orphans", orphans, is_orphan).await
    }

    /// Works on these targets, and takes what was repaired out of the findings, by the ledger.
    async fn run(
        &mut self,
        context: &Context,
        options: &Options,
        work: &impl Work,
        verb: &str,
        targets: Vec<Target>,
        is_theirs: impl Fn(Kind) -> bool,
    ) -> Result<()> {
        if targets.is_empty() {
            return Ok(());
        }
        let ledger = Ledger::create(&RunInfo::new(context, verb, String::new()))?;
        let mut run = Run::new(work, options, ledger, States::new(), ("cargo ops audit", ""))?;
        run.canary_and_rest(targets).await;
        let run = run.finish_without_resume();
        let states = Ledger::states(&run.run)?;
        let done: HashSet<_> =
            states.into_values().filter(|it| it.step.is_done()).map(|it| it.user).collect();
        self.findings.retain(|it| !(is_theirs(it.kind) && done.contains(&it.user)));
        self.repairs.push(run);
        Ok(())
    }
}

/// What differs for a user who exists.
fn kind_of(created_at: SystemTime, entry: Option<&Entry>, databases: &[Branch]) -> Option<Kind> {
    match (databases, entry) {
        ([], _) => is_settled(created_at).then_some(Kind::MissingDatabase),
        ([_, _, ..], _) => Some(Kind::SeveralDatabases),
        ([_], None) => is_settled(created_at).then_some(Kind::MissingEntry),
        ([only], Some(entry)) => (!entry.differences(only).is_empty()).then_some(Kind::WrongEntry),
    }
}

/// Whether the only database is in another region than the metadata asks for.
fn is_elsewhere(context: &Context, preferences: &Preferences, databases: &[Branch]) -> bool {
    let [only] = databases else { return false };
    region_asked_instead(&context.policy, preferences, only).is_some()
}

impl output::Report for Report {
    fn text(&self) -> Vec<String> {
        let mut text = Vec::new();
        let mut by_kind = BTreeMap::<Kind, Vec<&str>>::new();
        for finding in &self.findings {
            by_kind.entry(finding.kind).or_default().push(&finding.user);
        }
        if !by_kind.is_empty() {
            let rows = by_kind.iter().map(|(kind, users)| {
                let examples = users[..users.len().min(EXAMPLES)].join("\n");
                let (what, mend) = (kind.words().to_owned(), kind.mend().to_owned());
                [what, users.len().to_string(), examples, mend]
            });
            text.push(output::listing(["finding", "times", "such as", "what to do"], rows));
        }
        for run in &self.repairs {
            text.extend(output::Report::text(run));
        }
        let parked = self.oldest_parked.iter();
        let parked =
            parked.map(|since| format!(", {} parked, the oldest since {since}", self.parked));
        let cleared = match self.cleared {
            0 => String::new(),
            n => format!("; {n} differed only at the first look"),
        };
        let parts = parked.chain([cleared]).collect::<String>();
        let [users, databases, findings] =
            [(self.users, "user"), (self.databases, "database"), (self.findings.len(), "finding")]
                .map(|(n, thing)| output::count(n, thing));
        text.push(format!("{users}, {databases}{parts}. {findings}."));
        text
    }

    fn status(&self) -> Status {
        if let Some(why) = &self.refused {
            return Status::Failure(why.clone());
        }
        for run in &self.repairs {
            match output::Report::status(run) {
                Status::Success | Status::Drift => {}
                failed => return failed,
            }
        }
        if let Some(first) = self.unknown.first() {
            let n = self.unknown.len();
            return Status::Failure(format!(
                "{n} findings could not be looked at again, such as {first}"
            ));
        }
        Status::drift_if(!self.findings.is_empty())
    }
}
