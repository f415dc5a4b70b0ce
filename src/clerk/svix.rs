//! Whether Clerk sent this: the Svix signature, as a second look beside Hookdeck's own.
//!
//! Facts: `contracts/clerk.md` sections 1, 8 and 9, restated where they matter. Clerk's webhooks are
//! Svix's, and Hookdeck passes their headers on as they came. The signature covers the message's id,
//! the time at which Svix called Hookdeck, and the body.
//!
//! No age is too old: a retry or a replay through Hookdeck carries the time of Svix's call for ever,
//! so a limit would refuse the deliveries that the gateway exists for (section 9).

use base64::{Engine, engine::general_purpose::STANDARD};
use hmac::{Hmac, KeyInit, Mac};
use http::HeaderMap;
use secrecy::{ExposeSecret, SecretSlice, SecretString};
use sha2::Sha256;
use strum::IntoStaticStr;

use crate::request;

/// What the secret starts with in Clerk's dashboard. The key is what follows, in base64.
const PREFIX: &str = "whsec_";

/// The families of header names, the one that wins first: Clerk's, then that of the Standard
/// Webhooks specification.
const FAMILIES: [&str; 2] = ["svix", "webhook"];

/// The signing secrets of a Clerk endpoint: today's, and retired ones for as long as Hookdeck may
/// replay what they signed (section 9).
#[derive(Debug)]
pub struct Secrets(Vec<SecretSlice<u8>>);

/// A set of secrets that cannot be used. It does not say more, because it would have to show one.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("not signing secrets as Clerk shows them: whsec_ and base64")]
pub struct UnusableSecret;

/// Why a delivery is not Clerk's. For the log: the sender learns nothing of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, IntoStaticStr)]
#[strum(serialize_all = "snake_case")]
pub enum Refusal {
    /// The id, the timestamp or the signature is absent or blank.
    MissingHeader,
    /// The timestamp is no whole number of seconds since 1970.
    InvalidTimestamp,
    /// No configured secret made a signature of this message.
    NoMatchingSignature,
}

/// Whether a delivery's signature of Clerk's is checked, and what follows.
#[derive(Debug)]
pub enum Check {
    /// It is not looked at.
    Off,
    /// A wrong one is logged.
    Report(Secrets),
    /// A wrong one is refused.
    Enforce(Secrets),
}

impl Secrets {
    /// Reads secrets as Clerk shows them, standard base64 with padding. The prefix may be missing
    /// (section 8, step 1).
    ///
    /// # Errors
    /// When there is no secret, or one is not base64 or holds no key: a keyless signature would be
    /// anybody's.
    pub fn parse(texts: &[SecretString]) -> Result<Self, UnusableSecret> {
        let key = |text: &SecretString| {
            let text = text.expose_secret();
            let key = STANDARD.decode(text.strip_prefix(PREFIX).unwrap_or(text)).ok()?;
            (!key.is_empty()).then(|| SecretSlice::from(key))
        };
        let keys: Option<Vec<_>> = texts.iter().map(key).collect();
        keys.filter(|keys| !keys.is_empty()).map(Self).ok_or(UnusableSecret)
    }

    /// Checks that one of these secrets signed `body`, the bytes as they were sent, under the id and
    /// the timestamp in `headers`. The timestamp may be of any age.
    ///
    /// # Errors
    /// Says why not; nothing of it is for the sender.
    pub fn verify(&self, headers: &HeaderMap, body: &[u8]) -> Result<(), Refusal> {
        let id = header(headers, "id")?;
        let timestamp = header(headers, "timestamp")?;
        let signatures = header(headers, "signature")?;
        let seconds = timestamp.parse::<i64>().ok().filter(|&seconds| seconds >= 0);
        // Svix signs the number: zeros in front of it do not count (step 5).
        let seconds = seconds.ok_or(Refusal::InvalidTimestamp)?;
        let given: Vec<_> = signatures.split(' ').filter_map(decode).collect();
        let matches = |key: &SecretSlice<u8>| {
            let mut mac = Hmac::<Sha256>::new_from_slice(key.expose_secret())
                .unwrap_or_else(|_| unreachable!("HMAC takes keys of every length"));
            mac.update(format!("{id}.{seconds}.").as_bytes());
            mac.update(body);
            // `verify_slice` compares in constant time.
            given.iter().any(|signature| mac.clone().verify_slice(signature).is_ok())
        };
        if self.0.iter().any(matches) { Ok(()) } else { Err(Refusal::NoMatchingSignature) }
    }
}

/// The value of one of the three headers, each from the first family that has it; a blank one counts
/// as absent (step 2).
fn header<'a>(headers: &'a HeaderMap, suffix: &str) -> Result<&'a str, Refusal> {
    let value = |family| request::header(headers, &format!("{family}-{suffix}"));
    let mut values = FAMILIES.into_iter().filter_map(value);
    values.find(|value| !value.trim().is_empty()).ok_or(Refusal::MissingHeader)
}

/// The signature in a member of the list, where it is of the one version that is an HMAC (step 7).
/// The strict decoder refuses every other spelling of the same bytes, as comparing texts would.
fn decode(entry: &str) -> Option<Vec<u8>> {
    STANDARD.decode(entry.strip_prefix("v1,")?).ok()
}
