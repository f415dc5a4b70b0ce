//! The published Svix vectors, as the product checks them and with an age limit put before.

use std::path::Path;

use http::HeaderMap;
use per_user_db::clerk::svix::{Secrets, SignatureError, UnusableSecret};
use secrecy::SecretString;
use serde_json::Value;

use crate::world::{World, header_map};

/// An ordinary sign-up.
const FILE: &str = "clerk-events/01-user-created-web-ipv4-eu.json";

const VECTORS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/vectors");

/// Whether the age counts. The product has the second mode only (`contracts/clerk.md` section 9).
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

/// The product's check; in strict mode with a limit of five minutes before the signatures are
/// looked at, as the official libraries have it (section 8, step 4).
fn judge(
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

/// What the vector wants. Where the official libraries differ, the contract has an opinion, or has
/// none: then what most of them do.
fn wanted<'a>(vector: &'a Value, mode: &str) -> &'a str {
    match vector["divergent"]["recommended"].as_str() {
        None | Some("either" | "either refusal") => vector["expected"][mode].as_str().unwrap(),
        Some(recommended) => recommended,
    }
}

#[test]
fn every_signature_vector_is_judged_as_the_contract_says_in_both_modes() {
    let vectors = vectors();
    let cases = vectors["vectors"].as_array().unwrap();
    assert_eq!(cases.len(), 46);
    for (vector, mode) in cases.iter().flat_map(|vector| MODES.map(|mode| (vector, mode))) {
        let secrets = secrets(&[vector["secret"].as_str().unwrap()]).unwrap();
        let body = vector["body"].as_str().unwrap().as_bytes();
        let judged = judge(mode, &vector["now"], &secrets, &headers(vector), body);
        assert_eq!(judged, wanted(vector, mode), "{} {mode}", vector["name"]);
    }
}

#[test]
fn every_secret_vector_is_a_key_or_is_refused() {
    let vectors = vectors();
    let cases = vectors["secret_vectors"].as_array().unwrap();
    assert_eq!(cases.len(), 5);
    for vector in cases {
        let parsed = secrets(&[vector["secret"].as_str().unwrap()]);
        let judged = if parsed.is_ok() { "ok" } else { "invalid_secret" };
        assert_eq!(judged, vector["expected"], "{}", vector["name"]);
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
        let body = std::fs::read(Path::new(VECTORS).join(item["file"].as_str().unwrap())).unwrap();
        assert_eq!(judge(mode, &files["now"], &secrets, &headers(item), &body), "ok", "{item}");
    }
}

/// Checks the vector of a name with the secrets of these names, its headers changed.
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
fn a_replay_three_days_later_passes_and_a_tampered_one_does_not() {
    assert_eq!(verify("hookdeck_replay_three_days_later", &["current"], &[]), Ok(()));
    let tampered = verify("hookdeck_replay_tampered", &["current"], &[]);
    assert_eq!(tampered, Err(SignatureError::NoMatchingSignature));
}

#[test]
fn a_replay_that_only_a_retired_secret_signed_passes_while_that_secret_is_listed() {
    let replay = "replay_signed_only_with_retired_key";
    for listed in [&["current", "previous"][..], &["previous", "current"], &["previous"]] {
        assert_eq!(verify(replay, listed, &[]), Ok(()), "{listed:?}");
    }
    let forgotten = verify(replay, &["current", "unrelated"], &[]);
    assert_eq!(forgotten, Err(SignatureError::NoMatchingSignature));
}

