//! What the stand-ins of all HTTP APIs share: routing, the record of requests, faults, error bodies.
//!
//! A stand-in implements [`Api`] for the state that it stores; [`Service`] is the rest of it.

use std::collections::HashMap;
use std::fmt::Debug;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use axum::extract::{FromRequestParts, MatchedPath, Path, Request, State};
use axum::handler::Handler;
use axum::middleware::{Next, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use axum::routing::{MethodFilter, MethodRouter, on};
use axum::{Extension, Json, Router};
use http::header::{AUTHORIZATION, CONTENT_TYPE, RETRY_AFTER};
use http::request::Parts;
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode};
use serde_json::{Map, Value};
use tower::ServiceExt;
use tower_http::normalize_path::NormalizePath;

use crate::clock::Clock;
use crate::fault::{Call, Faults};
use crate::interceptor::{Interceptor, Observer};
use crate::record::Recorded;

/// What makes one API differ from another; implemented by the state that the API stores.
pub trait Api: Debug + Default + Send + 'static {
    /// The calls that a fault can be aimed at.
    type Call: Call;
    /// The settings.
    type Options;

    /// What the paths of this API begin with.
    const PREFIXES: &'static [&'static str];
    /// Whether a path may end in a slash that it need not have.
    const IGNORES_TRAILING_SLASH: bool = false;
    /// The response header that carries the request's id.
    const REQUEST_ID: Option<HeaderName> = None;

    /// The settings.
    fn options(&mut self) -> &mut Self::Options;

    /// The wall clock of all timestamps.
    fn clock(&self) -> Clock;

    /// Every call with its handler.
    fn routes() -> Vec<Route<Self>>;

    /// Checks what comes before the handler, such as the key. `parameters` are those of the path.
    fn authorize(
        &mut self,
        call: Self::Call,
        request: &Parts,
        parameters: &HashMap<String, String>,
    ) -> Result<(), ErrorResponse>;

    /// The error for a path (404) or a method (405) that the API does not have.
    fn unrouted(status: StatusCode) -> ErrorResponse {
        ErrorResponse::new(status, status.canonical_reason().unwrap_or_default())
    }

    /// The id of the `n`th request.
    fn request_id(_n: u64, _headers: &HeaderMap) -> String {
        String::new()
    }

    /// The body of an error. `headers` are those of the request.
    fn error_body(error: &ErrorResponse, request_id: &str, headers: &HeaderMap) -> Value;
}

/// A call of an API: its method and path, its name, and its handler.
#[derive(Debug)]
pub struct Route<A: Api> {
    method: Method,
    path: String,
    call: A::Call,
    handler: MethodRouter<Service<A>>,
}

pub(crate) const GET: Method = Method::GET;
pub(crate) const POST: Method = Method::POST;
pub(crate) const PUT: Method = Method::PUT;
pub(crate) const PATCH: Method = Method::PATCH;
pub(crate) const DELETE: Method = Method::DELETE;

/// A row of the table that [`Api::routes`] returns.
pub(crate) fn route<A, H, T>(method: Method, path: &str, call: A::Call, handler: H) -> Route<A>
where
    A: Api,
    H: Handler<T, Service<A>>,
    T: 'static,
{
    let filter = MethodFilter::try_from(method.clone()).expect("axum routes every method used");
    Route { method, path: path.into(), call, handler: on(filter, handler) }
}

/// An error that a service answers with. [`Api::error_body`] writes its body.
#[derive(Clone, Debug)]
pub struct ErrorResponse {
    pub(crate) status: StatusCode,
    pub(crate) message: String,
    /// The members of the error beside its message.
    pub(crate) details: Map<String, Value>,
    /// `Retry-After` in seconds.
    pub(crate) retry_after: Option<u64>,
}

impl ErrorResponse {
    pub(crate) fn new(status: StatusCode, message: impl Into<String>) -> Self {
        Self { status, message: message.into(), details: Map::new(), retry_after: None }
    }

    pub(crate) fn bad_request(message: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, message)
    }

    pub(crate) fn unauthorized(message: impl Into<String>) -> Self {
        Self::new(StatusCode::UNAUTHORIZED, message)
    }

    pub(crate) fn not_found(message: impl Into<String>) -> Self {
        Self::new(StatusCode::NOT_FOUND, message)
    }

    pub(crate) fn unprocessable(message: impl Into<String>) -> Self {
        Self::new(StatusCode::UNPROCESSABLE_ENTITY, message)
    }

    pub(crate) fn with(mut self, member: &str, value: impl Into<Value>) -> Self {
        self.details.insert(member.into(), value.into());
        self
    }

    pub(crate) fn with_retry_after(self, seconds: u64) -> Self {
        Self { retry_after: Some(seconds), ..self }
    }
}

impl IntoResponse for ErrorResponse {
    /// The body is still missing: it carries the request's id, which the handler does not know.
    fn into_response(self) -> Response {
        (self.status, Extension(self)).into_response()
    }
}

/// A stand-in of an API. Clones share everything.
#[derive(Debug)]
pub struct Service<A: Api>(Arc<Shared<A>>);

#[derive(Debug)]
struct Shared<A: Api> {
    state: Mutex<A>,
    n_requests: AtomicU64,
    interceptor: Interceptor<A::Call>,
}

