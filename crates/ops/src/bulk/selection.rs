use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use anyhow::{Context as _, Result, anyhow, ensure};
use per_user_db::clerk::UserId;
use per_user_db::provision::parse_parked_name;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::Target;
use super::ledger::{Ledger, Step};
use crate::fleet::Branch;

/// Which databases. Without an option, those of all users.
#[derive(Debug, Default, Clone, clap::Args, Serialize, Deserialize)]
#[command(next_help_heading = "Selection")]
pub(crate) struct Selection {
    /// A user's id; may be repeated
    #[arg(long = "user", value_name = "ID", value_parser = user_id)]
    users: Vec<String>,
    /// A file with a user's id at the beginning of each line
    #[arg(long = "users", value_name = "FILE")]
    #[serde(skip)]
    users_file: Option<PathBuf>,
    /// A file with the users to leave out
    #[arg(long, value_name = "FILE")]
    #[serde(skip)]
    exclude: Option<PathBuf>,
    #[arg(skip)]
    excluded: Vec<String>,
    /// Only databases in this region; may be repeated
    #[arg(long = "region", value_name = "ID")]
    regions: Vec<String>,
    /// Only databases in this project; may be repeated
    #[arg(long = "project", value_name = "ID")]
    projects: Vec<String>,
    /// Only databases that were created at this time or later, such as 2026-05-01
    #[arg(long, value_name = "TIME", value_parser = time)]
    created_after: Option<SystemTime>,
    /// Only databases that were created before this time
    #[arg(long, value_name = "TIME", value_parser = time)]
    created_before: Option<SystemTime>,
    /// Only so many, always the same ones, spread over the regions
    #[arg(long, value_name = "NUMBER")]
    sample: Option<usize>,
    /// Parked databases, too
    #[arg(long)]
    include_parked: bool,
    /// Only those that failed, or are unclear, in this run
    #[arg(long, value_name = "RUN")]
    failed_of: Option<String>,
}

/// The databases that are selected.
pub(crate) struct Selected {
    /// In the order in which they are worked on.
    pub(crate) targets: Vec<Target>,
    /// What the operator should know before the run.
    pub(crate) notes: Vec<String>,
}

fn user_id(text: &str) -> Result<String, per_user_db::clerk::NotAUserId> {
    UserId::try_from(text).map(|id| id.to_string())
}

/// A date or a second, in UTC.
fn time(text: &str) -> Result<SystemTime, String> {
    let whole = if text.len() == 10 { format!("{text}T00:00:00Z") } else { text.to_owned() };
    humantime::parse_rfc3339_weak(&whole).map_err(|_| {
        "it must be a date like 2026-05-01 or a time like 2026-05-01T12:00:00Z".to_owned()
    })
}

impl Selection {
    /// Reads the files that the options name.
    pub(crate) fn read_files(mut self) -> Result<Self> {
        if let Some(path) = self.users_file.take() {
            self.users.extend(read_users(&path)?);
        }
        if let Some(path) = self.exclude.take() {
            self.excluded.extend(read_users(&path)?);
        }
        Ok(self)
    }

    /// Whether no option chooses.
    pub(crate) fn is_everything(&self) -> bool {
        let Self { users, users_file, exclude, excluded, regions, projects, .. } = self;
        let Self { created_after, created_before, sample, include_parked, failed_of, .. } = self;
        users.is_empty()
            && excluded.is_empty()
            && regions.is_empty()
            && projects.is_empty()
            && users_file.is_none()
            && exclude.is_none()
            && created_after.is_none()
            && created_before.is_none()
            && sample.is_none()
            && failed_of.is_none()
            && !include_parked
    }

    /// Selects among the branches of all projects.
    pub(crate) fn select(&self, branches: Vec<Branch>) -> Result<Selected> {
        let candidates = branches.into_iter().filter_map(|branch| {
            let user = match parse_parked_name(&branch.name) {
                Some((user, _)) if self.include_parked => user,
                Some(_) => return None,
                None => UserId::try_from(branch.name.as_str()).ok()?,
            };
            let created = branch.created_at.as_deref();
            let created = created.and_then(|text| humantime::parse_rfc3339_weak(text).ok());
            Some((Target::database(user.to_string(), branch), created))
        });
        self.choose(candidates)
    }

