//! Settings of any content are valid or refused in one line, and no secret is shown.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::net::IpAddr;
use std::os::unix::ffi::OsStringExt;

use per_user_db::region::CountryLookup;
use per_user_db::settings::{Settings, SettingsError, VARIABLES, Xata};
use per_user_db::xata::{ProjectId, platform::Source};
#[cfg(test)]
use proptest::prelude::Strategy;

/// The known variables that [`VARIABLES`] does not list: those of `cargo ops`, Lambda and SAM.
const OTHER_VARIABLES: &str =
    "HOOKDECK_API_KEY|HOOKDECK_API_URL|AWS_LAMBDA_LOG_LEVEL|AWS_SAM_LOCAL";

/// Part of the secrets, which must not be shown. The input has the byte 1 instead, so that the text
/// occurs only in secrets.
const PLANTED: &str = "Pl4nted";
/// Part of other values. No id or region that an error may quote has such a slash.
const PLANTED_IN_THE_OPEN: &str = "Pl4nted/Value";

/// Reads an environment in the format of `/proc/self/environ`: `NAME=value`, separated by zero bytes.
pub(crate) fn check(data: &[u8]) {
    if data.windows(PLANTED.len()).any(|text| text == PLANTED.as_bytes()) {
        return;
    }
    let variables: BTreeMap<_, _> = data.split(|&byte| byte == 0).filter_map(variable).collect();
    // In a container of SAM, the developer's machine has a second name.
    let sam_local = variables.get(OsStr::new("AWS_SAM_LOCAL")).and_then(|it| it.to_str());
    let is_sam_local = sam_local.is_some_and(|it| it.trim() == "true");
    let read = |variables: Vec<_>| read(variables, is_sam_local);
    let variables: Vec<_> = variables.into_iter().collect();
    let (once, twice) = (read(variables.clone()), read(variables.clone()));
    let reversed = read(variables.into_iter().rev().collect());
    assert_eq!(once.as_ref().ok(), reversed.as_ref().ok(), "the order has no effect");
    assert_eq!(once, twice);
}

fn variable(entry: &[u8]) -> Option<(OsString, OsString)> {
    let at = entry.iter().position(|&byte| byte == b'=')?;
    let name = String::from_utf8_lossy(&entry[..at]).into_owned();
    let is_secret = name.ends_with("_SECRET") || name.ends_with("_KEY");
    let planted = if is_secret { PLANTED } else { PLANTED_IN_THE_OPEN };
    let mut value =
        entry[at + 1..].split(|&byte| byte == 1).collect::<Vec<_>>().join(planted.as_bytes());
    if name == "GEOIP_DATABASE" {
        value.splice(..0, *b"no such directory/"); // reads no file of this machine
    }
    Some((name.into(), OsString::from_vec(value)))
}

/// Reads and checks the settings, and returns their debug output.
fn read(variables: Vec<(OsString, OsString)>, is_sam_local: bool) -> Result<String, SettingsError> {
    match Settings::read(variables) {
        Ok(settings) => {
            check_valid(&settings, is_sam_local);
            let shown = format!("{settings:?}");
            // Only secrets must not be shown.
            assert!(!shown.replace(PLANTED_IN_THE_OPEN, "").contains(PLANTED), "{shown}");
            Ok(shown)
        }
        Err(error) => {
            let line = error.to_string();
            let mut known = VARIABLES.into_iter().chain(OTHER_VARIABLES.split('|'));
            assert!(known.any(|name| name == error.variable), "{line}");
            assert!(line.starts_with(&format!("{} ", error.variable)), "{line}");
            assert!(!line.contains(PLANTED) && !line.contains(char::is_control), "{line}");
            Err(error)
        }
    }
}

/// Checks that accepted settings are consistent.
fn check_valid(settings: &Settings, is_sam_local: bool) {
    assert!(settings.warnings.iter().all(|warning| !warning.contains(PLANTED)));
    let policy = &settings.policy;
    let placed = policy.by_country.values().chain(policy.by_continent.values());
    assert!(placed.chain([&policy.default]).all(|region| policy.allowed.contains(region)));
    let projects: Vec<_> = settings.projects.iter().collect();
    assert!(!projects.is_empty());
    if let CountryLookup::IpApi(ip_api) = &policy.lookup {
        check_url(&ip_api.url, is_sam_local);
    }
    if let Some(clerk) = &settings.clerk {
        check_url(&clerk.url, is_sam_local);
    }
    match &settings.xata {
        Xata::Lite(lite) => check_url(&lite.url, is_sam_local),
        Xata::Platform(platform) => {
            check_url(&platform.url, is_sam_local);
            let Source::Templates(templates) = &platform.source else { return };
            let covered = policy.allowed.iter().all(|region| {
                let has = |&id: &&ProjectId| templates.contains_key(&(id.clone(), region.clone()));
                projects.iter().all(has)
            });
            assert!(covered, "a template for each project and region");
        }
    }
}

/// Checks that a URL has a scheme, a host, a port and a path only, and that requests with secrets are
/// encrypted or stay on this machine.
fn check_url(url: &str, is_sam_local: bool) {
    let uri: http::Uri = url.parse().expect("a URL");
    let (host, port) = (uri.host().expect("a host"), uri.port());
    let port = port.map(|port| format!(":{}", port.as_str())).unwrap_or_default();
    let rest = format!("{host}{port}{}", uri.path().trim_end_matches('/'));
    assert_eq!(url.split_once("://").expect("a scheme").1, rest);
    let is_loopback = host == "localhost"
        || (is_sam_local && host == "host.docker.internal")
        || host.trim_matches(['[', ']']).parse::<IpAddr>().is_ok_and(|it| it.is_loopback());
    assert!(uri.scheme_str() == Some("https") || is_loopback, "{url}");
}

#[cfg(test)]
#[test]
fn settings_of_any_content_are_valid_or_refused() {
    let valid = b"HOOKDECK_WEBHOOK_SECRET=\x01\0XATA_API_KEY=\x01\0XATA_ORGANIZATION_ID=org123\0\
        XATA_PROJECT_ID=prj_a,prj_b\0CLERK_SECRET_KEY=sk_\x01";
    let names = VARIABLES.join("|");
    let values = r"(?x: \x01 | \x20 | \x01,\x01 | x\x20\x01 | true | off | ip-api | 1440 | debug |
        eu-central-1 | us-east-1,eu-central-1 | EU=eu-central-1,NA=us-east-1 | DE=us-east-1,\x01=x |
        prj_b | us-east-1=t,eu-central-1=t | prj_a/us-east-1=t,prj_b/us-east-1=t | tutorial-abc123 |
        (?-u:[\x01-\xff]{0,9}))";
    let hosts = r"localhost|127\.0\.0\.1|\[::1\]|localhost\.example\.com|user:\x01@localhost";
    let urls =
        format!(r"https?://({hosts})(|:80|\.example\.com|:99999)(|/base/|/\?\x01|/\x23\x01)");
    let change = format!(
        r"\x00({names}|{OTHER_VARIABLES}|XATA_[A-Z]{{0,4}}|\PC{{0,8}})=({values})|\x00(XATA|CLERK)_API_URL={urls}"
    );
    let changes = proptest::string::bytes_regex(&format!("({change}){{0,5}}"));
    let environments = changes.expect("an expression").prop_map(|it| [valid, &it[..]].concat());
    crate::generate(check, environments);
}
