//! Clerk's own signature (Svix) against the vectors of `tests/vectors/svix-signature.json`.

use http::HeaderMap;
use per_user_db::clerk::svix::{Secrets, SignatureError, UnusableSecret};
use secrecy::SecretString;
use serde_json::Value;

use crate::test_app::{
    MINUTE, TestApp, delivery, header_map, vector_file, with_header, without_header,
};

/// A usual sign-up.
const FILE: &str = "clerk-events/01-user-created-web-ipv4-eu.json";

/// Strict mode limits the age of a signature. The function uses `signature_only`
/// (`docs/vendors/clerk.md`, "Age of a signature").
const MODES: [&str; 2] = ["strict", "signature_only"];

fn vectors() -> Value {
    serde_json::from_str(include_str!("../vectors/svix-signature.json")).unwrap()
}

fn secrets(texts: &[&str]) -> Result<Secrets, UnusableSecret> {
    Secrets::parse(&texts.iter().copied().map(SecretString::from).collect::<Vec<_>>())
}

fn headers(vector: &Value) -> HeaderMap {
    header_map(vector["headers"].as_object().unwrap())
}

/// The result of the function's check. Strict mode adds the official libraries' limit of five
/// minutes, before the signatures are compared (`docs/vendors/clerk.md`, "Svix signature", step 4).
fn check(
    mode: &str,
    now: &Value,
    secrets: &Secrets,
    headers: &HeaderMap,
    body: &[u8],
) -> &'static str {
    let verified = secrets.verify(headers, body);
    let unreadable = [Err(SignatureError::MissingHeader), Err(SignatureError::InvalidTimestamp)];
    if mode == "strict" && !unreadable.contains(&verified) {
        let timestamp = headers.get("svix-timestamp").or(headers.get("webhook-timestamp"));
        match now.as_i64().unwrap() - timestamp.unwrap().to_str().unwrap().parse::<i64>().unwrap() {
            301.. => return "timestamp_too_old",
            ..=-301 => return "timestamp_too_new",
            _ => {}
        }
    }
    verified.err().map_or("ok", Into::into)
}

/// The expected result. Where the official libraries differ, it is the recommended one; without a
/// recommendation, that of most libraries.
fn expected<'a>(vector: &'a Value, mode: &str) -> &'a str {
    match vector["divergent"]["recommended"].as_str() {
        None | Some("either" | "either refusal") => vector["expected"][mode].as_str().unwrap(),
        Some(recommended) => recommended,
    }
}

#[test]
fn every_signature_vector_has_its_result_in_both_modes() {
    let vectors = vectors();
    let cases = vectors["vectors"].as_array().unwrap();
    assert_eq!(cases.len(), 46);
    for (vector, mode) in cases.iter().flat_map(|vector| MODES.map(|mode| (vector, mode))) {
        let secrets = secrets(&[vector["secret"].as_str().unwrap()]).unwrap();
        let body = vector["body"].as_str().unwrap().as_bytes();
        let result = check(mode, &vector["now"], &secrets, &headers(vector), body);
        assert_eq!(result, expected(vector, mode), "{} {mode}", vector["name"]);
    }
}

#[test]
fn every_secret_vector_is_accepted_or_refused() {
    let vectors = vectors();
    let cases = vectors["secret_vectors"].as_array().unwrap();
    assert_eq!(cases.len(), 5);
    for vector in cases {
        let parsed = secrets(&[vector["secret"].as_str().unwrap()]);
        let result = if parsed.is_ok() { "ok" } else { "invalid_secret" };
        assert_eq!(result, vector["expected"], "{}", vector["name"]);
    }
}

#[test]
fn every_event_file_is_accepted_with_its_headers_in_both_modes() {
    let vectors = vectors();
    let files = &vectors["event_files"];
    let items = files["items"].as_array().unwrap();
    assert_eq!(items.len(), 41);
    let secrets = secrets(&[files["secret"].as_str().unwrap()]).unwrap();
    for (item, mode) in items.iter().flat_map(|item| MODES.map(|mode| (item, mode))) {
        let body = vector_file(item["file"].as_str().unwrap());
        assert_eq!(check(mode, &files["now"], &secrets, &headers(item), &body), "ok", "{item}");
    }
}

