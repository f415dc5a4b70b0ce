//! Questions on the terminal. They go to standard error, as progress does.

use std::io::{IsTerminal, stdin};

use anyhow::{Result, anyhow};
use dialoguer::{Input, Password};

/// Asks for a value; none where the answer is empty.
pub(crate) fn ask(question: &str, is_secret: bool) -> Result<Option<String>> {
    let answer = if is_secret {
        Password::new().with_prompt(question).allow_empty_password(true).interact()
    } else {
        Input::<String>::new().with_prompt(question).allow_empty(true).interact()
    };
    let answer = answer.map_err(|error| {
        anyhow!(
            "the terminal gives no answer: {error}. Every earlier answer is kept; run this again"
        )
    })?;
    Ok(Some(answer.trim().to_owned()).filter(|answer| !answer.is_empty()))
}

/// Whether there is a terminal to answer a question.
pub(crate) fn is_possible() -> bool {
    stdin().is_terminal()
}

/// Asks whether to go on. Only y is a yes.
pub(crate) fn confirm(question: &str) -> Result<bool> {
    let answer = ask(&format!("{question} [y/N]"), false)?;
    Ok(answer.is_some_and(|answer| ["y", "yes"].contains(&answer.to_lowercase().as_str())))
}
