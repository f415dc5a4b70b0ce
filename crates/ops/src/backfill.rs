use std::collections::{BTreeMap, HashMap, HashSet};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::SystemTime;

use anyhow::{Context as _, Result, ensure};
use cli::output;
use per_user_db::clerk::UserId;
use per_user_db::region::{PlacementPolicy, PlacementReason, Region};
use sha2::{Digest, Sha256};

use crate::bulk::{
    Effort, Options, Run, Selected, Selection, Session, Target, for_each_line, quoted,
};
use crate::context::Context;
use crate::directory::ListedUser;
use crate::migrations::hex;
use crate::reconcile::{Branches, Repair, is_settled};

/// Give every user at Clerk a database and a directory entry: for an application that has users already
///
/// Reads the databases in Xata and the users at Clerk, and asks nothing about a user who has both. The
/// others get what they lack, by the same decisions as the function's. Users who signed up less than 15
/// minutes ago are left to the function.
///
/// Clerk does not tell where a user signed up. So the region of a new database is that of the user's
/// metadata (`db_region`), else that of --region-for, else the default; the preview says how many users
/// get the default. Where the quota of new databases an hour is used up, the run waits.
///
/// It needs `CLERK_SECRET_KEY`, and `CLERK_INSTANCE_ID` with the instance of that key alone. The settings
/// are those of the function, from the environment or `.env`. Exit codes: 0 done, 1 something failed or
/// the run stopped, 2 wrong usage, 3 a preview and nothing was changed, 130 interrupted.
#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// A file with the region of users: a user's id, a comma and a region on each line
    #[arg(long, value_name = "FILE")]
    region_for: Option<PathBuf>,
    /// Only write entries for databases that exist; create none
    #[arg(long)]
    link_only: bool,
    #[command(flatten)]
    selection: Selection,
    #[command(flatten)]
    options: Options,
}

pub(crate) async fn run(arguments: Arguments) -> Result<ExitCode> {
    let Arguments { region_for, link_only, selection, options } = arguments;
    let context = Context::read()?;
    let regions = match &region_for {
        Some(path) => read_regions(path, &context.policy)?,
        None => HashMap::new(),
    };
    let digest = format!("link only: {link_only}; regions: {}", digest(&regions));
    let session = Session::open(&context, "backfill", digest, selection, &options)?;
    let spinner = output::spinner("asking Xata and Clerk");
    let wanting = Wanting::read(&context, &regions, link_only).await;
    spinner.finish_and_clear();
    let Wanting { candidates, defaults, instance, mut notes, n_users } = wanting?;
    let Selected { targets, notes: more } = session.selection().choose(candidates.into_iter())?;
    if targets.is_empty() {
        let users = output::count(n_users, "user");
        let message = format!("Nothing to do: {users}, each with a database and its entry.");
        if options.json {
            output::json(&serde_json::json!({ "users": n_users, "databases": 0 }))?;
        } else {
            output::line(message)?;
        }
        return Ok(ExitCode::SUCCESS);
    }
    let new = targets.iter().filter(|target| target.branch.is_none()).count();
    let what = format!(
        "create {}, and write the entry at Clerk for {}",
        output::count(new, "database"),
        output::count(targets.len(), "user")
    );
    let effort = Effort { what, requests: 0, fixed_requests: new as u64, wakes: false };
    notes.extend(more);
    let n_defaults = targets.iter().filter(|target| defaults.contains(&target.user)).count();
    if n_defaults > 0 {
        let users = output::count(n_defaults, "user");
        notes.push(format!(
            "nothing is known of the place of {users}, for whom the default region is taken: \
             --region-for names another"
        ));
    }
    let confirmed = session.confirm(&context, effort, &targets, &options, notes).await?;
    let Some((ledger, before)) = confirmed else {
        return Ok(ExitCode::from(output::DRIFT));
    };
    let directory = context.directory.as_ref().context("CLERK_SECRET_KEY is missing")?;
    let repair = Repair::new(&context, directory, instance);
    let for_file = region_for.iter().map(|path| format!(" --region-for {}", quoted(path)));
    let flags: String = for_file.chain(link_only.then(|| " --link-only".to_owned())).collect();
    let mut run = Run::new(&repair, &options, ledger, before, ("cargo ops backfill", &flags))?;
    run.canary_and_rest(targets).await;
    output::report(&run.finish(), options.json)
}

