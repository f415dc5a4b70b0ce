//! The steps, carried out.

use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};
use serde_json::json;
use tokio::time::{Instant, sleep};

use super::plan::{Seen, Setup, What, check, place};
use super::schema::{self, File};
use super::sql::{Failure, Gateway, Refused};
use crate::service::Problem;

/// Xata promises no time for a new branch; half a minute is usual (section 7).
const READY_WITHIN: Duration = Duration::from_secs(10 * 60);
const POLL_EVERY: Duration = Duration::from_secs(1);

/// How many questions in a row may go wrong while a branch is being made.
const MOST_MISHAPS: usize = 5;

/// How often a file is sent whose answer is lost.
const MOST_TRIES: usize = 4;

impl Setup {
    /// Does what is planned, step by step. What is done stays, whatever comes after it.
    pub(super) async fn carry_out(&mut self) -> Result<(), Problem> {
        let style = ProgressStyle::with_template("{bar:30} {pos}/{len} {wide_msg}");
        let bar = ProgressBar::new(self.steps.len() as u64);
        bar.set_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()));
        bar.enable_steady_tick(Duration::from_millis(500));
        let done = self.work(&bar).await;
        bar.finish_and_clear();
        done
    }

    async fn work(&mut self, bar: &ProgressBar) -> Result<(), Problem> {
        for index in 0..self.steps.len() {
            let step = &self.steps[index];
            if step.what.is_about_files() {
                continue;
            }
            bar.set_message(format!("{} {}", step.what, step.detail));
            let (what, at) = (step.what, (step.shard, step.template));
            self.change(what, at).await?;
            self.steps[index].done = true;
            bar.inc(1);
        }
        for shard in 0..self.shards.len() {
            for template in 0..self.shards[shard].templates.len() {
                self.wait((shard, template), bar).await?;
            }
        }
        for shard in 0..self.shards.len() {
            for template in 0..self.shards[shard].templates.len() {
                self.apply_missing((shard, template), bar).await?;
            }
        }
        Ok(())
    }

    async fn change(&mut self, what: What, at: (usize, usize)) -> Result<(), Problem> {
        let shard = &mut self.shards[at.0];
        if what == What::CreateProject {
            shard.id = Some(self.cloud.make_project(&shard.name).await?);
            return Ok(());
        }
        let template = &mut shard.templates[at.1];
        let Some(project) = &shard.id else { return Err(nowhere()) };
        let change = match (what, &template.listed) {
            (What::KeepAwake, Some(listed)) => {
                let scale_to_zero = json!({ "enabled": false, "inactivityPeriodMinutes": 30 });
                Some((listed, json!({ "scaleToZero": scale_to_zero })))
            }
            (What::Wake, Some(listed)) => Some((listed, json!({ "hibernate": false }))),
            _ => None,
        };
        if let Some((listed, change)) = change {
            return self.cloud.change(project, listed, &change).await;
        }
        let listed = self.cloud.make_template(project, &template.name, &template.region).await?;
        check(template, project, &listed)?;
        template.listed = Some(listed);
        Ok(())
    }

    /// Waits until a template is healthy, has its password and, with a schema, answers.
    async fn wait(&mut self, at: (usize, usize), bar: &ProgressBar) -> Result<(), Problem> {
        let shard = &mut self.shards[at.0];
        let template = &mut shard.templates[at.1];
        let (Some(project), Some(listed)) = (&shard.id, &template.listed) else {
            return Err(nowhere());
        };
        let place = place(template, project);
        let (until, mut mishaps) = (Instant::now() + READY_WITHIN, 0);
        let mut state = String::new();
        while template.seen.is_none() {
            bar.set_message(format!("wait until {place} is ready {state}"));
            let look = async {
                let described = self.cloud.describe(project, &listed.id).await?;
                let with_sql = self.files.is_some();
                let seen = self.cloud.look(project, listed, &described, with_sql).await?;
                Ok::<_, Problem>((seen, described.state().words()))
            };
            match look.await {
                Ok((seen, words)) => {
                    (template.seen, mishaps) = (seen, 0);
                    state = format!("({words})");
                }
                Err(problem) if mishaps == MOST_MISHAPS => {
                    return Err(Problem(format!("{place} is made, and not ready: {problem}")));
                }
                Err(_) => mishaps += 1,
            }
            if template.seen.is_none() {
                if Instant::now() > until {
                    return Err(Problem(format!(
                        "{place} is made, and was not ready after {} minutes {state}: see it in Xata",
                        READY_WITHIN.as_secs() / 60
                    )));
                }
                sleep(POLL_EVERY).await;
            }
        }
        Ok(())
    }

    /// Applies the files that a template lacks, one after the other.
    async fn apply_missing(
        &mut self,
        at: (usize, usize),
        bar: &ProgressBar,
    ) -> Result<(), Problem> {
        let shard = &mut self.shards[at.0];
        let template = &mut shard.templates[at.1];
        let Some(project) = &shard.id else { return Err(nowhere()) };
        let place = place(template, project);
        let (Some(files), Some(seen)) = (&self.files, &mut template.seen) else { return Ok(()) };
        let Some(gateway) = seen.gateway.clone() else { return Ok(()) };
        let missing = schema::missing(&place, &seen.applied, files)?;
        if !missing.is_empty() {
            prepare(&gateway, &place).await?;
        }
        let mut applied = Vec::new();
        for index in missing {
            let file = &files[index];
            bar.set_message(format!("apply {} to {place}", file.name));
            apply(&gateway, file, &place).await?;
            seen.applied.push(file.record());
            applied.push(file.name.as_str());
            let is_it = |it: &&mut super::plan::Step| {
                (it.shard, it.template, it.file) == (at.0, at.1, Some(index))
            };
            if let Some(step) = self.steps.iter_mut().find(is_it) {
                step.done = true;
                bar.inc(1);
            }
        }
        // A file may have made one.
        if let (Ok((_, roles)), false) = (gateway.survey().await, applied.is_empty()) {
            seen.extra_roles = roles;
        }
        let rest = self
            .steps
            .iter_mut()
            .filter(|it| it.what.is_about_files() && !it.done && (it.shard, it.template) == at);
        for step in rest {
            if step.what == What::ApplyMissingFiles {
                let none = if applied.is_empty() { "nothing was missing" } else { "" };
                step.detail = format!("{}{none}", applied.join(", "));
            }
            step.done = true;
            bar.inc(1);
        }
        Ok(())
    }
}

