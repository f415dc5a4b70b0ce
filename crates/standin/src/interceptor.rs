//! What happens to every request of a stand-in: it is recorded, shown to the observer, and faults
//! change its answer.

use std::convert::Infallible;
use std::fmt::Debug;
use std::sync::{Arc, Mutex, PoisonError};

use axum::body::Body;
use axum::response::IntoResponse;
use bytes::Bytes;
use futures_util::{TryStreamExt, stream};
use http::{Request, Response, StatusCode};
use http_body_util::BodyExt;

use crate::fault::{Call, Faults, Reset};
use crate::record::{Log, Recorded};

/// Watches the exchanges of a stand-in.
pub trait Observer: Debug + Send + Sync {
    /// A request has arrived. Its answer may still be replaced by a fault.
    fn on_request(&self, request: &Request<Bytes>);

    /// The service has answered. The client may see something else, or nothing: faults come later,
    /// and the answers that they replace it with are not shown here.
    fn on_response(&self, request: &Request<Bytes>, response: &Response<Bytes>);
}

/// The interceptor of one stand-in, whose calls are `C`.
#[derive(Debug)]
pub(crate) struct Interceptor<C> {
    pub(crate) faults: Faults<C>,
    pub(crate) log: Log,
    observer: Mutex<Option<Arc<dyn Observer>>>,
}

impl<C> Default for Interceptor<C> {
    fn default() -> Self {
        Self { faults: Faults::default(), log: Log::default(), observer: Mutex::default() }
    }
}

impl<C: Call> Interceptor<C> {
    pub(crate) fn observe(&self, observer: Arc<dyn Observer>) {
        *self.observer.lock().unwrap_or_else(PoisonError::into_inner) = Some(observer);
    }

    /// Answers a request with `respond`. Faults act as a proxy in front of the service or the network
    /// would: their answers lack the headers of the service.
    pub(crate) async fn intercept<F>(
        &self,
        call: Option<C>,
        request: Request<Body>,
        respond: impl FnOnce(Request<Body>) -> F,
    ) -> Response<Body>
    where
        F: Future<Output = Response<Body>> + Send + 'static,
    {
        let (head, body) = request.into_parts();
        let Ok(body) = body.collect().await.map(http_body_util::Collected::to_bytes) else {
            return StatusCode::BAD_REQUEST.into_response();
        };
        let status = self.log.add(Recorded {
            method: head.method.clone(),
            path: head.uri.path_and_query().map(ToString::to_string).unwrap_or_default(),
            body: body.clone(),
            status: None,
        });
        let observer = self.observer.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let seen = Request::from_parts(head.clone(), body.clone());
        if let Some(observer) = &observer {
            observer.on_request(&seen);
        }
        let response = respond(Request::from_parts(head, Body::from(body)));
        let response = async move {
            match observer {
                Some(observer) => show(observer.as_ref(), &seen, response.await).await,
                None => response.await,
            }
        };
        let response = self.faults.apply(call, response).await;
        if response.extensions().get::<Reset>().is_none() {
            let _ = status.set(response.status().as_u16());
        }
        response
    }
}

/// Shows the observer the whole response, and returns it in the pieces that it came in.
async fn show(
    observer: &dyn Observer,
    request: &Request<Bytes>,
    response: Response<Body>,
) -> Response<Body> {
    let (head, body) = response.into_parts();
    // The bodies of our own handlers do not fail.
    let pieces: Vec<Bytes> = body.into_data_stream().try_collect().await.unwrap_or_default();
    let whole = Response::from_parts(head.clone(), Bytes::from(pieces.concat()));
    observer.on_response(request, &whole);
    let body = match &pieces[..] {
        [] | [_] => Body::from(whole.into_body()),
        _ => Body::from_stream(stream::iter(pieces.into_iter().map(Ok::<_, Infallible>))),
    };
    Response::from_parts(head, body)
}
