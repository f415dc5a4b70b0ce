//! Wall-clock time that starts at a fixed moment and then follows tokio's clock.
//!
//! So a run is reproducible to the byte, and a paused clock moves dates as well as timers.

use std::time::{Duration, UNIX_EPOCH};

use tokio::time::Instant;

/// What every [`Clock`] shows when it starts, since the Unix epoch: 2026-01-07T11:06:40Z.
pub const START: Duration = Duration::from_secs(1_767_784_000);

const MONTHS: [&str; 12] =
    ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];

const WEEKDAYS: [&str; 7] = ["Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"];

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

/// A time since the Unix epoch as RFC 3339 in UTC with milliseconds (xata-platform.md section 1).
///
/// # Panics
///
/// After the year 9999.
pub fn rfc3339(since_epoch: Duration) -> String {
    // The date library already knows the calendar; only the order of the parts differs.
    let date = http_date(since_epoch);
    let (day, month, year, time) = (&date[5..7], &date[8..11], &date[12..16], &date[17..25]);
    let month = MONTHS.iter().take_while(|name| **name != month).count() + 1;
    let milliseconds = since_epoch.subsec_millis();
    format!("{year}-{month:02}-{day}T{time}.{milliseconds:03}Z")
}

/// A time since the Unix epoch as an HTTP date, the second form of `Retry-After`.
///
/// # Panics
///
/// After the year 9999.
pub fn http_date(since_epoch: Duration) -> String {
    httpdate::fmt_http_date(UNIX_EPOCH + since_epoch)
}

/// Reads an HTTP date or an RFC 3339 date in UTC as the time since the Unix epoch.
pub(crate) fn parse_date(text: &str) -> Option<Duration> {
    let http_date = |text: &str| httpdate::parse_http_date(text).ok();
    let date = http_date(text).or_else(|| {
        let date = rearranged(text)?;
        // The parser insists on the right weekday, which RFC 3339 does not give: it is one of seven.
        WEEKDAYS.iter().find_map(|day| http_date(&format!("{day}, {date}")))
    })?;
    date.duration_since(UNIX_EPOCH).ok()
}

/// `2026-01-07T11:06:40Z` in the order of an HTTP date, without its weekday.
fn rearranged(rfc3339: &str) -> Option<String> {
    let (date, time) = rfc3339.strip_suffix('Z')?.split_once('T')?;
    let (year, month_and_day) = date.split_once('-')?;
    let (month, day) = month_and_day.split_once('-')?;
    let month = MONTHS.get(month.parse::<usize>().ok()?.checked_sub(1)?)?;
    let (time, _fraction) = time.split_once('.').unwrap_or((time, ""));
    Some(format!("{day} {month} {year} {time} GMT"))
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
