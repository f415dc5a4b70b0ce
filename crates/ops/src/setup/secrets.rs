//! `ops setup secrets`: the value of the stack's secret, for the program that stores it.

use std::collections::BTreeMap;
use std::io::{IsTerminal, stdout};
use std::process::ExitCode;

use anyhow::bail;
use cli::{environment, output};
use per_user_db::settings::SECRETS;

use crate::doctor::NEEDED_SECRETS;

/// Print the secrets as the JSON object that the stack's secret holds, for a pipe
///
/// The members are the secrets that the environment or `.env` has. It prints to no terminal. The
/// stack's output `Next1Secrets` is the whole command that stores them:
///
/// `cargo ops setup secrets | aws secretsmanager put-secret-value --region REGION --secret-id ID
/// --secret-string file:///dev/stdin`
#[derive(clap::Args)]
pub(crate) struct Arguments {}

pub(crate) fn run(Arguments {}: Arguments) -> anyhow::Result<ExitCode> {
    if stdout().is_terminal() {
        bail!(
            "the secrets are not shown on a terminal: pipe them into the command that stores them, the \
             stack's output Next1Secrets"
        );
    }
    let variables = environment::variables()?;
    let has = |name: &&str| variables.contains_key(*name);
    let missing: Vec<_> = NEEDED_SECRETS.into_iter().filter(|name| !has(name)).collect();
    if !missing.is_empty() {
        bail!(
            "{} is missing, in the environment and .env: run `cargo ops setup`",
            missing.join(" and ")
        );
    }
    let members = SECRETS.into_iter().filter(has).map(|name| (name, &variables[name]));
    output::json(&members.collect::<BTreeMap<_, _>>())?;
    Ok(ExitCode::SUCCESS)
}
