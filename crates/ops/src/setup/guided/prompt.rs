//! Questions on the terminal. They go to standard error, as progress does.

use anyhow::{Result, anyhow};
use dialoguer::{Input, Password};

/// Asks for a value; none where the answer is empty.
pub(super) fn ask(question: &str, is_secret: bool) -> Result<Option<String>> {
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
