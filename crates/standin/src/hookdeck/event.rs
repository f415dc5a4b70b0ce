//! Events and attempts.

use std::fmt;
use std::time::Duration;

use bytes::Bytes;
use http::header::{
    CONNECTION, CONTENT_LENGTH, HOST, PROXY_AUTHENTICATE, PROXY_AUTHORIZATION, TE, TRAILER,
    TRANSFER_ENCODING, UPGRADE,
};
use http::{HeaderMap, HeaderName, Response};

/// The id of an event, `evt_…`: the same on every attempt.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct EventId(pub(super) String);

impl AsRef<str> for EventId {
    fn as_ref(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for EventId {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

/// An event and its attempts so far.
#[derive(Clone, Debug)]
pub struct Event {
    /// Its id.
    pub id: EventId,
    /// Its status.
    pub status: EventStatus,
    /// The attempts that are over, in the order in which they ended.
    pub attempts: Vec<Attempt>,
}

/// The status of an event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EventStatus {
    /// Being delivered, or waiting for a free delivery.
    Queued,
    /// Waiting for its next attempt.
    Scheduled,
    /// Held back while the connection is paused.
    Hold,
    /// Delivered.
    Successful,
    /// Given up.
    Failed,
    /// Cancelled by hand.
    Cancelled,
    /// Ignored: the connection's filter does not let it through.
    Filtered,
}

/// One delivery that is over.
#[derive(Clone, Debug)]
pub struct Attempt {
    /// From 1, manual ones included. Both copies of a duplicated attempt have the same.
    pub number: u32,
    /// Why it was made.
    pub trigger: Trigger,
    /// When it left, on tokio's clock, since the event came in. Divided by the time scale.
    pub started_after: Duration,
    /// The status answered; none after a timeout or a broken connection.
    pub status: Option<u16>,
    /// Why there is no status.
    pub error: Option<AttemptError>,
    /// The headers answered.
    pub headers: HeaderMap,
    /// The body answered.
    pub body: Bytes,
    /// The delay computed from it until the next automatic attempt. Not divided by the time scale.
    pub next_in: Option<Duration>,
}

/// What came back from the destination.
pub(super) type Answered = Result<Response<Bytes>, AttemptError>;

impl Attempt {
    pub(super) fn new(
        number: u32,
        trigger: Trigger,
        started_after: Duration,
        answered: Answered,
        next_in: Option<Duration>,
    ) -> Self {
        let (status, error, headers, body) = match answered {
            Ok(answer) => {
                let (head, body) = answer.into_parts();
                (Some(head.status.as_u16()), None, head.headers, body)
            }
            Err(error) => (None, Some(error), HeaderMap::new(), Bytes::new()),
        };
        Self { number, trigger, started_after, status, error, headers, body, next_in }
    }
}

/// Why an attempt has no status.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AttemptError {
    /// No answer in time. The destination may finish all the same.
    Timeout,
    /// The connection broke; the text says how.
    Connection(String),
}

/// Why an attempt was made.
#[derive(Clone, Copy, Debug, PartialEq, Eq, strum::Display)]
#[strum(serialize_all = "UPPERCASE")]
pub enum Trigger {
    /// The first one.
    Initial,
    /// Because of the rule or `Retry-After`.
    Automatic,
    /// A manual retry.
    Manual,
    /// Held back by a pause that is over.
    Unpause,
}

/// The provider's headers as they are stored: without those that belong to one connection only.
pub(super) fn stored_headers(mut headers: HeaderMap) -> HeaderMap {
    let of_one_hop = [
        CONNECTION,
        CONTENT_LENGTH,
        HOST,
        HeaderName::from_static("keep-alive"),
        PROXY_AUTHENTICATE,
        PROXY_AUTHORIZATION,
        TE,
        TRAILER,
        TRANSFER_ENCODING,
        UPGRADE,
    ];
    for name in of_one_hop {
        headers.remove(name);
    }
    headers
}
