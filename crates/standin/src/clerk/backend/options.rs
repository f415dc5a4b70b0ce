//! The settings of an instance.

use crate::clerk::event;
use crate::clock::Clock;

/// The settings of a [`Backend`](super::Backend); changed at run time with `change`.
#[derive(Clone, Debug)]
pub struct Options {
    /// The only bearer token that is accepted: one key is one instance.
    pub secret_key: String,
    /// The instance that the key belongs to.
    pub instance_id: String,
    /// `environment_type` of the instance.
    pub environment: String,
    /// The only version of the API that a request may ask for; it need not ask for one.
    pub api_version: String,
    /// How many bytes each kind of metadata may have as JSON. Whether the service's limit is for each kind or for all
    /// together is unknown.
    pub most_metadata: usize,
    /// How many requests are answered within 10 s; `None` is no limit.
    pub most_requests: Option<u32>,
    /// How often one user may be changed within 10 s; `None` is no limit.
    pub most_changes: Option<u32>,
    /// The wall clock of all timestamps and limits.
    pub clock: Clock,
}

impl Default for Options {
    /// A development instance.
    fn default() -> Self {
        Self {
            secret_key: "sk_test_fake_local_development_key".into(),
            instance_id: event::INSTANCE_ID.into(),
            environment: "development".into(),
            api_version: "2026-05-12".into(),
            most_metadata: 8 * 1024,
            most_requests: Some(100),
            most_changes: Some(10),
            clock: Clock::start(),
        }
    }
}

impl Options {
    /// A production instance.
    pub fn production() -> Self {
        Self {
            secret_key: "sk_live_fake_local_production_key".into(),
            environment: "production".into(),
            most_requests: Some(1000),
            ..Self::default()
        }
    }

    /// The same without rate limits.
    #[must_use]
    pub fn unlimited(self) -> Self {
        Self { most_requests: None, most_changes: None, ..self }
    }
}
