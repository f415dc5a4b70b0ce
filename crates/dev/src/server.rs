//! The function on a socket, with a Function URL in front of it.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::SystemTime;

use anyhow::Context;
use axum::Router;
use axum::body::{Body, to_bytes};
use axum::extract::State;
use bytes::Bytes;
use http::{Request, Response, StatusCode};
use per_user_db::request;
use per_user_db::telemetry::InvocationIds;
use per_user_db::worker::{Invocation, TIMEOUT, Worker};
use standin::fault::Reset;
use standin::function_url::{self, BodyEncoding};
use tokio::net::TcpListener;

use crate::console::Function;

/// The largest payload that a Function URL accepts.
const PAYLOAD_LIMIT_BYTES: usize = 6 * 1024 * 1024;

/// Listens on a port of this address; 0 takes any free one. From now on a client can connect.
pub(crate) fn listen(ip: IpAddr, port: u16) -> anyhow::Result<TcpListener> {
    let listener = std::net::TcpListener::bind((ip, port));
    let mend = if ip.is_loopback() {
        "choose another port with --port"
    } else {
        "is it an address of this machine?"
    };
    let listener = listener.with_context(|| format!("cannot use port {port} of {ip}; {mend}"))?;
    listener.set_nonblocking(true)?;
    Ok(TcpListener::from_std(listener)?)
}

/// The function as an HTTP server.
pub(crate) fn router(function: Arc<Function>) -> Router {
    Router::new().fallback(respond).with_state(function)
}

/// Where the function ends before it answers, the connection is reset.
async fn respond(
    State(function): State<Arc<Function>>,
    request: Request<Body>,
) -> Result<Response<Body>, StatusCode> {
    let (head, body) = request.into_parts();
    let body = to_bytes(body, PAYLOAD_LIMIT_BYTES).await;
    let request = Request::from_parts(head, body.map_err(|_| StatusCode::PAYLOAD_TOO_LARGE)?);
    let response = function.invoke(request, None).await.map(|it| it.map(Body::from));
    Ok(response.unwrap_or_else(|_| {
        let mut reset = Response::new(Body::empty());
        reset.extensions_mut().insert(Reset);
        reset
    }))
}

/// Invokes the function as its Function URL does.
pub(crate) async fn invoke(
    worker: &Worker,
    request: &Request<Bytes>,
    now: SystemTime,
) -> per_user_db::response::Response {
    let event = function_url::event(request, BodyEncoding::Text).to_string();
    let payload = request::read(&event);
    let ids = InvocationIds::default();
    worker.invoke(Invocation { payload, deadline: now + TIMEOUT, ids }).await
}