/// Verifies the vector of a name, with these secrets and with changed headers.
fn verify(
    name: &str,
    secret_names: &[&str],
    changes: &[(&str, &str)],
) -> Result<(), SignatureError> {
    let vectors = vectors();
    let texts: Vec<_> =
        secret_names.iter().map(|name| vectors["secrets"][name].as_str().unwrap()).collect();
    let mut cases = vectors["vectors"].as_array().unwrap().iter();
    let mut vector = cases.find(|vector| vector["name"] == name).unwrap().clone();
    for (header, value) in changes {
        vector["headers"][header] = (*value).into();
    }
    let body = vector["body"].as_str().unwrap().as_bytes();
    secrets(&texts).unwrap().verify(&headers(&vector), body)
}

#[test]
fn a_replay_three_days_later_is_accepted_and_a_tampered_one_is_refused() {
    assert_eq!(verify("hookdeck_replay_three_days_later", &["current"], &[]), Ok(()));
    let tampered = verify("hookdeck_replay_tampered", &["current"], &[]);
    assert_eq!(tampered, Err(SignatureError::NoMatchingSignature));
}

#[test]
fn a_replay_signed_with_a_retired_secret_is_accepted_while_that_secret_is_listed() {
    let replay = "replay_signed_only_with_retired_key";
    for listed in [&["current", "previous"][..], &["previous", "current"], &["previous"]] {
        assert_eq!(verify(replay, listed, &[]), Ok(()), "{listed:?}");
    }
    let unlisted = verify(replay, &["current", "unrelated"], &[]);
    assert_eq!(unlisted, Err(SignatureError::NoMatchingSignature));
}

#[test]
fn a_blank_header_counts_as_absent_and_the_unbranded_header_is_used() {
    let (valid, unbranded) = ("valid_svix_headers", "valid_webhook_headers");
    for name in ["id", "timestamp", "signature"] {
        let blank = [(&*format!("svix-{name}"), " \t")];
        assert_eq!(
            verify(valid, &["current"], &blank),
            Err(SignatureError::MissingHeader),
            "{name}"
        );
        assert_eq!(verify(unbranded, &["current"], &blank), Ok(()), "{name}");
    }
}

#[test]
fn only_single_spaces_separate_signatures() {
    let signature = "v1,M8CraSrLqfJSD1L1GpTVfoOZnqNCIFe2fYA3vxRixOw=";
    for separator in ["\t", ",", ";", ""] {
        let list = format!("v1,other{separator}{signature}");
        let verified = verify("valid_svix_headers", &["current"], &[("svix-signature", &list)]);
        assert_eq!(verified, Err(SignatureError::NoMatchingSignature), "{separator:?}");
    }
}

#[test]
fn only_a_whole_number_of_seconds_since_1970_is_a_timestamp() {
    let at = |timestamp| [("svix-timestamp", timestamp)];
    let with = |timestamp| verify("valid_svix_headers", &["current"], &at(timestamp));
    for timestamp in ["1767830398 ", "1767830398.0", "1e9", "0x5", "-1", "9223372036854775808"] {
        assert_eq!(with(timestamp), Err(SignatureError::InvalidTimestamp), "{timestamp}");
    }
    for timestamp in ["0", "1767830397", "9223372036854775807"] {
        assert_eq!(with(timestamp), Err(SignatureError::NoMatchingSignature), "{timestamp}");
    }
}

#[test]
fn one_unusable_secret_makes_a_list_of_secrets_unusable() {
    assert_eq!(secrets(&[]).unwrap_err(), UnusableSecret);
    let usable = "whsec_W7Ty+7oDCuzJ0XBnsY6eS4ZOGTyCJ9KK";
    assert!(secrets(&[usable, usable]).is_ok());
    // Empty, a blank, no padding, the URL-safe alphabet, a trailing bit, another prefix.
    let unusable =
        ["", "whsec_", "QUJD ", "QUI", "whsec_--__", "QUJ=", "Whsec_QUJD", "whsec_whsec_QUJD"];
    for unusable in unusable {
        assert_eq!(secrets(&[usable, unusable]).unwrap_err(), UnusableSecret, "{unusable:?}");
        assert_eq!(secrets(&[unusable, usable]).unwrap_err(), UnusableSecret, "{unusable:?}");
    }
}

