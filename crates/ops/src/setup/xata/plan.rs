//! What there is, and what is to be done about it.

use std::fmt;

use per_user_db::region::Region;
use per_user_db::xata::ProjectId;
use serde::Serialize;

use super::cloud::{Cloud, Listed};
use super::schema::{self, Applied, File};
use super::sql::{Failure, Gateway};
use crate::organization::{Described, State};
use crate::service::Problem;

/// What is wanted, what there is of it, and the steps from one to the other.
pub(super) struct Setup {
    pub(super) cloud: Cloud,
    /// The schema, if one was given.
    pub(super) files: Option<Vec<File>>,
    pub(super) shards: Vec<Shard>,
    pub(super) steps: Vec<Step>,
}

/// A project.
pub(super) struct Shard {
    pub(super) name: String,
    pub(super) id: Option<ProjectId>,
    pub(super) templates: Vec<Template>,
}

/// A root branch to clone.
pub(super) struct Template {
    pub(super) region: Region,
    pub(super) name: String,
    pub(super) listed: Option<Listed>,
    /// What can be asked, and what it said; once it is ready.
    pub(super) seen: Option<Seen>,
}

/// A template that is ready.
pub(super) struct Seen {
    /// None without a schema.
    pub(super) gateway: Option<Gateway>,
    pub(super) applied: Vec<Applied>,
    /// Roles besides the default one that can log in.
    pub(super) extra_roles: Vec<String>,
}

/// One step.
#[derive(Serialize)]
pub(super) struct Step {
    #[serde(rename = "step")]
    pub(super) what: What,
    pub(super) project: String,
    pub(super) region: Option<String>,
    pub(super) detail: String,
    pub(super) done: bool,
    #[serde(skip)]
    pub(super) shard: usize,
    #[serde(skip)]
    pub(super) template: usize,
    /// The place of a file in the list.
    #[serde(skip)]
    pub(super) file: Option<usize>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum What {
    CreateProject,
    CreateTemplate,
    KeepAwake,
    Wake,
    ApplyFile,
    /// Which files, only the template can say, and it is not ready.
    ApplyMissingFiles,
}

impl fmt::Display for What {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::CreateProject => "create project",
            Self::CreateTemplate => "create template",
            Self::KeepAwake => "keep awake",
            Self::Wake => "wake",
            Self::ApplyFile => "apply file",
            Self::ApplyMissingFiles => "apply missing files",
        })
    }
}

impl What {
    pub(super) fn is_about_files(self) -> bool {
        matches!(self, Self::ApplyFile | Self::ApplyMissingFiles)
    }
}

impl Setup {
    /// Looks at what there is, and plans the rest. Changes nothing.
    pub(super) async fn plan(
        cloud: Cloud,
        files: Option<Vec<File>>,
        names: Vec<String>,
        regions: Vec<Region>,
    ) -> Result<Self, Problem> {
        check_regions(&cloud, &regions).await?;
        let template = |region: &Region| Template {
            region: region.clone(),
            name: format!("template-{}", region.as_str()),
            listed: None,
            seen: None,
        };
        let shards = names.into_iter().map(|name| Shard {
            name,
            id: None,
            templates: regions.iter().map(template).collect(),
        });
        let mut setup = Self { cloud, files, shards: shards.collect(), steps: Vec::new() };
        for shard in 0..setup.shards.len() {
            setup.plan_shard(shard).await?;
        }
        setup.check_offers(&regions).await?;
        // Templates take a while to get ready: all are made before the first file is applied.
        setup.steps.sort_by_key(|step| step.what.is_about_files());
        Ok(setup)
    }

    async fn plan_shard(&mut self, shard: usize) -> Result<(), Problem> {
        let name = self.shards[shard].name.clone();
        let id = self.cloud.project(&name).await?;
        self.shards[shard].id.clone_from(&id);
        if id.is_none() {
            self.add(What::CreateProject, (shard, 0), name);
        }
        for template in 0..self.shards[shard].templates.len() {
            match &id {
                Some(id) => self.plan_template(id, (shard, template)).await?,
                None => self.plan_new((shard, template)),
            }
        }
        Ok(())
    }

    fn plan_new(&mut self, at: (usize, usize)) {
        let name = &self.shards[at.0].templates[at.1].name;
        let Cloud { image, instance_type, .. } = &self.cloud;
        let detail = format!("{name}: {image}, {instance_type}, always awake");
        self.add(What::CreateTemplate, at, detail);
        self.add_files(at, &(0..self.files.as_ref().map_or(0, Vec::len)).collect::<Vec<_>>());
    }

