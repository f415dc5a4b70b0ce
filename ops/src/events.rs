use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Context;
use bytes::Bytes;
use http::Request;
use standin::clerk::{SignUp, user_id};
use standin::function_url::{self, BodyEncoding};

use crate::{local, send};

/// Make the files in `events/` anew: Function URL events for `cargo lambda invoke` and `sam local
/// invoke`
///
/// They are signed with the development secret of the stand-ins.
#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// Where to write them
    #[arg(default_value = "events")]
    directory: PathBuf,
}

pub(crate) fn run(arguments: &Arguments) -> anyhow::Result<ExitCode> {
    let mut out = std::io::stdout();
    for (name, content) in all()? {
        let path = arguments.directory.join(name);
        std::fs::write(&path, content)
            .with_context(|| format!("{} cannot be written", path.display()))?;
        writeln!(out, "{}", path.display())?;
    }
    Ok(ExitCode::SUCCESS)
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
    let ours = local::SIGNING_SECRET;
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
    ])
}

fn event(body: Vec<u8>, secret: &str, encoding: BodyEncoding) -> anyhow::Result<String> {
    let mut request = Request::post("/").body(Bytes::from(body))?;
    *request.headers_mut() = send::delivery_headers(secret, request.body(), 1)?;
    Ok(serde_json::to_string_pretty(&function_url::event(&request, encoding))? + "\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_committed_events_are_those_that_ops_events_makes() -> anyhow::Result<()> {
        let directory = concat!(env!("CARGO_MANIFEST_DIR"), "/../events");
        for (name, content) in all()? {
            let committed = std::fs::read_to_string(format!("{directory}/{name}"))?;
            assert_eq!(committed, content, "{name} is stale; make it anew with `cargo ops events`");
        }
        Ok(())
    }
}
