//! The function on a socket, with a Function URL in front of it.

use std::sync::Arc;
use std::time::SystemTime;

use anyhow::Context;
use axum::Router;
use axum::body::{Body, to_bytes};
use axum::extract::State;
use http::{Request, Response, StatusCode};
use per_user_db::function::{Function, TIMEOUT};
use standin::function_url::{self, BodyEncoding};
use tokio::net::TcpListener;

/// What a Function URL takes at most.
const PAYLOAD_LIMIT_BYTES: usize = 6 * 1024 * 1024;

/// A loopback socket on this port; 0 takes any that is free.
pub(crate) async fn bind(port: u16) -> anyhow::Result<TcpListener> {
    let listener = TcpListener::bind(("127.0.0.1", port)).await;
    listener.with_context(|| format!("port {port} cannot be had; choose another with --port"))
}

/// The function as an HTTP server.
pub(crate) fn router(function: Arc<Function>) -> Router {
    Router::new().fallback(invoke).with_state(function)
}

async fn invoke(
    State(function): State<Arc<Function>>,
    request: Request<Body>,
) -> Result<Response<Body>, StatusCode> {
    let (head, body) = request.into_parts();
    let body = to_bytes(body, PAYLOAD_LIMIT_BYTES).await;
    let request = Request::from_parts(head, body.map_err(|_| StatusCode::PAYLOAD_TOO_LARGE)?);
    let event = function_url::event(&request, BodyEncoding::Text);
    let answer = function.handle(&event.to_string(), SystemTime::now() + TIMEOUT).await;
    match function_url::response(&answer.to_response()) {
        Ok(response) => Ok(response.map(Body::from)),
        Err(_) => Err(StatusCode::BAD_GATEWAY),
    }
}
