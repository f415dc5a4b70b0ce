//! What the engine stores: the events, and what the next attempt of each needs.

use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, Method, Request};
use tokio::task::AbortHandle;

use super::connection::Connection;
use super::event::{Attributes, Event, EventId, EventStatus, Trigger, stored_headers};
use crate::id;

#[derive(Debug)]
pub(super) struct State {
    pub(super) connection: Connection,
    pub(super) events: Vec<Record>,
    pub(super) is_paused: bool,
    pub(super) n_to_duplicate: u32,
}

#[derive(Debug)]
pub(super) struct Record {
    pub(super) event: Event,
    request_id: String,
    headers: HeaderMap,
    body: Bytes,
    pub(super) came_in: Duration,
    n_started: u32,
    /// Automatic retries made or scheduled.
    pub(super) n_retries: u32,
    pub(super) scheduled: Option<AbortHandle>,
}

/// One attempt about to leave.
pub(super) struct Delivery {
    pub(super) request: Request<Bytes>,
    pub(super) number: u32,
    /// The timeout, divided by the time scale.
    pub(super) limit: Duration,
    pub(super) is_duplicated: bool,
}

impl State {
    pub(super) fn new(connection: Connection) -> Self {
        Self { connection, events: Vec::new(), is_paused: false, n_to_duplicate: 0 }
    }

    pub(super) fn index(&self, id: &EventId) -> usize {
        self.events
            .iter()
            .position(|record| record.event.id == *id)
            .unwrap_or_else(|| panic!("there is no event {id}"))
    }

    /// Counts the attempt and signs it: a secret that was changed meanwhile is used.
    pub(super) fn begin(&mut self, index: usize, trigger: Trigger) -> Delivery {
        let connection = &self.connection;
        let record = &mut self.events[index];
        record.n_started += 1;
        let rule = connection.retry.as_ref().filter(|_| trigger != Trigger::Manual);
        let next_in = rule.and_then(|rule| rule.delay(record.n_retries + 1));
        let mut request = Request::new(record.body.clone());
        *request.method_mut() = Method::POST;
        *request.uri_mut() = connection.path.parse().unwrap_or_default();
        *request.headers_mut() = record.headers.clone();
        Attributes {
            connection,
            event_id: record.event.id.as_ref(),
            request_id: &record.request_id,
            number: record.n_started,
            trigger,
            next_in,
            body: &record.body,
        }
        .write(request.headers_mut());
        let limit = connection.delivery_timeout.div_f64(connection.time_scale);
        let is_duplicated = self.n_to_duplicate > 0;
        self.n_to_duplicate = self.n_to_duplicate.saturating_sub(1);
        Delivery { request, number: record.n_started, limit, is_duplicated }
    }
}

impl Record {
    /// The `index`th event of the engine, on hold.
    pub(super) fn new(index: usize, headers: HeaderMap, body: Bytes, now: Duration) -> Self {
        let event_id = id::text(id::BASE62, 18, &format!("event {index}"));
        let request_id = id::text(id::BASE62, 16, &format!("request {index}"));
        Self {
            event: Event {
                id: EventId(format!("evt_{event_id}")),
                status: EventStatus::Hold,
                attempts: Vec::new(),
            },
            request_id: format!("req_{request_id}"),
            headers: stored_headers(headers),
            body,
            came_in: now,
            n_started: 0,
            n_retries: 0,
            scheduled: None,
        }
    }

    pub(super) fn unschedule(&mut self) {
        if let Some(task) = self.scheduled.take() {
            task.abort();
        }
    }
}
