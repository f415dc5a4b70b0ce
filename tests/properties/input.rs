//! Parts of the inputs that several properties read.

use http::{HeaderMap, HeaderName, HeaderValue};

/// The texts of a field, separated by 0xFE.
pub(crate) fn texts(field: &[u8]) -> Vec<String> {
    let texts = field.split(|&byte| byte == 0xfe).filter(|_| !field.is_empty());
    texts.map(|text| String::from_utf8_lossy(text).into_owned()).collect()
}

/// The headers that HTTP can carry, the first of each name.
pub(crate) fn sendable<'a>(
    headers: impl IntoIterator<Item = (&'a str, String)>,
) -> (Vec<(&'a str, String)>, HeaderMap) {
    let (mut pairs, mut map) = (Vec::new(), HeaderMap::new());
    for (name, value) in headers {
        let (Ok(key), Ok(text)) = (HeaderName::try_from(name), HeaderValue::try_from(&value))
        else {
            continue;
        };
        if text.to_str().is_ok() && !map.contains_key(&key) {
            map.insert(key, text);
            pairs.push((name, value));
        }
    }
    (pairs, map)
}

/// A base64 text with other unused bits in its last digit, which are zero in the canonical text.
pub(crate) fn with_trailing_bits(base64: &str) -> String {
    const DIGITS: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/=";
    let unpadded = base64.trim_end_matches('=');
    let (start, last) = unpadded.split_at(unpadded.len() - 1);
    let digit = DIGITS.iter().position(|digit| last.as_bytes() == [*digit]).expect("a digit");
    format!("{start}{}=", char::from(DIGITS[digit + 1]))
}
