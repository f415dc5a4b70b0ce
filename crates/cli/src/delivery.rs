//! An event, signed and sent as Hookdeck does.

use std::collections::BTreeMap;
use std::time::{Duration, SystemTime};

use anyhow::Context;
use bytes::Bytes;
use http::{HeaderMap, HeaderName, Request, Response};
use per_user_db::clerk::svix;
use per_user_db::hookdeck::{self, DEFAULT_HEADER_PREFIX};
use per_user_db::http_client::{self, CallError, HttpClient};
use per_user_db::settings::SVIX_SECRET;
use secrecy::SecretString;
use tokio::time::Instant;

use crate::environment::first_secret;

/// The function answers within 55 s; Hookdeck waits 60 s.
const TIMEOUT: Duration = Duration::from_mins(1);

const RESPONSE_LIMIT_BYTES: usize = 1024 * 1024;

/// Sends a delivery and reads the whole response.
///
/// # Errors
/// When there is no response within Hookdeck's limit, or none that can be read.
pub async fn send(
    client: &HttpClient,
    request: Request<Bytes>,
) -> Result<Response<Bytes>, CallError> {
    let deadline = Instant::now() + TIMEOUT;
    let request = request.try_into().map_err(|_| CallError::Unreachable)?;
    let mut answer = http_client::send(client, request, deadline).await?;
    let mut response = Response::default();
    *response.status_mut() = answer.status();
    *response.headers_mut() = std::mem::take(answer.headers_mut());
    *response.body_mut() = http_client::read(answer, RESPONSE_LIMIT_BYTES, deadline).await?.into();
    Ok(response)
}

/// What signs a delivery: the secrets and the header prefix of the function's settings.
pub struct Signer<'a> {
    prefix: &'a str,
    secret: &'a str,
    svix: Option<svix::Secrets>,
}

impl<'a> Signer<'a> {
    /// Reads the settings; none without Hookdeck's secret. With Clerk's signing secret, a delivery has
    /// Svix's headers, too.
    ///
    /// # Errors
    /// When Clerk's signing secret is not as Clerk shows it.
    pub fn read(variables: &'a BTreeMap<String, String>) -> anyhow::Result<Option<Self>> {
        let get = |name: &str| variables.get(name).map(String::as_str);
        let Some(secret) = get("HOOKDECK_WEBHOOK_SECRET") else { return Ok(None) };
        let prefix = get("HOOKDECK_HEADER_PREFIX").map_or(DEFAULT_HEADER_PREFIX, str::trim);
        let svix = SVIX_SECRET.into_iter().find_map(|name| Some((name, get(name)?)));
        let parse = |(name, setting): (&str, &str)| {
            let first = SecretString::from(first_secret(setting).trim());
            svix::Secrets::parse(&[first]).with_context(|| format!("{name} cannot be used"))
        };
        Ok(Some(Self { prefix, secret: first_secret(secret), svix: svix.map(parse).transpose()? }))
    }

    /// A signer with this secret of Hookdeck's and nothing else.
    pub fn new(secret: &'a str) -> Self {
        Self { prefix: DEFAULT_HEADER_PREFIX, secret, svix: None }
    }

    /// Whether a delivery has Svix's headers, too.
    pub fn has_svix(&self) -> bool {
        self.svix.is_some()
    }

    /// The headers of a delivery that the function reads.
    ///
    /// # Errors
    /// When the prefix cannot begin a header's name.
    pub fn headers(&self, body: &[u8], attempt: u32) -> anyhow::Result<HeaderMap> {
        let trigger = if attempt == 1 { "INITIAL" } else { "AUTOMATIC" };
        let mut headers = HeaderMap::new();
        headers.insert("content-type", "application/json".parse()?);
        for (suffix, value) in [
            ("signature", hookdeck::sign(self.secret, body)),
            ("eventid", "evt_LocalDevelopment00".to_owned()),
            ("attempt-count", attempt.to_string()),
            ("attempt-trigger", trigger.to_owned()),
            ("verified", "true".to_owned()),
        ] {
            let name = HeaderName::try_from(format!("{}-{suffix}", self.prefix))?;
            headers.insert(name, value.parse()?);
        }
        if let Some(secrets) = &self.svix {
            let since_epoch = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH)?;
            let (id, seconds) = ("msg_LocalDevelopment00", i64::try_from(since_epoch.as_secs())?);
            headers.insert("svix-id", id.parse()?);
            headers.insert("svix-timestamp", seconds.to_string().parse()?);
            headers.insert("svix-signature", secrets.sign(id, seconds, body).parse()?);
        }
        Ok(headers)
    }
}
