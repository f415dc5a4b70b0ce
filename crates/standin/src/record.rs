//! The requests that a stand-in has received.

use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use bytes::Bytes;
use http::Method;

/// A request and its status.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Recorded {
    /// The method.
    pub method: Method,
    /// The path, with the query if there was one.
    pub path: String,
    /// The body as it arrived.
    pub body: Bytes,
    /// The status of the response. None while the request is being answered, and for good if the client hung up or the
    /// connection was reset.
    pub status: Option<u16>,
}

/// The requests of one stand-in, in order of arrival.
#[derive(Debug, Default)]
pub(crate) struct Log(Mutex<Vec<Entry>>);

/// A request without its status, and the status.
type Entry = (Recorded, Arc<OnceLock<u16>>);

impl Log {
    /// Adds a request. The result takes its status.
    pub(crate) fn add(&self, request: Recorded) -> Arc<OnceLock<u16>> {
        let status = Arc::default();
        self.entries().push((request, Arc::clone(&status)));
        status
    }

    pub(crate) fn all(&self) -> Vec<Recorded> {
        let with_status = |(request, status): &Entry| Recorded {
            status: status.get().copied(),
            ..request.clone()
        };
        self.entries().iter().map(with_status).collect()
    }

    pub(crate) fn clear(&self) {
        self.entries().clear();
    }

    fn entries(&self) -> MutexGuard<'_, Vec<Entry>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