/// Makes the record. Two that do so at the same time are in each other's way; once more, they are not.
async fn prepare(gateway: &Gateway, place: &str) -> Result<(), Problem> {
    let mut tries = 0;
    loop {
        tries += 1;
        match gateway.prepare().await {
            Ok(()) => return Ok(()),
            Err(failure) if tries == MOST_TRIES => {
                let problem = failure.problem();
                let what = format!("{place} takes no record of what is applied to it: {problem}");
                return Err(Problem(what));
            }
            Err(_) => sleep(POLL_EVERY).await,
        }
    }
}

/// Applies one file. What was sent and not answered is looked up before it is sent again.
async fn apply(gateway: &Gateway, file: &File, place: &str) -> Result<(), Problem> {
    let mut last = None;
    for _ in 0..MOST_TRIES {
        match gateway.apply(file).await {
            Ok(()) => return Ok(()),
            Err(Failure::Refused(refused)) if !refused.is_about_the_record() => {
                return Err(blame(gateway, file, place, &refused).await);
            }
            Err(Failure::Blocked(problem)) => return Err(problem),
            Err(failure) => last = Some(failure.problem()),
        }
        sleep(POLL_EVERY).await;
        if let Ok((applied, _)) = gateway.survey().await
            && let Some(applied) = applied.into_iter().find(|it| it.name == file.name)
        {
            // By us, or by somebody else at the same time, perhaps from another text.
            return schema::missing(place, &[applied], std::slice::from_ref(file)).map(drop);
        }
    }
    let why = last.map_or_else(String::new, |problem| problem.0);
    Err(Problem(format!("nobody knows whether {} was applied to {place}: {why}", file.name)))
}

/// Says which statement PostgreSQL refuses, and where it stands.
async fn blame(gateway: &Gateway, file: &File, place: &str, refused: &Refused) -> Problem {
    let name = &file.name;
    let what = match gateway.find_fault(file).await {
        Ok(Some((index, refused))) => {
            let statement = &file.statements[index];
            let line = statement.line + refused.line_in(&statement.text);
            format!("{name}, statement {}, line {line}: {refused}", index + 1)
        }
        Ok(None) => format!("{name}, after its last statement, at the commit: {refused}"),
        Err(_) => format!("{name}, in a statement that could not be found out: {refused}"),
    };
    Problem(format!("{what}. Nothing of this file stays in {place}: mend the file"))
}

fn nowhere() -> Problem {
    Problem("what the step needs was not made".to_owned())
}

impl Seen {
    /// The sentence about roles that every tenant would share.
    pub(super) fn warning(&self, place: &str) -> Option<String> {
        let roles = self.extra_roles.join(", ");
        (!roles.is_empty()).then(|| {
            format!(
                "{place} has roles that can log in besides the default one: {roles}. They have the \
                 same password in every tenant's database: take LOGIN from them, or drop them"
            )
        })
    }
}