    /// Selects among targets, with the time when each was created.
    pub(crate) fn choose(
        &self,
        candidates: impl Iterator<Item = (Target, Option<SystemTime>)>,
    ) -> Result<Selected> {
        let failed: Option<HashSet<String>> = match &self.failed_of {
            None => None,
            Some(run) => {
                let states = Ledger::states(run)?.into_iter();
                let is_open = |step| matches!(step, Step::Failed | Step::Unclear | Step::Started);
                Some(states.filter(|(_, state)| is_open(state.step)).map(|(key, _)| key).collect())
            }
        };
        let wanted: HashSet<&str> = self.users.iter().map(String::as_str).collect();
        let excluded: HashSet<&str> = self.excluded.iter().map(String::as_str).collect();
        let mut found = HashSet::new();
        let mut targets = Vec::new();
        for (target, created) in candidates {
            if let Some(user) = wanted.get(target.user.as_str()) {
                found.insert(*user);
            } else if !wanted.is_empty() {
                continue;
            }
            let project = target.branch.as_ref().map(|branch| &branch.project);
            let is_among = |chosen: &[String], value: Option<&String>| {
                chosen.is_empty() || value.is_some_and(|value| chosen.contains(value))
            };
            let is_chosen = !excluded.contains(target.user.as_str())
                && is_among(&self.regions, target.region.as_ref())
                && is_among(&self.projects, project)
                && self.created_after.is_none_or(|after| created.is_some_and(|at| at >= after))
                && self.created_before.is_none_or(|before| created.is_some_and(|at| at < before))
                && failed.as_ref().is_none_or(|failed| failed.contains(target.key()));
            if is_chosen {
                targets.push(target);
            }
        }
        let mut targets = spread(targets);
        targets.truncate(self.sample.unwrap_or(usize::MAX));
        let missing: BTreeSet<_> = wanted.difference(&found).copied().collect();
        let mut notes = Vec::new();
        if let Some(example) = missing.first() {
            notes.push(match missing.len() {
                1 => format!("{example} is not among those to choose from"),
                n => format!(
                    "{n} of the named users are not among those to choose from, such as {example}"
                ),
            });
        }
        Ok(Selected { targets, notes })
    }
}

/// Puts the targets in an order that is always the same, looks random, and takes the regions in turn:
/// its beginning stands for all of them.
pub(crate) fn spread(targets: Vec<Target>) -> Vec<Target> {
    let mut by_region = BTreeMap::<_, Vec<_>>::new();
    for target in targets {
        by_region.entry(target.region.clone()).or_default().push(target);
    }
    let n_regions = by_region.len();
    let mut ordered = Vec::new();
    for (position, (_, mut targets)) in by_region.into_iter().enumerate() {
        targets.sort_by_cached_key(|target| Sha256::digest(target.key()));
        let turns = targets.into_iter().enumerate();
        ordered.extend(turns.map(|(turn, target)| (turn * n_regions + position, target)));
    }
    ordered.sort_by_key(|(turn, _)| *turn);
    ordered.into_iter().map(|(_, target)| target).collect()
}

/// The users in a file: the first word of each line, up to a comma.
fn read_users(path: &Path) -> Result<Vec<String>> {
    let mut users = Vec::new();
    for_each_line(path, |line| {
        let id = line.split(|it: char| it == ',' || it.is_whitespace()).next().unwrap_or_default();
        users.push(user_id(id.trim_matches('"'))?);
        Ok(())
    })?;
    let shown = path.display();
    ensure!(!users.is_empty(), "{shown} names no user: each line begins with a user's id");
    Ok(users)
}

