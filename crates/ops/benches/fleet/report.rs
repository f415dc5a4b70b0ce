//! The results: a table or one document, and the exit code.

use std::process::ExitCode;

use cli::output;
use serde::Serialize;

/// What was measured so far.
#[derive(Default, Serialize)]
pub(crate) struct Report {
    results: Vec<Result>,
}

#[derive(Serialize)]
struct Result {
    section: &'static str,
    what: String,
    /// None where it could not be measured.
    value: Option<f64>,
    unit: &'static str,
    wanted: Option<Wanted>,
    met: Option<bool>,
}

/// What a value should be.
#[derive(Clone, Copy, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Wanted {
    AtMost(f64),
    Exactly(f64),
    /// A time, or what comes from times: a busy machine misses it, which is shown and is no failure.
    RateAtLeast(f64),
    RatioAtMost(f64),
}

impl Wanted {
    fn is_met_by(self, value: f64) -> bool {
        match self {
            Self::RateAtLeast(least) => value >= least,
            Self::AtMost(most) | Self::RatioAtMost(most) => value <= most,
            Self::Exactly(wanted) => (value - wanted).abs() < f64::EPSILON,
        }
    }

    fn is_about_time(self) -> bool {
        matches!(self, Self::RateAtLeast(_) | Self::RatioAtMost(_))
    }

    fn words(self) -> String {
        match self {
            Self::RateAtLeast(least) => {
                format!("at least {}", number(least))
            }
            Self::AtMost(most) | Self::RatioAtMost(most) => format!("at most {}", number(most)),
            Self::Exactly(wanted) => number(wanted),
        }
    }
}

/// Without decimals where there are none, and with two digits otherwise.
fn number(value: f64) -> String {
    let whole = format!("{value:.0}");
    if value.fract() == 0.0 || value >= 100.0 { thousands(&whole) } else { format!("{value:.1}") }
}

fn thousands(digits: &str) -> String {
    let groups: Vec<_> = digits.as_bytes().rchunks(3).rev().map(String::from_utf8_lossy).collect();
    groups.join(",")
}

#[expect(clippy::cast_precision_loss, reason = "no count here has 2^52")]
pub(crate) fn count(n: u64) -> f64 {
    n as f64
}

impl Report {
    pub(crate) fn add(
        &mut self,
        section: &'static str,
        what: impl Into<String>,
        (value, unit): (f64, &'static str),
        wanted: impl Into<Option<Wanted>>,
    ) {
        let (what, wanted) = (what.into(), wanted.into());
        let met = wanted.map(|wanted| wanted.is_met_by(value));
        self.results.push(Result { section, what, value: Some(value), unit, wanted, met });
    }

    /// Something that cannot be measured on this machine.
    pub(crate) fn skip(&mut self, section: &'static str, why: &str) {
        let what = format!("SKIPPED: {why}");
        let result = Result { section, what, value: None, unit: "", wanted: None, met: None };
        self.results.push(result);
    }

    /// Prints the results. A count that is not as wanted is a failure; a time is none.
    pub(crate) fn print(&self, as_json: bool) -> anyhow::Result<ExitCode> {
        if as_json {
            output::json(self)?;
        } else {
            let rows = self.results.iter().map(Result::row);
            output::line(output::listing(["section", "what", "measured", "wanted", ""], rows))?;
        }
        let is_failure = |it: &Result| {
            it.met == Some(false) && it.wanted.is_some_and(|wanted| !wanted.is_about_time())
        };
        Ok(ExitCode::from(u8::from(self.results.iter().any(is_failure))))
    }
}

impl Result {
    fn row(&self) -> [String; 5] {
        let value = self.value.map(|value| format!("{} {}", number(value), self.unit));
        let met = self.met.map(|met| if met { "met" } else { "MISSED" });
        [
            self.section.to_owned(),
            self.what.clone(),
            value.unwrap_or_default().trim_end().to_owned(),
            self.wanted.map(Wanted::words).unwrap_or_default(),
            met.unwrap_or_default().to_owned(),
        ]
    }
}
