//! The arguments, the key and the secret, as they can be used; all else is refused with what to do.

use std::sync::Arc;
use std::time::SystemTime;

use anyhow::{anyhow, bail};
use http::Uri;
use per_user_db::clerk::svix;
use per_user_db::http_client;
use secrecy::SecretString;

use super::client::Client;
use super::wish::{Target, Wish};
use crate::live::{self, Address};
use cli::environment;

const LONGEST_NAME: usize = 155;
/// Clerk's signing secret: Clerk's own name of it, and the tutorial's.
const SECRETS: [&str; 2] = ["CLERK_WEBHOOK_SIGNING_SECRET", "CLERK_WEBHOOK_SECRET"];

/// What the command works with.
pub(super) struct Settings {
    pub(super) client: Client,
    pub(super) wish: Wish,
    /// What else to know.
    pub(super) notes: Vec<String>,
}

pub(super) fn read(arguments: super::Arguments) -> anyhow::Result<Settings> {
    let variables = environment::variables();
    let get = |name: &str| variables.get(name).map(|it| it.trim()).filter(|it| !it.is_empty());
    let client = live::hookdeck(&variables, http_client::live(), Arc::new(SystemTime::now))?;
    let client = client.ok_or_else(|| {
        anyhow!(
            "HOOKDECK_API_KEY is missing: copy the project's API key from Hookdeck's dashboard, where the \
             project's settings have it, into the environment or .env"
        )
    })?;
    let mut notes = Vec::new();
    let secret = match SECRETS.map(|name| get(name).map(|value| (name, value))) {
        [None, None] => None,
        [Some(_), Some(_)] => {
            bail!("{} and {} are the same setting: unset one", SECRETS[0], SECRETS[1])
        }
        [given, other] => given.or(other),
    };
    let secret = secret.map(|(name, value)| {
        let first = environment::first_secret(value).trim();
        if value.contains(',') {
            notes.push(format!("{name} lists several secrets; Hookdeck gets the first."));
        }
        svix::Secrets::parse(&[SecretString::from(first)]).map_err(|_| {
            anyhow!("{name} must be as Clerk shows it, whsec_ and base64: copy it again")
        })?;
        // All that is known of Hookdeck has the prefix; whether it may be missing is not (section 8).
        let bare = first.strip_prefix("whsec_").unwrap_or(first);
        Ok::<_, anyhow::Error>(SecretString::from(format!("whsec_{bare}")))
    });
    let (target, default_name) = match (arguments.url, arguments.cli) {
        (Some(url), _) => (Target::Http(url), super::NAME),
        (None, path) => (Target::Cli(path.unwrap_or_default()), "per-user-db-local"),
    };
    let name = arguments.name.unwrap_or_else(|| default_name.to_owned());
    let wish = Wish { source: arguments.source, name, target, secret: secret.transpose()? };
    Ok(Settings { client: Client(client), wish, notes })
}

/// `--url`: where Hookdeck delivers to, which must be reachable from outside.
pub(crate) fn function_url(text: &str) -> Result<String, String> {
    let form = "must be an https URL, the output FunctionUrl of `sam deploy`".to_owned();
    let address = Address::of(text).ok_or_else(|| form.clone())?;
    if address.is_loopback {
        return Err(
            "Hookdeck cannot reach this machine: use --cli and `hookdeck listen`".to_owned()
        );
    }
    if !address.is_https {
        return Err(form);
    }
    if text.contains(['?', '#', '@']) {
        return Err(
            "must have neither user, query nor fragment: the function reads none".to_owned()
        );
    }
    // As Hookdeck may write it, so that nothing differs later.
    let Address { authority, path, .. } = address;
    Ok(format!("https://{authority}{path}"))
}

/// `--cli`: where `hookdeck listen` forwards to.
pub(super) fn path(text: &str) -> Result<String, String> {
    let is_path =
        text.starts_with('/') && !text.contains(['?', '#']) && text.parse::<Uri>().is_ok();
    is_path.then(|| text.to_owned()).ok_or_else(|| "must be a path that begins with /".to_owned())
}

/// `--source` and `--name`, by what Hookdeck allows (section 7).
pub(super) fn name(text: &str) -> Result<String, String> {
    let is_allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"_-".contains(&byte);
    let is_name = (1..=LONGEST_NAME).contains(&text.len()) && text.bytes().all(is_allowed);
    let must =
        || format!("must be letters, digits, hyphens and underscores, {LONGEST_NAME} at most");
    is_name.then(|| text.to_owned()).ok_or_else(must)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_function_url_is_https_and_somewhere_else() {
        for (given, taken) in [
            (
                "https://abc.lambda-url.eu-west-1.on.aws/",
                "https://abc.lambda-url.eu-west-1.on.aws/",
            ),
            ("https://ABC.example", "https://abc.example/"),
            ("https://abc.example:8443/webhooks/clerk", "https://abc.example:8443/webhooks/clerk"),
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
        assert!(function_url("http://127.0.0.1:9000/").is_err_and(|why| why.contains("--cli")));
    }
}
