//! What really happens in a run, whatever the function learns of it: which delivery creates and
//! removes which database, and what Clerk responded to it before.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use fastrand::Rng;
use http::{HeaderName, Method, Request, Response, StatusCode};
use serde_json::Value;
use standin::interceptor::Observer;

use super::counts::Counts;
use super::users::{EventType, User};

tokio::task_local! {
    /// The index of the delivery that is being handled.
    pub(super) static DELIVERY: usize;
}

/// Names on every request the delivery that sends it.
pub(super) const HEADER: HeaderName = HeaderName::from_static("x-simulated-delivery");

#[derive(Debug, Default)]
pub(super) struct Record {
    /// Draws the faults of deliveries.
    pub(super) rng: Rng,
    /// The user and the type of each event, by Hookdeck's id.
    pub(super) events: BTreeMap<String, (usize, EventType)>,
    pub(super) deliveries: Vec<Delivery>,
    pub(super) users: Vec<UserRecord>,
    pub(super) counts: Counts,
    pub(super) violations: Vec<String>,
    /// Orders creates and look-ups.
    n_observed: u64,
}

/// One delivery to the function.
#[derive(Debug, Default)]
pub(super) struct Delivery {
    pub(super) user: usize,
    pub(super) event_type: EventType,
    /// The function neither asks Clerk nor looks for a database before it creates one.
    pub(super) is_fresh: bool,
    /// The user was deleted before the delivery began.
    pub(super) began_after_deletion: bool,
    /// Clerk has confirmed to it that the user exists.
    is_user_confirmed: bool,
    /// How many databases of the user had been removed when it began.
    n_removed_before: usize,
    /// When it looked for the database in each project.
    looked_at: BTreeMap<String, u64>,
}

#[derive(Debug, Default)]
pub(super) struct UserRecord {
    id: String,
    pub(super) is_deleted: bool,
    /// A deletion is acknowledged: the user has no database any more.
    pub(super) is_deletion_acknowledged: bool,
    /// From the sign-up to the first response that the user has a database.
    pub(super) time_to_success: Option<Duration>,
    pub(super) databases: Vec<CreatedDatabase>,
    /// The user is deleted, and ends with a database all the same.
    pub(super) is_left_behind: bool,
}

#[derive(Debug)]
pub(super) struct CreatedDatabase {
    id: String,
    project: String,
    created_at: u64,
    /// Created for a deleted user, by a delivery to which Clerk had confirmed the user before.
    pub(super) is_late: bool,
    is_removed: bool,
}

/// The record of a run. Clones share it.
#[derive(Clone, Debug)]
pub(super) struct SharedRecord(Arc<Mutex<Record>>);

impl SharedRecord {
    pub(super) fn new(seed: u64, users: &[User]) -> Self {
        let users = users.iter().map(|it| UserRecord { id: it.id.clone(), ..Default::default() });
        let rng = Rng::with_seed(seed ^ 2);
        Self(Arc::new(Mutex::new(Record { rng, users: users.collect(), ..Record::default() })))
    }

    /// Never held over an await, nor during a request to Xata or Clerk.
    pub(super) fn lock(&self) -> MutexGuard<'_, Record> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Record {
    /// Returns the index of the delivery that begins.
    pub(super) fn begin(&mut self, user: usize, event_type: EventType, is_fresh: bool) -> usize {
        let user_record = &self.users[user];
        self.deliveries.push(Delivery {
            user,
            event_type,
            is_fresh,
            began_after_deletion: user_record.is_deleted,
            n_removed_before: user_record.n_removed(),
            ..Delivery::default()
        });
        self.deliveries.len() - 1
    }

    /// Clerk has responded to a delivery.
    pub(super) fn on_clerk(&mut self, delivery: usize, is_user_check: bool, status: StatusCode) {
        let delivery = &mut self.deliveries[delivery];
        delivery.is_user_confirmed |= is_user_check && status.is_success();
    }

    pub(super) fn add_violation(&mut self, user: usize, text: &str) {
        let user_id = &self.users[user].id;
        self.violations.push(format!("{user_id}: {text}"));
    }