/// Reads a file whose lines begin with a user's id. Lines that begin with # are comments, and the first
/// one may name the columns of a table. An error names the line.
pub(crate) fn for_each_line(path: &Path, mut read: impl FnMut(&str) -> Result<()>) -> Result<()> {
    let shown = path.display();
    let text = fs::read_to_string(path).with_context(|| format!("{shown} cannot be read"))?;
    for (number, line) in text.lines().enumerate() {
        let line = line.trim().trim_start_matches('\u{feff}');
        let is_heading = number == 0 && !line.trim_start_matches('"').starts_with("user_");
        if line.is_empty() || line.starts_with('#') || is_heading {
            continue;
        }
        read(line).map_err(|error| anyhow!("{shown}, line {}: {error}", number + 1))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn branch(id: usize, name: &str, region: &str) -> Branch {
        Branch {
            project: "prj_a".to_owned(),
            id: format!("branch{id}"),
            name: name.to_owned(),
            region: region.to_owned(),
            created_at: Some(format!("2026-05-{:02}T00:00:00.5Z", 1 + id % 28)),
        }
    }

    fn fleet() -> Vec<Branch> {
        let regions = ["eu-central-1", "us-east-1"];
        let mut fleet: Vec<_> = (0..20)
            .map(|n| branch(n, &format!("user_aaaaaaaa{n:02}"), regions[usize::from(n % 10 == 0)]))
            .collect();
        fleet.push(branch(20, "template-eu-central-1", "eu-central-1"));
        fleet.push(branch(21, "parked/user_aaaaaaaa99/1700000000", "us-east-1"));
        fleet
    }

    fn select(selection: &Selection) -> Vec<String> {
        let selected = selection.select(fleet()).expect("selected");
        selected.targets.into_iter().map(|target| target.user).collect()
    }

    #[test]
    fn without_an_option_every_user_s_database_is_selected_and_nothing_else() {
        let selection = Selection::default();
        assert!(selection.is_everything());
        assert_eq!(select(&selection).len(), 20);
        assert_eq!(select(&Selection { include_parked: true, ..selection }).len(), 21);
    }

    #[test]
    fn every_option_narrows_the_selection() {
        let any = Selection::default();
        let regions = vec!["us-east-1".to_owned()];
        assert_eq!(select(&Selection { regions, ..any.clone() }).len(), 2);
        let projects = vec!["prj_b".to_owned()];
        assert_eq!(select(&Selection { projects, ..any.clone() }).len(), 0);
        let created_after = time("2026-05-11").ok();
        assert_eq!(select(&Selection { created_after, ..any.clone() }).len(), 10);
        let created_before = time("2026-05-11T00:00:00Z").ok();
        assert_eq!(select(&Selection { created_before, ..any.clone() }).len(), 10);
        let excluded = vec!["user_aaaaaaaa03".to_owned()];
        assert_eq!(select(&Selection { excluded, ..any.clone() }).len(), 19);
        let users = vec!["user_aaaaaaaa03".to_owned(), "user_aaaaaaaa77".to_owned()];
        let selected = Selection { users, ..any }.select(fleet()).expect("selected");
        assert_eq!(selected.targets.len(), 1);
        assert!(selected.notes[0].contains("user_aaaaaaaa77"), "{:?}", selected.notes);
    }

    #[test]
    fn a_sample_is_always_the_same_and_has_every_region() {
        let selection = Selection { sample: Some(4), ..Selection::default() };
        let sample = selection.select(fleet()).expect("selected").targets;
        let mut turned = fleet();
        turned.reverse();
        let again = selection.select(turned).expect("selected").targets;
        let keys =
            |targets: &[Target]| targets.iter().map(|it| it.key().to_owned()).collect::<Vec<_>>();
        assert_eq!(keys(&sample), keys(&again));
        let regions: Vec<_> = sample.iter().map(|it| it.region.as_deref()).collect();
        let (eu, us) = (Some("eu-central-1"), Some("us-east-1"));
        assert_eq!(regions, [eu, us, eu, us]);
    }
    #[test]
    fn only_a_first_line_that_begins_with_no_user_may_be_a_heading() {
        let read = |text: &str| {
            let file = tempfile::NamedTempFile::new().expect("a file");
            fs::write(file.path(), text).expect("written");
            read_users(file.path()).map_err(|error| error.to_string())
        };
        let users = Ok(vec!["user_aaaaaaaa03".to_owned()]);
        for text in [
            "user_aaaaaaaa03\n",
            "user id,region\nuser_aaaaaaaa03,us-east-1\n",
            "\u{feff}\"user id\"\r\n\"user_aaaaaaaa03\",\"us-east-1\"\r\n",
            "# the first ones\n\nuser_aaaaaaaa03 # of Friday\n",
        ] {
            assert_eq!(read(text), users, "{text:?}");
        }
        for text in ["user_/\nuser_aaaaaaaa03\n", "\"user_/\"\n\"user_aaaaaaaa03\"\n"] {
            let error = read(text).expect_err("an id that is none");
            assert!(error.contains(", line 1: "), "{error}");
        }
        let error = read("user_aaaaaaaa03\nid\n").expect_err("a heading in the middle");
        assert!(error.contains(", line 2: "), "{error}");
    }
}
