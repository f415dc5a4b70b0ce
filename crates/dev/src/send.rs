use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context, bail};
use bytes::Bytes;
use cli::delivery::{self, Signer};
use cli::{environment, output};
use http::{Request, Uri};
use per_user_db::http_client;
use serde_json::{Value, json};

use crate::services::SIGNING_SECRET;

/// Sign an event as Hookdeck does, deliver it, and print the response
///
/// The settings are the function's, from the environment or `.env`: the first secret of
/// `HOOKDECK_WEBHOOK_SECRET`, else the development secret of the stand-ins; `HOOKDECK_HEADER_PREFIX`;
/// and, with `CLERK_WEBHOOK_SIGNING_SECRET`, Clerk's own signature beside Hookdeck's. Exit codes: 0 the
/// function has done its work, 1 the status is not 2xx, 2 wrong usage, 3 the function ignores the
/// event.
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
    let variables = environment::variables()?;
    let signer = Signer::read(&variables)?.unwrap_or_else(|| Signer::new(SIGNING_SECRET));

    let host = arguments.to.authority().context("the URL has no host")?.as_str();
    let mut headers = signer.headers(&body, arguments.attempt)?;
    headers.insert("host", host.parse()?);
    let mut request = Request::post(&arguments.to).body(body)?;
    *request.headers_mut() = headers;
    let response = delivery::send(&http_client::live(), request).await;
    let response = response.with_context(|| format!("{} does not answer", arguments.to))?;

    let retry_after = response.headers().get("retry-after");
    let retry_after = retry_after.map(|it| String::from_utf8_lossy(it.as_bytes()));
    let (status, body) = (response.status(), String::from_utf8_lossy(response.body()));
    let answer = serde_json::from_str(&body).unwrap_or_else(|_| Value::from(&*body));
    let is_ignored = answer["status"] == "ignored";
    if arguments.json {
        let status = status.as_u16();
        output::json(&json!({ "status": status, "retry_after": retry_after, "body": answer }))?;
    } else {
        output::line(status)?;
        if let Some(retry_after) = retry_after {
            output::line(format_args!("retry-after: {retry_after}"))?;
        }
        output::line(body)?;
    }
    Ok(if status.is_success() { output::drift(is_ignored) } else { output::holds(false) })
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
    match per_user_db::request::read(&String::from_utf8_lossy(&file)).0 {
        Some(request) => request.into_body().to_vec().into(),
        None => file.into(),
    }
}
