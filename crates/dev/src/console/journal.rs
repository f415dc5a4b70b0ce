//! The rows, the databases and the counts, and the messages of the stream about them.
//!
//! Each change takes constant time. The databases are read from the stand-in a few times a second, and
//! not for each event.

use std::collections::{HashMap, HashSet, VecDeque};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use bytes::Bytes;
use serde::Serialize;
use serde_json::{Value, json};
use standin::hookdeck::{AttemptError, Event, EventId, EventStatus};
use tokio::sync::watch;

use super::counts::{Counts, Next, Stored, Tally};
use super::databases::{Database, Listed};
use super::history::History;
use super::places;
use super::trace::Call;

/// How many rows, and how many databases, a snapshot has.
const SHOWN: usize = 500;

/// How many events are kept. Older ones that are over are forgotten.
const KEPT: usize = 2_000;

/// How many changes of rows become messages at once between two flushes. The others are sent with the
/// next flush, one message for each row.
const PROMPT: usize = 50;

/// The databases are read so often while something changes, and for so long after a change: what a
/// service does after its client has hung up comes late.
const READ_INTERVAL: Duration = Duration::from_millis(250);
const READ_ON: Duration = Duration::from_secs(3);

/// The databases are read so often in any case: another program may change them.
const IDLE_INTERVAL: Duration = Duration::from_secs(2);

/// Where a delivery is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Stage {
    /// Waiting.
    Hookdeck,
    /// The function works on it.
    Function,
    /// A request to Xata is under way.
    Xata,
    /// A request to Clerk is under way.
    Clerk,
    /// It is over.
    Done,
}

/// One event of Hookdeck.
#[derive(Clone, Serialize)]
pub(super) struct Row {
    id: String,
    #[serde(rename = "type")]
    kind: String,
    pub(super) user: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    name: String,
    from: String,
    at: u64,
    status: &'static str,
    stage: Stage,
    attempts: u32,
    http_status: Option<u16>,
    retry_after: Option<String>,
    next_at: Option<u64>,
    outcome: Option<String>,
    reason: Option<String>,
    region: Option<String>,
    placement: Option<String>,
    took_ms: Option<u64>,
}

/// One delivery of an event.
#[derive(Clone, Serialize)]
pub(super) struct Attempt {
    pub(super) number: u32,
    pub(super) trigger: String,
    pub(super) at: u64,
    pub(super) duration_ms: Option<u64>,
    pub(super) request: Value,
    pub(super) status: Option<u16>,
    pub(super) error: Option<String>,
    pub(super) response: Option<Value>,
    pub(super) calls: Vec<Call>,
    pub(super) log: Option<Value>,
    pub(super) next_in_ms: Option<u64>,
}

/// How a delivery ended.
pub(super) struct Answer {
    pub(super) status: Option<u16>,
    pub(super) error: Option<String>,
    pub(super) headers: Vec<(String, String)>,
    pub(super) body: String,
    pub(super) duration_ms: u64,
    pub(super) calls: Vec<Call>,
    pub(super) log: Option<Value>,
}

struct Entry {
    row: Row,
    id: EventId,
    body: Bytes,
    attempts: Vec<Attempt>,
    /// How many ended attempts of the engine have been seen.
    n_ended: usize,
    is_changed: bool,
}

/// A user at Clerk, as far as the page knows.
#[derive(Default)]
struct User {
    /// When a sign-up was first acknowledged.
    acknowledged: Option<Instant>,
    is_deleted: bool,
    has_entry: bool,
    n_databases: usize,
}

/// What the stand-ins answer when the databases are read.
pub(super) struct Reading<'a> {
    pub(super) began: Instant,
    /// In order of creation.
    pub(super) databases: Vec<Listed>,
    /// The directory entry of a user; none where Clerk does not know the user.
    pub(super) entry: &'a dyn Fn(&str) -> Option<Value>,
    /// How to connect to a database.
    pub(super) connect: &'a dyn Fn(&str) -> Option<String>,
}

/// Everything that the page shows.
pub(super) struct Journal {
    state: Mutex<State>,
    last: watch::Sender<u64>,
}

