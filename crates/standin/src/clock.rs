//! Wall-clock time that starts at a fixed moment and then follows tokio's clock.
//!
//! So a run is reproducible to the byte, and a paused clock moves dates as well as timers.

use std::time::{Duration, UNIX_EPOCH};

use serde::Serializer;
use tokio::time::Instant;

/// What every [`Clock`] shows when it starts, since the Unix epoch: 2026-01-07T11:06:40Z.
pub const START: Duration = Duration::from_secs(1_767_784_000);

/// A wall clock. Stand-ins that are given copies of one clock agree on the time.
#[derive(Clone, Copy, Debug)]
pub struct Clock {
    started: Instant,
}

impl Clock {
    /// A clock that shows [`START`] now.
    pub fn start() -> Self {
        Self { started: Instant::now() }
    }

    /// The present, as the time since the Unix epoch.
    pub fn now(&self) -> Duration {
        START + self.started.elapsed()
    }
}

/// A time since the Unix epoch as RFC 3339 in UTC with milliseconds.
///
/// # Panics
///
/// After the year 9999.
pub fn rfc3339(since_epoch: Duration) -> String {
    humantime::format_rfc3339_millis(UNIX_EPOCH + since_epoch).to_string()
}

/// [`rfc3339`] for a member of a response.
pub(crate) fn serialize<S: Serializer>(since_epoch: &Duration, to: S) -> Result<S::Ok, S::Error> {
    to.serialize_str(&rfc3339(*since_epoch))
}

/// A time since the Unix epoch as an HTTP date, the second form of `Retry-After`.
///
/// # Panics
///
/// After the year 9999.
pub fn http_date(since_epoch: Duration) -> String {
    httpdate::fmt_http_date(UNIX_EPOCH + since_epoch)
}

/// Reads an HTTP date or an RFC 3339 date in UTC as the whole seconds since the Unix epoch.
pub(crate) fn parse_date(text: &str) -> Option<Duration> {
    let http_date = httpdate::parse_http_date(text).ok();
    let date = http_date.or_else(|| humantime::parse_rfc3339(text).ok())?;
    let since_epoch = date.duration_since(UNIX_EPOCH).ok()?;
    Some(Duration::from_secs(since_epoch.as_secs()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_moment_reads_the_same_in_both_forms() {
        let moment = START + Duration::from_millis(1_250);
        assert_eq!(rfc3339(moment), "2026-01-07T11:06:41.250Z");
        assert_eq!(http_date(moment), "Wed, 07 Jan 2026 11:06:41 GMT");
    }

    #[test]
    fn dates_are_read_in_both_forms_and_nothing_else_is() {
        let second = START + Duration::from_secs(1);
        for text in
            ["Wed, 07 Jan 2026 11:06:41 GMT", "2026-01-07T11:06:41Z", "2026-01-07T11:06:41.250Z"]
        {
            assert_eq!(parse_date(text), Some(second), "{text}");
        }
        for text in ["", "soon", "2026-13-07T11:06:41Z", "2026-01-07", "T-Z"] {
            assert_eq!(parse_date(text), None, "{text}");
        }
    }
}
