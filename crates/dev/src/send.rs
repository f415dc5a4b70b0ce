use std::io::{Read, Write};
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context, bail};
use bytes::Bytes;
use cli::{delivery, environment};
use http::{Request, Uri};
use per_user_db::hookdeck::DEFAULT_HEADER_PREFIX as PREFIX;
use per_user_db::http_client;
use serde_json::{Value, json};

use crate::services;

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

pub(crate) async fn run(arguments: Arguments) -> anyhow::Result<ExitCode> {
    let body = event(read(&arguments.file)?);
    let variables = environment::variables();
    let secret = variables.get("HOOKDECK_WEBHOOK_SECRET");
    let secret =
        secret.map_or(services::SIGNING_SECRET, |setting| environment::first_secret(setting));

    let mut request = Request::post(&arguments.to).body(body.clone())?;
    let host = arguments.to.authority().context("the URL names no host")?.as_str();
    let headers = delivery::headers(PREFIX, secret, &body, arguments.attempt)?;
    *request.headers_mut() = headers;
    request.headers_mut().insert("host", host.parse()?);
    let answer = delivery::send(&http_client::live(), request).await;
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

/// The bytes to deliver: the file's own, or the body of the Function URL event in it.
fn event(file: Bytes) -> Bytes {
    match per_user_db::request::read(&String::from_utf8_lossy(&file)) {
        Some(request) => request.into_body().to_vec().into(),
        None => file,
    }
}