struct State {
    history: History,
    /// From the oldest on.
    order: VecDeque<String>,
    entries: HashMap<String, Entry>,
    n_events: u64,
    changed: Vec<String>,
    n_prompt: usize,
    listed: Vec<Listed>,
    databases: HashMap<String, Database>,
    users: HashMap<String, User>,
    /// The users whose entry may have changed, and when.
    touched: HashMap<String, Instant>,
    touched_at: Instant,
    read_at: Option<Instant>,
    counted_at: Option<Instant>,
    tally: Tally,
    counts: Counts,
    stored: Stored,
    runs: Vec<Value>,
    time_scale: f64,
}

impl Journal {
    pub(super) fn new(time_scale: f64) -> Self {
        // A number that no earlier process has given.
        let first = now_ms() * 1000;
        let (tally, now) = (Tally::default(), Instant::now());
        let counts = tally.counts(now_ms(), Stored::default());
        let state = State {
            history: History::new(first),
            order: VecDeque::new(),
            entries: HashMap::new(),
            n_events: 0,
            changed: Vec::new(),
            n_prompt: 0,
            listed: Vec::new(),
            databases: HashMap::new(),
            users: HashMap::new(),
            touched: HashMap::new(),
            touched_at: now,
            read_at: None,
            counted_at: None,
            tally,
            counts,
            stored: Stored::default(),
            runs: Vec::new(),
            time_scale,
        };
        Self { state: Mutex::new(state), last: watch::Sender::new(first) }
    }

    /// The number of the last message, as it grows.
    pub(super) fn subscribe(&self) -> watch::Receiver<u64> {
        self.last.subscribe()
    }

    /// The messages after this number, and the number of the last of them.
    pub(super) fn after(&self, number: u64) -> (Bytes, u64) {
        self.state().history.after(number)
    }

    /// Sends a message of this kind.
    pub(super) fn tell(&self, event: &str, data: &impl Serialize) {
        self.change(|state| state.history.push(event, data));
    }

    /// Divides the delays of the attempts to come.
    pub(super) fn set_time_scale(&self, time_scale: f64) {
        self.state().time_scale = time_scale;
    }

    /// A snapshot: the number of the last message that it contains, and its members.
    pub(super) fn snapshot(&self) -> Value {
        let state = self.state();
        let rows = state.order.iter().rev().take(SHOWN).filter_map(|id| state.entries.get(id));
        let databases = state.listed.iter().rev().take(SHOWN);
        json!({
            "sequence": state.history.last(),
            "now": now_ms(),
            "rows": rows.map(|entry| &entry.row).collect::<Vec<_>>(),
            "rows_total": state.n_events,
            "databases": databases.filter_map(|it| state.databases.get(&it.id)).collect::<Vec<_>>(),
            "databases_total": state.databases.len(),
            "counts": state.tally.counts(now_ms(), state.stored.clone()),
            "runs": state.runs,
        })
    }

    /// All about one event.
    pub(super) fn detail(&self, id: &str) -> Option<Value> {
        let state = self.state();
        let entry = state.entries.get(id)?;
        Some(json!({
            "row": entry.row,
            "body": String::from_utf8_lossy(&entry.body),
            "attempts": entry.attempts,
        }))
    }

    /// The id and the body of an event.
    pub(super) fn event(&self, id: &str) -> Option<(EventId, Bytes)> {
        let state = self.state();
        state.entries.get(id).map(|entry| (entry.id.clone(), entry.body.clone()))
    }

    /// The body of the oldest sign-up; of a deleted user, if there is one.
    pub(super) fn old_sign_up(&self) -> Option<Bytes> {
        let state = self.state();
        let sign_ups = || {
            let entries = state.order.iter().filter_map(|id| state.entries.get(id));
            entries.filter(|it| it.row.kind == "user.created")
        };
        let is_deleted =
            |it: &&Entry| state.users.get(&it.row.user).is_some_and(|user| user.is_deleted);
        let found = sign_ups().find(is_deleted).or_else(|| sign_ups().next());
        found.map(|it| it.body.clone())
    }

    /// Shows the runs of the fleet commands.
    pub(super) fn show_runs(&self, runs: Vec<Value>) {
        self.change(|state| {
            if state.runs != runs {
                state.history.push("runs", &json!({ "runs": runs }));
                state.runs = runs;
            }
        });
    }

