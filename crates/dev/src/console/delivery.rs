//! The way of a delivery from Hookdeck's engine to the function: copies, order, another secret.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use futures_util::future::join_all;
use http::{HeaderMap, HeaderName, HeaderValue, Request, Response};
use serde_json::json;
use standin::hookdeck::signature;
use tokio::sync::oneshot;
use tower::BoxError;

use super::function::Function;
use super::journal::{Answer, Attempt, Journal, now_ms};
use super::trace::Delivery;

/// Marks an event that is signed with another secret. It never reaches the function.
pub(super) const FORGED: HeaderName = HeaderName::from_static("x-console-forged");

/// What a forged event and the switch `wrong_secret` sign with.
pub(super) const WRONG_SECRET: &str = "not-the-project-s-secret";

/// How many deliveries are held and then released in reverse order, and how long the first one waits for
/// the others.
const BATCH: usize = 3;
const BATCH_PATIENCE: Duration = Duration::from_secs(3);

/// How many copies a duplicated delivery has.
const N_COPIES: usize = 3;

/// Delivers to the function.
pub(super) struct Carrier {
    pub(super) function: Arc<Function>,
    pub(super) journal: Arc<Journal>,
    pub(super) header_prefix: String,
    /// Every delivery, or the next one, comes three times at once.
    pub(super) duplicates: AtomicBool,
    pub(super) duplicates_next: AtomicBool,
    /// All deliveries, or the next few, come in another order.
    pub(super) reorders: AtomicBool,
    pub(super) reorders_next: AtomicBool,
    /// The deliveries that are held.
    pub(super) batch: Mutex<Vec<oneshot::Sender<()>>>,
}

impl Carrier {
    /// Delivers an attempt of the engine, and returns the answer to it, or to the first copy of it.
    pub(super) async fn deliver(
        self: Arc<Self>,
        mut request: Request<Bytes>,
    ) -> Result<Response<Bytes>, BoxError> {
        if request.headers_mut().remove(FORGED).is_some() {
            let forged = HeaderValue::try_from(signature(WRONG_SECRET, request.body()))?;
            let name = HeaderName::try_from(format!("{}-signature", self.header_prefix))?;
            request.headers_mut().insert(name, forged);
        }
        self.wait_in_batch().await;
        let is_next = self.duplicates_next.swap(false, Ordering::Relaxed);
        let is_duplicated = is_next || self.duplicates.load(Ordering::Relaxed);
        let n_copies = if is_duplicated { N_COPIES } else { 1 };
        let copies = (0..n_copies).map(|copy| self.send(request.clone(), copy == 0));
        join_all(copies).await.swap_remove(0)
    }

    async fn send(
        &self,
        request: Request<Bytes>,
        is_first: bool,
    ) -> Result<Response<Bytes>, BoxError> {
        let header = |suffix: &str| {
            let value = request.headers().get(format!("{}-{suffix}", self.header_prefix));
            value.and_then(|it| it.to_str().ok()).unwrap_or_default().to_owned()
        };
        let event = header("eventid");
        let index = self.journal.begin(
            &event,
            Attempt {
                number: header("attempt-count").parse().unwrap_or(1),
                trigger: header("attempt-trigger"),
                at: now_ms(),
                duration_ms: None,
                request: json!({
                    "method": request.method().as_str(),
                    "path": request.uri().path(),
                    "headers": pairs(request.headers()),
                }),
                status: None,
                error: None,
                response: None,
                calls: Vec::new(),
                log: None,
                next_in_ms: None,
            },
        );
        let delivery = Arc::new(Delivery::new(event.clone()));
        let response = self.function.invoke(request, Some(delivery.clone())).await;
        let record = delivery.take();
        let (answer, error) = match &response {
            Ok(response) => (Some(response), None),
            Err(error) => (None, Some(format!("connection: {error}"))),
        };
        self.journal.end(
            &event,
            index,
            is_first,
            Answer {
                status: answer.map(|it| it.status().as_u16()),
                error,
                headers: answer.map(|it| pairs(it.headers())).unwrap_or_default(),
                body: answer
                    .map(|it| String::from_utf8_lossy(it.body()).into())
                    .unwrap_or_default(),
                duration_ms: delivery.milliseconds(),
                calls: record.calls,
                log: record.log,
            },
        );
        response
    }

    /// While the order is changed, waits until the batch is full, or the patience is at its end.
    async fn wait_in_batch(self: &Arc<Self>) {
        let is_next = self.reorders_next.load(Ordering::Relaxed);
        if !is_next && !self.reorders.load(Ordering::Relaxed) {
            return;
        }
        let (release, released) = oneshot::channel();
        let n_held = {
            let mut batch = self.batch.lock().unwrap_or_else(PoisonError::into_inner);
            batch.push(release);
            batch.len()
        };
        if n_held == BATCH {
            self.release();
        } else if n_held == 1 {
            let carrier = self.clone();
            tokio::spawn(async move {
                tokio::time::sleep(BATCH_PATIENCE).await;
                carrier.release();
            });
        }
        let _released = released.await;
    }

    /// Releases what is held, the last one first.
    fn release(&self) {
        self.reorders_next.store(false, Ordering::Relaxed);
        let batch = std::mem::take(&mut *self.batch.lock().unwrap_or_else(PoisonError::into_inner));
        for release in batch.into_iter().rev() {
            let _gone = release.send(());
        }
    }
}

fn pairs(headers: &HeaderMap) -> Vec<(String, String)> {
    let text = |value: &HeaderValue| String::from_utf8_lossy(value.as_bytes()).into_owned();
    headers.iter().map(|(name, value)| (name.to_string(), text(value))).collect()
}
