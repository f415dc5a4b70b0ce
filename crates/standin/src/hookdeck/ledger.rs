//! What the engine stores: the events, and what the next attempt of each needs.

use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request};
use tokio::task::AbortHandle;
use tokio::time::Instant;

use super::connection::{Connection, LastRetryHeader};
use super::event::{Event, EventId, EventStatus, Trigger, stored_headers};
use super::signature::signature;
use crate::id;

/// The address of every sender, reserved for documentation.
const ORIGINAL_IP: &str = "203.0.113.7";

#[derive(Debug)]
pub(super) struct State {
    pub(super) connection: Connection,
    pub(super) events: Vec<Record>,
    pub(super) is_paused: bool,
    pub(super) n_to_duplicate: u32,
    /// Before it no delivery begins.
    pub(super) next_start: Instant,
}

#[derive(Debug)]
pub(super) struct Record {
    pub(super) event: Event,
    request_id: String,
    headers: HeaderMap,
    pub(super) body: Bytes,
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
        Self {
            connection,
            events: Vec::new(),
            is_paused: false,
            n_to_duplicate: 0,
            next_start: Instant::now(),
        }
    }

    pub(super) fn index(&self, id: &EventId) -> usize {
        self.events
            .iter()
            .position(|record| record.event.id == *id)
            .unwrap_or_else(|| panic!("there is no event {id}"))
    }

    /// When the next delivery begins, where they are spaced.
    pub(super) fn take_turn(&mut self) -> Option<Instant> {
        let spacing = self.connection.spacing;
        let turn = self.next_start.max(Instant::now());
        self.next_start = turn + spacing;
        (!spacing.is_zero()).then_some(turn)
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
        request.headers_mut().clone_from(&record.headers);
        record.add_headers(request.headers_mut(), connection, trigger, next_in);
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

    /// Adds the headers of a delivery (docs/vendors/hookdeck.md, "Delivery headers"). They replace headers
    /// of the same name from the sender.
    fn add_headers(
        &self,
        headers: &mut HeaderMap,
        connection: &Connection,
        trigger: Trigger,
        next_in: Option<Duration>,
    ) {
        let event_id = self.event.id.as_ref();
        let url = format!("https://dashboard.hookdeck.com/events/{event_id}");
        let mut own = vec![
            ("eventid", event_id.to_owned()),
            ("requestid", self.request_id.clone()),
            ("attempt-count", self.n_started.to_string()),
            ("attempt-trigger", trigger.to_string()),
            ("event-url", url),
            ("source-name", connection.source_name.clone()),
            ("connection-name", connection.name.clone()),
            ("destination-name", connection.destination_name.clone()),
            ("original-ip", ORIGINAL_IP.to_owned()),
            ("verified", connection.verified.to_string()),
            ("signature", signature(&connection.secret, &self.body)),
        ];
        if let Some(secret) = &connection.previous_secret {
            own.push(("signature-2", signature(secret, &self.body)));
        }
        match (next_in, connection.last_retry_header) {
            (Some(delay), _) => own.push(("will-retry-after", delay.as_secs().to_string())),
            (None, LastRetryHeader::Empty) => own.push(("will-retry-after", String::new())),
            (None, LastRetryHeader::Omitted) => {}
        }
        for (suffix, value) in own {
            set(headers, &format!("{}-{suffix}", connection.header_prefix), &value);
        }
        set(headers, "idempotency-key", event_id);
    }

    pub(super) fn unschedule(&mut self) {
        if let Some(task) = self.scheduled.take() {
            task.abort();
        }
    }
}

fn set(headers: &mut HeaderMap, name: &str, value: &str) {
    let name = HeaderName::try_from(name).expect("the header prefix is a header name");
    let value = HeaderValue::try_from(value).expect("names of connections are header values");
    headers.insert(name, value);
}