    /// Something may have changed at the stand-ins; this user's entry, for example.
    pub(super) fn touch(&self, user: Option<&str>) {
        self.state().touch(user);
    }

    /// An event has come in, or something about it has changed.
    pub(super) fn observe(&self, event: &Event, body: &Bytes) {
        self.change(|state| state.observe(event, body));
    }

    /// Where a delivery is now.
    pub(super) fn stage(&self, event: &str, stage: Stage) {
        self.change(|state| {
            let Some(entry) = state.entries.get_mut(event) else { return };
            // Between two calls, the function takes no time.
            let is_shown = stage != Stage::Function && entry.row.stage != stage;
            entry.row.stage = stage;
            if is_shown {
                state.publish(event);
            }
        });
    }

    /// A delivery begins. The result is its index among those of the event.
    pub(super) fn begin(&self, event: &str, attempt: Attempt) -> Option<usize> {
        self.change(|state| {
            let entry = state.entries.get_mut(event)?;
            entry.row.attempts = entry.row.attempts.max(attempt.number);
            entry.row.stage = Stage::Function;
            entry.row.next_at = None;
            entry.attempts.push(attempt);
            let index = entry.attempts.len() - 1;
            state.publish(event);
            Some(index)
        })
    }

    /// A delivery has ended. Only the answer to the first of several copies counts for Hookdeck.
    pub(super) fn end(&self, event: &str, index: Option<usize>, is_first: bool, answer: Answer) {
        self.change(|state| state.end(event, index, is_first, answer));
    }

    /// Makes messages of the rows that have changed since the last time.
    pub(super) fn flush(&self) {
        self.change(State::flush);
    }

    /// Whether it is time to read the databases.
    pub(super) fn is_due(&self) -> bool {
        let state = self.state();
        let Some(since) = state.read_at.map(|at| at.elapsed()) else { return true };
        let is_creating = || state.listed.iter().rev().take(SHOWN).any(|it| it.state == "creating");
        let is_busy = || state.touched_at.elapsed() < READ_ON || is_creating();
        since >= IDLE_INTERVAL || since >= READ_INTERVAL && is_busy()
    }

    /// Compares what the stand-ins have with what was shown.
    pub(super) fn update(&self, reading: &Reading<'_>) {
        self.change(|state| state.update(reading));
    }

    fn change<T>(&self, change: impl FnOnce(&mut State) -> T) -> T {
        let mut state = self.state();
        let before = state.history.last();
        let result = change(&mut state);
        let last = state.history.last();
        drop(state);
        if last != before {
            // Two changes may come here in the wrong order.
            self.last.send_if_modified(|it| std::mem::replace(it, last.max(*it)) != last);
        }
        result
    }

    /// Never held over an await.
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn touch(&mut self, user: Option<&str>) {
        self.touched_at = Instant::now();
        if let Some(user) = user {
            self.touched.insert(user.to_owned(), self.touched_at);
        }
    }

    /// Sends a row as it is now, or with the next flush.
    fn publish(&mut self, event: &str) {
        let Some(entry) = self.entries.get_mut(event) else { return };
        if self.n_prompt < PROMPT {
            self.n_prompt += 1;
            self.history.push("row", &entry.row);
        } else if !std::mem::replace(&mut entry.is_changed, true) {
            self.changed.push(event.to_owned());
        }
    }

    fn flush(&mut self) {
        self.n_prompt = 0;
        for event in std::mem::take(&mut self.changed) {
            if let Some(entry) = self.entries.get_mut(&event) {
                entry.is_changed = false;
                self.history.push("row", &entry.row);
            }
        }
        self.publish_counts();
    }

    fn publish_counts(&mut self) {
        if self.counted_at.is_some_and(|at| at.elapsed() < READ_INTERVAL) {
            return;
        }
        let counts = self.tally.counts(now_ms(), self.stored.clone());
        if counts != self.counts {
            self.counts = counts;
            self.counted_at = Some(Instant::now());
            self.history.push("counts", &self.counts);
        }
    }

