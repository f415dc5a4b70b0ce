//! What an instance stores, its rules, and its rate limits.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::ops::Bound::{Excluded, Unbounded};
use std::time::Duration;

use serde_json::Value;

use super::error;
use super::options::Options;
use super::query::{Filter, Page};
use super::user::User;
use crate::clerk::event::{self, SignUp, USER_LAG_MS};
use crate::service::ErrorResponse;

/// The time that a rate limit is for.
const WINDOW: Duration = Duration::from_secs(10);

/// The instance.
#[derive(Debug, Default)]
pub struct Instance {
    pub(super) options: Options,
    pub(super) events: Vec<Vec<u8>>,
    users: BTreeMap<String, User>,
    /// When each user was created, and the id: the order of a list, so that a page of a long one is found at once.
    by_creation: BTreeSet<(u64, String)>,
    requests: Window,
    changes: HashMap<String, Window>,
}

/// What is counted towards a rate limit, from the first request on. When the service's 10 seconds begin is unknown.
#[derive(Clone, Copy, Debug, Default)]
struct Window {
    began: Duration,
    count: u32,
}

impl Window {
    /// Counts one request, or refuses it with the time to wait. A refused request does not count.
    fn count(&mut self, most: Option<u32>, now: Duration) -> Result<(), ErrorResponse> {
        if self.count == 0 || now >= self.began + WINDOW {
            *self = Self { began: now, count: 0 };
        }
        if most.is_some_and(|most| self.count >= most) {
            let rest = (self.began + WINDOW).saturating_sub(now);
            let seconds = rest.as_secs() + u64::from(rest.subsec_nanos() > 0);
            return Err(error::too_many_requests(seconds));
        }
        self.count = self.count.saturating_add(1);
        Ok(())
    }
}

impl Instance {
    /// Counts a request towards the limit of the whole API.
    pub(super) fn count_request(&mut self) -> Result<(), ErrorResponse> {
        self.requests.count(self.options.most_requests, self.options.clock.now())
    }

    pub(super) fn user(&self, user_id: &str) -> Result<&User, ErrorResponse> {
        self.users.get(user_id).ok_or_else(|| error::unknown_user(user_id))
    }

    pub(super) fn page(&self, page: &Page) -> Result<Vec<&User>, ErrorResponse> {
        // What the service answers to a cursor that was deleted is unknown.
        let gone = |_| error::wrong_value("starting_after", "there is no such user");
        let cursor = page.starting_after.as_deref().map(|id| self.user(id).map_err(gone));
        let cursor = cursor.transpose()?;
        if !page.is_by_creation() {
            return Ok(page.sorted(self.users.values()));
        }
        let after = cursor.map_or(Unbounded, |user| Excluded(creation(user)));
        let user = |(_, id): &(u64, String)| self.users.get(id);
        Ok(if page.is_descending {
            page.of(self.by_creation.range((Unbounded, after)).rev().filter_map(user))
        } else {
            page.of(self.by_creation.range((after, Unbounded)).filter_map(user))
        })
    }

    pub(super) fn count(&self, filter: &Filter) -> usize {
        self.users.values().filter(|user| filter.admits(user)).count()
    }

    /// Changes a user, which is limited for each, and records the event. `user_agent` is the client's program.
    pub(super) fn change(
        &mut self,
        user_id: &str,
        user_agent: &str,
        change: impl FnOnce(&mut SignUp, &Options) -> Result<(), ErrorResponse>,
    ) -> Result<Value, ErrorResponse> {
        let now = self.options.clock.now();
        let window = self.changes.entry(user_id.to_owned()).or_default();
        window.count(self.options.most_changes, now)?;
        let mut sign_up = self.user(user_id)?.sign_up.clone();
        change(&mut sign_up, &self.options)?;
        let user = User { sign_up, updated_at: milliseconds(now) };
        let object = user.object();
        self.users.insert(user_id.to_owned(), user);
        self.record_event("user.updated", &object, user_agent);
        Ok(object)
    }

    /// Deletes a user and records the event.
    pub(super) fn delete(
        &mut self,
        user_id: &str,
        user_agent: &str,
    ) -> Result<Value, ErrorResponse> {
        self.remove(user_id).ok_or_else(|| error::unknown_user(user_id))?;
        let deleted = event::deleted(user_id);
        self.record_event("user.deleted", &deleted, user_agent);
        Ok(deleted)
    }

    /// Stores a user, and tells whether the id was free.
    pub(super) fn insert(&mut self, sign_up: SignUp) -> bool {
        let user = User { updated_at: sign_up.stored_at(), sign_up };
        self.by_creation.insert(creation(&user));
        self.users.insert(user.sign_up.user_id.clone(), user).is_none()
    }

    pub(super) fn user_mut(&mut self, user_id: &str) -> Option<&mut User> {
        self.users.get_mut(user_id)
    }

    pub(super) fn remove(&mut self, user_id: &str) -> Option<User> {
        let user = self.users.remove(user_id)?;
        self.by_creation.remove(&creation(&user));
        Some(user)
    }

    /// An event that a call of the API causes has no client address, but the client's program.
    fn record_event(&mut self, kind: &str, data: &Value, user_agent: &str) {
        let timestamp_ms = milliseconds(self.options.clock.now()) + USER_LAG_MS;
        let instance_id = Some(&*self.options.instance_id);
        let event = event::envelope(kind, timestamp_ms, data, Some(("", user_agent)), instance_id);
        self.events.push(event);
    }
}

/// The place of a user in [`Instance::by_creation`].
fn creation(user: &User) -> (u64, String) {
    (user.sign_up.created_at(), user.sign_up.user_id.clone())
}

fn milliseconds(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}