impl<A: Api> Clone for Service<A> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<A: Api> Service<A> {
    /// A stand-in with nothing stored.
    pub fn new(options: A::Options) -> Self {
        let mut state = A::default();
        *state.options() = options;
        Self(Arc::new(Shared {
            state: Mutex::new(state),
            n_requests: AtomicU64::new(0),
            interceptor: Interceptor::default(),
        }))
    }

    /// The API as a client sees it. All routers of one stand-in share everything.
    pub fn router(&self) -> Router {
        let mut router = Router::new();
        let mut calls = Vec::new();
        for Route { method, path, call, handler } in A::routes() {
            router = router.route(&path, handler);
            calls.push((method, path, call));
        }
        let router = router
            .fallback(async || A::unrouted(StatusCode::NOT_FOUND))
            .method_not_allowed_fallback(async || A::unrouted(StatusCode::METHOD_NOT_ALLOWED))
            .layer(from_fn_with_state((self.clone(), Arc::new(calls)), intercept))
            .with_state(self.clone());
        if !A::IGNORES_TRAILING_SLASH {
            return router;
        }
        // Routing happens inside, so the slash has to be removed before it.
        Router::new().fallback_service(NormalizePath::trim_trailing_slash(router))
    }

    /// The API, and another router for every path that does not belong to it: both on one socket.
    pub fn beside(&self, other: Router) -> Router {
        let own = self.router();
        Router::new().fallback_service(tower::service_fn(move |request: Request| {
            let path = request.uri().path();
            let is_own = A::PREFIXES.iter().any(|prefix| path.starts_with(prefix));
            if is_own { &own } else { &other }.clone().oneshot(request)
        }))
    }

    /// Changes the settings; requests that are being answered may have read the old ones.
    pub fn change(&self, change: impl FnOnce(&mut A::Options)) {
        change(self.state().options());
    }

    /// The wall clock of its timestamps.
    pub fn clock(&self) -> Clock {
        self.state().clock()
    }

    /// The faults of its calls.
    pub fn faults(&self) -> &Faults<A::Call> {
        &self.0.interceptor.faults
    }

    /// Shows all exchanges from now on to this observer, and to no earlier one.
    pub fn observe(&self, observer: Arc<dyn Observer>) {
        self.0.interceptor.observe(observer);
    }

    /// The requests received, in order of arrival.
    pub fn requests(&self) -> Vec<Recorded> {
        self.0.interceptor.log.all()
    }

    /// Forgets the requests received so far.
    pub fn clear_requests(&self) {
        self.0.interceptor.log.clear();
    }

    /// Never held over an await, so a handler that is dropped cannot leave the state half changed.
    pub(crate) fn state(&self) -> MutexGuard<'_, A> {
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn respond(self, call: Option<A::Call>, request: Request, next: Next) -> Response {
        let headers = request.headers().clone();
        let n = self.0.n_requests.fetch_add(1, Ordering::Relaxed) + 1;
        let id = A::request_id(n, &headers);
        let mut response = match self.authorize(call, request).await {
            Ok(request) => next.run(request).await,
            Err(error) => error.into_response(),
        };
        if let Some(error) = response.extensions_mut().remove::<ErrorResponse>() {
            let body = Json(A::error_body(&error, &id, &headers));
            response = (error.status, body).into_response();
            if let Some(seconds) = error.retry_after {
                response.headers_mut().insert(RETRY_AFTER, HeaderValue::from(seconds));
            }
        }
        if let (Some(name), Ok(id)) = (A::REQUEST_ID, HeaderValue::from_str(&id)) {
            response.headers_mut().insert(name, id);
        }
        response
    }

    async fn authorize(
        &self,
        call: Option<A::Call>,
        request: Request,
    ) -> Result<Request, ErrorResponse> {
        let Some(call) = call else { return Ok(request) };
        let (mut parts, body) = request.into_parts();
        let Path(parameters) = Path::from_request_parts(&mut parts, &())
            .await
            .map_err(|rejection| ErrorResponse::bad_request(rejection.body_text()))?;
        self.state().authorize(call, &parts, &parameters)?;
        Ok(Request::from_parts(parts, body))
    }
}

/// The names of an API's calls, by method and path.
type Calls<C> = Arc<Vec<(Method, String, C)>>;

async fn intercept<A: Api>(
    State((service, calls)): State<(Service<A>, Calls<A::Call>)>,
    request: Request,
    next: Next,
) -> Response {
    let path = request.extensions().get::<MatchedPath>().map(MatchedPath::as_str);
    // axum answers HEAD with the handler of GET.
    let method = if request.method() == Method::HEAD { &Method::GET } else { request.method() };
    let is_it = |(own_method, own_path, _): &&(Method, String, A::Call)| {
        own_method == method && Some(own_path.as_str()) == path
    };
    let call = calls.iter().find(is_it).map(|(_, _, call)| *call);
    let respond = {
        let service = service.clone();
        move |request| service.respond(call, request, next)
    };
    service.0.interceptor.intercept(call, request, respond).await
}

/// The token of an `Authorization: Bearer` header.
pub(crate) fn bearer_token(headers: &HeaderMap) -> Option<&str> {
    let (scheme, token) = headers.get(AUTHORIZATION)?.to_str().ok()?.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| token.trim())
}

/// Whether the request says that its body is JSON; none if it does not say what it is.
pub(crate) fn is_json(headers: &HeaderMap) -> Option<bool> {
    let essence = headers.get(CONTENT_TYPE)?.as_bytes().split(|byte| *byte == b';').next()?;
    Some(essence.trim_ascii().eq_ignore_ascii_case(b"application/json"))
}
