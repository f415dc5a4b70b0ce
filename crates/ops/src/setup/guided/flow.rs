//! The order of the steps, and the first of them: the keys.

use std::path::PathBuf;

use cli::{environment, output};
use per_user_db::xata::OrganizationId;

use super::files::Files;
use super::report::{Outcome, Report, Row, State};
use super::settings::{
    KEYS, Question, Rejected, Variables, XATA_API_KEY, XATA_ORGANIZATION_ID, visible_organizations,
};
use super::{Arguments, Mode};
use crate::prompt;

pub(super) const AGAIN: &str = "Everything up to here is kept: correct it, and run this again";

pub(super) struct Flow {
    pub(super) schema: Option<PathBuf>,
    pub(super) mode: Mode,
    pub(super) as_json: bool,
    pub(super) files: Files,
    /// The environment and `.env`, with the answers so far.
    pub(super) variables: Variables,
    /// Whether a dry run has found something to do.
    pub(super) has_plan: bool,
    pub(super) report: Report,
}

/// Why the steps end before the last one.
pub(super) enum Stop {
    Outcome(Outcome, String),
    Output(anyhow::Error),
}

pub(super) type Step<T = ()> = Result<T, Stop>;

pub(super) fn failed(message: impl Into<String>) -> Stop {
    Stop::Outcome(Outcome::Failed, message.into())
}

impl From<anyhow::Error> for Stop {
    fn from(error: anyhow::Error) -> Self {
        failed(format!("{error:#}"))
    }
}

impl From<Rejected> for Stop {
    fn from(rejected: Rejected) -> Self {
        let (Rejected::Value(problem) | Rejected::Check(problem)) = rejected;
        failed(format!("{problem}. {AGAIN}"))
    }
}

impl Flow {
    pub(super) fn new(arguments: Arguments, mode: Mode) -> anyhow::Result<Self> {
        let Arguments { schema, json: as_json, .. } = arguments;
        let files = Files::find()?;
        let report = Report {
            dry_run: mode == Mode::DryRun,
            outcome: Outcome::Done,
            settings: Vec::new(),
            missing: Vec::new(),
            xata: None,
            parameters: Vec::new(),
            hookdeck: None,
            source_url: None,
            message: String::new(),
            next: Vec::new(),
            has_shown_next: false,
        };
        let variables = environment::variables()?;
        Ok(Self { schema, mode, as_json, files, variables, has_plan: false, report })
    }

    /// Goes through the steps. The result is in the report.
    ///
    /// # Errors
    /// When standard output is closed or full.
    pub(super) async fn run(&mut self) -> anyhow::Result<()> {
        let (outcome, message) = match self.steps().await {
            Ok(()) => (Outcome::Done, "Everything is set up.".to_owned()),
            Err(Stop::Outcome(outcome, message)) => (outcome, message),
            Err(Stop::Output(error)) => return Err(error),
        };
        let is_over = matches!(outcome, Outcome::Failed | Outcome::Missing);
        (self.report.outcome, self.report.message) = if self.has_plan && !is_over {
            self.report.next.clear(); // they come after what is planned
            (Outcome::Planned, "Nothing was changed: this is a dry run.".to_owned())
        } else {
            (outcome, message)
        };
        Ok(())
    }

    pub(super) fn is_dry_run(&self) -> bool {
        self.mode == Mode::DryRun
    }

    async fn steps(&mut self) -> Step {
        self.keys().await?;
        self.organization().await?;
        self.templates().await?;
        self.parameters()?;
        let url = self.function_url().await?;
        self.connection(&url).await?;
        self.report.next = vec![format!("Check everything: cargo ops doctor --url {url}")];
        Ok(())
    }

    /// Asks for the keys, and checks each.
    async fn keys(&mut self) -> Step {
        if self.mode != Mode::Ask {
            let is_missing = |it: &Question| !self.variables.contains_key(it.name);
            self.require(KEYS.into_iter().filter(is_missing).collect())?;
        }
        let mut rejected = Vec::new();
        for question in KEYS {
            match self.value(question, "").await {
                Ok(_) => {}
                Err(Stop::Outcome(Outcome::Failed, problem)) if self.mode != Mode::Ask => {
                    rejected.push(problem);
                }
                Err(stop) => return Err(stop),
            }
        }
        if rejected.is_empty() { Ok(()) } else { Err(failed(rejected.join("\n"))) }
    }

