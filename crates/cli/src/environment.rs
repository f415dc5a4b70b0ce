//! The settings in the environment and in `.env`.

use std::collections::BTreeMap;

use per_user_db::settings::{Settings, SettingsError};

/// The variables of the environment and of `.env`. The environment wins; an empty value counts as
/// not set.
pub fn variables() -> BTreeMap<String, String> {
    let file = dotenvy::dotenv_iter().into_iter().flatten().filter_map(Result::ok);
    let environment = std::env::vars_os()
        .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)));
    file.chain(environment).filter(|(_, value)| !value.is_empty()).collect()
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
