//! A stand-in's router as a client sees it: a service in memory, or a loopback socket.
//!
//! Both turn [`Reset`] into a connection that ends without a response.

use std::io;

use axum::Router;
use axum::body::Body;
use bytes::Bytes;
use http::{Request, Response};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::net::TcpListener;
use tokio::task::JoinSet;
use tower::util::BoxCloneSyncService;
use tower::{BoxError, ServiceExt};

use crate::fault::Reset;

/// The router as an HTTP client sees it, without a socket.
/// A reset is an [`io::Error`] of kind `ConnectionReset`; a client hangs up by dropping the future.
pub fn service<B>(router: Router) -> BoxCloneSyncService<Request<B>, Response<Body>, BoxError>
where
    B: http_body::Body<Data = Bytes> + Send + 'static,
    B::Error: Into<BoxError>,
{
    let respond = move |request: Request<B>| respond(router.clone(), request);
    BoxCloneSyncService::new(tower::service_fn(respond))
}

/// The router as an application that uses reqwest sees it, without a socket.
pub fn client(
    router: Router,
) -> BoxCloneSyncService<reqwest::Request, reqwest::Response, BoxError> {
    BoxCloneSyncService::new(tower::service_fn(move |request: reqwest::Request| {
        let router = router.clone();
        async move {
            let request = Request::<reqwest::Body>::try_from(request)?;
            let response = respond(router, request).await?;
            Ok(response.map(|body| reqwest::Body::wrap_stream(body.into_data_stream())).into())
        }
    }))
}

/// Serves the router over HTTP/1.1 until accepting fails or the future is dropped, which ends the
/// open connections too. A client that hangs up drops the handler's future.
pub async fn serve(listener: TcpListener, router: Router) -> io::Result<()> {
    let mut connections = JoinSet::new();
    loop {
        let (stream, _) = listener.accept().await?;
        // Where the client has gone already, its request says so.
        let _gone = stream.set_nodelay(true);
        while connections.try_join_next().is_some() {}
        let router = router.clone();
        // hyper closes the connection without a response when the service fails: that is the reset.
        let service = service_fn(move |request| respond(router.clone(), request));
        connections.spawn(http1::Builder::new().serve_connection(TokioIo::new(stream), service));
    }
}

async fn respond<B>(router: Router, request: Request<B>) -> Result<Response<Body>, BoxError>
where
    B: http_body::Body<Data = Bytes> + Send + 'static,
    B::Error: Into<BoxError>,
{
    let response = router.oneshot(request.map(Body::new)).await?;
    if response.extensions().get::<Reset>().is_some() {
        return Err(io::Error::from(io::ErrorKind::ConnectionReset).into());
    }
    Ok(response)
}
