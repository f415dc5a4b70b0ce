//! What is told of it: the plan, how far it was carried out, and the settings to paste.

use std::collections::BTreeMap;
use std::io::Write;

use comfy_table::{Table, presets};
use serde::Serialize;

use per_user_db::xata::ProjectId;

use super::plan::{Setup, Step, place};

/// The one document.
#[derive(Serialize)]
pub(super) struct Report<'a> {
    pub(super) dry_run: bool,
    pub(super) outcome: Outcome,
    pub(super) organization: &'a str,
    pub(super) steps: &'a [Step],
    pub(super) templates: Vec<Listed<'a>>,
    /// None while something is missing.
    pub(super) settings: Option<BTreeMap<&'static str, String>>,
    pub(super) warnings: Vec<String>,
    pub(super) message: String,
}

#[derive(Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Outcome {
    /// Everything is as it should be.
    NothingToDo,
    /// There is something to do.
    Planned,
    Done,
    /// Something is in the way; what was done stays.
    Stopped,
}

/// A template that is there.
#[derive(Serialize)]
pub(super) struct Listed<'a> {
    project: &'a str,
    region: &'a str,
    name: &'a str,
    id: &'a str,
    /// The files that it has, if it was asked.
    files: Option<Vec<&'a str>>,
}

impl Setup {
    /// Tells of it. `failure` is what stopped the work.
    pub(super) fn report(
        &self,
        dry_run: bool,
        failure: Option<&str>,
        known_projects: &[String],
    ) -> Report<'_> {
        let (n_done, n_steps) = (self.steps.iter().filter(|it| it.done).count(), self.steps.len());
        let (outcome, message) = match failure {
            Some(failure) => {
                let so_far = match n_done {
                    0 => "No step was done".to_owned(),
                    _ => format!("What was done stays, {n_done} of {n_steps} steps"),
                };
                let message =
                    format!("{failure}. {so_far}; run this again, and it goes on from there");
                (Outcome::Stopped, message)
            }
            None if n_steps == 0 => {
                let n_templates: usize = self.shards.iter().map(|it| it.templates.len()).sum();
                let s = if n_templates == 1 { "" } else { "s" };
                (
                    Outcome::NothingToDo,
                    format!("Nothing to do: {n_templates} template{s} as wanted."),
                )
            }
            None if dry_run => {
                (Outcome::Planned, "Nothing was changed: this is a dry run.".to_owned())
            }
            None => (Outcome::Done, format!("Done: {n_steps} steps.")),
        };
        Report {
            dry_run,
            outcome,
            organization: self.cloud.organization.id.as_str(),
            steps: &self.steps,
            templates: self.templates(),
            settings: self.settings(),
            warnings: self.warnings(known_projects),
            message,
        }
    }

    fn templates(&self) -> Vec<Listed<'_>> {
        let all = self.shards.iter().flat_map(|it| it.templates.iter().map(move |t| (it, t)));
        all.filter_map(|(shard, template)| {
            let seen = template.seen.as_ref().filter(|seen| seen.gateway.is_some());
            Some(Listed {
                project: shard.id.as_ref()?.as_str(),
                region: template.region.as_str(),
                name: &template.name,
                id: template.listed.as_ref()?.id.as_str(),
                files: seen.map(|seen| seen.applied.iter().map(|it| it.name.as_str()).collect()),
            })
        })
        .collect()
    }

    fn settings(&self) -> Option<BTreeMap<&'static str, String>> {
        let projects: Option<Vec<_>> =
            self.shards.iter().map(|shard| shard.id.as_ref().map(ProjectId::as_str)).collect();
        let (projects, listed) = (projects?, self.templates());
        let n_templates: usize = self.shards.iter().map(|shard| shard.templates.len()).sum();
        let templates = listed.iter().map(|it| match projects.len() {
            1 => format!("{}={}", it.region, it.id),
            _ => format!("{}/{}={}", it.project, it.region, it.id),
        });
        (listed.len() == n_templates).then(|| {
            BTreeMap::from([
                ("XATA_ORGANIZATION_ID", self.cloud.organization.id.as_str().to_owned()),
                ("XATA_PROJECT_ID", projects.join(",")),
                ("XATA_TEMPLATES", templates.collect::<Vec<_>>().join(",")),
            ])
        })
    }

    fn warnings(&self, known_projects: &[String]) -> Vec<String> {
        let mut warnings = Vec::new();
        for shard in &self.shards {
            for template in &shard.templates {
                let (Some(id), Some(seen)) = (&shard.id, &template.seen) else { continue };
                warnings.extend(seen.warning(&place(template, id)));
            }
        }
        let is_ours = |id: &String| {
            self.shards.iter().any(|shard| shard.id.as_ref().is_some_and(|it| it.as_str() == id))
        };
        let others: Vec<_> =
            known_projects.iter().filter(|id| !is_ours(id)).map(String::as_str).collect();
        if !others.is_empty() {
            warnings.push(format!(
                "XATA_PROJECT_ID lists {}, too: a project leaves the list only when it is empty. How \
                 one joins it is in docs/reliability.md",
                others.join(", ")
            ));
        }
        warnings
    }
}

impl Report<'_> {
    pub(super) fn print(&self, as_json: bool) -> anyhow::Result<()> {
        let mut out = std::io::stdout();
        if as_json {
            writeln!(out, "{}", serde_json::to_string_pretty(self)?)?;
            return Ok(());
        }
        if !self.steps.is_empty() {
            writeln!(out, "{}", self.table())?;
        }
        if self.outcome != Outcome::Stopped {
            writeln!(out, "{}", self.message)?;
        }
        if let (Some(settings), false) = (&self.settings, self.outcome == Outcome::Stopped) {
            writeln!(out, "\nThe settings, for .env and the parameters of `sam deploy`:\n")?;
            for (name, value) in settings {
                writeln!(out, "{name}=\"{value}\"")?;
            }
            writeln!(
                out,
                "\nEvery database is cloned from these with its roles: one more that can log in \
                 would have the same password in every tenant."
            )?;
        }
        for warning in &self.warnings {
            writeln!(out, "\nNote: {warning}.")?;
        }
        Ok(())
    }

    fn table(&self) -> Table {
        let mut table = Table::new();
        table.load_style(presets::UTF8_BORDERS_ONLY);
        table.set_header(["step", "project", "region", "details", ""]);
        for step in self.steps {
            let done = if step.done { "done" } else { "to do" };
            let region = step.region.as_deref().unwrap_or("–");
            table.add_row([&step.what.to_string(), &step.project, region, &step.detail, done]);
        }
        table
    }
}