#[test]
fn a_blank_header_counts_as_absent_and_the_other_spelling_of_its_name_stands_in() {
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
fn only_single_spaces_stand_between_signatures() {
    let signature = "v1,M8CraSrLqfJSD1L1GpTVfoOZnqNCIFe2fYA3vxRixOw=";
    for between in ["\t", ",", ";", ""] {
        let list = format!("v1,other{between}{signature}");
        let verified = verify("valid_svix_headers", &["current"], &[("svix-signature", &list)]);
        assert_eq!(verified, Err(SignatureError::NoMatchingSignature), "{between:?}");
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
fn a_list_of_secrets_is_used_as_a_whole_or_not_at_all() {
    assert_eq!(secrets(&[]).unwrap_err(), UnusableSecret);
    let usable = "whsec_W7Ty+7oDCuzJ0XBnsY6eS4ZOGTyCJ9KK";
    assert!(secrets(&[usable, usable]).is_ok());
    // A blank, no padding, the other alphabet, a bit that encodes nothing, another prefix.
    let unusable =
        ["", "whsec_", "QUJD ", "QUI", "whsec_--__", "QUJ=", "Whsec_QUJD", "whsec_whsec_QUJD"];
    for unusable in unusable {
        assert_eq!(secrets(&[usable, unusable]).unwrap_err(), UnusableSecret, "{unusable:?}");
        assert_eq!(secrets(&[unusable, usable]).unwrap_err(), UnusableSecret, "{unusable:?}");
    }
}

#[test]
fn neither_secrets_nor_their_error_show_a_secret() {
    let planted = "c2VjcmV0"; // "secret"
    let shown = format!("{:?}", secrets(&[planted]).unwrap());
    assert_eq!(shown, format!("{:?}", secrets(&["AAAA"]).unwrap()));
    let error = secrets(&["planted!"]).unwrap_err();
    assert!(!format!("{error} {error:?}").contains("planted"));
}

/// A delivery through Hookdeck of a vector's event file, signed by Clerk days ago.
fn signed(tampered: bool) -> http::Request<bytes::Bytes> {
    let files = &vectors()["event_files"]["items"];
    let file = files.as_array().unwrap().iter().find(|it| it["file"] == FILE).unwrap();
    let mut body = std::fs::read(format!("{VECTORS}/{FILE}")).unwrap();
    if tampered {
        body.push(b'\n');
    }
    let mut request = crate::world::delivery(body);
    for (name, value) in file["headers"].as_object().unwrap() {
        let name: http::HeaderName = name.parse().unwrap();
        request.headers_mut().insert(name, value.as_str().unwrap().parse().unwrap());
    }
    request
}

fn world(check: &str, secrets: &str) -> World {
    World::with(&[("SVIX_CHECK", check), ("CLERK_WEBHOOK_SIGNING_SECRET", secrets)])
}

#[tokio::test(start_paused = true)]
async fn clerk_s_own_signature_is_ignored_reported_or_enforced() {
    let ours = vectors()["secrets"]["current"].as_str().unwrap().to_owned();
    let retired = vectors()["secrets"]["previous"].as_str().unwrap().to_owned();
    let both = format!("{retired}, {ours}");
    for (check, secrets, tampered, status, reported) in [
        ("off", &retired, true, 200, None),
        ("report", &both, false, 200, None),
        ("report", &both, true, 200, Some("no_matching_signature")),
        ("report", &retired, false, 200, Some("no_matching_signature")),
        ("enforce", &both, false, 200, None),
        ("enforce", &ours, true, 401, Some("no_matching_signature")),
        ("enforce", &retired, false, 401, Some("no_matching_signature")),
    ] {
        let world = world(check, secrets);
        let answered = world.send(signed(tampered)).await;
        assert_eq!(answered.status, status, "{check}, {}", answered.body);
        assert_eq!(answered.line["svix"].as_str(), reported, "{check}");
        assert_eq!(world.requests().is_empty(), status == 401, "{check}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_replay_days_later_passes_and_an_unsigned_event_is_told_like_any_stranger() {
    let ours = vectors()["secrets"]["current"].as_str().unwrap().to_owned();
    let world = world("enforce", &ours);
    tokio::time::advance(std::time::Duration::from_secs(3 * 24 * 3600)).await;
    assert_eq!(world.send(signed(false)).await.word("status"), "created");

    let mut unsigned = signed(false);
    unsigned.headers_mut().remove("svix-signature");
    let unsigned = world.send(unsigned).await;
    assert_eq!(unsigned.line["svix"], "missing_header");
    let mut forged = signed(false);
    forged.headers_mut().insert("x-hookdeck-signature", "forged".parse().unwrap());
    assert_eq!(world.send(forged).await.bytes, unsigned.bytes);
}

#[test]
fn a_check_without_a_secret_that_could_be_clerk_s_stops_the_start() {
    let missing = "CLERK_WEBHOOK_SIGNING_SECRET is missing; SVIX_CHECK needs it";
    for check in ["report", "enforce"] {
        assert_eq!(World::refused(&[("SVIX_CHECK", check)]), missing);
        for name in ["CLERK_WEBHOOK_SIGNING_SECRET", "CLERK_WEBHOOK_SECRET"] {
            let refused = World::refused(&[("SVIX_CHECK", check), (name, "pl4nted secret")]);
            assert_eq!(refused, format!("{name} must be as Clerk shows it: whsec_ and base64"));
        }
    }
    assert_eq!(
        World::refused(&[("SVIX_CHECK", "on")]),
        "SVIX_CHECK must be off, report or enforce"
    );
    let both = [
        ("SVIX_CHECK", "report"),
        ("CLERK_WEBHOOK_SIGNING_SECRET", "whsec_YQ=="),
        ("CLERK_WEBHOOK_SECRET", "whsec_YQ=="),
    ];
    assert!(World::refused(&both).ends_with("are the same setting; unset one"));
}