    fn observe(&mut self, event: &Event, body: &Bytes) {
        let id = event.id.as_ref();
        if !self.entries.contains_key(id) {
            self.insert(event, body);
        }
        let (now, scale) = (now_ms(), self.time_scale);
        let Some(entry) = self.entries.get_mut(id) else { return };
        let row = &mut entry.row;
        row.status = match event.status {
            EventStatus::Queued => "queued",
            EventStatus::Scheduled => "scheduled",
            EventStatus::Hold => "hold",
            EventStatus::Successful => "successful",
            EventStatus::Failed => "failed",
            EventStatus::Cancelled => "cancelled",
            EventStatus::Filtered => "filtered",
        };
        row.stage = match event.status {
            EventStatus::Queued | EventStatus::Scheduled | EventStatus::Hold => Stage::Hookdeck,
            _ => Stage::Done,
        };
        for ended in &event.attempts[entry.n_ended.min(event.attempts.len())..] {
            let next_in_ms = ended.next_in.map(milliseconds);
            if let Some(delay) = ended.next_in {
                row.next_at = Some(now + milliseconds(delay.div_f64(scale)));
            }
            let mut attempts = entry.attempts.iter_mut().rev();
            if let Some(attempt) = attempts.find(|it| it.number == ended.number) {
                attempt.next_in_ms = next_in_ms;
                if ended.error == Some(AttemptError::Timeout) {
                    attempt.error = Some("timeout".to_owned());
                }
            }
            self.tally.ended(
                now,
                match event.status {
                    EventStatus::Successful => Next::Nothing,
                    EventStatus::Failed => Next::GivenUp,
                    _ => Next::Retry,
                },
            );
        }
        entry.n_ended = event.attempts.len();
        if !matches!(event.status, EventStatus::Scheduled | EventStatus::Hold) {
            row.next_at = None;
        }
        self.publish(id);
    }

    fn insert(&mut self, event: &Event, body: &Bytes) {
        let read: Value = serde_json::from_slice(body).unwrap_or_default();
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let data = &read["data"];
        let name = format!("{} {}", text(&data["first_name"]), text(&data["last_name"]));
        let kind = text(&read["type"]);
        let user = if kind.starts_with("user.") { &data["id"] } else { &data["user_id"] };
        let client_ip = read["event_attributes"]["http_request"]["client_ip"].as_str();
        let row = Row {
            id: event.id.to_string(),
            kind,
            user: text(user),
            name: name.trim().to_owned(),
            from: places::label(client_ip.unwrap_or_default()),
            at: now_ms(),
            status: "queued",
            stage: Stage::Hookdeck,
            attempts: 0,
            http_status: None,
            retry_after: None,
            next_at: None,
            outcome: None,
            reason: None,
            region: None,
            placement: None,
            took_ms: None,
        };
        let entry = Entry {
            id: event.id.clone(),
            body: body.clone(),
            attempts: Vec::new(),
            n_ended: 0,
            is_changed: false,
            row,
        };
        if !entry.row.user.is_empty() {
            let user = self.users.entry(entry.row.user.clone()).or_default();
            user.is_deleted |= entry.row.kind == "user.deleted";
        }
        self.n_events += 1;
        self.order.push_back(entry.row.id.clone());
        self.entries.insert(entry.row.id.clone(), entry);
        while self.order.len() > KEPT
            && let Some(oldest) = self.order.front()
            && self.entries.get(oldest).is_none_or(|it| it.row.stage == Stage::Done)
        {
            self.entries.remove(oldest);
            self.order.pop_front();
        }
    }