/// The users who lack something.
struct Wanting {
    candidates: Vec<(Target, Option<SystemTime>)>,
    /// Those who would get the default region, because nothing is known of them.
    defaults: HashSet<String>,
    instance: String,
    notes: Vec<String>,
    n_users: usize,
}

impl Wanting {
    async fn read(
        context: &Context,
        regions: &HashMap<String, Region>,
        link_only: bool,
    ) -> Result<Self> {
        let (directory, instance) = context.only_directory().await?;
        let branches = Branches::read(context).await?;
        let mut counts = BTreeMap::<&str, usize>::new();
        let (mut candidates, mut n_users) = (Vec::new(), 0);
        let mut defaults = HashSet::new();
        let mut count = |what| *counts.entry(what).or_default() += 1;
        let see = |user: &ListedUser| {
            n_users += 1;
            let id = user.id.to_string();
            let target = match branches.of_users.get(&id).map(Vec::as_slice) {
                Some([only]) => {
                    let is_right =
                        user.entry.as_ref().is_some_and(|entry| entry.differences(only).is_empty());
                    (!is_right).then(|| Target::database(id, only.clone()))
                }
                Some(_) => {
                    count("users have several databases, and are left out: see `cargo ops audit`");
                    None
                }
                None if link_only => None,
                None if !is_settled(user.created_at) => {
                    count("users signed up a moment ago, and are left to the function");
                    None
                }
                None => {
                    if let Ok((region, reason)) = region_of(user, regions, &context.policy) {
                        if reason == PlacementReason::Default {
                            defaults.insert(id.clone());
                        }
                        Some(Target { user: id, branch: None, region: Some(region.to_string()) })
                    } else {
                        count(
                            "users are left out, because their metadata asks for a region that is not \
                         allowed",
                        );
                        None
                    }
                }
            };
            candidates.extend(target.map(|target| (target, Some(user.created_at))));
        };
        directory.for_each_user(see).await?;
        let notes = counts.into_iter().map(|(what, n)| format!("{n} {what}")).collect();
        Ok(Self { candidates, defaults, instance: instance.id, notes, n_users })
    }
}

/// The region of a user's new database: what the metadata asks for, else what the file says, else the
/// default.
fn region_of(
    user: &ListedUser,
    regions: &HashMap<String, Region>,
    policy: &PlacementPolicy,
) -> Result<(Region, PlacementReason), ()> {
    let (preferred, _) = policy.preferred(&user.preferences).map_err(drop)?;
    if let Some(placement) = preferred {
        return Ok((placement.region, placement.reason));
    }
    Ok(match regions.get(user.id.as_str()) {
        Some(region) => (region.clone(), PlacementReason::Geo),
        None => (policy.default.clone(), PlacementReason::Default),
    })
}

/// The same for the same regions of the same users.
fn digest(regions: &HashMap<String, Region>) -> String {
    let sorted: BTreeMap<_, _> = regions.iter().map(|(user, it)| (user, it.as_str())).collect();
    hex(&Sha256::digest(format!("{sorted:?}")))
}

fn read_regions(path: &Path, policy: &PlacementPolicy) -> Result<HashMap<String, Region>> {
    let mut regions = HashMap::new();
    for_each_line(path, |line| {
        let (user, region) = line.split_once(',').unwrap_or((line, ""));
        let [user, region] = [user, region].map(|it| it.trim().trim_matches('"'));
        let (user, region) = (UserId::try_from(user)?, Region::try_from(region)?);
        ensure!(policy.allowed.contains(&region), "{region} is not among ALLOWED_REGIONS");
        regions.insert(user.to_string(), region);
        Ok(())
    })?;
    Ok(regions)
}
