//! The arguments, the key and the secret, checked.

use std::collections::BTreeMap;

use anyhow::{anyhow, bail};
use cli::delivery_policy::DeliveryPolicy;
use cli::environment;
use per_user_db::clerk::svix;
use per_user_db::handler::PATHS;
use per_user_db::settings::{SVIX_SECRET, base_url};
use secrecy::SecretString;
use url::Url;

use super::actual::{MAX_NAME_LENGTH, is_name};
use super::client::Client;
use super::desired::{Desired, Target};
use crate::service::Service;

/// The default names of the source, and of connection and destination.
pub(super) const SOURCE: &str = "clerk";
pub(super) const NAME: &str = "per-user-db";
const LOCAL_NAME: &str = "per-user-db-local";

/// Connect Clerk to the function through Hookdeck: a source, a destination and the rules between them
///
/// One request creates it, or changes what differs; the output lists the differences. The command runs
/// twice: the first run prints the URL that Clerk needs; with the signing secret that Clerk then shows,
/// the second makes Hookdeck check that events are Clerk's. A later run without the secret keeps it.
///
/// Set `HOOKDECK_API_KEY`, and `CLERK_WEBHOOK_SIGNING_SECRET` as soon as you have it, in the
/// environment or in `.env`; `HOOKDECK_API_URL` replaces the address, `https://api.hookdeck.com`. Exit
/// codes: 0 done, 1 failed, 2 wrong usage, 3 a dry run has found differences.
#[derive(clap::Args)]
#[command(group = clap::ArgGroup::new("target").args(["url", "cli"]).required(true))]
pub(crate) struct Arguments {
    /// The function's URL: the output `FunctionUrl` of `sam deploy`
    #[arg(long, value_parser = function_url)]
    url: Option<String>,
    /// Forward to this machine instead, to this path, by `hookdeck listen`
    #[arg(long, value_name = "PATH", num_args = 0..=1, default_missing_value = "/webhooks/clerk", value_parser = path)]
    cli: Option<String>,
    /// How fast Hookdeck delivers, with a period of second, minute, hour or concurrent: a number of open
    /// deliveries, or a pace for a launch (docs/scale.md)
    #[arg(long, value_name = "RATE/PERIOD", default_value_t = DeliveryPolicy::DEFAULT, conflicts_with = "cli")]
    delivery: DeliveryPolicy,
    /// The source's name
    #[arg(long, default_value = SOURCE, value_parser = name)]
    source: String,
    /// The name of connection and destination [default: per-user-db, or per-user-db-local with --cli]
    #[arg(long, value_parser = name)]
    name: Option<String>,
    /// Show what would be changed, and change nothing
    #[arg(long)]
    pub(super) dry_run: bool,
    /// Print one JSON document instead of the table
    #[arg(long)]
    pub(super) json: bool,
}

impl Arguments {
    /// The arguments for the function at this URL, everything else being the default.
    pub(crate) fn new(url: &str, dry_run: bool) -> Self {
        Self {
            url: Some(url.to_owned()),
            cli: None,
            delivery: DeliveryPolicy::DEFAULT,
            source: SOURCE.to_owned(),
            name: None,
            dry_run,
            json: false,
        }
    }
}

/// The flag for another pace than the default one, after a blank, for a command that is shown.
pub(crate) fn delivery_flag(policy: DeliveryPolicy) -> String {
    if policy == DeliveryPolicy::DEFAULT { String::new() } else { format!(" --delivery {policy}") }
}

/// The hosts of Hookdeck's API and of its sources, of today and of earlier days.
const HOOKDECK_HOSTS: [&str; 2] = ["hookdeck.com", "hkdk.events"];

/// What the command works with.
pub(super) struct Settings {
    pub(super) client: Client,
    pub(super) desired: Desired,
    pub(super) notes: Vec<String>,
}

impl Settings {
    pub(super) fn read(
        arguments: Arguments,
        variables: &BTreeMap<String, String>,
    ) -> anyhow::Result<Self> {
        let Some(service) = Service::hookdeck(variables)? else {
            bail!(
                "HOOKDECK_API_KEY is missing: copy the project's API key from the project's settings in \
                 Hookdeck's dashboard into the environment or .env"
            );
        };
        let mut notes = Vec::new();
        let secret = signing_secret(variables, &mut notes)?;
        let (target, default_name) = match (arguments.url, arguments.cli) {
            (Some(url), _) => (Target::Http(url, arguments.delivery), NAME),
            (None, path) => (Target::Cli(path.unwrap_or_default()), LOCAL_NAME),
        };
        let name = arguments.name.unwrap_or_else(|| default_name.to_owned());
        let desired = Desired { source: arguments.source, name, target, secret };
        Ok(Self { client: Client(service), desired, notes })
    }
}

