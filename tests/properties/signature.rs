//! A delivery is accepted exactly when a secret of ours signed its bytes.

use base64::{Engine, engine::general_purpose};
use per_user_db::hookdeck::{DEFAULT_HEADER_PREFIX, SignatureError, Verifier};
use standin::hookdeck::signature;

/// Reads five fields, between which stands 0xFF: `v` if the source must be verified, the prefix of
/// the headers, the secrets, the headers as `name=value`, and the body. Between secrets and between
/// headers stands 0xFE. No UTF-8 text contains either. In a header's value the bytes 1 to 9 stand
/// for what [`spellings`] lists, which no fuzzer could guess.
pub(crate) fn check(data: &[u8]) {
    let mut fields = data.splitn(5, |&byte| byte == 0xff);
    let mut field = || fields.next().unwrap_or_default();
    let insists = field() == b"v";
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
    let (headers, sent) = crate::sendable(headers.map(|(name, value)| (name, spelled(value))));

    let usable = !secrets.is_empty() && secrets.iter().all(|secret| !secret.is_empty());
    let kept = secrets.iter().map(|secret| secret.as_str().into()).collect();
    let verifier = Verifier::new(kept, &prefix, insists);
    assert_eq!(verifier.is_ok(), usable, "no key, no verifier");
    let Ok(verifier) = verifier else { return };

    // Nothing counts as absent.
    let header = |suffix: &str| {
        let name = format!("{prefix}-{suffix}");
        let sent = headers.iter().find(|header| header.0.eq_ignore_ascii_case(&name));
        sent.map(|(_, value)| value.as_str()).filter(|value| !value.is_empty())
    };
    let (first, second) = (header("signature"), header("signature-2"));
    let genuine: Vec<_> = secrets.iter().map(|secret| signature(secret, body)).collect();
    let is_genuine = |text: &str| genuine.iter().any(|known| known == text);
    let expected = if first.is_none() {
        Err(SignatureError::NoSignature)
    } else if ![first, second].into_iter().flatten().any(is_genuine) {
        Err(SignatureError::WrongSignature)
    } else if insists && header("verified") != Some("true") {
        Err(SignatureError::SourceNotVerified)
    } else {
        Ok(())
    };
    assert_eq!(verifier.verify(&sent, body), expected);

    let delivery = verifier.delivery(&sent);
    let safe = |id: &&str| id.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
    let id = header("eventid").filter(safe).filter(|id| id.len() <= 64);
    assert_eq!(delivery.event_id.as_ref().map(ToString::to_string).as_deref(), id);
    let of_hookdeck = header("attempt-trigger").is_none_or(|trigger| trigger == "INITIAL");
    assert_eq!(delivery.is_first(), delivery.attempt <= 1 && of_hookdeck);
}

fn texts(field: &[u8]) -> Vec<String> {
    let texts = field.split(|&byte| byte == 0xfe).filter(|_| !field.is_empty());
    texts.map(|text| String::from_utf8_lossy(text).into_owned()).collect()
}

/// Signatures of the body, two of them genuine, and the spellings of the first that decoders have
/// been known to accept.
fn spellings(secrets: &[String], body: &[u8]) -> [String; 9] {
    const ALPHABET: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/=";
    let by = |secret: Option<&String>| signature(secret.map_or("", String::as_str), body);
    let first = by(secrets.first());
    let bytes = general_purpose::STANDARD.decode(&first).expect("base64");
    let unpadded = first.trim_end_matches('=');
    // The bits of the last digit that encode nothing are zero in the genuine one.
    let (start, last) = unpadded.split_at(unpadded.len() - 1);
    let digit = ALPHABET.iter().position(|digit| last.as_bytes() == [*digit]).expect("a digit");
    [
        by(secrets.last()),
        signature("a stranger's secret", body),
        signature(secrets.first().map_or("", |secret| secret.trim()), &[body, b"\n"].concat()),
        format!("{start}{}=", char::from(ALPHABET[digit + 1])),
        unpadded.to_owned(),
        general_purpose::URL_SAFE.encode(&bytes),
        bytes.iter().fold(String::new(), |hex, byte| format!("{hex}{byte:02x}")),
        first.to_lowercase(),
        first,
    ]
}

#[cfg(test)]
#[test]
fn only_what_a_secret_of_ours_signed_is_accepted() {
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
