//! Hookdeck's signature of a delivery, and the headers that describe it (`docs/vendors/hookdeck.md`,
//! "Signature" and "Delivery headers").
//!
//! The signature covers the body only. The other headers are hints: they decide what is logged and how
//! much is checked before a create, and never which user is concerned.

use base64::{Engine, engine::general_purpose::STANDARD};
use hmac::{Hmac, KeyInit, Mac};
use http::HeaderMap;
use http::header::{HeaderName, InvalidHeaderName};
use secrecy::{ExposeSecret, SecretString};
use sha2::Sha256;
use strum::{EnumString, IntoStaticStr};

use crate::request::header;

/// The beginning of the headers' names, unless the Hookdeck project has another one.
pub const DEFAULT_HEADER_PREFIX: &str = "x-hookdeck";

/// Checks that a delivery comes from the Hookdeck project of the settings.
#[derive(Debug)]
pub struct Verifier {
    secrets: Vec<SecretString>,
    names: HeaderNames,
    require_source_verified: bool,
}

/// The names of Hookdeck's headers in one project.
#[derive(Debug)]
pub struct HeaderNames {
    signature: HeaderName,
    second_signature: HeaderName,
    verified: HeaderName,
    event_id: HeaderName,
    attempt_count: HeaderName,
    attempt_trigger: HeaderName,
    will_retry_after: HeaderName,
}

impl HeaderNames {
    /// The names that begin with the project's prefix.
    ///
    /// # Errors
    /// When the prefix cannot begin a header's name.
    pub fn new(prefix: &str) -> Result<Self, InvalidHeaderName> {
        let name = |suffix| HeaderName::try_from(format!("{prefix}-{suffix}"));
        Ok(Self {
            signature: name("signature")?,
            second_signature: name("signature-2")?,
            verified: name("verified")?,
            event_id: name("eventid")?,
            attempt_count: name("attempt-count")?,
            attempt_trigger: name("attempt-trigger")?,
            will_retry_after: name("will-retry-after")?,
        })
    }
}

/// Why a delivery is refused, for the log only.
#[derive(Debug, Clone, Copy, PartialEq, Eq, IntoStaticStr)]
#[strum(serialize_all = "snake_case")]
pub enum SignatureError {
    /// There is no signature header.
    NoSignature,
    /// None of the secrets made this signature of this body.
    WrongSignature,
    /// Hookdeck has not verified the source, and the settings require it.
    SourceNotVerified,
}

/// There is no secret, or an empty one.
#[derive(Debug, PartialEq, Eq)]
pub struct EmptySecret;

impl Verifier {
    /// Accepts a signature made with any of the secrets, whose keys are the bytes of their text.
    ///
    /// # Errors
    /// When there is no secret, or an empty one: anyone can sign with an empty key.
    pub fn new(
        secrets: Vec<SecretString>,
        names: HeaderNames,
        require_source_verified: bool,
    ) -> Result<Self, EmptySecret> {
        if secrets.is_empty() || secrets.iter().any(|secret| secret.expose_secret().is_empty()) {
            return Err(EmptySecret);
        }
        Ok(Self { secrets, names, require_source_verified })
    }

    /// Checks the signature of the bytes of the body.
    ///
    /// # Errors
    /// Why the delivery is refused.
    pub fn verify(&self, headers: &HeaderMap, body: &[u8]) -> Result<(), SignatureError> {
        // While the project's secret is rotated, the second is made with the previous secret.
        let first = header(headers, &self.names.signature).ok_or(SignatureError::NoSignature)?;
        let second = header(headers, &self.names.second_signature);
        let given: Vec<_> =
            [Some(first), second].into_iter().flatten().filter_map(decode).collect();
        let matches = |secret: &SecretString| {
            let mac = mac(secret.expose_secret(), body);
            // `verify_slice` compares in constant time.
            given.iter().any(|signature| mac.clone().verify_slice(signature).is_ok())
        };
        if !self.secrets.iter().any(matches) {
            return Err(SignatureError::WrongSignature);
        }
        if self.require_source_verified && header(headers, &self.names.verified) != Some("true") {
            return Err(SignatureError::SourceNotVerified);
        }
        Ok(())
    }

    /// Reads the headers that describe a delivery.
    pub fn delivery(&self, headers: &HeaderMap) -> Delivery {
        let HeaderNames { event_id, attempt_count, attempt_trigger, will_retry_after, .. } =
            &self.names;
        Delivery {
            event_id: header(headers, event_id).and_then(loggable),
            attempt: header(headers, attempt_count).and_then(|it| it.parse().ok()).unwrap_or(1),
            trigger: header(headers, attempt_trigger)
                .map(|it| it.parse().unwrap_or(Trigger::Unknown)),
            is_last: header(headers, will_retry_after).is_none(),
        }
    }
}

/// The value of the signature header for `body`, as Hookdeck makes it with `secret`.
pub fn sign(secret: &str, body: &[u8]) -> String {
    STANDARD.encode(mac(secret, body).finalize().into_bytes())
}

fn mac(secret: &str, body: &[u8]) -> Hmac<Sha256> {
    let mut mac = Hmac::<Sha256>::new_from_slice(secret.as_bytes())
        .unwrap_or_else(|_| unreachable!("HMAC takes keys of every length"));
    mac.update(body);
    mac
}

/// A signature is 44 characters of standard base64 with padding. The strict decoder accepts one
/// spelling of the bytes only, as the official SDK does by comparing texts.
fn decode(header: &str) -> Option<Vec<u8>> {
    STANDARD.decode(header).ok()
}

