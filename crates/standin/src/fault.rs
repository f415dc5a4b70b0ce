//! What can go wrong between a client and a service, as data.
//!
//! A stand-in keeps a list of [`Fault`]s and asks it at every call.
//! An effect named `…Before` strikes before the change is applied, one named `…After` when it has been:
//! the pair that tells whether a client takes an unclear outcome for what it is (xata-platform.md section 8).

use std::convert::Infallible;
use std::fmt::{self, Debug};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use axum::body::Body;
use bytes::Bytes;
use futures_util::stream;
use http::header::{CONTENT_LENGTH, CONTENT_TYPE, RETRY_AFTER};
use http::{HeaderMap, HeaderValue, Response, StatusCode};
use http_body_util::BodyExt;

/// The calls a stand-in tells apart.
pub trait Call: Copy + Eq + Debug + Send + Sync + 'static {
    /// The value that stands for every call.
    const ANY: Self;
}

/// One thing that goes wrong.
#[derive(Clone, Debug)]
pub struct Fault<C> {
    /// Which call it strikes.
    pub on: C,
    /// How many matching calls pass unharmed first.
    pub skip: u32,
    /// How many matching calls are struck after those.
    pub times: u32,
    /// What happens to them.
    pub effect: Effect,
}

impl<C> Fault<C> {
    /// Strikes the next matching call, once.
    pub const fn once(on: C, effect: Effect) -> Self {
        Self { on, skip: 0, times: 1, effect }
    }

    /// Strikes every matching call until the list is cleared.
    pub const fn always(on: C, effect: Effect) -> Self {
        Self { on, skip: 0, times: u32::MAX, effect }
    }
}

/// What happens to a call.
#[derive(Clone, Debug)]
pub enum Effect {
    /// This answer comes instead, and nothing is changed.
    Answer(Answer),
    /// The change is applied, and then this answer comes instead of the true one.
    AnswerAfter(Answer),
    /// The connection is reset before anything is changed.
    ResetBefore,
    /// The change is applied, then the connection is reset.
    ResetAfter,
    /// Nothing is changed and no answer ever comes.
    HangBefore,
    /// The change is applied and no answer ever comes.
    HangAfter,
    /// The change is applied; status and headers are right, the body breaks off in the middle.
    TruncatedAfter,
    /// The true answer, whose body arrives in small pieces.
    Trickle {
        /// The size of a piece in bytes, at least 1.
        chunk: usize,
        /// The pause before each piece.
        every: Duration,
    },
    /// The true answer, but the service does not notice a client that gives up: its change is
    /// still applied, later. A look-up made meanwhile does not see it.
    Detached,
}

/// A ready-made answer, as an edge proxy in front of the service would write it.
#[derive(Clone, Debug)]
pub struct Answer {
    /// The status.
    pub status: StatusCode,
    /// The headers, complete.
    pub headers: HeaderMap,
    /// The body, which need not be JSON (xata-platform.md section 2).
    pub body: Bytes,
}

impl Answer {
    /// An answer without headers and body.
    pub fn new(status: StatusCode) -> Self {
        Self { status, headers: HeaderMap::new(), body: Bytes::new() }
    }

    /// The error body of the services: `{"message": …}`.
    pub fn message(status: StatusCode, message: &str) -> Self {
        let body = serde_json::json!({ "message": message }).to_string();
        Self::new(status).with_body("application/json", body)
    }

    /// The page of a proxy.
    pub fn html(status: StatusCode) -> Self {
        let body = format!("<html><body><h1>{status}</h1></body></html>");
        Self::new(status).with_body("text/html", body)
    }

    /// The same with a body of this content type.
    #[must_use]
    pub fn with_body(mut self, content_type: &'static str, body: impl Into<Bytes>) -> Self {
        self.headers.insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
        self.body = body.into();
        self
    }

    /// The same with `Retry-After`, in whatever form.
    #[must_use]
    pub fn with_retry_after(mut self, value: &'static str) -> Self {
        self.headers.insert(RETRY_AFTER, HeaderValue::from_static(value));
        self
    }
}

/// Marks, as a response extension, an answer that never reaches the client: the connection is reset.
/// [`crate::serve`] acts on it.
#[derive(Clone, Copy, Debug)]
pub struct Reset;

/// Decides what happens to a call that no listed fault strikes; by chance, for example.
pub type Fate<C> = Box<dyn FnMut(C) -> Option<Effect> + Send>;

/// The faults of one stand-in. Clones share them.
#[derive(Clone)]
pub struct Faults<C>(Arc<Mutex<Due<C>>>);

