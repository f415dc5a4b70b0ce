//! Why work on one database failed.

use std::io;
use std::time::Duration;

use http::StatusCode;
use per_user_db::error::{ErrorKind, Retryability, UpstreamError};
use sqlx::postgres::{PgDatabaseError, PgErrorPosition};

use crate::service::ApiError;

/// A failure, with a code by which many of them are grouped.
#[derive(Debug)]
pub(crate) struct Failure {
    /// A SQLSTATE, or a word in snake case.
    pub(crate) code: String,
    /// What happened, and what to do about it. It has no secret, and nothing of a database's rows.
    pub(crate) message: String,
    pub(crate) kind: FailureKind,
    /// The pause that a service asks for before the next request.
    pub(crate) retry_after: Option<Duration>,
}

/// Whether another attempt can help.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum FailureKind {
    /// The same work can succeed a little later, and looks first what was done.
    Transient,
    Permanent,
    /// The work may have been done, and doing it again may harm.
    Unclear,
}

impl std::error::Error for Failure {}

impl std::fmt::Display for Failure {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str(&self.message)
    }
}

impl Failure {
    pub(crate) fn permanent(code: impl Into<String>, message: impl Into<String>) -> Self {
        let (code, message) = (code.into(), message.into());
        Self { code, message, kind: FailureKind::Permanent, retry_after: None }
    }

    pub(crate) fn transient(code: impl Into<String>, message: impl Into<String>) -> Self {
        Self { kind: FailureKind::Transient, ..Self::permanent(code, message) }
    }

    pub(crate) fn unclear(self) -> Self {
        Self { kind: FailureKind::Unclear, ..self }
    }

    /// The same failure, told after these words.
    pub(crate) fn after(self, words: &str) -> Self {
        Self { message: format!("{words}: {}", self.message), ..self }
    }
}

impl From<ApiError> for Failure {
    fn from(error: ApiError) -> Self {
        let code = error.status().map_or_else(
            || "no_response".to_owned(),
            |status| format!("http_{}", StatusCode::as_u16(&status)),
        );
        let new = if error.is_refusal() { Self::permanent } else { Self::transient };
        Self { retry_after: error.retry_after, ..new(code, error.to_string()) }
    }
}

/// How long to wait for a quota of an hour, which tells no time.
const QUOTA_PAUSE: Duration = Duration::from_mins(5);

impl From<UpstreamError> for Failure {
    fn from(error: UpstreamError) -> Self {
        let new = match error.kind.retryability() {
            Retryability::Never => Self::permanent,
            _ => Self::transient,
        };
        let code: &'static str = error.kind.into();
        let retry_after = match error.kind {
            ErrorKind::HourlyQuota => Some(error.retry_after.unwrap_or(QUOTA_PAUSE)),
            _ => error.retry_after,
        };
        Self { retry_after, ..new(code, upstream_words(&error)) }
    }
}

/// What Xata or Clerk says, and what to do about it.
pub(crate) fn upstream_words(error: &UpstreamError) -> String {
    let status = error.status.map(|status| format!(" ({status})")).unwrap_or_default();
    let (what, mend) = match error.kind {
        ErrorKind::KeyRefused => ("Xata refuses the key", "check XATA_API_KEY"),
        ErrorKind::AccessDenied => (
            "Xata does not let this key create branches",
            "it needs branch:write, unrestricted in projects and branches",
        ),
        ErrorKind::OrganizationDisabled => ("the organization is disabled", "see Xata's billing"),
        ErrorKind::StandingQuota => (
            "the quota of branches is reached",
            "ask Xata for more, or delete branches that are not needed; `cargo ops parked` lists those \
             of users who have left",
        ),
        ErrorKind::HourlyQuota => {
            ("the quota of new branches an hour is reached", "wait until the hour is over")
        }
        ErrorKind::RequestRejected => (
            "Xata does not accept the request",
            "check XATA_TEMPLATES, or XATA_IMAGE and XATA_INSTANCE_TYPE",
        ),
        ErrorKind::Contention | ErrorKind::RateLimited => ("Xata is busy", "wait a minute"),
        ErrorKind::ClerkKeyRefused => ("Clerk refuses the key", "check CLERK_SECRET_KEY"),
        ErrorKind::ClerkMetadataFull => (
            "the user's metadata at Clerk has no room for the entry",
            "make room in it, which is 8 KiB",
        ),
        ErrorKind::RegionNotAllowed => (
            "the user's metadata asks for a region that is not allowed",
            "correct db_region at Clerk, or ALLOWED_REGIONS",
        ),
        ErrorKind::ClerkUnavailable => ("Clerk is not available", "try again in a minute"),
        kind => {
            let word: &'static str = kind.into();
            return format!("Xata or Clerk fails, {word}{status}: see their status pages");
        }
    };
    format!("{what}{status}: {mend}")
}

