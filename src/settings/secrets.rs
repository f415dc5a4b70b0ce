//! The settings of AWS Secrets Manager.

use std::ffi::OsString;

use aws_credential_types::Credentials;
use secrecy::ExposeSecret;

use super::SettingsError;
use super::environment::Environment;
use crate::secrets;

/// Lambda sets these, and AWS's own tools read them.
const AWS: [&str; 6] = [
    "AWS_REGION",
    "AWS_ACCESS_KEY_ID",
    "AWS_SECRET_ACCESS_KEY",
    "AWS_SESSION_TOKEN",
    "AWS_ENDPOINT_URL",
    "AWS_ENDPOINT_URL_SECRETS_MANAGER",
];

/// The secret that `SECRETS_ID` names; none where the secrets are in the environment.
///
/// # Errors
/// The first value that is missing or cannot work.
pub fn secrets(
    variables: impl IntoIterator<Item = (OsString, OsString)>,
) -> Result<Option<secrets::Settings>, SettingsError> {
    let env = Environment::collect(variables, &[&AWS[..], &["SECRETS_ID"]].concat())?;
    let Some(id) = env.optional("SECRETS_ID") else { return Ok(None) };
    let needed = |name| {
        let problem = "is missing, and SECRETS_ID needs it; Lambda sets it by itself";
        env.optional(name).map(str::to_owned).ok_or_else(|| SettingsError::new(name, problem))
    };
    let region = needed("AWS_REGION")?;
    if !region.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-') {
        return Err(SettingsError::new("AWS_REGION", "is no region"));
    }
    let domain = if region.starts_with("cn-") { "amazonaws.com.cn" } else { "amazonaws.com" };
    let public = format!("https://secretsmanager.{region}.{domain}");
    let everywhere = env.url("AWS_ENDPOINT_URL", &public)?;
    let url = env.url("AWS_ENDPOINT_URL_SECRETS_MANAGER", &everywhere)?;
    let token = match env.optional("AWS_SESSION_TOKEN") {
        Some(_) => Some(env.key("AWS_SESSION_TOKEN")?.expose_secret().to_owned()),
        None => None,
    };
    needed("AWS_ACCESS_KEY_ID").and(needed("AWS_SECRET_ACCESS_KEY"))?;
    let key = |name| Ok::<_, SettingsError>(env.key(name)?.expose_secret().to_owned());
    let (id_of_key, secret) = (key("AWS_ACCESS_KEY_ID")?, key("AWS_SECRET_ACCESS_KEY")?);
    let credentials = Credentials::new(id_of_key, secret, token, None, "environment");
    Ok(Some(secrets::Settings { id: id.to_owned(), url, region, credentials }))
}
