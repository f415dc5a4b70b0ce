//! The routes: the page, the snapshot, the stream, the actions.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use axum::body::{Body, to_bytes};
use axum::extract::rejection::{PathRejection, QueryRejection};
use axum::extract::{Path, Query, Request, State};
use axum::middleware::from_fn_with_state;
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use bytes::Bytes;
use futures_util::stream;
use http::header::CONTENT_TYPE;
use http::{HeaderMap, Method, StatusCode, Uri};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use tokio::sync::watch;
use tokio::time::{sleep, timeout};

use super::world::{SignUp, World};
use super::{assets, security};

/// The largest body of a request.
const BODY_LIMIT_BYTES: usize = 64 * 1024;

/// A comment is sent so often while nothing happens, so that both ends notice a broken connection.
const ALIVE_INTERVAL: Duration = Duration::from_secs(15);

/// The pause between two pieces of the stream. What happens meanwhile is one piece.
const PIECE_INTERVAL: Duration = Duration::from_millis(50);

/// Why a request is refused, in a sentence.
#[derive(Debug)]
pub(super) struct Refusal {
    status: StatusCode,
    error: String,
}

impl Refusal {
    pub(super) fn new(status: StatusCode, error: impl Into<String>) -> Self {
        Self { status, error: error.into() }
    }

    pub(super) fn bad_request(error: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, error)
    }

    pub(super) fn not_found(error: impl Into<String>) -> Self {
        Self::new(StatusCode::NOT_FOUND, error)
    }

    pub(super) fn conflict(error: impl Into<String>) -> Self {
        Self::new(StatusCode::CONFLICT, error)
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        (self.status, Json(json!({ "error": self.error }))).into_response()
    }
}

impl From<PathRejection> for Refusal {
    fn from(_: PathRejection) -> Self {
        Self::bad_request("The address cannot be read.")
    }
}

impl From<QueryRejection> for Refusal {
    fn from(_: QueryRejection) -> Self {
        Self::bad_request("The part of the address after the question mark cannot be read.")
    }
}

/// The id in the path, or why it cannot be read.
type Id = Result<Path<String>, PathRejection>;

/// What stands in the query, or why it cannot be read.
type In<T> = Result<Query<T>, QueryRejection>;

type Answer = Result<Json<Value>, Refusal>;
type Console = State<Arc<World>>;

/// The console, whose own port this is.
pub(super) fn router(world: Arc<World>, port: u16) -> Router {
    Router::new()
        .route("/api/state", get(async |State(world): Console| Json(world.snapshot())))
        .route("/api/stream", get(follow))
        .route("/api/events/{id}", get(event))
        .route("/api/events/{id}/copy", get(copy))
        .route("/api/events/{id}/retry", post(retry))
        .route("/api/events/{id}/cancel", post(cancel))
        .route("/api/sign-ups", post(sign_up))
        .route("/api/burst", post(burst))
        .route("/api/users/{user}/delete", post(delete))
        .route("/api/switches/{id}", post(switch))
        .route("/api/actions/{id}", post(act))
        .route("/api/pause", post(pause))
        .route("/api/time-scale", post(time_scale))
        .fallback(async |uri: Uri, method: Method| match assets::respond(uri.path()) {
            Some(file) if matches!(method, Method::GET | Method::HEAD) => Ok(file),
            Some(_) => Err(method_not_allowed().await),
            None => Err(Refusal::not_found("There is no such page.")),
        })
        .method_not_allowed_fallback(method_not_allowed)
        .with_state(world)
        .layer(from_fn_with_state(port, security::guard))
}

async fn method_not_allowed() -> Refusal {
    Refusal::new(StatusCode::METHOD_NOT_ALLOWED, "This address has another method.")
}

/// Reads the JSON of a request. No body at all is an empty object.
async fn read<T: DeserializeOwned>(request: Request) -> Result<T, Refusal> {
    let too_large = || {
        let text = format!("The body is larger than {BODY_LIMIT_BYTES} bytes.");
        Refusal::new(StatusCode::PAYLOAD_TOO_LARGE, text)
    };
    // A little more is read, because a client that is cut off while it sends sees no answer.
    let body = to_bytes(request.into_body(), 4 * BODY_LIMIT_BYTES).await;
    let body = body.ok().filter(|it| it.len() <= BODY_LIMIT_BYTES).ok_or_else(too_large)?;
    let body = if body.is_empty() { Bytes::from_static(b"{}") } else { body };
    serde_json::from_slice(&body)
        .map_err(|error| Refusal::bad_request(format!("The body cannot be read: {error}.")))
}

/// Where a client that comes back goes on.
#[derive(Deserialize)]
struct After {
    after: Option<String>,
}