struct Due<C> {
    list: Vec<Fault<C>>,
    fate: Option<Fate<C>>,
}

impl<C> Default for Faults<C> {
    fn default() -> Self {
        Self(Arc::new(Mutex::new(Due { list: Vec::new(), fate: None })))
    }
}

impl<C: Debug> Debug for Faults<C> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.due().list.fmt(formatter)
    }
}

impl<C> Faults<C> {
    fn due(&self) -> MutexGuard<'_, Due<C>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<C: Call> Faults<C> {
    /// Adds a fault. A call is struck by the first one that is due.
    ///
    /// # Panics
    ///
    /// If the fault would never strike.
    pub fn push(&self, fault: Fault<C>) {
        assert!(fault.times > 0, "a fault strikes at least once: {fault:?}");
        self.due().list.push(fault);
    }

    /// Leaves what is not listed to this, and to nothing that was given before.
    pub fn leave_to(&self, fate: Fate<C>) {
        self.due().fate = Some(fate);
    }

    /// Takes all faults away.
    pub fn clear(&self) {
        *self.due() = Due { list: Vec::new(), fate: None };
    }

    /// How many faults have not struck as often as they should.
    pub fn n_left(&self) -> usize {
        self.due().list.len()
    }

    /// Answers a call (`None`: one that the stand-in does not know) whose true answer is `run`.
    pub(crate) async fn strike(
        &self,
        call: Option<C>,
        run: impl Future<Output = Response<Body>> + Send + 'static,
    ) -> Response<Body> {
        match self.next(call) {
            None => run.await,
            Some(Effect::Answer(answer)) => respond(answer),
            Some(Effect::AnswerAfter(answer)) => {
                run.await;
                respond(answer)
            }
            Some(Effect::ResetBefore) => reset(),
            Some(Effect::ResetAfter) => {
                run.await;
                reset()
            }
            Some(Effect::HangBefore) => std::future::pending().await,
            Some(Effect::HangAfter) => {
                run.await;
                std::future::pending().await
            }
            Some(Effect::TruncatedAfter) => truncated(run.await).await,
            Some(Effect::Trickle { chunk, every }) => trickled(run.await, chunk, every).await,
            Some(Effect::Detached) => tokio::spawn(run).await.unwrap_or_else(|_| reset()),
        }
    }

    fn next(&self, call: Option<C>) -> Option<Effect> {
        let Due { list, fate } = &mut *self.due();
        let struck = list
            .iter_mut()
            .filter(|fault| fault.on == C::ANY || Some(fault.on) == call)
            .find_map(|fault| match fault.skip.checked_sub(1) {
                Some(skip) => {
                    fault.skip = skip;
                    None
                }
                None => Some(fault),
            });
        let Some(struck) = struck else {
            return fate.as_mut()?(call?);
        };
        struck.times -= 1;
        let effect = struck.effect.clone();
        list.retain(|fault| fault.times > 0);
        Some(effect)
    }
}

fn respond(answer: Answer) -> Response<Body> {
    let mut response = Response::new(Body::from(answer.body));
    *response.status_mut() = answer.status;
    *response.headers_mut() = answer.headers;
    response
}

fn reset() -> Response<Body> {
    let mut response = respond(Answer::new(StatusCode::BAD_GATEWAY));
    response.extensions_mut().insert(Reset);
    response
}

async fn truncated(response: Response<Body>) -> Response<Body> {
    let (mut head, body) = response.into_parts();
    let whole = collected(body).await;
    head.headers.insert(CONTENT_LENGTH, HeaderValue::from(whole.len()));
    let half = whole.slice(..whole.len() / 2);
    let broken = std::io::Error::from(std::io::ErrorKind::ConnectionReset);
    Response::from_parts(head, Body::from_stream(stream::iter([Ok(half), Err(broken)])))
}

async fn trickled(response: Response<Body>, chunk: usize, every: Duration) -> Response<Body> {
    let (head, body) = response.into_parts();
    let whole = collected(body).await;
    let pieces = stream::unfold(whole, move |mut rest| async move {
        if rest.is_empty() {
            return None;
        }
        tokio::time::sleep(every).await;
        let piece = rest.split_to(chunk.clamp(1, rest.len()));
        Some((Ok::<_, Infallible>(piece), rest))
    });
    Response::from_parts(head, Body::from_stream(pieces))
}

/// Our own handlers' bodies do not fail, so an error here means only that nothing is left.
async fn collected(body: Body) -> Bytes {
    body.collect().await.map(http_body_util::Collected::to_bytes).unwrap_or_default()
}
