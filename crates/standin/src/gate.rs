//! What every request to a stand-in passes, whatever the service: it is recorded, shown to whoever
//! watches, and struck by the faults.

use std::convert::Infallible;
use std::fmt::Debug;
use std::sync::{Arc, Mutex, PoisonError};

use axum::body::Body;
use axum::extract::MatchedPath;
use axum::middleware::Next;
use axum::response::IntoResponse;
use bytes::Bytes;
use futures_util::{TryStreamExt, stream};
use http::{Method, Request, Response, StatusCode};
use http_body_util::BodyExt;

use crate::fault::{Call, Faults, Reset};
use crate::record::{Log, Recorded};

/// Watches the exchanges of a stand-in.
pub trait Observer: Debug + Send + Sync {
    /// A request has arrived, whatever becomes of it.
    fn asked(&self, request: &Request<Bytes>);

    /// The service proper has answered. The client may see something else, or nothing:
    /// faults strike later, and the answers they invent are not shown here.
    fn answered(&self, request: &Request<Bytes>, response: &Response<Bytes>);
}

/// The gate of one stand-in, whose calls are `C`.
#[derive(Debug)]
pub(crate) struct Gate<C> {
    pub(crate) faults: Faults<C>,
    pub(crate) log: Log,
    observer: Mutex<Option<Arc<dyn Observer>>>,
}

/// Gives a stand-in the methods that each has of its gate. Inside, it is an `Arc` of what has the
/// members `gate` and `state`.
macro_rules! gated {
    ($service:ident, $call:ty, $state:ty) => {
        impl $service {
            /// What goes wrong on the way to it.
            pub fn faults(&self) -> &$crate::fault::Faults<$call> {
                &self.0.gate.faults
            }

            /// Shows all exchanges from now on to this observer, and to no earlier one.
            pub fn observe(&self, observer: Arc<dyn $crate::gate::Observer>) {
                self.0.gate.observe(observer);
            }

            /// The requests it has seen, in order of arrival.
            pub fn requests(&self) -> Vec<$crate::record::Recorded> {
                self.0.gate.log.all()
            }

            /// Forgets the requests seen so far.
            pub fn clear_requests(&self) {
                self.0.gate.log.clear();
            }

            fn gate(&self) -> &Gate<$call> {
                &self.0.gate
            }

            /// Never held over an await, so a handler that is dropped cannot leave it half changed.
            fn state(&self) -> std::sync::MutexGuard<'_, $state> {
                self.0.state.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
            }
        }
    };
}
pub(crate) use gated;

impl<C> Default for Gate<C> {
    fn default() -> Self {
        Self { faults: Faults::default(), log: Log::default(), observer: Mutex::default() }
    }
}

impl<C: Call> Gate<C> {
    /// Shows all exchanges from now on to this observer, and to no earlier one.
    pub(crate) fn observe(&self, observer: Arc<dyn Observer>) {
        *self.observer.lock().unwrap_or_else(PoisonError::into_inner) = Some(observer);
    }

    /// Lets a request through to `next`. `calls` tells which call is behind a method and a routed
    /// path. Faults strike as an edge proxy or the network would: before anything of the service
    /// proper, whose headers their answers lack.
    pub(crate) async fn pass(
        &self,
        calls: &[(Method, &str, C)],
        request: Request<Body>,
        next: Next,
    ) -> Response<Body> {
        let call = request.extensions().get::<MatchedPath>().and_then(|path| {
            let is_it = |(method, routed, _): &&(Method, &str, C)| {
                method == request.method() && *routed == path.as_str()
            };
            calls.iter().find(is_it).map(|(_, _, call)| *call)
        });
        let (head, body) = request.into_parts();
        let Ok(body) = body.collect().await.map(http_body_util::Collected::to_bytes) else {
            return StatusCode::BAD_REQUEST.into_response();
        };
        let key = self.log.begin(Recorded {
            method: head.method.clone(),
            path: head.uri.path_and_query().map(ToString::to_string).unwrap_or_default(),
            body: body.clone(),
            status: None,
        });
        let observer = self.observer.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let seen = Request::from_parts(head.clone(), body.clone());
        if let Some(observer) = &observer {
            observer.asked(&seen);
        }
        let run = next.run(Request::from_parts(head, Body::from(body)));
        let run = async move {
            match observer {
                Some(observer) => show(observer.as_ref(), &seen, run.await).await,
                None => run.await,
            }
        };
        let response = self.faults.strike(call, run).await;
        if response.extensions().get::<Reset>().is_none() {
            self.log.finish(key, response.status().as_u16());
        }
        response
    }
}

/// Shows the observer the whole of a true answer, and hands it on in the pieces it came in.
async fn show(
    observer: &dyn Observer,
    seen: &Request<Bytes>,
    response: Response<Body>,
) -> Response<Body> {
    let (head, body) = response.into_parts();
    // Our own handlers' bodies do not fail.
    let pieces: Vec<Bytes> = body.into_data_stream().try_collect().await.unwrap_or_default();
    let whole = Response::from_parts(head.clone(), Bytes::from(pieces.concat()));
    observer.answered(seen, &whole);
    let body = match &pieces[..] {
        [] | [_] => Body::from(whole.into_body()),
        _ => Body::from_stream(stream::iter(pieces.into_iter().map(Ok::<_, Infallible>))),
    };
    Response::from_parts(head, body)
}
