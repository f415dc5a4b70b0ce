//! Hookdeck's API: whether the key is accepted. How a connection should be is not looked at here.

use http::Uri;
use per_user_db::http_client::api::Api;

use super::Means;
use super::report::Report;
use super::settings::Given;
use crate::service::{Service, Words};

const DEFAULT_URL: &str = "https://api.hookdeck.com";
const CONNECTIONS: &str = "/2026-09-01/connections?limit=1";
const LIMIT_BYTES: usize = 1024 * 1024;

pub(super) async fn examine(means: &Means, given: &Given, report: &mut Report) {
    let Some(key) = given.get("HOOKDECK_API_KEY").map(str::trim) else {
        report.leave_out("Hookdeck: HOOKDECK_API_KEY is not set");
        return;
    };
    let check = "Hookdeck key";
    let url = given.get("HOOKDECK_API_URL").map_or(DEFAULT_URL, str::trim).trim_end_matches('/');
    if !key.bytes().all(|byte| byte.is_ascii_graphic()) {
        let what = "HOOKDECK_API_KEY has a blank, or a character that no key has";
        return report.broken(check, what, "correct HOOKDECK_API_KEY");
    }
    if !is_safe(url) {
        let what = "HOOKDECK_API_URL is no https URL, nor an http URL of a loopback address";
        return report.broken(check, what, "correct HOOKDECK_API_URL");
    }
    means.progress.set_message("asking Hookdeck");
    let (url, key) = (url.to_owned(), key.to_owned().into());
    let words = Words {
        name: "Hookdeck",
        url: "HOOKDECK_API_URL",
        key: "HOOKDECK_API_KEY",
        path: "HOOKDECK_API_URL, which ends without a version",
    };
    let api = Api::new(url.clone(), &key, means.client.clone(), means.clock.clone());
    match (Service { api, url, words }).ask(CONNECTIONS, LIMIT_BYTES).await {
        Ok(_) => report.ok(check, "accepted"),
        Err(obstacle) => report.obstacle(check, obstacle),
    }
}

/// Whether a key may be sent there.
fn is_safe(url: &str) -> bool {
    let Ok(uri) = url.parse::<Uri>() else { return false };
    let Some(authority) = uri.authority() else { return false };
    let host = authority.host().trim_start_matches('[').trim_end_matches(']');
    let is_loopback = host == "localhost"
        || host.parse::<std::net::IpAddr>().is_ok_and(|address| address.is_loopback());
    let is_bare = !authority.as_str().contains('@') && !url.contains(['?', '#']);
    let is_https = uri.scheme_str() == Some("https");
    is_bare && (is_https || uri.scheme_str() == Some("http") && is_loopback)
}