    /// Whether this database was created late, after the delivery had looked for it in its project.
    pub(super) fn was_created_after_look_up(&self, delivery: usize, id: Option<&str>) -> bool {
        let Delivery { user, looked_at, .. } = &self.deliveries[delivery];
        self.users[*user].late(id).is_some_and(|database| {
            looked_at.get(&database.project).is_some_and(|at| database.created_at > *at)
        })
    }

    /// Whether a database of the user was removed since this delivery began.
    pub(super) fn was_removed_since(&self, delivery: usize) -> bool {
        let Delivery { user, n_removed_before, .. } = self.deliveries[delivery];
        self.users[user].n_removed() > n_removed_before
    }

    /// Only two kinds of deliveries may create a database of a deleted user: a fresh one before a
    /// deletion is complete, and one to which Clerk had confirmed the user.
    fn on_create(&mut self, delivery: usize, project: &str, id: &str) {
        let Delivery { user, event_type, is_fresh, is_user_confirmed, .. } =
            self.deliveries[delivery];
        let user_record = &mut self.users[user];
        let is_late = user_record.is_deleted && !is_fresh && is_user_confirmed;
        let is_early =
            is_fresh && !user_record.is_deletion_acknowledged && user_record.n_removed() == 0;
        user_record.databases.push(CreatedDatabase {
            id: id.to_owned(),
            project: project.to_owned(),
            created_at: self.n_observed,
            is_late,
            is_removed: false,
        });
        let is_allowed = !user_record.is_deleted || is_late || is_early;
        if event_type != EventType::Created || !is_allowed {
            self.add_violation(user, "a database was created for a deleted user");
        }
    }

    fn on_remove(&mut self, delivery: usize, id: &str) {
        let Delivery { user, event_type, .. } = self.deliveries[delivery];
        let user_record = &mut self.users[user];
        // Two deletions at once park the same database twice.
        let removed = user_record.databases.iter_mut().find(|it| it.id == id);
        let is_own = removed.map(|it| it.is_removed = true).is_some();
        if !is_own || event_type != EventType::Deleted || !user_record.is_deleted {
            self.add_violation(user, &format!("the database {id} was removed"));
        }
    }
}

impl UserRecord {
    pub(super) fn n_removed(&self) -> usize {
        self.databases.iter().filter(|it| it.is_removed).count()
    }

    /// The database of this id, if it was created late.
    pub(super) fn late(&self, id: Option<&str>) -> Option<&CreatedDatabase> {
        self.databases.iter().find(|it| it.is_late && Some(&*it.id) == id)
    }
}

/// Records what Xata does, whatever the function learns of it.
impl Observer for SharedRecord {
    fn on_request(&self, _: &Request<Bytes>) {}

    fn on_response(&self, request: &Request<Bytes>, response: &Response<Bytes>) {
        let header = request.headers().get(&HEADER).filter(|_| response.status().is_success());
        let delivery = header.and_then(|it| it.to_str().ok()?.parse::<usize>().ok());
        let Some(delivery) = delivery else { return };
        let mut record = self.lock();
        record.n_observed += 1;
        // …/projects/{project}/branches, and for one branch /{id}
        let path: Vec<_> = request.uri().path().split('/').collect();
        match (request.method(), &path[..]) {
            (&Method::GET, [.., project, "branches"]) => {
                let n_observed = record.n_observed;
                let delivery = &mut record.deliveries[delivery];
                if delivery.event_type == EventType::Created {
                    return; // of interest for deletions only, and there can be millions
                }
                delivery.looked_at.insert((*project).to_owned(), n_observed);
            }
            (&Method::POST, [.., project, "branches"]) => {
                let branch: Value = serde_json::from_slice(response.body()).unwrap_or_default();
                record.on_create(delivery, project, branch["id"].as_str().unwrap_or_default());
            }
            (&Method::PATCH | &Method::DELETE, [.., "branches", id]) => {
                record.on_remove(delivery, id);
            }
            _ => {}
        }
    }
}
