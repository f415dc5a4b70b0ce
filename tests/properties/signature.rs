//! A delivery is accepted exactly when a configured secret signed its bytes.

use base64::{Engine, engine::general_purpose};
use per_user_db::hookdeck::{DEFAULT_HEADER_PREFIX, HeaderNames, SignatureError, Verifier};
use standin::hookdeck::signature;

use crate::input::{sendable, texts, with_trailing_bits};

/// Reads five fields, separated by 0xFF: `v` if the source must be verified, the prefix of the
/// headers, the secrets, the headers as `name=value`, and the body. Secrets and headers are separated
/// by 0xFE. No UTF-8 text contains either byte. In a header's value, the bytes 1 to 9 are replaced by
/// the entries of [`spellings`], which no fuzzer could guess.
pub(crate) fn check(data: &[u8]) {
    let mut fields = data.splitn(5, |&byte| byte == 0xff);
    let mut field = || fields.next().unwrap_or_default();
    let require_source_verified = field() == b"v";
    let prefix = match String::from_utf8_lossy(field()).into_owned() {
        prefix if prefix.is_empty() => DEFAULT_HEADER_PREFIX.to_owned(),
        prefix => prefix,
    };
    let (secrets, headers) = (texts(field()), texts(field()));
    let body = field();
    let spellings = spellings(&secrets, body);
    let spelled = |value: &str| {
        let bytes = (1_u8..).map(char::from).zip(&spellings);
        bytes.fold(value.to_owned(), |text, (byte, spelling)| text.replace(byte, spelling))
    };
    let headers = headers.iter().filter_map(|header| header.split_once('='));
    let (headers, sent) = sendable(headers.map(|(name, value)| (name, spelled(value))));

    let is_usable = !secrets.is_empty() && secrets.iter().all(|secret| !secret.is_empty());
    let secret_strings = secrets.iter().map(|secret| secret.as_str().into()).collect();
    let Ok(names) = HeaderNames::new(&prefix) else { return };
    let verifier = Verifier::new(secret_strings, names, require_source_verified);
    assert_eq!(verifier.is_ok(), is_usable, "a verifier needs a key");
    let Ok(verifier) = verifier else { return };

    // An empty value counts as absent.
    let header = |suffix: &str| {
        let name = format!("{prefix}-{suffix}");
        let sent = headers.iter().find(|header| header.0.eq_ignore_ascii_case(&name));
        sent.map(|(_, value)| value.as_str()).filter(|value| !value.is_empty())
    };
    let (first, second) = (header("signature"), header("signature-2"));
    let valid: Vec<_> = secrets.iter().map(|secret| signature(secret, body)).collect();
    let is_valid = |text: &str| valid.iter().any(|known| known == text);
    let expected = if first.is_none() {
        Err(SignatureError::NoSignature)
    } else if ![first, second].into_iter().flatten().any(is_valid) {
        Err(SignatureError::WrongSignature)
    } else if require_source_verified && header("verified") != Some("true") {
        Err(SignatureError::SourceNotVerified)
    } else {
        Ok(())
    };
    assert_eq!(verifier.verify(&sent, body), expected);

    let delivery = verifier.delivery(&sent);
    let is_safe = |id: &&str| id.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
    let id = header("eventid").filter(is_safe).filter(|id| id.len() <= 64);
    assert_eq!(delivery.event_id.as_ref().map(ToString::to_string).as_deref(), id);
    let is_initial = header("attempt-trigger").is_none_or(|trigger| trigger == "INITIAL");
    assert_eq!(delivery.is_first(), delivery.attempt <= 1 && is_initial);
}

/// Signatures of the body, two of them valid, and other spellings of the first that lenient decoders
/// accept.
fn spellings(secrets: &[String], body: &[u8]) -> [String; 9] {
    let by = |secret: Option<&String>| signature(secret.map_or("", String::as_str), body);
    let first = by(secrets.first());
    let bytes = general_purpose::STANDARD.decode(&first).expect("base64");
    [
        by(secrets.last()),
        signature("another secret", body),
        signature(secrets.first().map_or("", |secret| secret.trim()), &[body, b"\n"].concat()),
        with_trailing_bits(&first),
        first.trim_end_matches('=').to_owned(),
        general_purpose::URL_SAFE.encode(&bytes),
        bytes.iter().fold(String::new(), |hex, byte| format!("{hex}{byte:02x}")),
        first.to_lowercase(),
        first,
    ]
}

#[cfg(test)]
#[test]
fn only_a_delivery_signed_with_a_configured_secret_is_accepted() {
    let secrets = r"([a-z]{1,3}|\PC{0,70})((?-u:\xfe)[a-z]{1,3}){0,3}";
    let names = "(signature|Signature|signature-2|verified|eventid|attempt-count|attempt-trigger)";
    let values = r"(?x: [\x01-\x09] | [\x20,=\n]? [\x01-\x09] [\x20,=\n]? [\x01-\x09]? | \PC{0,50} |
        true | INITIAL | evt_\w{0,65} | evt-1)";
    let headers = format!(r"((x-hookdeck|X-Hookdeck|x-acme)-{names}=({values})(?-u:\xfe)){{0,5}}");
    let deliveries = format!(
        r"v?(?-u:\xff)(|X-Acme|\PC?)(?-u:\xff){secrets}(?-u:\xff){headers}(?-u:\xff)\PC{{0,20}}"
    );
    crate::generate(check, proptest::string::bytes_regex(&deliveries).expect("an expression"));
}