    fn end(&mut self, event: &str, index: Option<usize>, is_first: bool, answer: Answer) {
        let now = now_ms();
        let body: Value = serde_json::from_str(&answer.body).unwrap_or_default();
        let outcome = body["status"].as_str().unwrap_or("no_answer");
        self.tally.outcome(outcome);
        let Some(entry) = self.entries.get_mut(event) else { return };
        let is_success = answer.status.is_some_and(|it| (200..300).contains(&it));
        let row = &mut entry.row;
        let is_sign_up = row.kind == "user.created";
        if is_sign_up {
            self.tally.sign_up_calls += answer.calls.len() as u64;
        }
        if is_success && row.took_ms.is_none() {
            let took_ms = now.saturating_sub(row.at);
            row.took_ms = Some(took_ms);
            self.tally.latency(took_ms);
            self.tally.sign_ups += u64::from(is_sign_up);
        }
        if is_success
            && is_sign_up
            && matches!(outcome, "created" | "exists")
            && let Some(user) = self.users.get_mut(&row.user)
        {
            user.acknowledged.get_or_insert_with(Instant::now);
        }
        if is_first {
            let log = answer.log.as_ref().unwrap_or(&Value::Null);
            let text = |value: &Value| value.as_str().map(str::to_owned);
            let placement = &body["placement"];
            row.http_status = answer.status;
            row.retry_after = answer
                .headers
                .iter()
                .find(|(name, _)| name == "retry-after")
                .map(|it| it.1.clone());
            row.outcome = text(&body["status"]);
            row.reason = text(&body["reason"]);
            row.region = text(&placement["region"]).or(text(&log["region"])).or(row.region.take());
            row.placement =
                text(&placement["reason"]).or(text(&log["placement"])).or(row.placement.take());
        }
        if let Some(attempt) = index.and_then(|index| entry.attempts.get_mut(index)) {
            attempt.duration_ms = Some(answer.duration_ms);
            attempt.status = answer.status;
            attempt.error = answer.error;
            let response = json!({ "headers": answer.headers, "body": answer.body });
            attempt.response = answer.status.map(|_| response);
            attempt.calls = answer.calls;
            attempt.log = answer.log;
        }
        let user = row.user.clone();
        self.touch(Some(&user));
        // The engine shows the event next, and then the row is sent.
    }

    fn update(&mut self, reading: &Reading<'_>) {
        self.read_at = Some(Instant::now());
        let before: HashMap<String, Listed> =
            std::mem::take(&mut self.listed).into_iter().map(|it| (it.id.clone(), it)).collect();
        for listed in &reading.databases {
            if before.get(&listed.id) != Some(listed) {
                self.touched.insert(listed.user.clone(), reading.began);
            }
        }
        let ids: HashSet<&str> = reading.databases.iter().map(|it| it.id.as_str()).collect();
        let is_gone = |id: &&String| !ids.contains(id.as_str());
        for id in self.databases.keys().filter(is_gone).cloned().collect::<Vec<_>>() {
            self.databases.remove(&id);
            self.history.push("gone", &json!({ "id": id }));
        }
        for user in self.users.values_mut() {
            user.n_databases = 0;
        }
        for listed in &reading.databases {
            if listed.state != "parked"
                && let Some(user) = self.users.get_mut(&listed.user)
            {
                user.n_databases += 1;
            }
            let shown = self.databases.get(&listed.id);
            if shown.is_some() && !self.touched.contains_key(&listed.user) {
                continue;
            }
            let entry = (reading.entry)(&listed.user);
            let connect = (reading.connect)(&listed.id);
            let database = Database::new(listed, entry.as_ref(), connect);
            if shown != Some(&database) {
                self.history.push("database", &database);
                self.databases.insert(listed.id.clone(), database);
            }
        }
        for name in self.touched.keys() {
            if let Some(user) = self.users.get_mut(name) {
                user.has_entry = (reading.entry)(name).is_some_and(|it| it.is_object());
            }
        }
        self.touched.retain(|_, at| at.elapsed() < READ_ON);
        self.listed.clone_from(&reading.databases);
        self.count(reading);
    }

    /// Counts what is stored. A sign-up that was acknowledged after the reading began may be missing in
    /// it, so it is left out.
    fn count(&mut self, reading: &Reading<'_>) {
        let present = || self.users.values().filter(|it| !it.is_deleted);
        let acknowledged =
            || present().filter(|it| it.acknowledged.is_some_and(|at| at < reading.began));
        self.stored = Stored {
            users: present().count(),
            databases: reading.databases.len(),
            entries: present().filter(|it| it.has_entry).count(),
            duplicates: self.users.values().filter(|it| it.n_databases > 1).count(),
            acknowledged_without_database: acknowledged().filter(|it| it.n_databases == 0).count(),
            acknowledged_without_entry: acknowledged().filter(|it| !it.has_entry).count(),
        };
        self.publish_counts();
    }
}

/// The server's clock.
pub(super) fn now_ms() -> u64 {
    since_epoch_ms(SystemTime::now())
}

pub(super) fn since_epoch_ms(time: SystemTime) -> u64 {
    milliseconds(time.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default())
}

pub(super) fn milliseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