    async fn plan_template(
        &mut self,
        project: &ProjectId,
        at: (usize, usize),
    ) -> Result<(), Problem> {
        let template = &self.shards[at.0].templates[at.1];
        let name = template.name.clone();
        let Some(listed) = self.cloud.branch(project, &name).await? else {
            self.plan_new(at);
            return Ok(());
        };
        check(template, project, &listed)?;
        let described = self.cloud.describe(project, &listed.id).await?;
        let with_sql = self.files.is_some();
        let seen = self.cloud.look(project, &listed, &described, with_sql).await?;
        let missing = match (&seen, &self.files) {
            (Some(seen), Some(files)) => {
                Some(schema::missing(&place(template, project), &seen.applied, files)?)
            }
            _ => None,
        };
        let template = &mut self.shards[at.0].templates[at.1];
        (template.listed, template.seen) = (Some(listed), seen);
        if described.may_sleep() {
            self.add(What::KeepAwake, at, format!("{name}: no scale to zero"));
        }
        if described.state() == State::Hibernated {
            self.add(What::Wake, at, name.clone());
        }
        match (missing, &self.files) {
            (Some(missing), _) => self.add_files(at, &missing),
            (None, Some(_)) => {
                let detail = format!("{name} tells which when it is ready");
                self.add(What::ApplyMissingFiles, at, detail);
            }
            (None, None) => {}
        }
        Ok(())
    }

    fn add_files(&mut self, at: (usize, usize), files: &[usize]) {
        for &index in files {
            let Some(file) = self.files.as_ref().and_then(|files| files.get(index)) else { break };
            let n_statements = file.statements.len();
            let s = if n_statements == 1 { "" } else { "s" };
            let detail = format!("{}: {n_statements} statement{s}", file.name);
            self.add(What::ApplyFile, at, detail);
            if let Some(step) = self.steps.last_mut() {
                step.file = Some(index);
            }
        }
    }

    fn add(&mut self, what: What, (shard, template): (usize, usize), detail: String) {
        let of_template = what != What::CreateProject;
        let region = &self.shards[shard].templates[template].region;
        let region = of_template.then(|| region.as_str().to_owned());
        let project = self.shards[shard].name.clone();
        let (done, file) = (false, None);
        self.steps.push(Step { what, project, region, detail, done, shard, template, file });
    }

    /// Checks that what is to be made can be had.
    async fn check_offers(&self, regions: &[Region]) -> Result<(), Problem> {
        for (index, region) in regions.iter().enumerate() {
            let is_made = |it: &Step| it.what == What::CreateTemplate && it.template == index;
            if self.steps.iter().any(is_made) {
                self.cloud.check_offer(region).await?;
            }
        }
        Ok(())
    }
}

impl Cloud {
    /// Looks into a template; none if it is not quite ready.
    pub(super) async fn look(
        &self,
        project: &ProjectId,
        listed: &Listed,
        described: &Described,
        with_sql: bool,
    ) -> Result<Option<Seen>, Problem> {
        if described.state() != State::Healthy {
            return Ok(None);
        }
        let Some(gateway) = self.gateway(project, &listed.id, described).await? else {
            return Ok(None);
        };
        if !with_sql {
            let (applied, extra_roles) = (Vec::new(), Vec::new());
            return Ok(Some(Seen { gateway: None, applied, extra_roles }));
        }
        match gateway.survey().await {
            Ok((applied, extra_roles)) => {
                Ok(Some(Seen { gateway: Some(gateway), applied, extra_roles }))
            }
            Err(Failure::NotReady(_)) => Ok(None),
            Err(failure) => Err(failure.problem()),
        }
    }
}

/// How a template is spoken of.
pub(super) fn place(template: &Template, project: &ProjectId) -> String {
    format!("{} in {}", template.name, project.as_str())
}

/// Checks that a branch with a template's name can be the template.
pub(super) fn check(
    template: &Template,
    project: &ProjectId,
    listed: &Listed,
) -> Result<(), Problem> {
    let (id, place, region) = (listed.id.as_str(), place(template, project), &listed.region);
    let what = match &listed.parent {
        Some(_) => "a clone of another branch, and a template is a root branch".to_owned(),
        None if region != template.region.as_str() => format!("in {region}"),
        None => return Ok(()),
    };
    Err(Problem(format!(
        "the name {place} is taken: {id} is {what}. Rename it in Xata, or delete it if nobody needs \
         it, or choose another --project"
    )))
}

async fn check_regions(cloud: &Cloud, regions: &[Region]) -> Result<(), Problem> {
    let known = cloud.organization.regions().await?;
    match regions.iter().find(|region| !known.iter().any(|id| id == region.as_str())) {
        None => Ok(()),
        Some(region) => Err(Problem(format!(
            "Xata has no region {} for this organization: choose with --region, or correct \
             DEFAULT_REGION, REGION_BY_CONTINENT, REGION_BY_COUNTRY and ALLOWED_REGIONS; it has {}",
            region.as_str(),
            known.join(", ")
        ))),
    }
}
