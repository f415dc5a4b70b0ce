//! The requests a stand-in has seen.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use http::Method;

/// One request, and what became of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Recorded {
    /// The method.
    pub method: Method,
    /// The path, with the query if there was one.
    pub path: String,
    /// The body as it arrived.
    pub body: Bytes,
    /// The status answered; none while the request runs, and none for ever when it was hung up on.
    pub status: Option<u16>,
}

/// The requests of one stand-in, in order of arrival. Clones share the list.
#[derive(Clone, Debug, Default)]
pub(crate) struct Log(Arc<Mutex<Entries>>);

#[derive(Debug, Default)]
struct Entries {
    next: u64,
    seen: BTreeMap<u64, Recorded>,
}

impl Log {
    pub(crate) fn begin(&self, request: Recorded) -> u64 {
        let mut entries = self.entries();
        let key = entries.next;
        entries.next += 1;
        entries.seen.insert(key, request);
        key
    }

    /// Adds the status, unless the list was cleared while the request ran.
    pub(crate) fn finish(&self, key: u64, status: u16) {
        if let Some(request) = self.entries().seen.get_mut(&key) {
            request.status = Some(status);
        }
    }

    pub(crate) fn all(&self) -> Vec<Recorded> {
        self.entries().seen.values().cloned().collect()
    }

    pub(crate) fn clear(&self) {
        self.entries().seen.clear();
    }

    fn entries(&self) -> MutexGuard<'_, Entries> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
