//! The output of `ops setup xata`: the steps, how far they were applied, and the settings to paste.

use std::collections::BTreeMap;

use cli::output::{self, Status};
use per_user_db::xata::ProjectId;
use serde::Serialize;

use super::client::Client;
use super::diff::{Diff, Step};

#[derive(Serialize)]
pub(crate) struct Report<'a> {
    dry_run: bool,
    outcome: Outcome,
    organization: &'a str,
    steps: &'a [Step],
    templates: Vec<ListedTemplate<'a>>,
    /// None while a project or template is missing.
    settings: Option<BTreeMap<&'static str, String>>,
    pub(super) warnings: Vec<String>,
    message: String,
}

#[derive(Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
enum Outcome {
    NothingToDo,
    /// There are steps, and this is a dry run.
    Planned,
    Done,
    /// A step failed; the steps before it stay.
    Stopped,
}

/// A template that exists.
#[derive(Serialize)]
struct ListedTemplate<'a> {
    project: &'a str,
    region: &'a str,
    name: &'a str,
    id: &'a str,
    /// The files that were applied, where the template was asked.
    files: Option<Vec<&'a str>>,
}

impl<'a> Report<'a> {
    pub(super) fn new(
        client: &'a Client,
        diff: &'a Diff,
        dry_run: bool,
        failure: Option<&anyhow::Error>,
        known_projects: &[String],
    ) -> Self {
        let (n_done, n_steps) = (diff.steps.iter().filter(|it| it.done).count(), diff.steps.len());
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
                let n_templates = diff.templates.len();
                let s = if n_templates == 1 { " is" } else { "s are" };
                (Outcome::NothingToDo, format!("Nothing to do: {n_templates} template{s} in sync."))
            }
            None if dry_run => {
                (Outcome::Planned, "Nothing was changed: this is a dry run.".to_owned())
            }
            None => (Outcome::Done, format!("Done: {n_steps} steps.")),
        };
        let organization = client.organization.id.as_str();
        let templates = templates(diff);
        let settings = settings(diff, organization, &templates);
        let warnings = warnings(diff, known_projects);
        let steps = &diff.steps;
        Self { dry_run, outcome, organization, steps, templates, settings, warnings, message }
    }
}

fn templates(diff: &Diff) -> Vec<ListedTemplate<'_>> {
    let listed = diff.templates.iter().filter_map(|template| {
        let n_applied = template.ready.as_ref().and_then(|ready| ready.n_applied);
        let files = n_applied.zip(diff.schema.as_ref()).map(|(n, schema)| &schema.files[..n]);
        Some(ListedTemplate {
            project: diff.projects[template.project].id.as_ref()?.as_str(),
            region: template.region.as_str(),
            name: &template.name,
            id: &template.branch.as_ref()?.id,
            files: files.map(|files| files.iter().map(|it| it.name.as_str()).collect()),
        })
    });
    listed.collect()
}

fn settings(
    diff: &Diff,
    organization: &str,
    listed: &[ListedTemplate<'_>],
) -> Option<BTreeMap<&'static str, String>> {
    let projects: Option<Vec<_>> =
        diff.projects.iter().map(|project| project.id.as_ref().map(ProjectId::as_str)).collect();
    let projects = projects.filter(|_| listed.len() == diff.templates.len())?;
    let templates = listed.iter().map(|it| match projects.len() {
        1 => format!("{}={}", it.region, it.id),
        _ => format!("{}/{}={}", it.project, it.region, it.id),
    });
    Some(BTreeMap::from([
        ("XATA_ORGANIZATION_ID", organization.to_owned()),
        ("XATA_PROJECT_ID", projects.join(",")),
        ("XATA_TEMPLATES", templates.collect::<Vec<_>>().join(",")),
    ]))
}

fn warnings(diff: &Diff, known_projects: &[String]) -> Vec<String> {
    let mut warnings = Vec::new();
    for template in &diff.templates {
        let (Some(id), Some(ready)) = (&diff.projects[template.project].id, &template.ready) else {
            continue;
        };
        if !ready.extra_roles.is_empty() {
            warnings.push(format!(
                "{} has roles that can log in besides the default one: {}. They have the same \
                 password in every tenant's database: take LOGIN from them, or drop them",
                template.place(id),
                ready.extra_roles.join(", ")
            ));
        }
    }
    let is_other = |id: &&String| {
        diff.projects.iter().all(|it| it.id.as_ref().map(ProjectId::as_str) != Some(id.as_str()))
    };
    let others: Vec<_> = known_projects.iter().filter(is_other).map(String::as_str).collect();
    if !others.is_empty() {
        warnings.push(format!(
            "XATA_PROJECT_ID lists {}, too: a project leaves the list only when it is empty. How \
             one joins it is in docs/reliability.md",
            others.join(", ")
        ));
    }
    warnings
}

impl Report<'_> {
    /// The settings for `.env`; none while a project or template is missing.
    pub(crate) fn settings(&self) -> Option<&BTreeMap<&'static str, String>> {
        self.settings.as_ref()
    }

    /// The steps, without the settings.
    pub(crate) fn steps(&self) -> Vec<String> {
        let mut text = Vec::new();
        if !self.steps.is_empty() {
            let rows = self.steps.iter().map(|step| {
                let done = if step.done { "done" } else { "to do" };
                let region = step.region.as_deref().unwrap_or("–");
                [step.kind.words(), &step.project, region, &step.detail, done].map(str::to_owned)
            });
            text.push(output::listing(["step", "project", "region", "details", ""], rows));
        }
        if self.outcome != Outcome::Stopped {
            text.push(self.message.clone());
        }
        text
    }

    pub(crate) fn warnings(&self) -> impl Iterator<Item = String> {
        self.warnings.iter().map(|warning| format!("\nNote: {warning}."))
    }
}

impl output::Report for Report<'_> {
    fn text(&self) -> Vec<String> {
        let mut text = self.steps();
        if let Some(settings) = self.settings().filter(|_| self.outcome != Outcome::Stopped) {
            let heading = "\nThe settings, for .env and the parameters of `sam deploy`:\n";
            text.push(heading.to_owned());
            text.extend(settings.iter().map(|(name, value)| format!("{name}=\"{value}\"")));
            let note = "\nEvery database is cloned from these with its roles: another role that \
                        can log in would have the same password in every tenant.";
            text.push(note.to_owned());
        }
        text.extend(self.warnings());
        text
    }

    fn status(&self) -> Status {
        match self.outcome {
            Outcome::Stopped => Status::Failure(self.message.clone()),
            Outcome::Planned => Status::Drift,
            Outcome::Done | Outcome::NothingToDo => Status::Success,
        }
    }
}
