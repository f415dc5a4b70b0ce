//! Clerk's own signature of an event, a second check beside Hookdeck's (`docs/vendors/clerk.md`, "Svix
//! signature" and "Age of a signature").
//!
//! Svix sends Clerk's webhooks, and Hookdeck forwards Svix's headers unchanged. The signature covers
//! the message's id, the time of Svix's request to Hookdeck, and the body.
//!
//! The age has no limit: a retry or a replay by Hookdeck carries the time of Svix's request for ever,
//! and a limit would refuse it.

use base64::{Engine, engine::general_purpose::STANDARD};
use hmac::{Hmac, KeyInit, Mac};
use http::HeaderMap;
use secrecy::{ExposeSecret, SecretSlice, SecretString};
use sha2::Sha256;
use strum::IntoStaticStr;

use crate::request;

/// The beginning of a secret in Clerk's dashboard. The key follows, in base64.
const PREFIX: &str = "whsec_";

/// The prefixes of the headers, by precedence: Svix's, then that of the Standard Webhooks
/// specification.
const HEADER_PREFIXES: [&str; 2] = ["svix", "webhook"];

/// The signing secrets of a Clerk endpoint: the current one, and retired ones as long as Hookdeck may
/// replay what they signed.
#[derive(Debug)]
pub struct Secrets(Vec<SecretSlice<u8>>);

/// Secrets that cannot be used. The error quotes none of them.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("not signing secrets as Clerk shows them: whsec_ and base64")]
pub struct UnusableSecret;

/// Why a signature is refused, for the log only.
#[derive(Debug, Clone, Copy, PartialEq, Eq, IntoStaticStr)]
#[strum(serialize_all = "snake_case")]
pub enum SignatureError {
    /// The id, the timestamp or the signature is absent or blank.
    MissingHeader,
    /// The timestamp is no whole number of seconds since 1970.
    InvalidTimestamp,
    /// None of the secrets made one of the signatures.
    NoMatchingSignature,
}

/// Whether the signature is checked, and what follows.
#[derive(Debug)]
pub enum Check {
    /// It is not checked.
    Off,
    /// A wrong one is logged.
    Report(Secrets),
    /// A wrong one is refused.
    Enforce(Secrets),
}

impl Secrets {
    /// Parses secrets as Clerk shows them: standard base64 with padding, with or without the prefix.
    ///
    /// # Errors
    /// When there is no secret, or one is not base64 or is empty: anyone can sign with an empty key.
    pub fn parse(texts: &[SecretString]) -> Result<Self, UnusableSecret> {
        let key = |text: &SecretString| {
            let text = text.expose_secret();
            let key = STANDARD.decode(text.strip_prefix(PREFIX).unwrap_or(text)).ok()?;
            (!key.is_empty()).then(|| SecretSlice::from(key))
        };
        let keys: Option<Vec<_>> = texts.iter().map(key).collect();
        keys.filter(|keys| !keys.is_empty()).map(Self).ok_or(UnusableSecret)
    }

    /// Checks that one of these secrets signed the bytes of the body with the id and the timestamp in
    /// the headers.
    ///
    /// # Errors
    /// Why the signature is refused.
    pub fn verify(&self, headers: &HeaderMap, body: &[u8]) -> Result<(), SignatureError> {
        let id = header(headers, "id")?;
        let timestamp = header(headers, "timestamp")?;
        let signatures = header(headers, "signature")?;
        let seconds = timestamp.parse::<i64>().ok().filter(|&seconds| seconds >= 0);
        // Svix signs the number, so leading zeros do not count.
        let seconds = seconds.ok_or(SignatureError::InvalidTimestamp)?;
        let given: Vec<_> = signatures.split(' ').filter_map(decode).collect();
        let matches = |key: &SecretSlice<u8>| {
            let mac = mac(key, id, seconds, body);
            // `verify_slice` compares in constant time.
            given.iter().any(|signature| mac.clone().verify_slice(signature).is_ok())
        };
        if self.0.iter().any(matches) { Ok(()) } else { Err(SignatureError::NoMatchingSignature) }
    }

    /// The value of the signature header for `body`, as Svix makes it with the first secret for the
    /// message of this id, `seconds` after 1970.
    pub fn sign(&self, id: &str, seconds: i64, body: &[u8]) -> String {
        let signature = mac(&self.0[0], id, seconds, body).finalize().into_bytes();
        format!("v1,{}", STANDARD.encode(signature))
    }
}

fn mac(key: &SecretSlice<u8>, id: &str, seconds: i64, body: &[u8]) -> Hmac<Sha256> {
    let mut mac = Hmac::<Sha256>::new_from_slice(key.expose_secret())
        .unwrap_or_else(|_| unreachable!("HMAC takes keys of every length"));
    mac.update(format!("{id}.{seconds}.").as_bytes());
    mac.update(body);
    mac
}

/// The value of a header under the first prefix that has it. A blank value counts as absent.
fn header<'a>(headers: &'a HeaderMap, suffix: &str) -> Result<&'a str, SignatureError> {
    let value = |prefix| request::header(headers, format!("{prefix}-{suffix}"));
    let mut values = HEADER_PREFIXES.into_iter().filter_map(value);
    values.find(|value| !value.trim().is_empty()).ok_or(SignatureError::MissingHeader)
}

/// The signature in a member of the list, if it is of version 1, an HMAC. The strict decoder accepts
/// one spelling of the bytes only, as a comparison of texts does.
fn decode(entry: &str) -> Option<Vec<u8>> {
    STANDARD.decode(entry.strip_prefix("v1,")?).ok()
}