/// What Hookdeck says about a delivery, unsigned.
#[derive(Debug, PartialEq, Eq)]
pub struct Delivery {
    /// The id of the event, the same for each of its attempts. It is safe to log.
    pub event_id: Option<String>,
    /// 1 for the first attempt, then one more for each, manual ones included. Absent or unreadable
    /// counts as 1.
    pub attempt: u32,
    /// What caused this attempt, where Hookdeck says so.
    pub trigger: Option<Trigger>,
    /// Whether no automatic attempt follows if this one fails.
    pub is_last: bool,
}

/// What causes an attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq, EnumString, IntoStaticStr)]
#[strum(serialize_all = "SCREAMING_SNAKE_CASE")]
pub enum Trigger {
    /// The event arrived.
    Initial,
    /// An earlier attempt failed.
    Automatic,
    /// An operator retried the event.
    Manual,
    /// An operator retried several events.
    BulkRetry,
    /// An operator ended a pause of the connection.
    Unpause,
    /// A word that is not documented.
    Unknown,
}

impl Delivery {
    /// Whether this is the first attempt, and no operator caused it.
    pub fn is_first(&self) -> bool {
        self.attempt <= 1 && matches!(self.trigger, None | Some(Trigger::Initial))
    }

    /// Whether Hookdeck caused the attempt by itself, so that no operator waits for the result.
    pub fn is_automatic(&self) -> bool {
        let by_hand = [Trigger::Manual, Trigger::BulkRetry];
        self.trigger.is_some_and(|trigger| !by_hand.contains(&trigger))
    }
}

/// An id that is safe to log.
fn loggable(text: &str) -> Option<String> {
    let is_safe =
        text.len() <= 64 && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
    is_safe.then(|| text.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::{HeaderName, HeaderValue};

    fn verifier(secrets: &[&str], prefix: &str) -> Verifier {
        let secrets = secrets.iter().map(|&secret| secret.into()).collect();
        let names = HeaderNames::new(prefix).expect("a prefix");
        Verifier::new(secrets, names, false).expect("usable secrets")
    }

    fn headers(pairs: &[(&str, &str)]) -> HeaderMap {
        let header = |(name, value): &(&str, &str)| {
            Ok::<_, http::Error>((HeaderName::try_from(*name)?, HeaderValue::try_from(*value)?))
        };
        pairs.iter().map(header).collect::<Result<_, _>>().expect("headers")
    }

    // The worked example of docs/vendors/hookdeck.md, "Signature".
    const BODY: &[u8] =
        br#"{"data":{"id":"user_2abc","object":"user"},"object":"event","type":"user.created"}"#;
    const NEW: (&str, &str) =
        ("hookdeck-signing-secret-new", "iSkxFUEicLS22EwYJvK9d6gmc87Fg6rpgUGLyHAGPIw=");
    const OLD: (&str, &str) =
        ("hookdeck-signing-secret-old", "cD/2HeHhq4Z7aFnNOz2Cdss6t4LFYr5QVls0s6Zrftc=");

    #[test]
    fn each_configured_secret_verifies_each_header() {
        let headers =
            headers(&[("x-hookdeck-signature", NEW.1), ("x-hookdeck-signature-2", OLD.1)]);
        for secrets in [&[NEW.0][..], &[OLD.0], &["other", OLD.0], &[NEW.0, "other"]] {
            assert_eq!(
                verifier(secrets, DEFAULT_HEADER_PREFIX).verify(&headers, BODY),
                Ok(()),
                "{secrets:?}"
            );
        }
        assert_eq!(
            verifier(&["other"], DEFAULT_HEADER_PREFIX).verify(&headers, BODY),
            Err(SignatureError::WrongSignature)
        );
    }

    #[test]
    fn a_project_with_another_prefix_uses_headers_with_that_prefix() {
        let verifier = verifier(&[NEW.0], "X-Acme");
        let own = headers(&[("x-acme-signature", NEW.1), ("X-Acme-Attempt-Count", "3")]);
        assert_eq!(verifier.verify(&own, BODY), Ok(()));
        assert_eq!(verifier.delivery(&own).attempt, 3);
        let default = headers(&[("x-hookdeck-signature", NEW.1)]);
        assert_eq!(verifier.verify(&default, BODY), Err(SignatureError::NoSignature));
    }

    #[test]
    fn a_retry_or_a_manual_delivery_is_not_the_first() {
        let verifier = verifier(&["any"], DEFAULT_HEADER_PREFIX);
        let first = |count: &str, trigger: &str| {
            let headers =
                [("x-hookdeck-attempt-count", count), ("x-hookdeck-attempt-trigger", trigger)];
            verifier.delivery(&self::headers(&headers)).is_first()
        };
        assert!(first("1", "INITIAL") && first("", "") && first("many", "INITIAL"));
        assert!(!first("2", "AUTOMATIC") && !first("2", "INITIAL"));
        assert!(!first("1", "MANUAL") && !first("1", "BULK_RETRY") && !first("1", "UNPAUSE"));
    }

    #[test]
    fn an_attempt_without_an_announced_retry_is_the_last() {
        let verifier = verifier(&["any"], DEFAULT_HEADER_PREFIX);
        let is_last = |pairs: &[(&str, &str)]| verifier.delivery(&headers(pairs)).is_last;
        assert!(is_last(&[]) && is_last(&[("x-hookdeck-will-retry-after", "")]));
        assert!(!is_last(&[("x-hookdeck-will-retry-after", "30")]));
    }

    #[test]
    fn an_event_id_with_characters_unsafe_in_a_log_is_dropped() {
        assert!(loggable("evt_EKbUbpGzNMIdfqnXzA").is_some());
        for hostile in ["evt_\n{}", "evt \"x\"", &"e".repeat(65)] {
            assert_eq!(loggable(hostile), None);
        }
    }
}
