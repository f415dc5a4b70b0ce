//! The settings of AWS Secrets Manager.

use std::ffi::OsString;

use aws_credential_types::Credentials;
use secrecy::{ExposeSecret, SecretString};

use super::SettingsError;
use super::environment::Environment;
use crate::secrets::{self, CredentialsSource, Token};

/// Lambda sets these, and AWS's own tools read them.
const AWS: [&str; 9] = [
    "AWS_REGION",
    ACCESS_KEY_ID,
    "AWS_SECRET_ACCESS_KEY",
    "AWS_SESSION_TOKEN",
    ENDPOINT,
    "AWS_CONTAINER_AUTHORIZATION_TOKEN",
    "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE",
    "AWS_ENDPOINT_URL",
    "AWS_ENDPOINT_URL_SECRETS_MANAGER",
];

const ACCESS_KEY_ID: &str = "AWS_ACCESS_KEY_ID";

/// The address of the container's credentials.
const ENDPOINT: &str = "AWS_CONTAINER_CREDENTIALS_FULL_URI";

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
    credentials_in(&env)?;
    Ok(Some(secrets::Settings { id: id.to_owned(), url, region }))
}

/// Where the credentials of the function's role are now: in the environment, else at the container's
/// endpoint. AWS's own tools look there in this order.
///
/// # Errors
/// The first value that is missing or cannot work.
pub fn credentials(
    variables: impl IntoIterator<Item = (OsString, OsString)>,
) -> Result<CredentialsSource, SettingsError> {
    credentials_in(&Environment::collect(variables, &AWS)?)
}

fn credentials_in(env: &Environment) -> Result<CredentialsSource, SettingsError> {
    if env.optional(ACCESS_KEY_ID).is_none() && env.optional(ENDPOINT).is_some() {
        let url = env.url(ENDPOINT, "")?;
        let token = match env.optional("AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE") {
            Some(path) => Some(Token::File(path.into())),
            None => key_if_set(env, "AWS_CONTAINER_AUTHORIZATION_TOKEN")?.map(Token::Value),
        };
        return Ok(CredentialsSource::Endpoint { url, token });
    }
    let key = |name| {
        let problem = "is missing, and SECRETS_ID needs it; Lambda sets it by itself";
        key_if_set(env, name)?.ok_or_else(|| SettingsError::new(name, problem))
    };
    let (id, secret) = (key(ACCESS_KEY_ID)?, key("AWS_SECRET_ACCESS_KEY")?);
    let token = key_if_set(env, "AWS_SESSION_TOKEN")?;
    Ok(CredentialsSource::Given(Credentials::new(
        id.expose_secret(),
        secret.expose_secret(),
        token.map(|it| it.expose_secret().to_owned()),
        None,
        "environment",
    )))
}

fn key_if_set(
    env: &Environment,
    name: &'static str,
) -> Result<Option<SecretString>, SettingsError> {
    env.optional(name).is_some().then(|| env.key(name)).transpose()
}
