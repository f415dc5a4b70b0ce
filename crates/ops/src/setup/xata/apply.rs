//! Applies the steps.

use std::time::Duration;

use anyhow::{Context, Result, anyhow, bail};
use indicatif::ProgressBar;
use serde_json::json;
use tokio::time::{Instant, sleep};

use super::client::{Client, PAUSE, retry};
use super::diff::{Diff, Step, StepKind, Template};
use super::schema::{File, missing_files};
use super::sql::{Failure, Gateway, PostgresError};

/// Xata promises no time for a new branch; half a minute is usual.
const READY_TIMEOUT: Duration = Duration::from_secs(10 * 60);

/// How many requests in a row may fail while a branch is being created.
const MAX_FAILED_POLLS: usize = 5;

/// How often a file is sent whose response is lost.
const MAX_ATTEMPTS: usize = 4;

/// An earlier step creates what a later one needs.
const NOT_CREATED: &str = "what the step needs was not created";

impl Diff {
    /// Applies the steps one by one. A step that is done stays, whatever follows.
    pub(super) async fn apply(&mut self, client: &Client, spinner: &ProgressBar) -> Result<()> {
        for index in 0..self.steps.len() {
            let Step { kind, target, ref detail, .. } = self.steps[index];
            if !kind.is_about_files() {
                spinner.set_message(format!("{} {detail}", kind.words()));
                self.apply_step(client, kind, target).await?;
                self.steps[index].done = true;
            }
        }
        for template in 0..self.templates.len() {
            self.wait_until_ready(client, template, spinner).await?;
        }
        for template in 0..self.templates.len() {
            self.apply_files(template, spinner).await?;
        }
        Ok(())
    }

    async fn apply_step(&mut self, client: &Client, kind: StepKind, target: usize) -> Result<()> {
        if kind == StepKind::CreateProject {
            let project = &mut self.projects[target];
            project.id = Some(client.create_project(&project.name).await?);
            return Ok(());
        }
        let template = &mut self.templates[target];
        let project = self.projects[template.project].id.as_ref().context(NOT_CREATED)?;
        let change = match kind {
            StepKind::KeepAwake => {
                json!({ "scaleToZero": { "enabled": false, "inactivityPeriodMinutes": 30 } })
            }
            StepKind::Wake => json!({ "hibernate": false }),
            _ => {
                let Template { name, region, .. } = &*template;
                let branch = client.create_template(project, name, region).await?;
                template.check(project, &branch)?;
                template.branch = Some(branch);
                return Ok(());
            }
        };
        let branch = template.branch.as_ref().context(NOT_CREATED)?;
        Ok(client.change_branch(project, branch, &change).await?)
    }

    /// Waits until a template is healthy, has its password and, with a schema, answers queries.
    async fn wait_until_ready(
        &mut self,
        client: &Client,
        index: usize,
        spinner: &ProgressBar,
    ) -> Result<()> {
        let template = &mut self.templates[index];
        let project = self.projects[template.project].id.as_ref().context(NOT_CREATED)?;
        let place = template.place(project);
        let (deadline, mut n_failed, mut state) = (Instant::now() + READY_TIMEOUT, 0, "");
        while template.ready.is_none() {
            spinner.set_message(format!("waiting until {place} is ready ({state})"));
            let branch = template.branch.as_ref().context(NOT_CREATED)?;
            match client.read_template(project, branch, self.files.is_some()).await {
                Ok((described, ready)) => {
                    (template.ready, state, n_failed) = (ready, described.state().words(), 0);
                }
                Err(error) if n_failed == MAX_FAILED_POLLS => {
                    bail!("{place} is created, and not ready: {error}");
                }
                Err(_) => n_failed += 1,
            }
            if template.ready.is_none() {
                if Instant::now() > deadline {
                    bail!(
                        "{place} is created, and was not ready after {} minutes ({state}): see it in Xata",
                        READY_TIMEOUT.as_secs() / 60
                    );
                }
                sleep(PAUSE).await;
            }
        }
        Ok(())
    }

    /// Applies the files that a template misses, one after the other.
    async fn apply_files(&mut self, index: usize, spinner: &ProgressBar) -> Result<()> {
        let template = &mut self.templates[index];
        let project = self.projects[template.project].id.as_ref().context(NOT_CREATED)?;
        let place = template.place(project);
        let (Some(files), Some(ready)) = (&self.files, &mut template.ready) else { return Ok(()) };
        let Some(gateway) = ready.gateway.clone() else { return Ok(()) };
        let missing = missing_files(&place, &ready.applied, files)?;
        if !missing.is_empty() {
            // Two runs that create the record at the same time conflict; another attempt succeeds.
            let prepared = retry(async || gateway.prepare().await, |_| true).await;
            prepared.map_err(|failure| {
                let error = failure.into_error();
                anyhow!("{place} accepts no record of the applied files: {error}")
            })?;
        }
        let mut applied = Vec::new();
        for file in missing {
            let name = &files[file].name;
            spinner.set_message(format!("applying {name} to {place}"));
            apply_file(&gateway, &files[file], &place).await?;
            ready.applied.push(files[file].record());
            applied.push(name.as_str());
            let step = self.steps.iter_mut().find(|it| it.target == index && it.file == Some(file));
            if let Some(step) = step {
                step.done = true;
            }
        }
        if !applied.is_empty()
            && let Ok((_, roles)) = gateway.survey().await
        {
            ready.extra_roles = roles; // a file may have created one
        }
        let rest = |it: &&mut Step| it.kind.is_about_files() && !it.done && it.target == index;
        for step in self.steps.iter_mut().filter(rest) {
            if step.kind == StepKind::ApplyMissingFiles {
                step.detail = match applied[..] {
                    [] => "nothing was missing".to_owned(),
                    _ => applied.join(", "),
                };
            }
            step.done = true;
        }
        Ok(())
    }
}

/// Applies one file. After a lost response, looks whether the file was applied before it is sent again.
async fn apply_file(gateway: &Gateway, file: &File, place: &str) -> Result<()> {
    let mut last = String::new();
    for _ in 0..MAX_ATTEMPTS {
        match gateway.apply(file).await {
            Ok(()) => return Ok(()),
            Err(Failure::Refused(error)) if !error.is_about_the_record() => {
                return Err(locate(gateway, file, place, &error).await);
            }
            Err(Failure::Blocked(error)) => return Err(error),
            Err(failure) => last = failure.into_error().to_string(),
        }
        sleep(PAUSE).await;
        if let Ok((applied, _)) = gateway.survey().await
            && let Some(applied) = applied.into_iter().find(|it| it.name == file.name)
        {
            // By this run, or by another one at the same time, perhaps from another text.
            return missing_files(place, &[applied], std::slice::from_ref(file)).map(drop);
        }
    }
    bail!("it is unclear whether {} was applied to {place}: {last}", file.name)
}

/// The error with the statement that PostgreSQL refuses, and its line.
async fn locate(
    gateway: &Gateway,
    file: &File,
    place: &str,
    error: &PostgresError,
) -> anyhow::Error {
    let name = &file.name;
    let what = match gateway.find_fault(file).await {
        Ok(Some((index, error))) => {
            let statement = &file.statements[index];
            let line = statement.line + error.line_in(&statement.text);
            format!("{name}, statement {}, line {line}: {error}", index + 1)
        }
        Ok(None) => format!("{name}, after its last statement, at the commit: {error}"),
        Err(_) => format!("{name}, in an unknown statement: {error}"),
    };
    anyhow!("{what}. Nothing of this file stays in {place}: correct the file")
}