    /// Takes a value that is there, or asks for it until it passes its check. None where the answer is
    /// empty, and `otherwise` says what that means.
    pub(super) async fn value(
        &mut self,
        question: Question,
        otherwise: &str,
    ) -> Step<Option<String>> {
        let Question { name, source, is_secret } = question;
        let mut state = State::Kept;
        loop {
            if let Some(value) = self.variables.get(name).cloned() {
                match question.check(&self.variables).await {
                    Ok(accepted) => {
                        if state == State::Stored {
                            self.store(name, &value)?;
                        }
                        self.row(name, state, accepted.what)?;
                        if let Some((name, value)) = accepted.found {
                            self.found(name, value)?;
                        }
                        return Ok(Some(value));
                    }
                    Err(Rejected::Value(problem)) if self.mode == Mode::Ask => {
                        self.variables.remove(name);
                        output::note(problem);
                        if state == State::Kept && std::env::var_os(name).is_some() {
                            output::note(format_args!(
                                "{name} is set in the environment, which wins over .env: unset it there"
                            ));
                        }
                    }
                    Err(Rejected::Value(problem)) => {
                        return Err(failed(format!("{name}: {problem}. Needed: {source}")));
                    }
                    Err(Rejected::Check(problem)) => {
                        return Err(failed(format!("{problem}. {AGAIN}")));
                    }
                }
            }
            output::note(format_args!("\n{source}"));
            let answer = prompt::ask(&format!("{name}{otherwise}"), is_secret)?;
            match answer {
                Some(value) => self.variables.insert(name.to_owned(), value),
                None if otherwise.is_empty() => continue,
                None => return Ok(None),
            };
            state = State::Stored;
        }
    }

    /// Finds the organization, or asks for it where the key sees several.
    async fn organization(&mut self) -> Step {
        let question = XATA_ORGANIZATION_ID;
        if self.variables.contains_key(question.name) {
            return Ok(());
        }
        let visible = visible_organizations(&self.variables).await?;
        if let [only] = &visible[..] {
            return self.found(question.name, only.as_str().to_owned());
        }
        let ids = visible.iter().map(OrganizationId::as_str).collect::<Vec<_>>().join(", ");
        if self.mode != Mode::Ask {
            self.say(format!("The key sees these organizations: {ids}"))?;
            return self.require(vec![question]);
        }
        loop {
            output::note(format_args!("\n{}; the key sees {ids}", question.source));
            let Some(id) = prompt::ask(question.name, question.is_secret)? else { continue };
            self.variables.insert(question.name.to_owned(), id.clone());
            match XATA_API_KEY.check(&self.variables).await {
                Ok(accepted) => {
                    self.store(question.name, &id)?;
                    return self.row(question.name, State::Stored, accepted.what);
                }
                Err(Rejected::Value(problem) | Rejected::Check(problem)) => output::note(problem),
            }
        }
    }

    /// Stops if settings are missing.
    pub(super) fn require(&mut self, missing: Vec<Question>) -> Step {
        if missing.is_empty() {
            return Ok(());
        }
        self.report.missing = missing;
        let message = "Nothing was set up: set these in the environment or .env, or run this on a terminal \
                       without --yes and --dry-run, and it asks.";
        Err(Stop::Outcome(Outcome::Missing, message.to_owned()))
    }

    /// Takes a setting that a service told.
    pub(super) fn found(&mut self, name: &'static str, value: String) -> Step {
        self.variables.insert(name.to_owned(), value.clone());
        self.has_plan |= self.is_dry_run();
        self.store(name, &value)?;
        self.row(name, if self.is_dry_run() { State::Found } else { State::Stored }, value)
    }

    fn store(&self, name: &str, value: &str) -> Step {
        if self.is_dry_run() { Ok(()) } else { Ok(self.files.store(name, value)?) }
    }

    pub(super) fn row(&mut self, name: &'static str, state: State, what: String) -> Step {
        let word = match state {
            State::Kept => "kept",
            State::Stored => "stored",
            State::Found => "found",
        };
        self.say(format!("{name:<29} {word}, {what}"))?;
        self.report.settings.push(Row { name, state, what });
        Ok(())
    }

    /// Shows the next steps before the question that waits for them.
    pub(super) fn show_next(&mut self) -> Step {
        if self.mode == Mode::Ask {
            self.say(format!("\n{}", self.report.steps().join("\n")))?;
            self.report.has_shown_next = !self.as_json;
        }
        Ok(())
    }

    /// Shows a line at once, unless a document follows.
    pub(super) fn say(&self, text: impl std::fmt::Display) -> Step {
        if self.as_json { Ok(()) } else { output::line(text).map_err(Stop::Output) }
    }
}
