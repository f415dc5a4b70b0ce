//! Deliveries, the schedule, pause, manual retries.

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use http::header::RETRY_AFTER;
use http::{HeaderMap, Request};
use tokio::sync::{Semaphore, watch};
use tokio::time::{sleep, sleep_until, timeout};
use tower::ServiceExt;

use super::connection::Connection;
use super::destination::Destination;
use super::event::{Answered, Attempt, AttemptError, Event, EventId, EventStatus, Trigger};
use super::ledger::{Delivery, Record, State};
use super::rule::{RetryAfter, is_success, next_delay};
use crate::clock::Clock;

/// Delivers events over one connection. Clones are the same engine. It needs a tokio runtime.
#[derive(Clone, Debug)]
pub struct Engine(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    state: Mutex<State>,
    destination: Destination,
    slots: Option<Semaphore>,
    /// How many tasks deliver or wait to.
    pending: watch::Sender<usize>,
    clock: Clock,
    observer: OnceLock<Observer>,
}

/// Is shown each event, with its body, when it comes in and whenever something about it changes.
struct Observer(Box<Observe>);

type Observe = dyn Fn(&Event, &Bytes) + Send + Sync;

impl fmt::Debug for Observer {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Observer")
    }
}

/// A task that has not ended. Being dropped, even by an abort, is its end.
struct Pending(watch::Sender<usize>);

impl Drop for Pending {
    fn drop(&mut self) {
        self.0.send_modify(|n_pending| *n_pending -= 1);
    }
}

impl Engine {
    /// An engine without events.
    pub fn new(connection: Connection, destination: Destination) -> Self {
        Self(Arc::new(Shared {
            clock: connection.clock,
            slots: connection.concurrency.map(Semaphore::new),
            state: Mutex::new(State::new(connection)),
            destination,
            pending: watch::Sender::new(0),
            observer: OnceLock::new(),
        }))
    }

    /// Shows this function each event, with its body, when it comes in and after each change of it.
    /// It must be quick and must not call the engine, which waits for it. A second one is not used.
    pub fn observe(&self, observer: impl Fn(&Event, &Bytes) + Send + Sync + 'static) {
        let _second = self.0.observer.set(Observer(Box::new(observer)));
    }

    /// Changes the connection for the attempts to come, but not its concurrency and clock.
    pub fn change(&self, change: impl FnOnce(&mut Connection)) {
        change(&mut self.state().connection);
    }

    /// Receives a request of the provider and begins to deliver it, or holds it while paused.
    /// Called twice with the same body it makes two events, delivered at the same moment.
    pub fn ingest(&self, headers: HeaderMap, body: Bytes) -> EventId {
        let mut state = self.state();
        let is_paused = state.is_paused;
        let index = state.events.len();
        let is_wanted = state.connection.wants(&body);
        let mut record = Record::new(index, headers, body, self.0.clock.now());
        let id = record.event.id.clone();
        if !is_wanted {
            record.event.status = EventStatus::Filtered;
        } else if !is_paused {
            self.launch(&mut record, index, Trigger::Initial);
        }
        self.show(&record);
        state.events.push(record);
        id
    }

    /// Delivers each of the next `n_attempts` attempts twice at the same moment: same number, same
    /// headers. The answer to the first copy counts; the second ignores the concurrency.
    pub fn duplicate(&self, n_attempts: u32) {
        self.state().n_to_duplicate = n_attempts;
    }

    /// Retries an event manually, even a successful one. A success cancels its schedule;
    /// a failure leaves it alone, unless it says `Retry-After: -1`. It never begins a new one (unknown of
    /// the real service).
    ///
    /// # Panics
    ///
    /// If the event is not one of this engine.
    pub fn retry(&self, id: &EventId) {
        let mut state = self.state();
        let index = state.index(id);
        self.launch(&mut state.events[index], index, Trigger::Manual);
        self.show(&state.events[index]);
    }

    /// Cancels an event that waits for an attempt: no automatic attempt follows.
    ///
    /// # Panics
    ///
    /// If the event is not one of this engine.
    pub fn cancel(&self, id: &EventId) {
        let mut state = self.state();
        let index = state.index(id);
        let record = &mut state.events[index];
        record.unschedule();
        if matches!(record.event.status, EventStatus::Scheduled | EventStatus::Hold) {
            record.event.status = EventStatus::Cancelled;
        }
        self.show(record);
    }

    /// Holds back new events and retries that come due. Attempts under way go on.
    pub fn pause(&self) {
        self.state().is_paused = true;
    }

    /// Delivers what was held back.
    pub fn unpause(&self) {
        let mut state = self.state();
        state.is_paused = false;
        for (index, record) in state.events.iter_mut().enumerate() {
            if record.event.status == EventStatus::Hold {
                self.launch(record, index, Trigger::Unpause);
                self.show(record);
            }
        }
    }

    /// Waits until nothing is being delivered or scheduled. Events on hold do not count, and neither
    /// does what a destination still does after its timeout.
    pub async fn settle(&self) {
        let mut pending = self.0.pending.subscribe();
        // It cannot close: the sender is ours.
        let _ = pending.wait_for(|n_pending| *n_pending == 0).await;
    }

