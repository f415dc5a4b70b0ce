//! The upstream calls and the log line of each delivery. A delivery is a task, so a task-local value
//! tells whose they are.

use std::io::{self, Write};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use axum::body::Body;
use futures_util::TryStreamExt;
use per_user_db::http_client::{self, HttpClient};
use per_user_db::telemetry::LogWriter;
use serde::Serialize;
use serde_json::Value;
use tower::{ServiceExt, service_fn};

use super::journal::{Journal, Stage, milliseconds};

/// No more of a body is kept.
const BODY_LIMIT_BYTES: usize = 16 * 1024;

tokio::task_local! {
    /// The delivery that the task handles.
    pub(super) static DELIVERY: Arc<Delivery>;
}

/// One delivery to the function: what it does is recorded here.
pub(crate) struct Delivery {
    event: String,
    began: Instant,
    record: Mutex<Record>,
}

/// What a delivery has done.
#[derive(Default)]
pub(super) struct Record {
    pub(super) calls: Vec<Call>,
    /// The function's log line.
    pub(super) log: Option<Value>,
}

/// A request of the function to Xata or Clerk.
#[derive(Clone, Serialize)]
pub(super) struct Call {
    to: &'static str,
    method: String,
    path: String,
    status: Option<u16>,
    error: Option<String>,
    /// Since the delivery began.
    started_ms: u64,
    /// Until the response was read.
    duration_ms: Option<u64>,
    request: String,
    response: String,
}

impl Delivery {
    pub(super) fn new(event: String) -> Self {
        Self { event, began: Instant::now(), record: Mutex::default() }
    }

    pub(super) fn milliseconds(&self) -> u64 {
        milliseconds(self.began.elapsed())
    }

    /// What it has done so far.
    pub(super) fn take(&self) -> Record {
        std::mem::take(&mut self.record())
    }

    fn log(&self, line: &[u8]) {
        // Lines of another kind, which LOG_LEVEL=debug adds, have no outcome.
        let line = serde_json::from_slice(line).ok().filter(|it: &Value| it["outcome"].is_string());
        if line.is_some() {
            self.record().log = line;
        }
    }

    fn record(&self) -> MutexGuard<'_, Record> {
        self.record.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The writer of the function's log: standard error, unless it is `quiet`, and the delivery's record.
pub(super) fn log_writer(quiet: Arc<AtomicBool>) -> impl LogWriter {
    move || Lines { quiet: quiet.load(Ordering::Relaxed) }
}

struct Lines {
    quiet: bool,
}

impl Write for Lines {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        let _outside = DELIVERY.try_with(|delivery| delivery.log(line));
        if !self.quiet {
            io::stderr().write_all(line)?;
        }
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// The function's client, whose calls are recorded. `clerk_url` tells which are to Clerk.
pub(super) fn client(
    inner: HttpClient,
    journal: Arc<Journal>,
    clerk_url: Option<String>,
) -> HttpClient {
    http_client::boxed(service_fn(move |request: reqwest::Request| {
        let call = OpenCall::begin(&request, journal.clone(), clerk_url.as_deref());
        let sent = inner.clone().oneshot(request);
        async move {
            match sent.await {
                Ok(response) => Ok(call.answered(response)),
                Err(error) => {
                    call.change(|it| it.error = Some(reason(error.as_ref())));
                    Err(error)
                }
            }
        }
    }))
}

/// What is wrong, without the URL, which the call has.
fn reason(error: &(dyn std::error::Error + 'static)) -> String {
    let mut innermost = error;
    while let Some(source) = innermost.source() {
        innermost = source;
    }
    innermost.to_string()
}

/// A call that is under way. Being dropped, when the function has its response or gives it up, is its
/// end.
struct OpenCall {
    delivery: Option<(Arc<Delivery>, usize)>,
    journal: Arc<Journal>,
    user: Option<String>,
}

impl OpenCall {
    fn begin(request: &reqwest::Request, journal: Arc<Journal>, clerk_url: Option<&str>) -> Self {
        let url = request.url();
        let is_clerk = clerk_url.is_some_and(|it| url.as_str().starts_with(it));
        let user = url.path().split('/').find(|it| it.starts_with("user_"));
        let user = user.filter(|_| is_clerk).map(str::to_owned);
        let delivery = DELIVERY.try_with(|delivery| {
            let (to, stage) =
                if is_clerk { ("Clerk", Stage::Clerk) } else { ("Xata", Stage::Xata) };
            let body = request.body().and_then(reqwest::Body::as_bytes).unwrap_or_default();
            let mut record = delivery.record();
            record.calls.push(Call {
                to,
                method: request.method().to_string(),
                // A query may hold a key.
                path: url.path().to_owned(),
                status: None,
                error: None,
                started_ms: delivery.milliseconds(),
                duration_ms: None,
                request: beginning(body),
                response: String::new(),
            });
            journal.stage(&delivery.event, stage);
            (delivery.clone(), record.calls.len() - 1)
        });
        Self { delivery: delivery.ok(), journal, user }
    }

    fn change(&self, change: impl FnOnce(&mut Call)) {
        if let Some((delivery, index)) = &self.delivery
            && let Some(call) = delivery.record().calls.get_mut(*index)
        {
            change(call);
        }
    }

    /// The same response. Its body is recorded as the function reads it.
    fn answered(self, response: reqwest::Response) -> reqwest::Response {
        self.change(|it| it.status = Some(response.status().as_u16()));
        if self.delivery.is_none() {
            return response;
        }
        let response = http::Response::<reqwest::Body>::from(response);
        let body = response.map(|body| {
            let stream = Body::new(body).into_data_stream().inspect_ok(move |piece| {
                self.change(|it| {
                    if it.response.len() < BODY_LIMIT_BYTES {
                        it.response.push_str(&beginning(piece));
                    }
                });
            });
            reqwest::Body::wrap_stream(stream)
        });
        body.into()
    }
}

impl Drop for OpenCall {
    fn drop(&mut self) {
        let ended_ms = self.delivery.as_ref().map(|(delivery, _)| delivery.milliseconds());
        self.change(|it| {
            it.duration_ms = ended_ms.map(|ended| ended.saturating_sub(it.started_ms));
            if it.status.is_none() && it.error.is_none() {
                it.error = Some("given up before an answer".to_owned());
            }
        });
        if let Some((delivery, _)) = &self.delivery {
            self.journal.stage(&delivery.event, Stage::Function);
        }
        self.journal.touch(self.user.as_deref());
    }
}

fn beginning(bytes: &[u8]) -> String {
    String::from_utf8_lossy(&bytes[..bytes.len().min(BODY_LIMIT_BYTES)]).into_owned()
}
