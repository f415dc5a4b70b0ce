//! Errors of the services that the function calls: what went wrong, and when a retry can help.

use std::time::Duration;

use http::StatusCode;
use strum::{IntoStaticStr, VariantNames};

/// Why Xata or Clerk did not do what it was asked.
#[derive(Debug, Clone, PartialEq, Eq, Hash, thiserror::Error)]
#[error("{}", <&str>::from(.kind))]
pub struct UpstreamError {
    /// What went wrong.
    pub kind: ErrorKind,
    /// How long the service asks to wait.
    pub retry_after: Option<Duration>,
    /// The HTTP status of the response, for the log.
    pub status: Option<u16>,
}

impl UpstreamError {
    /// An error without a response.
    pub fn new(kind: ErrorKind) -> Self {
        Self { kind, retry_after: None, status: None }
    }

    /// An error that a response of this status tells.
    pub fn with_status(status: StatusCode, kind: ErrorKind) -> Self {
        Self { status: Some(status.as_u16()), ..Self::new(kind) }
    }
}

/// What went wrong. The variant's name in `snake_case` is the `reason` of the response.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, IntoStaticStr, VariantNames)]
#[strum(serialize_all = "snake_case")]
pub enum ErrorKind {
    /// 401: the key is wrong or revoked, or Xata cannot check it at the moment.
    KeyRefused,
    /// 403: the key lacks a permission.
    AccessDenied,
    /// 403: the organization is disabled, usually because of its billing.
    OrganizationDisabled,
    /// 400 or 403: the project or the organization has reached its number of databases.
    StandingQuota,
    /// 404: there is no such project, region or template.
    NotFound,
    /// Another 4xx: Xata does not accept the request that the settings lead to.
    RequestRejected,
    /// 429: the databases that Xata creates per hour are used up.
    HourlyQuota,
    /// 429: too many requests.
    RateLimited,
    /// 409 or 423: another create is under way in this project.
    Contention,
    /// 409 or 423 of Xata Lite for a database that does not exist.
    Locked,
    /// 412: the template is not healthy.
    TemplateUnhealthy,
    /// 5xx, or a status that Xata does not document.
    XataError,
    /// The response cannot be read.
    XataUnreadable,
    /// There is no connection, or it broke.
    XataUnreachable,
    /// The response did not arrive in time.
    XataTimeout,
    /// The list of databases is longer than the function reads.
    ListTooLong,
    /// 401 or 403 of Clerk: the key is wrong, revoked, or lacks a permission.
    ClerkKeyRefused,
    /// 422 of Clerk: the user's metadata has no room for the directory entry.
    ClerkMetadataFull,
    /// Another 4xx of Clerk: it does not accept the request that the settings lead to.
    ClerkRequestRejected,
    /// Clerk's key belongs to another instance than the event. To that key, every user of the
    /// event's instance is a 404.
    ForeignKey,
    /// Clerk's key belongs to an instance that `CLERK_INSTANCE_ID` does not list.
    InstanceNotListed,
    /// The user's private or public metadata asks for a region that is not allowed.
    RegionNotAllowed,
    /// Clerk fails, limits requests, does not answer, or answers what cannot be read.
    ClerkUnavailable,
    /// The user signed up so recently that a first delivery of the sign-up may still be under way.
    TooEarly,
    /// The invocation has no time left for another request.
    TimeUp,
}

/// When a retry can help.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Retryability {
    /// Within seconds; if it does not, a later delivery retries.
    Now,
    /// Within seconds, because the cause may pass; if it does not, an operator has to act.
    NowOrNever,
    /// With one of Hookdeck's next deliveries.
    Later,
    /// Not before an operator has changed something.
    Never,
}

impl ErrorKind {
    /// When a retry can help.
    pub fn retryability(self) -> Retryability {
        match self {
            Self::Contention => Retryability::Now,
            Self::KeyRefused => Retryability::NowOrNever,
            Self::HourlyQuota
            | Self::RateLimited
            | Self::Locked
            | Self::TemplateUnhealthy
            | Self::XataError
            | Self::XataUnreadable
            | Self::XataUnreachable
            | Self::XataTimeout
            | Self::ListTooLong
            | Self::ClerkUnavailable
            | Self::TooEarly
            | Self::TimeUp => Retryability::Later,
            Self::AccessDenied
            | Self::OrganizationDisabled
            | Self::StandingQuota
            | Self::NotFound
            | Self::RequestRejected
            | Self::ClerkKeyRefused
            | Self::ClerkMetadataFull
            | Self::ClerkRequestRejected
            | Self::ForeignKey
            | Self::InstanceNotListed
            | Self::RegionNotAllowed => Retryability::Never,
        }
    }
}
