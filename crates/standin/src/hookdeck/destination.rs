//! The service that Hookdeck delivers to.

use axum::Router;
use axum::body::Body;
use bytes::Bytes;
use http::{Request, Response};
use http_body_util::BodyExt;
use tower::util::BoxCloneSyncService;
use tower::{BoxError, ServiceExt, service_fn};

use crate::serve;

/// Answers a delivery; an error is a broken connection.
pub type Destination = BoxCloneSyncService<Request<Bytes>, Response<Bytes>, BoxError>;

/// A destination made of a function.
pub fn from_fn<F, R>(deliver: F) -> Destination
where
    F: Fn(Request<Bytes>) -> R + Clone + Send + Sync + 'static,
    R: Future<Output = Result<Response<Bytes>, BoxError>> + Send + 'static,
{
    BoxCloneSyncService::new(service_fn(deliver))
}

/// A destination that is a router; its resets and broken bodies are broken connections.
pub fn from_router(router: Router) -> Destination {
    let service = serve::service(router);
    from_fn(move |request| {
        let answer = service.clone().oneshot(request.map(Body::from));
        async move {
            let (head, body) = answer.await?.into_parts();
            Ok(Response::from_parts(head, body.collect().await?.to_bytes()))
        }
    })
}
