//! Applies the steps.

use std::cell::Cell;
use std::time::Duration;

use anyhow::{Context, Result, anyhow, bail};
use indicatif::ProgressBar;
use serde_json::json;
use tokio::time::{Instant, sleep};

use super::client::{Client, PAUSE, ReadyTemplate, retry};
use super::diff::{Diff, Step, StepKind, Template};
use crate::failure::{Failure, FailureKind};
use crate::migrations::Database;

/// Xata promises no time for a new branch; half a minute is usual.
const READY_TIMEOUT: Duration = Duration::from_mins(10);

/// How many requests in a row may fail while a branch is being created.
const MAX_FAILED_POLLS: usize = 5;

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
            self.apply_files(client, template, spinner).await?;
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
            match client.read_template(project, branch, self.schema.as_ref()).await {
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
    async fn apply_files(
        &mut self,
        client: &Client,
        index: usize,
        spinner: &ProgressBar,
    ) -> Result<()> {
        let template = &mut self.templates[index];
        let project = self.projects[template.project].id.as_ref().context(NOT_CREATED)?;
        let branch = template.branch.as_ref().context(NOT_CREATED)?;
        let place = template.place(project);
        let (Some(schema), Some(ready)) = (&self.schema, &mut template.ready) else {
            return Ok(());
        };
        let n_before = ready.n_applied.unwrap_or_default();
        let n_applied = Cell::new(n_before);
        let attempt = async || {
            let connection = client.organization.connect(project.as_str(), &branch.id).await?;
            let mut database = Database::new(connection);
            let migrated = database.migrate(schema, |file| {
                n_applied.set(file); // those before it
                spinner.set_message(format!("applying {} to {place}", schema.files[file].name));
            });
            let result = match migrated.await {
                Ok(_) => ReadyTemplate::read(&mut database, schema).await,
                Err(failure) => Err(failure),
            };
            database.close().await;
            result
        };
        let may_pass = |failure: &Failure| failure.kind == FailureKind::Transient;
        let failure = match retry(attempt, may_pass).await {
            Ok(now) => {
                n_applied.set(schema.files.len());
                *ready = now;
                None
            }
            Err(failure) => Some(failure),
        };
        let n_applied = n_applied.get();
        let names = schema.files[n_before..n_applied].iter().map(|file| file.name.as_str());
        let names = names.collect::<Vec<_>>().join(", ");
        for step in self.steps.iter_mut().filter(|it| it.target == index) {
            match step.kind {
                StepKind::ApplyFile if step.file.is_some_and(|file| file < n_applied) => {
                    step.done = true;
                }
                StepKind::ApplyMissingFiles if failure.is_none() => {
                    let is_none = names.is_empty();
                    let detail = if is_none { "nothing was missing" } else { &names };
                    detail.clone_into(&mut step.detail);
                    step.done = true;
                }
                _ => {}
            }
        }
        match failure {
            None => Ok(()),
            Some(failure) => Err(anyhow!("{place}: {failure}")),
        }
    }
}
