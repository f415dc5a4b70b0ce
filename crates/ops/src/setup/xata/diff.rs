//! The steps from the actual to the desired state. Reads only.

use anyhow::{Result, anyhow, bail};
use per_user_db::region::Region;
use per_user_db::xata::ProjectId;
use serde::Serialize;

use super::client::{Client, ReadyTemplate};
use crate::migrations::Directory;
use crate::organization::{BranchState, ListedBranch};

/// What should exist.
pub(super) struct Desired {
    /// The names of the projects.
    pub(super) projects: Vec<String>,
    /// The regions that need a template in every project.
    pub(super) regions: Vec<Region>,
    /// The schema of every template, where one is given.
    pub(super) schema: Option<Directory>,
}

/// The actual state, and the steps to the desired one.
pub(super) struct Diff {
    pub(super) schema: Option<Directory>,
    pub(super) projects: Vec<Project>,
    pub(super) templates: Vec<Template>,
    pub(super) steps: Vec<Step>,
}

pub(super) struct Project {
    pub(super) name: String,
    /// None until the project exists.
    pub(super) id: Option<ProjectId>,
}

/// A root branch that users' databases are cloned from.
pub(super) struct Template {
    /// The index of its project.
    pub(super) project: usize,
    pub(super) region: Region,
    pub(super) name: String,
    /// None until the branch exists.
    pub(super) branch: Option<ListedBranch>,
    /// None until the branch is ready.
    pub(super) ready: Option<ReadyTemplate>,
}

#[derive(Serialize)]
pub(super) struct Step {
    #[serde(rename = "step")]
    pub(super) kind: StepKind,
    pub(super) project: String,
    pub(super) region: Option<String>,
    pub(super) detail: String,
    pub(super) done: bool,
    /// The index of the project that is created, or else of the template.
    #[serde(skip)]
    pub(super) target: usize,
    /// The index of the file that is applied.
    #[serde(skip)]
    pub(super) file: Option<usize>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum StepKind {
    CreateProject,
    CreateTemplate,
    KeepAwake,
    Wake,
    ApplyFile,
    /// The template is not ready, so it is unknown which files it misses.
    ApplyMissingFiles,
}

impl StepKind {
    pub(super) fn words(self) -> &'static str {
        match self {
            Self::CreateProject => "create project",
            Self::CreateTemplate => "create template",
            Self::KeepAwake => "keep awake",
            Self::Wake => "wake",
            Self::ApplyFile => "apply file",
            Self::ApplyMissingFiles => "apply missing files",
        }
    }

    pub(super) fn is_about_files(self) -> bool {
        matches!(self, Self::ApplyFile | Self::ApplyMissingFiles)
    }
}

impl Diff {
    /// Reads the actual state, and finds the steps.
    pub(super) async fn new(client: &Client, desired: Desired) -> Result<Self> {
        let Desired { projects: names, regions, schema } = desired;
        client.check_regions(&regions).await?;
        let existing = client.organization.projects().await?;
        let mut diff =
            Self { schema, projects: Vec::new(), templates: Vec::new(), steps: Vec::new() };
        for (project, name) in names.into_iter().enumerate() {
            let id = existing.iter().find(|it| it.name == name).map(|it| it.id.clone());
            let mut branches = match &id {
                Some(id) => client.organization.branches(id).await?,
                None => Vec::new(),
            };
            diff.projects.push(Project { name: name.clone(), id });
            if diff.projects[project].id.is_none() {
                diff.add(StepKind::CreateProject, project, name);
            }
            for region in &regions {
                let name = format!("template-{region}");
                let branch = client
                    .find_branch(branches.extract_if(.., |branch| branch.name == name), &name)?;
                let region = region.clone();
                diff.templates.push(Template { project, region, name, branch, ready: None });
                diff.add_template_steps(client, diff.templates.len() - 1).await?;
            }
        }
        for region in &regions {
            let is_created = |it: &Step| {
                it.kind == StepKind::CreateTemplate && it.region.as_deref() == Some(region.as_str())
            };
            if diff.steps.iter().any(is_created) {
                client.check_offer(region).await?;
            }
        }
        // A new template takes a while to get ready, so all are created before the first file is applied.
        diff.steps.sort_by_key(|step| step.kind.is_about_files());
        Ok(diff)
    }

    async fn add_template_steps(&mut self, client: &Client, index: usize) -> Result<()> {
        let template = &self.templates[index];
        let name = template.name.clone();
        let (Some(project), Some(branch)) = (&self.projects[template.project].id, &template.branch)
        else {
            let Client { image, instance_type, .. } = client;
            let detail = format!("{name}: {image}, {instance_type}, awake");
            self.add(StepKind::CreateTemplate, index, detail);
            self.add_file_steps(index, 0);
            return Ok(());
        };
        template.check(project, branch)?;
        let (described, ready) = client
            .read_template(project, branch, self.schema.as_ref())
            .await
            .map_err(|error| anyhow!("{}: {error}", template.place(project)))?;
        let n_applied = ready.as_ref().map(|it| it.n_applied);
        self.templates[index].ready = ready;
        if described.may_hibernate() {
            self.add(StepKind::KeepAwake, index, format!("{name}: no scale to zero"));
        }
        if described.state() == BranchState::Hibernated {
            self.add(StepKind::Wake, index, name.clone());
        }
        if let Some(n_applied) = n_applied {
            self.add_file_steps(index, n_applied.unwrap_or_default());
        } else if self.schema.is_some() {
            let detail = format!("which ones shows when {name} is ready");
            self.add(StepKind::ApplyMissingFiles, index, detail);
        }
        Ok(())
    }

    /// Adds a step for each file after the first `n_applied` ones.
    fn add_file_steps(&mut self, template: usize, n_applied: usize) {
        for index in n_applied..self.schema.as_ref().map_or(0, |it| it.files.len()) {
            let Some(file) = self.schema.as_ref().map(|it| &it.files[index]) else { break };
            let n_statements = file.statements.len();
            let s = if n_statements == 1 { "" } else { "s" };
            let detail = format!("{}: {n_statements} statement{s}", file.name);
            self.add(StepKind::ApplyFile, template, detail);
            if let Some(step) = self.steps.last_mut() {
                step.file = Some(index);
            }
        }
    }

    fn add(&mut self, kind: StepKind, target: usize, detail: String) {
        let (project, region) = if kind == StepKind::CreateProject {
            (target, None)
        } else {
            let template = &self.templates[target];
            (template.project, Some(template.region.to_string()))
        };
        let project = self.projects[project].name.clone();
        self.steps.push(Step { kind, project, region, detail, done: false, target, file: None });
    }
}

impl Template {
    /// Where the template is, in words.
    pub(super) fn place(&self, project: &ProjectId) -> String {
        format!("{} in {}", self.name, project.as_str())
    }

    /// Checks that a branch with the template's name can be the template.
    pub(super) fn check(&self, project: &ProjectId, branch: &ListedBranch) -> Result<()> {
        let ListedBranch { id, region, parent, .. } = branch;
        let what = match parent {
            Some(_) => "a clone of another branch, and a template is a root branch".to_owned(),
            None if *region != self.region.as_str() => format!("in {region}"),
            None => return Ok(()),
        };
        bail!(
            "the name {} is taken: {id} is {what}. Rename it in Xata, or delete it if it is not \
             needed, or choose another --project",
            self.place(project)
        )
    }
}
