//! The function on a socket, with a Function URL in front of it.

use std::net::Ipv4Addr;
use std::sync::Arc;
use std::time::SystemTime;

use anyhow::Context;
use axum::Router;
use axum::body::{Body, to_bytes};
use axum::extract::State;
use http::{Request, Response, StatusCode};
use per_user_db::telemetry::InvocationIds;
use per_user_db::worker::{Invocation, TIMEOUT, Worker};
use standin::function_url::{self, BodyEncoding};
use tokio::net::{TcpListener, TcpSocket};

/// What a Function URL takes at most.
const PAYLOAD_LIMIT_BYTES: usize = 6 * 1024 * 1024;

/// As many as may wait to be answered; tokio's own default.
const BACKLOG: u32 = 1024;

/// A loopback socket on this port; 0 takes any that is free.
pub(crate) fn bind(port: u16) -> anyhow::Result<TcpListener> {
    listen(reserve(port)?)
}

/// The same, to which nobody can connect before it listens.
pub(crate) fn reserve(port: u16) -> anyhow::Result<TcpSocket> {
    let socket = TcpSocket::new_v4()?;
    socket.set_reuseaddr(true)?;
    socket.bind((Ipv4Addr::LOCALHOST, port).into()).with_context(|| taken(port))?;
    Ok(socket)
}

pub(crate) fn listen(socket: TcpSocket) -> anyhow::Result<TcpListener> {
    let port = socket.local_addr()?.port();
    socket.listen(BACKLOG).with_context(|| taken(port))
}

fn taken(port: u16) -> String {
    format!("port {port} cannot be had; choose another with --port")
}

/// The function as an HTTP server.
pub(crate) fn router(worker: Arc<Worker>) -> Router {
    Router::new().fallback(invoke).with_state(worker)
}

async fn invoke(
    State(worker): State<Arc<Worker>>,
    request: Request<Body>,
) -> Result<Response<Body>, StatusCode> {
    let (head, body) = request.into_parts();
    let body = to_bytes(body, PAYLOAD_LIMIT_BYTES).await;
    let request = Request::from_parts(head, body.map_err(|_| StatusCode::PAYLOAD_TOO_LARGE)?);
    let event = function_url::event(&request, BodyEncoding::Text);
    let payload = &event.to_string();
    let deadline = SystemTime::now() + TIMEOUT;
    let answer =
        worker.invoke(Invocation { payload, deadline, ids: InvocationIds::default() }).await;
    match function_url::response(&answer.to_lambda()) {
        Ok(response) => Ok(response.map(Body::from)),
        Err(_) => Err(StatusCode::BAD_GATEWAY),
    }
}
