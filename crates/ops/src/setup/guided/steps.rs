//! The steps after the keys: templates, parameters; the deployment, which is the operator's; the
//! connection.

use std::fs;
use std::path::PathBuf;

use anyhow::Context;
use cli::environment;
use cli::output::{self, Report as _, Status};
use per_user_db::settings::{SVIX_SECRET, SettingsError, Xata};

use super::files::replace;
use super::flow::{AGAIN, Flow, Step, Stop, failed};
use super::report::{Outcome, State};
use super::settings::{
    CLERK_WEBHOOK_SIGNING_SECRET, FUNCTION_URL, Rejected, XATA_API_KEY, organization,
};
use super::{Mode, samconfig};
use crate::doctor;
use crate::migrations::Directory;
use crate::prompt;
use crate::setup::{hookdeck, xata};

const DEPLOY: &str = "sam build && sam deploy";

impl Flow {
    /// Runs `setup xata`, or checks the templates that the settings name.
    pub(super) async fn templates(&mut self) -> Step {
        let has_templates =
            ["XATA_PROJECT_ID", "XATA_TEMPLATES"].iter().all(|it| self.variables.contains_key(*it));
        if has_templates && self.schema.is_none() && self.has_good_templates().await? {
            let templates = self.variables["XATA_TEMPLATES"].clone();
            return self.row("XATA_TEMPLATES", State::Kept, templates);
        }
        if self.mode == Mode::Ask && self.schema.is_none() {
            self.schema = ask_for_schema().await?;
        }
        let project = self.project().await?;
        let arguments = xata::Arguments::new(project, self.schema.clone(), self.is_dry_run());
        let run = xata::execute(arguments, &self.variables).await;
        let run = run
            .with_context(|| format!("{AGAIN}. With another key, take XATA_API_KEY out of .env"))?;
        let report = run.report();
        self.report.xata = Some(serde_json::to_value(&report).map_err(anyhow::Error::from)?);
        let text = report.steps().into_iter().chain(report.warnings());
        let text = text.collect::<Vec<_>>().join("\n");
        self.say(text)?;
        match report.status() {
            Status::Success => {}
            Status::Drift => self.has_plan = true,
            Status::Failure(message) | Status::Interrupted(message) => return Err(failed(message)),
        }
        for (name, value) in report.settings().into_iter().flatten() {
            if self.variables.get(*name) != Some(value) {
                self.found(name, value.clone())?;
            }
        }
        Ok(())
    }

    /// Whether the settings are whole; if they are, Xata must have what they name.
    async fn has_good_templates(&self) -> Step<bool> {
        let known = self.variables.iter().map(|(name, value)| (name.as_str(), value.clone()));
        let settings = match environment::settings(&known.collect()) {
            Ok(settings) => settings,
            // A region without a template.
            Err(SettingsError { variable: "XATA_TEMPLATES", .. }) => return Ok(false),
            Err(error) => return Err(failed(error.to_string())),
        };
        if let Xata::Platform(xata) = &settings.xata {
            let faults = doctor::xata_faults(&settings, xata).await;
            if !faults.is_empty() {
                return Err(failed(format!("{}. {AGAIN}", faults.join(". "))));
            }
        }
        Ok(true)
    }

    /// The name of the project that the settings name.
    async fn project(&self) -> Step<Option<String>> {
        let Some(id) = self.variables.get("XATA_PROJECT_ID") else { return Ok(None) };
        let organization = organization(XATA_API_KEY, &self.variables)?;
        let projects = organization.projects().await.map_err(Rejected::from)?;
        match projects.into_iter().find(|it| it.id.as_str() == id.trim()) {
            Some(project) => Ok(Some(project.name)),
            None => Err(failed(
                "XATA_PROJECT_ID lists several projects, or one that the key does not see: use `cargo ops \
                 setup xata` with --shards, or correct it",
            )),
        }
    }

    /// Writes the parameters of the deployment to samconfig.toml.
    pub(super) fn parameters(&mut self) -> Step {
        let path = &self.files.samconfig;
        let shown = path.display();
        let text = fs::read_to_string(path).with_context(|| format!("{shown} cannot be read"))?;
        let (text, changes) = samconfig::with_parameters(&text, &self.variables)?;
        if changes.is_empty() {
            return self.say("samconfig.toml has the parameters of `sam deploy`.");
        }
        self.has_plan |= self.is_dry_run();
        if !self.is_dry_run() {
            let permissions = fs::metadata(path).map_err(anyhow::Error::from)?.permissions();
            replace(path, &text, Some(permissions))
                .with_context(|| format!("{shown} cannot be written"))?;
        }
        let rows = changes.iter().map(|it| {
            let before = it.before.as_deref().unwrap_or("–");
            [it.command, &it.parameter, before, &it.after].map(str::to_owned)
        });
        let table = output::listing(["samconfig.toml", "parameter", "now", "becomes"], rows);
        self.report.parameters = changes;
        self.say(table)
    }