/// Clerk's signing secret, checked; none where it is not given.
pub(crate) fn signing_secret(
    variables: &BTreeMap<String, String>,
    notes: &mut Vec<String>,
) -> anyhow::Result<Option<SecretString>> {
    let get = |name| Some((name, variables.get(name)?.trim())).filter(|(_, it)| !it.is_empty());
    let (name, value) = match SVIX_SECRET.map(get) {
        [None, None] => return Ok(None),
        [Some((one, _)), Some((other, _))] => {
            bail!("{one} and {other} are the same setting: unset one")
        }
        [Some(only), None] | [None, Some(only)] => only,
    };
    let first = environment::first_secret(value).trim();
    svix::Secrets::parse(&[SecretString::from(first)]).map_err(|_| {
        anyhow!("{name} must be as Clerk shows it, whsec_ and base64: copy it again")
    })?;
    if value.contains(',') {
        notes.push(format!("{name} lists several secrets; Hookdeck gets the first."));
    }
    // Hookdeck documents only secrets that have the prefix.
    let bare = first.strip_prefix("whsec_").unwrap_or(first);
    Ok(Some(SecretString::from(format!("whsec_{bare}"))))
}

/// `--url`: where Hookdeck delivers to, in the form in which Hookdeck may store it.
pub(crate) fn function_url(text: &str) -> Result<String, String> {
    let url = base_url(text).and_then(|base| Url::parse(&base).ok()).ok_or_else(|| {
        "must be an https URL without user, query and fragment, the output FunctionUrl of \
         `sam deploy`"
            .to_owned()
    })?;
    // Only a loopback address may have http.
    let is_loopback = base_url(&url.as_str().replacen("https:", "http:", 1)).is_some();
    if is_loopback {
        return Err(
            "Hookdeck cannot reach this machine: use --cli and `hookdeck listen`".to_owned()
        );
    }
    let host = url.host_str().unwrap_or_default();
    if HOOKDECK_HOSTS.iter().any(|it| host == *it || host.ends_with(&format!(".{it}"))) {
        return Err(
            "is a URL of Hookdeck's own, so events would go round in a loop: it must be the \
                    output FunctionUrl of `sam deploy`"
                .to_owned(),
        );
    }
    if !PATHS.contains(&url.path()) {
        return Err(format!(
            "has a path that the function does not serve: only {}",
            PATHS.join(" and ")
        ));
    }
    Ok(url.to_string())
}

/// `--cli`: where `hookdeck listen` forwards to.
fn path(text: &str) -> Result<String, String> {
    let is_path =
        text.starts_with('/') && !text.contains(['?', '#']) && text.parse::<http::Uri>().is_ok();
    is_path.then(|| text.to_owned()).ok_or_else(|| "must be a path that begins with /".to_owned())
}

/// `--source` and `--name`.
fn name(text: &str) -> Result<String, String> {
    is_name(text).then(|| text.to_owned()).ok_or_else(|| {
        format!("must be letters, digits, hyphens and underscores, {MAX_NAME_LENGTH} at most")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_function_url_is_https_and_not_on_this_machine() {
        for (given, taken) in [
            (
                "https://abc.lambda-url.eu-west-1.on.aws/",
                "https://abc.lambda-url.eu-west-1.on.aws/",
            ),
            ("https://ABC.example", "https://abc.example/"),
            ("https://abc.example:8443/webhooks/clerk/", "https://abc.example:8443/webhooks/clerk"),
            ("https://nothkdk.events", "https://nothkdk.events/"),
        ] {
            assert_eq!(function_url(given).as_deref(), Ok(taken));
        }
        for bad in [
            "",
            "abc",
            "http://abc.example/",
            "ftp://abc.example/",
            "https://",
            "https://abc.example:99999/",
            "https://abc.example/?a=b",
            "https://user:word@abc.example/",
            "https://abc.example/#a",
            "https://127.0.0.1/",
            "https://[::1]:9000/",
            "http://localhost:9000/",
        ] {
            assert!(function_url(bad).is_err(), "{bad}");
        }
        for (bad, problem) in [
            ("http://127.0.0.1:9000/", "--cli"),
            ("https://hkdk.events/abcdefghijkl", "loop"),
            ("https://events.hookdeck.com/e/src_abcdefghijkl", "loop"),
            ("https://api.hookdeck.com/", "loop"),
            ("https://abc.example/webhook", "only / and /webhooks/clerk"),
            ("https://abc.example/webhooks/clerk/x", "only / and /webhooks/clerk"),
        ] {
            assert!(function_url(bad).is_err_and(|why| why.contains(problem)), "{bad}");
        }
    }
}
