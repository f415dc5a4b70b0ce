//! Clerk's signature is valid exactly when a configured secret signed the bytes, at any time.

use base64::alphabet::STANDARD as ALPHABET;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use base64::{Engine, engine::general_purpose};
use per_user_db::clerk::svix::{Secrets, SignatureError};
use standin::hookdeck::signature;

use crate::input::{sendable, texts, with_trailing_bits};

/// Reads three fields, separated by 0xFF: the secrets, the headers as `name=value`, and the body.
/// Secrets and headers are separated by 0xFE. No UTF-8 text contains either byte. In a secret, the
/// text after the byte 1 is encoded as base64. In the value of a signature header, the bytes 1 to 9
/// are replaced by the entries of [`spellings`], which no fuzzer could guess.
pub(crate) fn check(data: &[u8]) {
    let mut fields = data.splitn(3, |&byte| byte == 0xff);
    let mut field = || fields.next().unwrap_or_default();
    let encoded = |text: String| match text.split_once('\u{1}') {
        Some((start, key)) => start.to_owned() + &general_purpose::STANDARD.encode(key),
        None => text,
    };
    let texts_of_secrets: Vec<_> = texts(field()).into_iter().map(encoded).collect();
    let headers = texts(field());
    let headers = headers.iter().filter_map(|header| header.split_once('='));
    let body = field();

    let secret_strings: Vec<_> = texts_of_secrets.iter().map(|text| text.as_str().into()).collect();
    let secrets = Secrets::parse(&secret_strings);
    let keys: Option<Vec<_>> = texts_of_secrets.iter().map(|text| key(text)).collect();
    let Some(keys) = keys.filter(|keys| !keys.is_empty()) else {
        assert!(secrets.is_err(), "a check needs a key");
        return;
    };
    let secrets = secrets.expect("usable secrets");
    let others = Secrets::parse(&vec!["AAAA".into(); keys.len()]).expect("usable secrets");
    assert_eq!(format!("{secrets:?}"), format!("{others:?}"), "a secret shows");

    let (plain, _) = sendable(headers.clone().map(|(name, value)| (name, value.to_owned())));
    let (id, timestamp) = (header(&plain, "id"), header(&plain, "timestamp"));
    let seconds = timestamp.as_deref().and_then(canonical);
    let signed = [id.as_deref(), seconds.as_deref()].map(Option::unwrap_or_default).join(".") + ".";
    // The reference implementation needs keys that are UTF-8.
    let are_texts = keys.iter().all(|key| str::from_utf8(key).is_ok());
    let keys: Vec<_> = keys.iter().map(|key| String::from_utf8_lossy(key).into_owned()).collect();
    let spellings = spellings(&texts_of_secrets, &keys, signed.as_bytes(), body);
    let spelled = |(name, value): (_, &str)| {
        let bytes = (1_u8..).map(char::from).zip(&spellings);
        let is_signature = str::to_ascii_lowercase(name).ends_with("-signature");
        let bytes = bytes.filter(|_| is_signature);
        let value = bytes.fold(value.to_owned(), |text, (byte, to)| text.replace(byte, to));
        (name, value)
    };
    let (pairs, sent) = sendable(headers.map(spelled));
    let list = header(&pairs, "signature");

    let message = [signed.as_bytes(), body].concat();
    let valid: Vec<_> = keys.iter().map(|key| format!("v1,{}", signature(key, &message))).collect();
    let is_valid = |entry: &str| valid.iter().any(|known| known == entry);
    let verified = secrets.verify(&sent, body);
    match (id, timestamp, list) {
        (Some(_), Some(_), Some(_)) if seconds.is_none() => {
            assert_eq!(verified, Err(SignatureError::InvalidTimestamp));
        }
        (Some(_), Some(_), Some(list)) if list.split(' ').any(is_valid) => {
            assert!(verified == Ok(()) || !are_texts, "{verified:?}");
        }
        (Some(_), Some(_), Some(_)) => {
            let refused = verified == Err(SignatureError::NoMatchingSignature);
            assert!(refused || (verified == Ok(()) && !are_texts), "{verified:?}");
        }
        _ => assert_eq!(verified, Err(SignatureError::MissingHeader)),
    }
}

