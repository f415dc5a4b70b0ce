//! The settings in the environment and in `.env`.

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::{Context, bail};
use per_user_db::settings::{Settings, SettingsError};

/// The variables of the environment and of the nearest `.env`, here or in a directory above. The
/// environment wins; an empty value counts as not set.
///
/// # Errors
/// When a line of the file cannot be read. The error names the line and does not quote it.
pub fn variables() -> anyhow::Result<BTreeMap<String, String>> {
    let here = std::env::current_dir().context("the current directory cannot be read")?;
    let path = here.ancestors().map(|it| it.join(".env")).find(|it| it.is_file());
    let file = path.as_deref().map(read).transpose()?.unwrap_or_default();
    let environment = std::env::vars_os()
        .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)));
    Ok(file.into_iter().chain(environment).filter(|(_, value)| !value.is_empty()).collect())
}

/// The variables in a file.
fn read(path: &Path) -> anyhow::Result<Vec<(String, String)>> {
    let text = std::fs::read_to_string(path)
        .with_context(|| format!("{} cannot be read", path.display()))?;
    // Editors on Windows begin a file with a byte order mark.
    let text = text.strip_prefix('\u{feff}').unwrap_or(&text);
    let mut variables = Vec::new();
    for variable in dotenvy::from_read_iter(text.as_bytes()) {
        match variable {
            Ok(variable) => variables.push(variable),
            Err(dotenvy::Error::LineParse(bad, _)) => {
                // The line, or its value.
                let bad = bad.lines().next().unwrap_or_default().trim_end();
                let before = text.lines().take_while(|it| !it.trim_end().ends_with(bad)).count();
                bail!(
                    "{}, line {}: it must be NAME=value, and a value with a blank, a quote, $ or # \
                     must stand in single quotes, which end on the same line",
                    path.display(),
                    before + 1
                );
            }
            Err(error) => {
                return Err(error).with_context(|| format!("{} cannot be read", path.display()));
            }
        }
    }
    Ok(variables)
}

/// The settings as the function reads them.
///
/// # Errors
/// What stops the function's start.
pub fn settings(variables: &BTreeMap<&str, String>) -> Result<Settings, SettingsError> {
    Settings::read(variables.iter().map(|(&name, value)| (name.into(), value.into())))
}

/// The secret that deliveries are signed with: the first of a setting that may list several.
pub fn first_secret(setting: &str) -> &str {
    setting.split(',').next().unwrap_or_default()
}
