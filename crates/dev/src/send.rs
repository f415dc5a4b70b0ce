use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context, bail};
use bytes::Bytes;
use cli::{delivery, environment, output};
use http::{Request, Uri};
use per_user_db::hookdeck::DEFAULT_HEADER_PREFIX;
use per_user_db::http_client;
use serde_json::{Value, json};

use crate::services::SIGNING_SECRET;

/// Sign an event as Hookdeck does, deliver it, and print the response
///
/// The signing secret is the first of `HOOKDECK_WEBHOOK_SECRET`, from the environment or `.env`,
/// else the development secret of the stand-ins. Exit codes: 0 the status is 2xx, 1 it is not.
///
/// Example: cargo dev send events/user-created.json
#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// A Clerk event as JSON, or one of the files in `events/`; `-` reads standard input
    file: PathBuf,
    /// The URL of the function
    #[arg(long, value_name = "URL", default_value = "http://127.0.0.1:9000/")]
    to: Uri,
    /// The number of the attempt in the delivery's headers
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..))]
    attempt: u32,
    /// Print one JSON document
    #[arg(long)]
    json: bool,
}

pub(crate) async fn run(arguments: Arguments) -> anyhow::Result<ExitCode> {
    let body = event(read(&arguments.file)?);
    let variables = environment::variables();
    let secret = variables.get("HOOKDECK_WEBHOOK_SECRET");
    let secret = secret.map_or(SIGNING_SECRET, |setting| environment::first_secret(setting));

    let host = arguments.to.authority().context("the URL has no host")?.as_str();
    let mut headers = delivery::headers(DEFAULT_HEADER_PREFIX, secret, &body, arguments.attempt)?;
    headers.insert("host", host.parse()?);
    let mut request = Request::post(&arguments.to).body(body)?;
    *request.headers_mut() = headers;
    let response = delivery::send(&http_client::live(), request).await;
    let response = response.with_context(|| format!("{} does not answer", arguments.to))?;

    let retry_after = response.headers().get("retry-after");
    let retry_after = retry_after.map(|it| String::from_utf8_lossy(it.as_bytes()));
    let (status, body) = (response.status(), String::from_utf8_lossy(response.body()));
    if arguments.json {
        let body = serde_json::from_str(&body).unwrap_or_else(|_| Value::from(&*body));
        let status = status.as_u16();
        output::json(&json!({ "status": status, "retry_after": retry_after, "body": body }))?;
    } else {
        output::line(status)?;
        if let Some(retry_after) = retry_after {
            output::line(format_args!("retry-after: {retry_after}"))?;
        }
        output::line(body)?;
    }
    Ok(output::holds(status.is_success()))
}

fn read(file: &Path) -> anyhow::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    if file.as_os_str() == "-" {
        std::io::stdin().read_to_end(&mut bytes)?;
    } else {
        bytes = std::fs::read(file).with_context(|| format!("cannot read {}", file.display()))?;
    }
    if bytes.is_empty() {
        bail!("{} is empty; an event is a JSON object with a type", file.display());
    }
    Ok(bytes)
}

/// The bytes to deliver: the file's own, or the body of the Function URL event in it.
fn event(file: Vec<u8>) -> Bytes {
    match per_user_db::request::read(&String::from_utf8_lossy(&file)) {
        Some(request) => request.into_body().to_vec().into(),
        None => file.into(),
    }
}
