//! What is in the way: one stable word for each trouble, and when asking again may help.

use std::time::Duration;

use http::StatusCode;
use strum::{IntoStaticStr, VariantNames};

/// What is in the way.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Trouble {
    /// In one word.
    pub reason: Reason,
    /// When upstream wants to be asked again.
    pub retry_after: Option<Duration>,
    /// The HTTP status it came with, for the log.
    pub status: Option<u16>,
}

impl Trouble {
    /// Trouble without an answer.
    pub fn silent(reason: Reason) -> Self {
        Self { reason, retry_after: None, status: None }
    }

    /// Trouble with an answer of this status.
    pub fn at(status: StatusCode, reason: Reason) -> Self {
        Self { status: Some(status.as_u16()), ..Self::silent(reason) }
    }
}

/// Trouble in one word, which is the variant's name in `snake_case`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, IntoStaticStr, VariantNames)]
#[strum(serialize_all = "snake_case")]
pub enum Reason {
    /// 401: the key is wrong, revoked, or Xata cannot check it just now.
    KeyRefused,
    /// 403: the key may not do this.
    AccessDenied,
    /// 403: the organization is disabled; see its billing.
    OrganizationDisabled,
    /// 400 or 403: no more databases in this project or organization.
    StandingQuota,
    /// 404: no such project, region or template.
    NotFound,
    /// Another 4xx: Xata does not accept what the settings make us ask.
    RequestRejected,
    /// 429: no more databases this hour.
    HourlyQuota,
    /// 429: too many requests.
    RateLimited,
    /// 409 or 423: somebody else is creating in this project.
    Contention,
    /// 409 or 423 of Xata Lite, about a database that is not there.
    Locked,
    /// 412: the template is not healthy.
    TemplateUnhealthy,
    /// 5xx, or a status nobody documents.
    XataError,
    /// The answer cannot be read.
    XataUnreadable,
    /// No connection, or it broke.
    XataUnreachable,
    /// The answer did not come in the time set aside.
    XataTimeout,
    /// The list is longer than we read.
    ListTooLong,
    /// 401 or 403 of Clerk: the key is wrong, revoked, or may not do this.
    ClerkKeyRefused,
    /// Another 4xx of Clerk: it does not accept what the settings make us ask.
    ClerkRequestRejected,
    /// Clerk's key belongs to another instance than the event, so that everybody looks deleted.
    ForeignKey,
    /// Clerk cannot be asked: it fails, limits, is silent or makes no sense.
    ClerkUnavailable,
    /// The user signed up so recently that a first delivery of the sign-up may still be on its way.
    TooEarly,
    /// There is no time left to ask.
    TimeUp,
}

/// When asking again may help.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Again {
    /// Within seconds; and if not, later.
    Now,
    /// Within seconds, because the refusal may be passing; and if it is not, never.
    NowOrNever,
    /// With one of Hookdeck's next deliveries.
    Later,
    /// Not before a person changes something.
    Never,
}

impl Reason {
    /// When asking again may help.
    pub fn again(self) -> Again {
        match self {
            Self::Contention => Again::Now,
            Self::KeyRefused => Again::NowOrNever,
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
            | Self::TimeUp => Again::Later,
            Self::AccessDenied
            | Self::OrganizationDisabled
            | Self::StandingQuota
            | Self::NotFound
            | Self::RequestRejected
            | Self::ClerkKeyRefused
            | Self::ClerkRequestRejected
            | Self::ForeignKey => Again::Never,
        }
    }
}