/// The stream of messages. The header of a client that comes back is newer than its address.
async fn follow(
    State(world): Console,
    headers: HeaderMap,
    after: In<After>,
) -> Result<Response, Refusal> {
    let Query(After { after }) = after?;
    let messages = world.journal.subscribe();
    let header = headers.get("last-event-id").map(|it| it.to_str().unwrap_or_default().to_owned());
    let seen = match header.or(after) {
        None => *messages.borrow(),
        Some(text) => text.parse().map_err(|_| {
            Refusal::bad_request("The number of the last message must be a number.")
        })?,
    };
    let follower = Follower { world, messages, seen, is_first: true };
    let pieces = stream::unfold(follower, async |mut follower: Follower| {
        let piece = follower.next().await;
        Some((Ok::<_, Infallible>(piece), follower))
    });
    Ok(([(CONTENT_TYPE, "text/event-stream")], Body::from_stream(pieces)).into_response())
}

/// A client of the stream. It is asked for the next piece only when the client has taken the last one,
/// so a slow client delays no other one: it falls behind, and is told to begin again.
struct Follower {
    world: Arc<World>,
    messages: watch::Receiver<u64>,
    seen: u64,
    is_first: bool,
}

impl Follower {
    async fn next(&mut self) -> Bytes {
        if std::mem::take(&mut self.is_first) {
            // The client sees at once that it is connected, and comes back soon after a loss.
            return Bytes::from_static(b"retry: 1000\n\n");
        }
        sleep(PIECE_INTERVAL).await;
        let seen = self.seen;
        // The number of another process may be larger; it has to be answered, too.
        let news = self.messages.wait_for(|last| *last != seen);
        if timeout(ALIVE_INTERVAL, news).await.is_err() {
            return Bytes::from_static(b": alive\n\n");
        }
        let (piece, seen) = self.world.journal.after(self.seen);
        self.seen = seen;
        piece
    }
}

async fn event(State(world): Console, id: Id) -> Answer {
    world.detail(&id?).map(Json)
}

#[derive(Deserialize)]
struct Form {
    r#as: Option<String>,
}

async fn copy(State(world): Console, id: Id, form: In<Form>) -> Result<Response, Refusal> {
    let form = form?.0.r#as.unwrap_or_default().parse();
    let form =
        form.map_err(|_| Refusal::bad_request("A copy is as=curl, as=sam or as=fixture."))?;
    let copy = world.copy(&id?, form)?;
    Ok(([(CONTENT_TYPE, "text/plain; charset=utf-8")], copy).into_response())
}

fn done() -> Json<Value> {
    Json(json!({ "ok": true }))
}

async fn retry(State(world): Console, id: Id) -> Answer {
    world.retry(&id?).map(|()| done())
}

async fn cancel(State(world): Console, id: Id) -> Answer {
    world.cancel(&id?).map(|()| done())
}

/// What allows an action that costs money.
#[derive(Deserialize)]
struct Confirmation {
    confirm: Option<String>,
}

async fn sign_up(State(world): Console, request: Request) -> Answer {
    #[derive(Deserialize)]
    struct Input {
        #[serde(flatten)]
        sign_up: SignUp,
        #[serde(flatten)]
        confirmation: Confirmation,
    }
    let Input { sign_up, confirmation } = read(request).await?;
    world.confirm(confirmation.confirm.as_deref())?;
    let user = world.sign_up(&sign_up)?;
    Ok(Json(json!({ "ok": true, "user": user })))
}

async fn burst(State(world): Console, request: Request) -> Answer {
    #[derive(Deserialize)]
    struct Input {
        count: usize,
        confirm: Option<String>,
    }
    let Input { count, confirm } = read(request).await?;
    world.confirm(confirm.as_deref())?;
    world.burst(count)?;
    Ok(Json(json!({ "ok": true, "users": count })))
}

async fn delete(State(world): Console, user: Id) -> Answer {
    world.delete(&user?).map(|()| done())
}

#[derive(Deserialize)]
struct OnOff {
    on: bool,
}

async fn switch(State(world): Console, id: Id, request: Request) -> Answer {
    let OnOff { on } = read(request).await?;
    world.switch(&id?, on).map(|()| done())
}

async fn act(State(world): Console, id: Id, request: Request) -> Answer {
    let Confirmation { confirm } = read(request).await?;
    world.act(&id?, confirm.as_deref()).map(|()| done())
}

async fn pause(State(world): Console, request: Request) -> Answer {
    let OnOff { on } = read(request).await?;
    world.pause(on);
    Ok(done())
}

async fn time_scale(State(world): Console, request: Request) -> Answer {
    #[derive(Deserialize)]
    struct Input {
        value: f64,
    }
    let Input { value } = read(request).await?;
    world.set_time_scale(value).map(|()| done())
}
