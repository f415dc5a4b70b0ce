use std::collections::BTreeMap;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Context;
use bytes::Bytes;
use cli::delivery::Signer;
use cli::output;
use http::Request;
use serde_json::json;
use standin::clerk::{SignUp, user_id};
use standin::function_url::{self, BodyEncoding};

use crate::services::{Api, PORT, SIGNING_SECRET, Services, Variables};
use crate::standins;

/// Write the files in `events/`, for `cargo lambda` and `sam local`: Function URL events, and settings
///
/// The settings point at `cargo dev standins`. The events are signed with the development secret of the stand-ins. Exit codes: 0 done, 1 failed, 2
/// wrong usage, 3 a dry run found stale files.
///
/// Example: cargo dev events --dry-run
#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// The directory of the files
    #[arg(default_value = "events")]
    directory: PathBuf,
    /// List the stale files, and write none
    #[arg(long)]
    dry_run: bool,
    /// Print one JSON document
    #[arg(long)]
    json: bool,
}

pub(crate) fn run(arguments: &Arguments) -> anyhow::Result<ExitCode> {
    let dry_run = arguments.dry_run;
    let (mut stale, mut current) = (Vec::new(), Vec::new());
    for (name, content) in all()? {
        let path = arguments.directory.join(name);
        let shown = path.display().to_string();
        if std::fs::read(&path).is_ok_and(|bytes| bytes == content.as_bytes()) {
            current.push(shown);
            continue;
        }
        if !dry_run {
            std::fs::write(&path, content).with_context(|| format!("cannot write {shown}"))?;
        }
        stale.push(shown);
    }
    if arguments.json {
        let key = if dry_run { "stale" } else { "written" };
        output::json(&json!({ "dry_run": dry_run, key: stale, "current": current }))?;
    } else if stale.is_empty() {
        output::line(format_args!("Nothing to do: all {} files are current.", current.len()))?;
    } else {
        output::line(stale.join("\n"))?;
    }
    Ok(output::drift(dry_run && !stale.is_empty()))
}

/// Every file by its name.
fn all() -> anyhow::Result<Vec<(&'static str, String)>> {
    let mara = SignUp::new(&user_id(1));
    let from = |seed, client_ip: &str| SignUp {
        client_ip: Some(client_ip.to_owned()),
        ..SignUp::new(&user_id(seed))
    };
    let created = mara.user_created();
    let (text, base64) = (BodyEncoding::Text, BodyEncoding::Base64);
    let ours = SIGNING_SECRET;
    let later = mara.timestamp_ms + 3_600_000;
    Ok(vec![
        ("user-created.json", event(created.clone(), ours, text)?),
        ("user-created-oceania.json", event(from(2, "1.1.1.1").user_created(), ours, text)?),
        ("user-created-ipv6.json", event(from(3, "2620:fe::fe").user_created(), ours, text)?),
        ("user-deleted.json", event(mara.user_deleted(later), ours, text)?),
        ("session-created.json", event(mara.session_created(later), ours, text)?),
        ("wrong-signature.json", event(created.clone(), "somebody-elses-secret", text)?),
        ("base64-body.json", event(created.clone(), ours, base64)?),
        ("not-json.json", event(created[..created.len() / 2].to_vec(), ours, text)?),
        ("local.env", standins::env_file(&local_settings("127.0.0.1")?)),
        ("local-env.json", sam_variables()?),
    ])
}

/// The settings of a function beside `cargo dev standins`, which this host name reaches.
fn local_settings(host: &str) -> anyhow::Result<Variables> {
    let services = Services::new(Api::Platform, 1, BTreeMap::new())?;
    Ok(services.settings(&format!("{host}:{PORT}"), 1))
}

/// The settings of `sam local`. An empty `SECRETS_ID` replaces the template's, so that no container
/// asks AWS.
fn sam_variables() -> anyhow::Result<String> {
    let mut settings = local_settings("host.docker.internal")?;
    settings.insert("SECRETS_ID", String::new());
    Ok(serde_json::to_string_pretty(&json!({ "Parameters": settings }))? + "\n")
}

fn event(body: Vec<u8>, secret: &str, encoding: BodyEncoding) -> anyhow::Result<String> {
    let mut request = Request::post("/").body(Bytes::from(body))?;
    *request.headers_mut() = Signer::new(secret).headers(request.body(), 1)?;
    Ok(serde_json::to_string_pretty(&function_url::event(&request, encoding))? + "\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_committed_events_are_those_that_dev_events_makes() -> anyhow::Result<()> {
        let directory = concat!(env!("CARGO_MANIFEST_DIR"), "/../../events");
        for (name, content) in all()? {
            let committed = std::fs::read_to_string(format!("{directory}/{name}"))?;
            assert_eq!(
                committed, content,
                "{name} is stale; write it again with `cargo dev events`"
            );
        }
        Ok(())
    }
}
