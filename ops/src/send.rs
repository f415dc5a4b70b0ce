use std::io::{Read, Write};
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context, bail};
use bytes::Bytes;
use http::{HeaderMap, Request, Response, Uri};
use lambda_http::RequestExt;
use per_user_db::http_client::{self, CallError, HttpClient};
use serde_json::{Value, json};
use standin::hookdeck;
use tokio::time::Instant;

use crate::local;

/// Sign an event as Hookdeck does, and deliver it
///
/// The signing secret is the first of `HOOKDECK_WEBHOOK_SECRET`, from the environment or `.env`,
/// else the development secret of the stand-ins. The answer is printed; anything but 2xx is exit
/// code 1.
#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// A Clerk event as JSON, or one of the files in `events/`; `-` reads standard input
    file: PathBuf,
    /// Where the function is
    #[arg(long, value_name = "URL", default_value = "http://127.0.0.1:9000/")]
    to: Uri,
    /// Which attempt to say it is
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..))]
    attempt: u32,
    /// Print one JSON document
    #[arg(long)]
    json: bool,
}

/// The function takes 55 s at most, Hookdeck waits 60.
const TIMEOUT: Duration = Duration::from_secs(60);
const ANSWER_LIMIT_BYTES: usize = 1024 * 1024;

pub(crate) async fn run(arguments: Arguments) -> anyhow::Result<ExitCode> {
    let body = event(read(&arguments.file)?);
    let variables = local::variables();
    let secret = variables.get("HOOKDECK_WEBHOOK_SECRET");
    let secret = secret.map_or(local::SIGNING_SECRET, |setting| local::first_secret(setting));

    let mut request = Request::post(&arguments.to).body(body.clone())?;
    let host = arguments.to.authority().context("the URL names no host")?.as_str();
    let headers = delivery_headers(secret, &body, arguments.attempt)?;
    *request.headers_mut() = headers;
    request.headers_mut().insert("host", host.parse()?);
    let answer = deliver(&http_client::live(), request).await;
    let answer = answer.with_context(|| format!("{} does not answer", arguments.to))?;
    let (head, body) = answer.into_parts();

    let mut out = std::io::stdout();
    let retry_after = head.headers.get("retry-after");
    let retry_after = retry_after.map(|it| String::from_utf8_lossy(it.as_bytes()));
    let body = String::from_utf8_lossy(&body);
    if arguments.json {
        let (status, text) = (head.status.as_u16(), || Value::from(&*body));
        let body = serde_json::from_str(&body).unwrap_or_else(|_| text());
        let answer = json!({ "status": status, "retry_after": retry_after, "body": body });
        writeln!(out, "{answer:#}")?;
    } else {
        writeln!(out, "{}", head.status)?;
        if let Some(retry_after) = retry_after {
            writeln!(out, "retry-after: {retry_after}")?;
        }
        writeln!(out, "{body}")?;
    }
    Ok(if head.status.is_success() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Sends a delivery and waits for the whole answer, as long as Hookdeck does.
pub(crate) async fn deliver(
    client: &HttpClient,
    request: Request<Bytes>,
) -> Result<Response<Bytes>, CallError> {
    let until = Instant::now() + TIMEOUT;
    let request = request.try_into().map_err(|_| CallError::Unreachable)?;
    let mut answer = http_client::send(client, request, until).await?;
    let mut response = Response::default();
    *response.status_mut() = answer.status();
    *response.headers_mut() = std::mem::take(answer.headers_mut());
    *response.body_mut() = http_client::read(answer, ANSWER_LIMIT_BYTES, until).await?.into();
    Ok(response)
}

/// The headers of a delivery that say something to the function.
pub(crate) fn delivery_headers(
    secret: &str,
    body: &[u8],
    attempt: u32,
) -> anyhow::Result<HeaderMap> {
    let trigger = if attempt == 1 { "INITIAL" } else { "AUTOMATIC" };
    let headers = [
        ("content-type", "application/json".to_owned()),
        ("x-hookdeck-signature", hookdeck::signature(secret, body)),
        ("x-hookdeck-eventid", "evt_LocalDevelopment00".to_owned()),
        ("x-hookdeck-attempt-count", attempt.to_string()),
        ("x-hookdeck-attempt-trigger", trigger.to_owned()),
        ("x-hookdeck-verified", "true".to_owned()),
    ];
    let mut map = HeaderMap::new();
    for (name, value) in headers {
        map.insert(name, value.parse()?);
    }
    Ok(map)
}

fn read(file: &PathBuf) -> anyhow::Result<Bytes> {
    let mut bytes = Vec::new();
    if file.as_os_str() == "-" {
        std::io::stdin().read_to_end(&mut bytes)?;
    } else {
        bytes =
            std::fs::read(file).with_context(|| format!("{} cannot be read", file.display()))?;
    }
    if bytes.is_empty() {
        bail!("{} is empty; an event is a JSON object with a type", file.display());
    }
    Ok(bytes.into())
}

/// The bytes to deliver: the file's own, or the body of the Function URL event that it is.
fn event(file: Bytes) -> Bytes {
    let request = per_user_db::request::read(&String::from_utf8_lossy(&file));
    if request.raw_http_path().is_empty() { file } else { request.body().to_vec().into() }
}
