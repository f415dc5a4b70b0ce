//! One process of the function: its invocations, one after the other or many at once, their
//! deadlines, panics and lines, and secrets that change.

use std::collections::BTreeMap;
use std::panic::AssertUnwindSafe;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

use futures_util::FutureExt;
use tokio::time::{Instant, timeout_at};
use tracing::{Instrument, debug_span};

use crate::Clock;
use crate::handler::Handler;
use crate::http_client::HttpClient;
use crate::request::Payload;
use crate::response::Response;
use crate::secrets::SecretsManager;
use crate::settings::{Settings, Variables};
use crate::telemetry::{DeliveryRecord, InvocationIds, Metrics};

/// The function's timeout, as `template.yaml` sets it. Hookdeck waits 60 s, so the response is the
/// function's and not Hookdeck's timeout.
pub const TIMEOUT: Duration = Duration::from_secs(55);

/// Kept back for sending the response. Less where little time is left in all.
const RESPONSE_MARGIN: Duration = Duration::from_secs(1);

/// Lambda's limit. A deadline that passed longer ago is no deadline: `cargo lambda watch` 1.9.2 sends
/// one.
const MAX_INVOCATION: Duration = Duration::from_mins(15);

/// The secrets are read again no more often.
const MIN_REFRESH_INTERVAL: Duration = Duration::from_mins(1);

/// The time for reading the secrets.
pub const SECRETS_TIMEOUT: Duration = Duration::from_secs(5);

/// What Lambda passes to the function.
#[derive(Debug)]
pub struct Invocation {
    /// The Function URL's event.
    pub payload: Payload,
    /// When Lambda ends the invocation.
    pub deadline: SystemTime,
    /// Its ids, for the log.
    pub ids: InvocationIds,
}

/// What a process keeps between invocations.
pub struct Worker {
    handler: Mutex<Arc<Handler>>,
    refresher: Option<SecretRefresher>,
    clock: Clock,
    metrics: Option<Metrics>,
}

impl Worker {
    /// A worker for this handler.
    pub fn new(handler: Handler, clock: Clock, metrics: Option<Metrics>) -> Self {
        Self { handler: Mutex::new(Arc::new(handler)), refresher: None, clock, metrics }
    }

    /// Reads the secrets again when a secret or a key is refused.
    #[must_use]
    pub fn with_secret_refresher(self, refresher: SecretRefresher) -> Self {
        Self { refresher: Some(refresher), ..self }
    }

    /// Answers an invocation before its deadline, whatever its payload is, and logs it.
    pub async fn invoke(&self, invocation: Invocation) -> Response {
        let started_at = Instant::now();
        let Invocation { payload, deadline, ids } = invocation;
        let span = debug_span!("invocation", request_id = ids.request_id, trace_id = ids.trace_id);
        let mut record = DeliveryRecord { ids, ..DeliveryRecord::default() };
        let handling = self.handle(&payload, deadline, &mut record).instrument(span);
        // A panic must not become Lambda's own error. Answered with 503, the event is retried.
        let response = AssertUnwindSafe(handling)
            .catch_unwind()
            .await
            .unwrap_or(Response::Unavailable { reason: "internal_error", retry_after: None });
        let duration = started_at.elapsed();
        record.log(&response, duration);
        if let Some(metrics) = &self.metrics {
            metrics.write(&record, &response, duration, (self.clock)());
        }
        response
    }

    async fn handle(
        &self,
        payload: &Payload,
        deadline: SystemTime,
        record: &mut DeliveryRecord,
    ) -> Response {
        // The whole delivery uses these settings, even where another one renews them meanwhile.
        let handler = lock(&self.handler).clone();
        let Some(refresher) = &self.refresher else {
            return handler.handle(payload, self.time_left(deadline), record).await;
        };
        let result = handler.try_handle(payload, self.time_left(deadline), record).await;
        let refused = match result {
            Ok(response) => return response,
            Err(refused) => refused,
        };
        let timeout = self.time_left(deadline).min(SECRETS_TIMEOUT);
        let problem = self.renew(refresher, &handler, timeout).await;
        let handler_of_now = lock(&self.handler).clone();
        let is_renewed = !Arc::ptr_eq(&handler, &handler_of_now);
        match refused.response {
            Some(response) if !is_renewed => {
                record.secrets = problem;
                response
            }
            _ => {
                record.begin_again(if is_renewed { Some("renewed") } else { problem });
                handler_of_now.handle(payload, self.time_left(deadline), record).await
            }
        }
    }

    /// Reads the secrets again, if they may be read and are still those of the handler that was
    /// refused. Of the deliveries that are refused at once, one reads, and the others wait for it.
    /// Returns what prevents the use of the secrets that were read.
    async fn renew(
        &self,
        refresher: &SecretRefresher,
        refused: &Arc<Handler>,
        timeout: Duration,
    ) -> Option<&'static str> {
        let until = Instant::now() + timeout;
        let mut last = timeout_at(until, refresher.last.lock()).await.ok()?;
        if !Arc::ptr_eq(&lock(&self.handler), refused) {
            return None;
        }
        let renewed = refresher.refresh(&mut last, &self.clock, until).await?;
        renewed.map(|handler| *lock(&self.handler) = Arc::new(handler)).err()
    }

    /// The time until the response must be ready.
    fn time_left(&self, deadline: SystemTime) -> Duration {
        let left = match deadline.duration_since((self.clock)()) {
            Ok(left) => left.min(TIMEOUT),
            Err(late) if late.duration() > MAX_INVOCATION => TIMEOUT,
            Err(_) => Duration::ZERO,
        };
        left.saturating_sub(RESPONSE_MARGIN.min(left / 5))
    }
}

/// Reads the secrets again and builds a handler with them.
pub struct SecretRefresher {
    source: SecretsManager,
    variables: Variables,
    client: HttpClient,
    /// Locked while they are read, so that two deliveries do not read them at once.
    last: tokio::sync::Mutex<LastReading>,
}

struct LastReading {
    began_at: Instant,
    /// The newest secrets that can be used.
    secrets: BTreeMap<String, String>,
}

impl SecretRefresher {
    /// The secrets that were read at start, and what a handler needs beside them.
    pub fn new(
        source: SecretsManager,
        variables: Variables,
        client: HttpClient,
        secrets: BTreeMap<String, String>,
    ) -> Self {
        let last = LastReading { began_at: Instant::now(), secrets }.into();
        Self { source, variables, client, last }
    }

    /// A handler with the secrets of now, or why there is none. `None` where they have not changed, or
    /// were read less than a minute ago.
    async fn refresh(
        &self,
        last: &mut LastReading,
        clock: &Clock,
        deadline: Instant,
    ) -> Option<Result<Handler, &'static str>> {
        if last.began_at.elapsed() < MIN_REFRESH_INTERVAL {
            return None;
        }
        last.began_at = Instant::now();
        let Ok(secrets) = self.source.read(deadline).await else {
            return Some(Err("unreadable"));
        };
        if secrets == last.secrets {
            return None;
        }
        let settings = Settings::read_with((self.variables)(), &secrets);
        let Ok(settings) = settings else { return Some(Err("unusable")) };
        last.secrets = secrets;
        Some(Ok(Handler::new(settings, self.client.clone(), clock.clone())))
    }
}

/// A guard that is never held over an await.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
