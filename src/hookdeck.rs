//! Who sent this: Hookdeck's signature over the raw body, and the headers it adds to a delivery.
//!
//! Facts: `contracts/hookdeck.md` sections 1 and 2, restated where they matter. The signature
//! covers the body and nothing else, so the other headers are hints: good for the log and for how
//! carefully we look, never for what we do to whom.

use std::fmt;

use base64::{Engine, engine::general_purpose::STANDARD};
use hmac::{Hmac, KeyInit, Mac};
use http::HeaderMap;
use secrecy::{ExposeSecret, SecretString};
use sha2::Sha256;
use strum::{EnumString, IntoStaticStr};

use crate::request;

/// What a project's headers start with unless it changed the setting.
pub const DEFAULT_HEADER_PREFIX: &str = "x-hookdeck";

/// Checks that a delivery comes from our Hookdeck project.
#[derive(Debug)]
pub struct Verifier {
    secrets: Vec<SecretString>,
    header_prefix: String,
    require_source_verified: bool,
}

/// Why a delivery is refused. For the log: the sender learns nothing of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, IntoStaticStr)]
#[strum(serialize_all = "snake_case")]
pub enum Refusal {
    /// There is no signature header.
    NoSignature,
    /// No configured secret made this signature of this body.
    WrongSignature,
    /// Hookdeck did not verify the source, and the settings insist on it.
    SourceNotVerified,
}

/// A set of secrets that cannot be used.
#[derive(Debug, PartialEq, Eq)]
pub struct EmptySecret;

impl Verifier {
    /// A verifier that accepts a signature made with any of `secrets`, taken as the bytes of their
    /// text.
    ///
    /// # Errors
    /// When there is no secret or one is empty: a keyless signature would be anybody's.
    pub fn new(
        secrets: Vec<SecretString>,
        header_prefix: &str,
        require_source_verified: bool,
    ) -> Result<Self, EmptySecret> {
        if secrets.is_empty() || secrets.iter().any(|secret| secret.expose_secret().is_empty()) {
            return Err(EmptySecret);
        }
        let header_prefix = header_prefix.to_ascii_lowercase();
        Ok(Self { secrets, header_prefix, require_source_verified })
    }

    /// Checks the signature of `body`, the bytes as they were sent.
    ///
    /// # Errors
    /// Says why the delivery is refused; the caller logs it and answers 401.
    pub fn verify(&self, headers: &HeaderMap, body: &[u8]) -> Result<(), Refusal> {
        // The second is sent while the project's secret is rolled, made with the previous one.
        let first = self.header(headers, "signature").ok_or(Refusal::NoSignature)?;
        let second = self.header(headers, "signature-2");
        let given: Vec<_> =
            [Some(first), second].into_iter().flatten().filter_map(decode).collect();
        let matches = |secret: &SecretString| {
            let mac = mac(secret.expose_secret(), body);
            // `verify_slice` compares in constant time.
            given.iter().any(|signature| mac.clone().verify_slice(signature).is_ok())
        };
        if !self.secrets.iter().any(matches) {
            return Err(Refusal::WrongSignature);
        }
        if self.require_source_verified && self.header(headers, "verified") != Some("true") {
            return Err(Refusal::SourceNotVerified);
        }
        Ok(())
    }