    /// The function's URL, which the operator has after the deployment.
    pub(super) async fn function_url(&mut self) -> Step<String> {
        if !self.variables.contains_key(FUNCTION_URL.name) {
            self.report.next = vec![
                format!("{DEPLOY}, in the directory of samconfig.toml: it deploys to the region of the AWS profile"),
                "The command in the stack's output Next1Secrets, which puts the secrets in: cargo ops setup \
                 secrets | aws secretsmanager put-secret-value …"
                    .to_owned(),
                "cargo ops setup again, with the stack's output FunctionUrl as FUNCTION_URL".to_owned(),
            ];
            self.show_next()?;
        }
        let later = " (Enter: later)";
        let url = if self.mode == Mode::Ask || self.variables.contains_key(FUNCTION_URL.name) {
            self.value(FUNCTION_URL, later).await?
        } else {
            None
        };
        let message =
            "The keys, templates and parameters are ready. Run this again after the deployment.";
        let url =
            url.ok_or_else(|| Stop::Outcome(Outcome::AwaitsDeployment, message.to_owned()))?;
        (self.report.next, self.report.has_shown_next) = (Vec::new(), false);
        hookdeck::function_url(&url).map_err(failed)
    }

    /// Runs `setup hookdeck`, and again with Clerk's signing secret.
    pub(super) async fn connection(&mut self, url: &str) -> Step {
        let is_known = |flow: &Self| SVIX_SECRET.iter().any(|it| flow.variables.contains_key(*it));
        if self.variables.contains_key(CLERK_WEBHOOK_SIGNING_SECRET.name) {
            self.value(CLERK_WEBHOOK_SIGNING_SECRET, "").await?;
        }
        if !self.connect(url).await? || is_known(self) {
            return Ok(());
        }
        let source = self.report.source_url.clone();
        let source =
            source.unwrap_or_else(|| "the URL that Hookdeck shows for the source clerk".to_owned());
        self.report.next = vec![
            format!(
                "In Clerk's dashboard, Configure, Webhooks, Add Endpoint: {source}, subscribed to user.created \
                 and user.deleted, and to nothing else"
            ),
            "cargo ops setup again, with the endpoint's Signing Secret as CLERK_WEBHOOK_SIGNING_SECRET: until \
             then, Hookdeck accepts and signs events of any sender"
                .to_owned(),
        ];
        self.show_next()?;
        let later = " (Enter: later)";
        let is_given = self.mode == Mode::Ask
            && self.value(CLERK_WEBHOOK_SIGNING_SECRET, later).await?.is_some();
        if !is_given {
            let message = "Hookdeck is connected to the function, and Clerk not yet to Hookdeck.";
            return Err(Stop::Outcome(Outcome::AwaitsEndpoint, message.to_owned()));
        }
        (self.report.next, self.report.has_shown_next) = (Vec::new(), false);
        self.connect(url).await.map(drop)
    }

    /// Runs `setup hookdeck`. Says whether the source lacks Clerk's signing secret.
    async fn connect(&mut self, url: &str) -> Step<bool> {
        let arguments = hookdeck::Arguments::new(url, self.is_dry_run());
        let report = hookdeck::execute(arguments, &self.variables).await?;
        self.report.hookdeck = Some(serde_json::to_value(&report).map_err(anyhow::Error::from)?);
        self.report.source_url = report.source_url().map(str::to_owned);
        self.say(report.changes().join("\n"))?;
        match report.status() {
            Status::Success => {}
            Status::Drift => self.has_plan = true,
            Status::Failure(message) | Status::Interrupted(message) => return Err(failed(message)),
        }
        if let Some(url) = report.source_url() {
            self.say(format!("The source's URL, for Clerk: {url}"))?;
        }
        Ok(report.lacks_secret())
    }
}

/// Asks until the directory can be read; none where the answer is empty.
async fn ask_for_schema() -> Step<Option<PathBuf>> {
    loop {
        output::note(
            "\nThe directory of your schema: SQL files such as 1_create_notes.sql, applied in the order of \
             their numbers",
        );
        let Some(directory) = prompt::ask("Schema (Enter: none)", false)? else { return Ok(None) };
        let directory = PathBuf::from(directory);
        match Directory::read(&directory).await {
            Ok(_) => return Ok(Some(directory)),
            Err(error) => output::note(format_args!("{error:#}")),
        }
    }
}
