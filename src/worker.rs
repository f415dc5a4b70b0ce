//! One process of the function: it takes invocations one after the other, keeps an eye on their time,
//! writes their lines, and reads the secrets again when they seem to have changed.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::panic::AssertUnwindSafe;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

use futures_util::FutureExt;
use tokio::time::Instant;

use crate::Clock;
use crate::answer::Answer;
use crate::function::Function;
use crate::http_client::HttpClient;
use crate::secrets::SecretsManager;
use crate::settings::Settings;
use crate::telemetry::{Ids, Line, Metrics};
use crate::trouble::Reason;

/// The function's own limit, as `template.yaml` sets it: Hookdeck waits 60 s, and the answer shall
/// be ours.
pub const TIMEOUT: Duration = Duration::from_secs(55);

/// Kept back for answering: serialising it, and the way to Hookdeck. Less when there is little time
/// in all.
const MARGIN: Duration = Duration::from_secs(1);

/// Lambda runs nothing longer; a deadline that is older than this was never a deadline. `cargo
/// lambda watch` 1.9.2 sends such a one.
const LONGEST_INVOCATION: Duration = Duration::from_secs(15 * 60);

/// Secrets are read again no more often.
const BETWEEN_READINGS: Duration = Duration::from_secs(60);

/// Time for reading them: they are a few hundred bytes.
pub const SECRETS_PATIENCE: Duration = Duration::from_secs(5);

/// What Lambda hands over.
#[derive(Debug, Clone)]
pub struct Invocation<'a> {
    /// The Function URL's event, as JSON.
    pub payload: &'a str,
    /// When Lambda ends the invocation.
    pub deadline: SystemTime,
    /// What AWS calls it, for the log.
    pub ids: Ids,
}

/// Everything that outlives a delivery.
pub struct Worker {
    function: Mutex<Arc<Function>>,
    renewal: Option<Renewal>,
    clock: Clock,
    metrics: Option<Metrics>,
}

/// What it takes to make the function anew.
pub struct Renewal {
    source: SecretsManager,
    variables: Vec<(OsString, OsString)>,
    client: HttpClient,
    /// What was read last, and when.
    last: Mutex<(BTreeMap<String, String>, Instant)>,
}

impl Worker {
    /// A worker that does as this function does.
    pub fn new(function: Function, clock: Clock, metrics: Option<Metrics>) -> Self {
        Self { function: Mutex::new(Arc::new(function)), renewal: None, clock, metrics }
    }

    /// The same, which reads the secrets again when they seem to have changed.
    #[must_use]
    pub fn renewing(self, renewal: Renewal) -> Self {
        Self { renewal: Some(renewal), ..self }
    }

    /// Answers one invocation: for every payload, before the deadline, and with one line in the log.
    pub async fn handle(&self, invocation: Invocation<'_>) -> Answer {
        let begun = Instant::now();
        let Invocation { payload, deadline, ids } = invocation;
        let mut line = Line { ids, ..Line::default() };
        let answering = self.answer(payload, deadline, &mut line);
        // A panic is a bug of ours; the event is kept and retried, and Lambda's own error is
        // nobody's answer.
        let answer = AssertUnwindSafe(answering).catch_unwind().await;
        let answer =
            answer.unwrap_or(Answer::Unavailable { reason: "internal_error", retry_after: None });
        let took = begun.elapsed();
        line.log(&answer, took);
        if let Some(metrics) = &self.metrics {
            line.measure(metrics, (self.clock)(), &answer, took);
        }
        answer
    }

    async fn answer(&self, payload: &str, deadline: SystemTime, line: &mut Line) -> Answer {
        let function = self.function();
        let answer = function.answer(payload, self.time_left(deadline), line).await;
        if !is_refused(&answer) {
            return answer;
        }
        let Some(renewal) = &self.renewal else { return answer };
        let patience = self.time_left(deadline).min(SECRETS_PATIENCE);
        let Some(renewed) = renewal.renew(&self.clock, patience).await else { return answer };
        line.secrets = Some(renewed.as_ref().map_or_else(|word| *word, |_| "renewed"));
        let Ok(function) = renewed else { return answer };
        let function = Arc::new(function);
        *self.function.lock().unwrap_or_else(PoisonError::into_inner) = function.clone();
        *line =
            Line { ids: std::mem::take(&mut line.ids), secrets: line.secrets, ..Line::default() };
        function.answer(payload, self.time_left(deadline), line).await
    }

    /// The time for everything up to the answer.
    fn time_left(&self, deadline: SystemTime) -> Duration {
        let now = (self.clock)();
        let left = match deadline.duration_since(now) {
            Ok(left) => left.min(TIMEOUT),
            Err(late) if late.duration() > LONGEST_INVOCATION => TIMEOUT,
            Err(_) => Duration::ZERO,
        };
        left.saturating_sub(MARGIN.min(left / 5))
    }

    /// Never held over an await.
    fn function(&self) -> Arc<Function> {
        self.function.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// Whether a secret of ours, or one of theirs, does not fit.
fn is_refused(answer: &Answer) -> bool {
    let keys = [Reason::KeyRefused, Reason::ClerkKeyRefused].map(<&str>::from);
    match answer {
        Answer::Unauthorized => true,
        Answer::Misconfigured(reason) => keys.contains(reason),
        _ => false,
    }
}

impl Renewal {
    /// Secrets that were read just now, beside this environment; upstream is asked through `client`.
    pub fn new(
        source: SecretsManager,
        variables: Vec<(OsString, OsString)>,
        client: HttpClient,
        secrets: BTreeMap<String, String>,
    ) -> Self {
        Self { source, variables, client, last: Mutex::new((secrets, Instant::now())) }
    }

    /// Reads the secrets again and makes the function anew, or says why not. None, if they were read
    /// just now, or are the same.
    async fn renew(
        &self,
        clock: &Clock,
        patience: Duration,
    ) -> Option<Result<Function, &'static str>> {
        {
            let (_, read) = &mut *self.last();
            if read.elapsed() < BETWEEN_READINGS {
                return None;
            }
            *read = Instant::now();
        }
        let Ok(secrets) = self.source.read(Instant::now() + patience).await else {
            return Some(Err("unreadable"));
        };
        if secrets == self.last().0 {
            return None;
        }
        let settings = Settings::read_with(self.variables.iter().cloned(), &secrets);
        let Ok(settings) = settings else { return Some(Err("unusable")) };
        self.last().0 = secrets;
        Some(Ok(Function::new(settings, self.client.clone(), clock.clone())))
    }

    /// Never held over an await.
    fn last(&self) -> MutexGuard<'_, (BTreeMap<String, String>, Instant)> {
        self.last.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