    fn header<'a>(&self, headers: &'a HeaderMap, suffix: &str) -> Option<&'a str> {
        request::header(headers, &format!("{}-{suffix}", self.header_prefix))
    }

    /// Reads what Hookdeck says about a delivery.
    pub fn delivery(&self, headers: &HeaderMap) -> Delivery {
        Delivery {
            event_id: self.header(headers, "eventid").and_then(EventId::parse),
            attempt: self
                .header(headers, "attempt-count")
                .and_then(|it| it.parse().ok())
                .unwrap_or(1),
            trigger: self
                .header(headers, "attempt-trigger")
                .map(|it| it.parse().unwrap_or(Trigger::Unknown)),
            is_last: self.header(headers, "will-retry-after").is_none_or(str::is_empty),
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

/// A signature is standard base64 with padding, 44 characters, and nothing around it. The strict
/// decoder refuses every other spelling of the same bytes, as the official SDK does by comparing
/// texts.
fn decode(header: &str) -> Option<Vec<u8>> {
    STANDARD.decode(header).ok()
}

/// What Hookdeck says about one delivery. Not signed: see the module's note.
#[derive(Debug, PartialEq, Eq)]
pub struct Delivery {
    /// The event's id, the same on every attempt of it.
    pub event_id: Option<EventId>,
    /// 1 on the first attempt, then one more each time, manual attempts included. Absent or
    /// unreadable counts as 1.
    pub attempt: u32,
    /// What caused this attempt, if it says so.
    pub trigger: Option<Trigger>,
    /// Whether no automatic attempt follows, should this one fail.
    pub is_last: bool,
}

/// What causes an attempt (`contracts/hookdeck.md` section 2).
#[derive(Debug, Clone, Copy, PartialEq, Eq, EnumString, IntoStaticStr)]
#[strum(serialize_all = "SCREAMING_SNAKE_CASE")]
pub enum Trigger {
    /// The event arrived.
    Initial,
    /// An earlier attempt failed.
    Automatic,
    /// Somebody retried this event.
    Manual,
    /// Somebody retried many.
    BulkRetry,
    /// The connection was paused until now.
    Unpause,
    /// A word that we do not know.
    Unknown,
}

impl Delivery {
    /// Whether Hookdeck calls this the first delivery of its event: no retry, by nobody's hand.
    pub fn is_first(&self) -> bool {
        self.attempt <= 1 && matches!(self.trigger, None | Some(Trigger::Initial))
    }

    /// Whether it was Hookdeck that decided on this attempt, so that nobody waits for its end.
    pub fn is_automatic(&self) -> bool {
        let by_hand = [Trigger::Manual, Trigger::BulkRetry];
        self.trigger.is_some_and(|trigger| !by_hand.contains(&trigger))
    }
}

/// A Hookdeck event id, safe to log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EventId(String);

impl EventId {
    fn parse(text: &str) -> Option<Self> {
        let safe = text.len() <= 64
            && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
        safe.then(|| Self(text.to_owned()))
    }
}

impl fmt::Display for EventId {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::{HeaderName, HeaderValue};

    fn verifier(secrets: &[&str], prefix: &str) -> Verifier {
        let secrets = secrets.iter().map(|&secret| secret.into()).collect();
        Verifier::new(secrets, prefix, false).expect("usable secrets")
    }

    fn headers(pairs: &[(&str, &str)]) -> HeaderMap {
        let header = |(name, value): &(&str, &str)| {
            Ok::<_, http::Error>((HeaderName::try_from(*name)?, HeaderValue::try_from(*value)?))
        };
        pairs.iter().map(header).collect::<Result<_, _>>().expect("headers")
    }

    // Body, secrets and signatures of the worked example in contracts/hookdeck.md section 1.
    const BODY: &[u8] =
        br#"{"data":{"id":"user_2abc","object":"user"},"object":"event","type":"user.created"}"#;
    const NEW: (&str, &str) =
        ("hookdeck-signing-secret-new", "iSkxFUEicLS22EwYJvK9d6gmc87Fg6rpgUGLyHAGPIw=");
    const OLD: (&str, &str) =
        ("hookdeck-signing-secret-old", "cD/2HeHhq4Z7aFnNOz2Cdss6t4LFYr5QVls0s6Zrftc=");

    #[test]
    fn any_configured_secret_verifies_either_header() {
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
            Err(Refusal::WrongSignature)
        );
    }

    #[test]
    fn a_project_with_its_own_prefix_is_verified_by_its_own_headers() {
        let verifier = verifier(&[NEW.0], "X-Acme");
        let own = headers(&[("x-acme-signature", NEW.1), ("X-Acme-Attempt-Count", "3")]);
        assert_eq!(verifier.verify(&own, BODY), Ok(()));
        assert_eq!(verifier.delivery(&own).attempt, 3);
        let default = headers(&[("x-hookdeck-signature", NEW.1)]);
        assert_eq!(verifier.verify(&default, BODY), Err(Refusal::NoSignature));
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
    fn the_last_attempt_is_the_one_after_which_no_retry_is_announced() {
        let verifier = verifier(&["any"], DEFAULT_HEADER_PREFIX);
        let is_last = |pairs: &[(&str, &str)]| verifier.delivery(&headers(pairs)).is_last;
        assert!(is_last(&[]) && is_last(&[("x-hookdeck-will-retry-after", "")]));
        assert!(!is_last(&[("x-hookdeck-will-retry-after", "30")]));
    }

    #[test]
    fn an_event_id_that_could_forge_a_log_line_is_dropped() {
        assert!(EventId::parse("evt_EKbUbpGzNMIdfqnXzA").is_some());
        for hostile in ["evt_\n{}", "evt \"x\"", &"e".repeat(65)] {
            assert_eq!(EventId::parse(hostile), None);
        }
    }
}