    /// All events, in order of arrival.
    pub fn events(&self) -> Vec<Event> {
        let state = self.state();
        state.events.iter().map(|record| record.event.clone()).collect()
    }

    fn launch(&self, record: &mut Record, index: usize, trigger: Trigger) {
        record.event.status = EventStatus::Queued;
        let pending = self.pending();
        let engine = self.clone();
        tokio::spawn(async move {
            engine.attempt(index, trigger).await;
            drop(pending);
        });
    }

    fn schedule(&self, record: &mut Record, index: usize, delay: Duration) {
        record.unschedule();
        record.event.status = EventStatus::Scheduled;
        record.n_retries += 1;
        let pending = self.pending();
        let engine = self.clone();
        let task = tokio::spawn(async move {
            sleep(delay).await;
            if engine.is_still_due(index) {
                engine.attempt(index, Trigger::Automatic).await;
            }
            drop(pending);
        });
        record.scheduled = Some(task.abort_handle());
    }

    /// A retry that was cancelled at the last moment is not made; one that comes due in a pause is held.
    fn is_still_due(&self, index: usize) -> bool {
        let mut state = self.state();
        let is_paused = state.is_paused;
        let record = &mut state.events[index];
        if record.scheduled.take().is_none() {
            return false;
        }
        record.event.status = if is_paused { EventStatus::Hold } else { EventStatus::Queued };
        self.show(record);
        !is_paused
    }

    async fn attempt(&self, index: usize, trigger: Trigger) {
        let slot = match &self.0.slots {
            Some(slots) => slots.acquire().await.ok(),
            None => None,
        };
        let turn = self.state().take_turn();
        if let Some(turn) = turn {
            sleep_until(turn).await;
        }
        let delivery = self.state().begin(index, trigger);
        let Delivery { request, number, limit, is_duplicated } = delivery;
        let started = self.0.clock.now();
        let (answered, copy) = if is_duplicated {
            let (first, copy) =
                tokio::join!(self.send(request.clone(), limit), self.send(request, limit));
            (first, Some(copy))
        } else {
            (self.send(request, limit).await, None)
        };
        drop(slot);

        let mut state = self.state();
        let state = &mut *state;
        let connection = &state.connection;
        let record = &mut state.events[index];
        let started_after = started.saturating_sub(record.came_in);
        let next_in = self.decide(connection, record, trigger, &answered);
        let scale = connection.time_scale;
        let first = Attempt::new(number, trigger, started_after, answered, next_in);
        self.conclude(record, index, &first, scale);
        record.event.attempts.push(first);
        if let Some(copy) = copy {
            let copy = Attempt::new(number, trigger, started_after, copy, None);
            record.event.attempts.push(copy);
        }
        self.show(record);
    }

    /// On tokio's clock, so a paused clock takes no time. The call is a task of its own, because a
    /// destination does not notice that Hookdeck has given up.
    async fn send(&self, request: Request<Bytes>, limit: Duration) -> Answered {
        let call = tokio::spawn(self.0.destination.clone().oneshot(request));
        match timeout(limit, call).await {
            Err(_) => Err(AttemptError::Timeout),
            Ok(Err(panic)) => Err(AttemptError::Connection(panic.to_string())),
            Ok(Ok(answer)) => answer.map_err(|error| AttemptError::Connection(error.to_string())),
        }
    }

    fn decide(
        &self,
        connection: &Connection,
        record: &mut Record,
        trigger: Trigger,
        answered: &Answered,
    ) -> Option<Duration> {
        let answer = answered.as_ref().ok();
        let retry_after = answer
            .and_then(|answer| answer.headers().get(RETRY_AFTER)?.to_str().ok())
            .and_then(|value| RetryAfter::read(value, self.0.clock.now()));
        let status = answer.map(|answer| answer.status().as_u16());
        if status.is_some_and(is_success) || retry_after == Some(RetryAfter::Never) {
            record.unschedule();
        }
        if trigger == Trigger::Manual {
            return None;
        }
        next_delay(
            connection.retry.as_ref(),
            connection.retries_without_status,
            record.n_retries,
            status,
            retry_after,
        )
    }

    fn conclude(&self, record: &mut Record, index: usize, attempt: &Attempt, scale: f64) {
        if let Some(delay) = attempt.next_in {
            self.schedule(record, index, delay.div_f64(scale));
            return;
        }
        record.event.status = match (attempt.status, &record.scheduled) {
            (Some(status), _) if is_success(status) => EventStatus::Successful,
            (_, Some(_)) => EventStatus::Scheduled,
            (_, None) => EventStatus::Failed,
        };
    }

    fn show(&self, record: &Record) {
        if let Some(Observer(observe)) = self.0.observer.get() {
            observe(&record.event, &record.body);
        }
    }

    fn pending(&self) -> Pending {
        self.0.pending.send_modify(|n_pending| *n_pending += 1);
        Pending(self.0.pending.clone())
    }

    /// Never held over an await.
    fn state(&self) -> MutexGuard<'_, State> {
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