#[test]
fn the_debug_output_of_secrets_and_their_error_has_no_secret() {
    let planted = "c2VjcmV0"; // "secret"
    let shown = format!("{:?}", secrets(&[planted]).unwrap());
    assert_eq!(shown, format!("{:?}", secrets(&["AAAA"]).unwrap()));
    let error = secrets(&["planted!"]).unwrap_err();
    assert!(!format!("{error} {error:?}").contains("planted"));
}

/// The secret of this name, `current` or `previous`.
pub fn secret(name: &str) -> String {
    vectors()["secrets"][name].as_str().unwrap().to_owned()
}

/// Hookdeck's delivery of an event file that Clerk signed days ago.
pub fn signed(tampered: bool) -> http::Request<bytes::Bytes> {
    let files = &vectors()["event_files"]["items"];
    let file = files.as_array().unwrap().iter().find(|it| it["file"] == FILE).unwrap();
    let mut body = vector_file(FILE);
    if tampered {
        body.push(b'\n');
    }
    let mut request = delivery(body);
    for (name, value) in file["headers"].as_object().unwrap() {
        let name: http::HeaderName = name.parse().unwrap();
        request.headers_mut().insert(name, value.as_str().unwrap().parse().unwrap());
    }
    request
}

fn app(check: &str, secrets: &str) -> TestApp {
    TestApp::with_settings(&[("SVIX_CHECK", check), ("CLERK_WEBHOOK_SIGNING_SECRET", secrets)])
}

#[tokio::test(start_paused = true)]
async fn clerk_s_own_signature_is_ignored_reported_or_enforced() {
    let current = vectors()["secrets"]["current"].as_str().unwrap().to_owned();
    let retired = vectors()["secrets"]["previous"].as_str().unwrap().to_owned();
    let both = format!("{retired}, {current}");
    for (check, secrets, tampered, status, reported) in [
        ("off", &retired, true, 200, None),
        ("report", &both, false, 200, None),
        ("report", &both, true, 200, Some("no_matching_signature")),
        ("report", &retired, false, 200, Some("no_matching_signature")),
        ("enforce", &both, false, 200, None),
        ("enforce", &current, true, 401, Some("no_matching_signature")),
        ("enforce", &retired, false, 401, Some("no_matching_signature")),
    ] {
        let app = app(check, secrets);
        let response = app.send(signed(tampered)).await;
        assert_eq!(response.status, status, "{check}, {}", response.body);
        assert_eq!(response.log_line["svix"].as_str(), reported, "{check}");
        assert_eq!(app.requests().is_empty(), status == 401, "{check}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_replay_days_later_is_accepted_and_an_unsigned_event_is_refused_like_a_forged_one() {
    let current = vectors()["secrets"]["current"].as_str().unwrap().to_owned();
    let app = app("enforce", &current);
    tokio::time::advance(3 * 24 * 60 * MINUTE).await;
    assert_eq!(app.send(signed(false)).await.outcome(), "created");

    let unsigned = app.send(without_header(signed(false), "svix-signature")).await;
    assert_eq!(unsigned.log_line["svix"], "missing_header");
    let forged = app.send(with_header(signed(false), "x-hookdeck-signature", "forged")).await;
    assert_eq!(forged.bytes, unsigned.bytes);
}

#[test]
fn a_check_without_a_valid_secret_stops_the_start() {
    let missing = "CLERK_WEBHOOK_SIGNING_SECRET is missing; SVIX_CHECK needs it";
    for check in ["report", "enforce"] {
        assert_eq!(TestApp::settings_error(&[("SVIX_CHECK", check)]), missing);
        for name in ["CLERK_WEBHOOK_SIGNING_SECRET", "CLERK_WEBHOOK_SECRET"] {
            let error = TestApp::settings_error(&[("SVIX_CHECK", check), (name, "pl4nted secret")]);
            assert_eq!(error, format!("{name} must be as Clerk shows it: whsec_ and base64"));
        }
    }
    assert_eq!(
        TestApp::settings_error(&[("SVIX_CHECK", "on")]),
        "SVIX_CHECK must be off, report or enforce"
    );
    let both = [
        ("SVIX_CHECK", "report"),
        ("CLERK_WEBHOOK_SIGNING_SECRET", "whsec_YQ=="),
        ("CLERK_WEBHOOK_SECRET", "whsec_YQ=="),
    ];
    assert!(TestApp::settings_error(&both).ends_with("are the same setting; unset one"));
}
