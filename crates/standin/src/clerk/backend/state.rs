//! All that an instance has stored, and the rules that hold for the whole of it.

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::Value;

use super::limit::Limits;
use super::options::Options;
use super::query::{Filter, Page};
use super::refusal::Refusal;
use crate::clerk::SignUp;
use crate::clerk::event::{self, USER_LAG_MS};
use crate::id;

/// Everything stored.
#[derive(Debug)]
pub(super) struct State {
    pub(super) options: Options,
    pub(super) events: Vec<Vec<u8>>,
    users: BTreeMap<String, User>,
    limits: Limits,
    n_requests: u64,
}

/// A user: the sign-up, with what was changed since.
#[derive(Debug)]
pub(super) struct User {
    pub(super) sign_up: SignUp,
    /// In milliseconds since the Unix epoch.
    pub(super) updated_at: u64,
}

impl User {
    /// The user object (section 3).
    pub(super) fn object(&self) -> Value {
        let mut object = self.sign_up.user();
        object["updated_at"] = self.updated_at.into();
        object
    }
}

impl State {
    pub(super) fn new(options: Options) -> Self {
        Self {
            options,
            events: Vec::new(),
            users: BTreeMap::new(),
            limits: Limits::default(),
            n_requests: 0,
        }
    }

    /// `clerk_trace_id` of a request.
    pub(super) fn trace_id(&mut self) -> String {
        self.n_requests += 1;
        id::text(b"0123456789abcdef", 32, &format!("clerk request {}", self.n_requests))
    }

    /// Counts a request towards the limit of the whole API.
    pub(super) fn admit(&mut self) -> Result<(), Refusal> {
        let now = self.now();
        let admitted = self.limits.whole.take(self.options.most_requests, now);
        admitted.map_err(Refusal::too_many_requests)
    }

    /// The user, or the refusal for one that is not there.
    pub(super) fn known(&self, user_id: &str) -> Result<&User, Refusal> {
        self.users.get(user_id).ok_or_else(|| Refusal::unknown_user(user_id))
    }

    pub(super) fn page(&self, page: &Page) -> Result<Vec<&User>, Refusal> {
        // What a cursor that was deleted does is unknown; the contract is prepared for a refusal.
        let gone = |_| Refusal::wrong_value("starting_after", "there is no such user");
        let cursor = page.starting_after.as_deref().map(|id| self.known(id).map_err(gone));
        Ok(page.of(self.users.values(), cursor.transpose()?))
    }

    pub(super) fn count(&self, filter: &Filter) -> usize {
        self.users.values().filter(|user| filter.admits(user)).count()
    }

    /// Changes a user, which is limited for each, and tells of it. `user_agent` is the program that asks.
    pub(super) fn change(
        &mut self,
        user_id: &str,
        user_agent: &str,
        change: impl FnOnce(&SignUp, &Options) -> Result<SignUp, Refusal>,
    ) -> Result<Value, Refusal> {
        let now = self.now();
        let window = self.limits.users.entry(user_id.to_owned()).or_default();
        window.take(self.options.most_changes, now).map_err(Refusal::too_many_requests)?;
        let sign_up = change(&self.known(user_id)?.sign_up, &self.options)?;
        let user = User { sign_up, updated_at: milliseconds(now) };
        let object = user.object();
        self.users.insert(user_id.to_owned(), user);
        self.tell("user.updated", &object, user_agent);
        Ok(object)
    }

    /// Deletes a user and tells of it.
    pub(super) fn delete(&mut self, user_id: &str, user_agent: &str) -> Result<Value, Refusal> {
        self.remove(user_id).ok_or_else(|| Refusal::unknown_user(user_id))?;
        let deleted = event::deleted(user_id);
        self.tell("user.deleted", &deleted, user_agent);
        Ok(deleted)
    }

    /// Stores a user whose id is free, and tells whether it was.
    pub(super) fn insert(&mut self, sign_up: SignUp) -> bool {
        let user = User { updated_at: sign_up.stored_at(), sign_up };
        self.users.insert(user.sign_up.user_id.clone(), user).is_none()
    }

    pub(super) fn user_mut(&mut self, user_id: &str) -> Option<&mut User> {
        self.users.get_mut(user_id)
    }

    pub(super) fn remove(&mut self, user_id: &str) -> Option<User> {
        self.users.remove(user_id)
    }

    /// The event that a call of the API causes: without an address, with the caller's program (section 4).
    fn tell(&mut self, kind: &str, data: &Value, user_agent: &str) {
        let timestamp_ms = milliseconds(self.now()) + USER_LAG_MS;
        let instance_id = Some(&*self.options.instance_id);
        let event = event::envelope(kind, timestamp_ms, data, Some(("", user_agent)), instance_id);
        self.events.push(event);
    }

    fn now(&self) -> Duration {
        self.options.clock.now()
    }
}

fn milliseconds(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}
