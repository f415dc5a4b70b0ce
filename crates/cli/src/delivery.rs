//! An event, signed and sent as Hookdeck does.

use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, HeaderName, Request, Response};
use per_user_db::hookdeck;
use per_user_db::http_client::{self, CallError, HttpClient};
use tokio::time::Instant;

/// The function answers within 55 s; Hookdeck waits 60 s.
const TIMEOUT: Duration = Duration::from_secs(60);

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

/// The headers of a delivery that the function reads, under the project's prefix.
///
/// # Errors
/// When the prefix cannot begin a header's name.
pub fn headers(prefix: &str, secret: &str, body: &[u8], attempt: u32) -> anyhow::Result<HeaderMap> {
    let trigger = if attempt == 1 { "INITIAL" } else { "AUTOMATIC" };
    let mut headers = HeaderMap::new();
    headers.insert("content-type", "application/json".parse()?);
    for (suffix, value) in [
        ("signature", hookdeck::sign(secret, body)),
        ("eventid", "evt_LocalDevelopment00".to_owned()),
        ("attempt-count", attempt.to_string()),
        ("attempt-trigger", trigger.to_owned()),
        ("verified", "true".to_owned()),
    ] {
        headers.insert(HeaderName::try_from(format!("{prefix}-{suffix}"))?, value.parse()?);
    }
    Ok(headers)
}