impl From<sqlx::Error> for Failure {
    fn from(error: sqlx::Error) -> Self {
        if let Some(error) = postgres_error(&error) {
            return Self::from(error);
        }
        match error {
            sqlx::Error::Tls(_) => Self::permanent(
                "tls",
                "the database's certificate is not accepted: check the network between here and Xata",
            ),
            sqlx::Error::Io(error) => {
                let code = if is_closed(&error) { "connection" } else { UNREACHABLE };
                Self::transient(code, format!("the connection failed: {error}"))
            }
            _ => Self::transient("protocol", "the database's response cannot be read"),
        }
    }
}

/// The code of a failure to find or reach the host.
pub(crate) const UNREACHABLE: &str = "unreachable";

/// Whether a connection was closed, as one to a database that does not wake is, without a word.
fn is_closed(error: &io::Error) -> bool {
    use io::ErrorKind::{BrokenPipe, ConnectionAborted, ConnectionReset, TimedOut, UnexpectedEof};
    matches!(
        error.kind(),
        ConnectionReset | ConnectionAborted | BrokenPipe | UnexpectedEof | TimedOut
    )
}

/// The error of PostgreSQL, where it is one.
pub(crate) fn postgres_error(error: &sqlx::Error) -> Option<&PgDatabaseError> {
    error.as_database_error()?.try_downcast_ref()
}

impl From<&PgDatabaseError> for Failure {
    fn from(error: &PgDatabaseError) -> Self {
        let code = error.code();
        let mut message = format!("{} (SQLSTATE {code})", words(error));
        if let Some(hint) = hint(code) {
            message.push_str(": ");
            message.push_str(hint);
        }
        let new = if is_transient(code) { Self::transient } else { Self::permanent };
        new(code, message)
    }
}

/// What to do about a SQLSTATE.
fn hint(code: &str) -> Option<&'static str> {
    Some(match code {
        "55P03" => "the application holds a lock on the table; run this again when it is quieter",
        "57P01" => {
            "if the database is hibernated by hand, a connection does not wake it: wake it in Xata"
        }
        "25001" => {
            "put the statement into a file of its own, whose first line is -- no-transaction"
        }
        _ => return None,
    })
}

/// A lock that is held, a password that is not set yet, a server that starts, stops or is full, and
/// two transactions that stand in each other's way.
fn is_transient(code: &str) -> bool {
    ["55P03", "28P01", "57P03", "57P02", "53300", "40001", "40P01"].contains(&code)
        || code.starts_with("08")
}

/// PostgreSQL's message. A message about data repeats a value in quotes, which is one of a row unless
/// PostgreSQL finds it in the text of the statement.
fn words(error: &PgDatabaseError) -> String {
    let message = error.message().replace(char::is_control, " ");
    let is_about_rows = error.code().starts_with("22")
        && !matches!(error.position(), Some(PgErrorPosition::Original(_)));
    if !is_about_rows {
        return message;
    }
    let mut parts = message.split('"');
    let first = parts.next().unwrap_or_default().to_owned();
    let masked = parts.enumerate().map(|(n, part)| if n % 2 == 0 { "\"…\"" } else { part });
    first + &masked.collect::<String>()
}
