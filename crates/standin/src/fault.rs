//! What can go wrong between a client and a service, as data.
//!
//! A stand-in keeps a list of [`Fault`]s and asks it at every call.
//! An effect named `…Before` comes before the change, an effect named `…After` when the change is made:
//! the pair shows whether a client treats an unclear outcome as unclear.

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

/// The calls of an API.
pub trait Call: Copy + Eq + Debug + Send + Sync + 'static {
    /// The value that stands for every call.
    const ANY: Self;
}

/// One thing that goes wrong.
#[derive(Clone, Debug)]
pub struct Fault<C> {
    /// The call that it applies to.
    pub on: C,
    /// How many of these calls are answered correctly first.
    pub skip: u32,
    /// How many calls after those it applies to.
    pub times: u32,
    /// What happens to them.
    pub effect: Effect,
}

impl<C> Fault<C> {
    /// Applies to the next such call, once.
    pub const fn once(on: C, effect: Effect) -> Self {
        Self { on, skip: 0, times: 1, effect }
    }

    /// Applies to every such call until the list is cleared.
    pub const fn always(on: C, effect: Effect) -> Self {
        Self { on, skip: 0, times: u32::MAX, effect }
    }

    /// The same for another API's call.
    pub(crate) fn map<D>(self, call: impl FnOnce(C) -> D) -> Fault<D> {
        Fault { on: call(self.on), skip: self.skip, times: self.times, effect: self.effect }
    }
}

/// What happens to a call.
#[derive(Clone, Debug)]
pub enum Effect {
    /// This response comes, and nothing is changed.
    Answer(CannedResponse),
    /// The change is made, and then this response comes instead of the service's own.
    AnswerAfter(CannedResponse),
    /// The connection is reset before anything is changed.
    ResetBefore,
    /// The change is made, then the connection is reset.
    ResetAfter,
    /// Nothing is changed and no response ever comes.
    HangBefore,
    /// The change is made and no response ever comes.
    HangAfter,
    /// The change is made; status and headers are right, the body breaks off in the middle.
    TruncatedAfter,
    /// The service's own response, whose body arrives in small pieces.
    Trickle {
        /// The size of a piece in bytes, at least 1.
        chunk: usize,
        /// The pause before each piece.
        every: Duration,
    },
    /// The service's own response, but the service does not notice a client that hangs up: its change
    /// is still made, later. A look-up made meanwhile does not see it.
    Detached,
}

/// A response that does not depend on the request, such as the error page of a proxy.
#[derive(Clone, Debug)]
pub struct CannedResponse {
    /// The status.
    pub status: StatusCode,
    /// All headers.
    pub headers: HeaderMap,
    /// The body, which need not be JSON.
    pub body: Bytes,
}

impl CannedResponse {
    /// A response without headers and body.
    pub fn new(status: StatusCode) -> Self {
        Self { status, headers: HeaderMap::new(), body: Bytes::new() }
    }

    /// The error body of the services: `{"message": …}`.
    pub fn message(status: StatusCode, message: &str) -> Self {
        let body = serde_json::json!({ "message": message }).to_string();
        Self::new(status).with_body("application/json", body)
    }

    /// The error page of a proxy.
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

    /// The same with this `Retry-After`, which need not be valid.
    #[must_use]
    pub fn with_retry_after(mut self, value: &'static str) -> Self {
        self.headers.insert(RETRY_AFTER, HeaderValue::from_static(value));
        self
    }
}

impl From<CannedResponse> for Response<Body> {
    fn from(canned: CannedResponse) -> Self {
        let mut response = Self::new(Body::from(canned.body));
        *response.status_mut() = canned.status;
        *response.headers_mut() = canned.headers;
        response
    }
}

/// Marks, as a response extension, a response that never reaches the client: [`crate::serve`] resets
/// the connection instead.
#[derive(Clone, Copy, Debug)]
pub struct Reset;

/// Chooses the effect on a call that no listed fault applies to; by chance, for example.
pub type Chooser<C> = Box<dyn FnMut(C) -> Option<Effect> + Send>;

/// The faults of one stand-in. Clones share them.
#[derive(Clone)]
pub struct Faults<C>(Arc<Mutex<Pending<C>>>);

struct Pending<C> {
    list: Vec<Fault<C>>,
    chooser: Option<Chooser<C>>,
}

impl<C> Default for Faults<C> {
    fn default() -> Self {
        Self(Arc::new(Mutex::new(Pending { list: Vec::new(), chooser: None })))
    }
}

impl<C: Debug> Debug for Faults<C> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.pending().list.fmt(formatter)
    }
}

impl<C> Faults<C> {
    fn pending(&self) -> MutexGuard<'_, Pending<C>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<C: Call> Faults<C> {
    /// Adds a fault. The first fault in the list that applies to a call is used.
    ///
    /// # Panics
    ///
    /// If `times` is 0.
    pub fn push(&self, fault: Fault<C>) {
        assert!(fault.times > 0, "a fault applies at least once: {fault:?}");
        self.pending().list.push(fault);
    }

    /// Uses this chooser from now on, and no earlier one.
    pub fn choose_with(&self, chooser: Chooser<C>) {
        self.pending().chooser = Some(chooser);
    }

    /// Removes all faults, and the chooser.
    pub fn clear(&self) {
        *self.pending() = Pending { list: Vec::new(), chooser: None };
    }

    /// How many faults have not yet been applied as often as they should be.
    pub fn n_left(&self) -> usize {
        self.pending().list.len()
    }

    /// Answers a call whose own response is `response`.
    pub(crate) async fn apply(
        &self,
        call: Option<C>,
        response: impl Future<Output = Response<Body>> + Send + 'static,
    ) -> Response<Body> {
        match self.next(call) {
            None => response.await,
            Some(Effect::Answer(canned)) => canned.into(),
            Some(Effect::AnswerAfter(canned)) => {
                response.await;
                canned.into()
            }
            Some(Effect::ResetBefore) => reset(),
            Some(Effect::ResetAfter) => {
                response.await;
                reset()
            }
            Some(Effect::HangBefore) => std::future::pending().await,
            Some(Effect::HangAfter) => {
                response.await;
                std::future::pending().await
            }
            Some(Effect::TruncatedAfter) => truncated(response.await).await,
            Some(Effect::Trickle { chunk, every }) => trickled(response.await, chunk, every).await,
            Some(Effect::Detached) => tokio::spawn(response).await.unwrap_or_else(|_| reset()),
        }
    }

    /// The effect on a call, which is then used up. `None` is a call that the API does not have.
    pub(crate) fn next(&self, call: Option<C>) -> Option<Effect> {
        let Pending { list, chooser } = &mut *self.pending();
        let due = list
            .iter_mut()
            .filter(|fault| fault.on == C::ANY || Some(fault.on) == call)
            .find_map(|fault| match fault.skip.checked_sub(1) {
                Some(skip) => {
                    fault.skip = skip;
                    None
                }
                None => Some(fault),
            });
        let Some(due) = due else {
            return chooser.as_mut()?(call?);
        };
        due.times -= 1;
        let effect = due.effect.clone();
        list.retain(|fault| fault.times > 0);
        Some(effect)
    }
}

fn reset() -> Response<Body> {
    let mut response = Response::from(CannedResponse::new(StatusCode::BAD_GATEWAY));
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

/// The bodies of our own handlers do not fail, so an error means only that nothing is left.
async fn collected(body: Body) -> Bytes {
    body.collect().await.map(http_body_util::Collected::to_bytes).unwrap_or_default()
}
