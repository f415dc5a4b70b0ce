//! A stand-in's router as a client sees it: a service in memory, or a loopback socket.
//!
//! Both turn [`Reset`] into a connection that ends without an answer.

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
use tower::{BoxError, Service, ServiceExt};

use crate::fault::Reset;

/// The router as an outgoing HTTP client would see it, without a socket.
/// A reset is an [`io::Error`] of kind `ConnectionReset`; dropping the future is hanging up.
pub fn service<B>(
    router: Router,
) -> impl Service<
    Request<B>,
    Response = Response<Body>,
    Error = BoxError,
    Future = impl Future<Output = Result<Response<Body>, BoxError>> + Send,
> + Clone
+ Send
+ Sync
+ 'static
where
    B: http_body::Body<Data = Bytes> + Send + 'static,
    B::Error: Into<BoxError>,
{
    tower::service_fn(move |request: Request<B>| answer(router.clone(), request))
}

/// The router as an application that uses reqwest would see it, without a socket.
pub fn client(
    router: Router,
) -> impl Service<
    reqwest::Request,
    Response = reqwest::Response,
    Error = BoxError,
    Future = impl Future<Output = Result<reqwest::Response, BoxError>> + Send,
> + Clone
+ Send
+ Sync
+ 'static {
    tower::service_fn(move |request: reqwest::Request| {
        let router = router.clone();
        async move {
            let request = Request::<reqwest::Body>::try_from(request)?;
            let answer = answer(router, request).await?;
            Ok(answer.map(|body| reqwest::Body::wrap_stream(body.into_data_stream())).into())
        }
    })
}

/// Serves the router over HTTP/1.1 until accepting fails or the future is dropped, which ends the
/// open connections too. A client that hangs up drops the handler's future.
pub async fn serve(listener: TcpListener, router: Router) -> io::Result<()> {
    let mut connections = JoinSet::new();
    loop {
        let (stream, _) = listener.accept().await?;
        while connections.try_join_next().is_some() {}
        let router = router.clone();
        // hyper closes the connection without an answer when the service fails: that is the reset.
        let service = service_fn(move |request| answer(router.clone(), request));
        connections.spawn(http1::Builder::new().serve_connection(TokioIo::new(stream), service));
    }
}

async fn answer<B>(router: Router, request: Request<B>) -> Result<Response<Body>, BoxError>
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