/// The key of a secret, if the text after the prefix is the key's canonical base64: decoding it
/// leniently and encoding it again must give the same text.
fn key(text: &str) -> Option<Vec<u8>> {
    let lenient = GeneralPurposeConfig::new()
        .with_decode_allow_trailing_bits(true)
        .with_decode_padding_mode(DecodePaddingMode::Indifferent);
    let text = text.strip_prefix("whsec_").unwrap_or(text);
    let key = GeneralPurpose::new(&ALPHABET, lenient).decode(text).ok()?;
    let is_canonical = general_purpose::STANDARD.encode(&key) == text;
    Some(key).filter(|key| is_canonical && !key.is_empty())
}

/// A header by Svix's own name or by the unbranded one. A blank value counts as absent.
fn header(headers: &[(&str, String)], suffix: &str) -> Option<String> {
    let value = |family| {
        let name = format!("{family}-{suffix}");
        let is_it = |header: &&(&str, String)| header.0.eq_ignore_ascii_case(&name);
        let (_, value) = headers.iter().find(is_it)?;
        Some(value.clone()).filter(|value| !value.chars().all(char::is_whitespace))
    };
    value("svix").or_else(|| value("webhook"))
}

/// The timestamp as Svix signs it: a decimal number from 0 to the largest `i64`.
fn canonical(text: &str) -> Option<String> {
    let digits = text.strip_prefix(['+', '-']).unwrap_or(text);
    let number = digits.trim_start_matches('0');
    let is_whole = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
    let fits = (number.len(), number) <= (19, "9223372036854775807");
    let is_negative = text.starts_with('-') && !number.is_empty();
    let shown = if number.is_empty() { "0" } else { number };
    (is_whole && fits && !is_negative).then(|| shown.to_owned())
}

/// Signatures of the message, two of them valid, signatures of similar messages, and spellings that
/// lenient decoders accept.
fn spellings(secrets: &[String], keys: &[String], signed: &[u8], body: &[u8]) -> [String; 9] {
    let message = [signed, body].concat();
    let first = signature(&keys[0], &message);
    let bytes = general_purpose::STANDARD.decode(&first).expect("base64");
    [
        signature(&keys[keys.len() - 1], &message),
        signature("another secret", &message),
        signature(&keys[0], &[&message[..], b"\n"].concat()),
        signature(&keys[0], body),
        signature(&secrets[0], &message),
        with_trailing_bits(&first),
        first.trim_end_matches('=').to_owned(),
        general_purpose::URL_SAFE.encode(&bytes),
        first,
    ]
}

#[cfg(test)]
#[test]
fn only_a_delivery_signed_with_a_configured_secret_is_clerk_s() {
    let secrets = r"(?x: (whsec_)? (\x01[\x20-\x7e]{0,9} | \x01\PC{1,40} | \x01[ab] | whsec_QUJD |
        [A-D]{2,4}=?=?) )";
    let names = "(id|timestamp|signature)";
    let values = r"(?x: (v1,[\x01-\x09]\x20?)+ | v[12],?\x09[,=\n]? | v1a,\x09 \x20 v1,\x01 |
        0{0,2}[0-9]{1,10} | [+-]?[0-9]{1,20} | msg_\w{0,9} | \x20? | \PC{0,20})";
    let headers =
        format!(r"((svix-{names}|webhook-{names}|Svix-{names})=({values})(?-u:\xfe)){{0,3}}");
    let complete = r"((svix|webhook)-id=msg_\w{1,9}(?-u:\xfe)
        (svix|webhook)-timestamp=0{0,2}[0-9]{1,10}(?-u:\xfe)
        (svix|webhook)-signature=((v1,[\x01-\x09]\x20?)+|v1,\x02[\n\x0c]v1,\x09)(?-u:\xfe))?";
    let complete = complete.replace(char::is_whitespace, "");
    let deliveries = format!(
        r"{secrets}((?-u:\xfe){secrets}){{0,2}}(?-u:\xff){complete}{headers}(?-u:\xff)\PC{{0,20}}"
    );
    crate::generate(check, proptest::string::bytes_regex(&deliveries).expect("an expression"));
}
