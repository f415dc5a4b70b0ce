//! What really happens in a world, seen from above: which delivery makes and takes away which
//! database, and what Clerk said to it before.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderName, Method, Request, Response, StatusCode};
use standin::gate::Observer;

use super::people::{Kind, SignUp};
use super::tally::Tally;

tokio::task_local! {
    /// The delivery that is being handled.
    pub(super) static DELIVERY: usize;
}

/// Says on every request which delivery it is made for.
pub(super) const HEADER: HeaderName = HeaderName::from_static("x-simulated-delivery");

/// What happened so far.
#[derive(Debug, Default)]
pub(super) struct Ledger {
    pub(super) deliveries: Vec<Delivery>,
    pub(super) users: Vec<User>,
    pub(super) tally: Tally,
    /// What must not have happened.
    pub(super) wrong: Vec<String>,
    /// Nothing goes wrong any more.
    pub(super) is_calm: bool,
    /// How many observations were made.
    n_seen: u64,
}

/// One delivery to the function.
#[derive(Debug)]
pub(super) struct Delivery {
    pub(super) user: usize,
    pub(super) kind: Kind,
    /// The first delivery of an event that has just happened: it asks nobody.
    pub(super) is_fresh: bool,
    /// The user had not left when it began.
    pub(super) began_in_time: bool,
    /// How many of its calls went wrong.
    pub(super) n_hindrances: u32,
    /// Clerk said to it that the user is there.
    knows: bool,
    /// How many databases of the user had been taken away when it began.
    n_taken_before: usize,
    /// When it read the list of a project.
    looked: BTreeMap<String, u64>,
}

/// What became of a user.
#[derive(Debug, Default)]
pub(super) struct User {
    id: String,
    pub(super) has_left: bool,
    /// A deletion was answered: there is no database any more.
    pub(super) is_parted: bool,
    /// From sign-up to the first answer that they have a database.
    pub(super) served: Option<Duration>,
    pub(super) databases: Vec<Made>,
    /// They have left, and end with a database all the same.
    pub(super) is_left_behind: bool,
}

/// A database that was made for a user.
#[derive(Debug)]
pub(super) struct Made {
    pub(super) id: String,
    project: String,
    at: u64,
    /// Made when the user had left, by a delivery to which Clerk had said before that they are
    /// there.
    pub(super) is_late: bool,
    pub(super) is_taken: bool,
}

/// The ledger, as all who write in it share it.
#[derive(Clone, Debug, Default)]
pub(super) struct SharedLedger(Arc<Mutex<Ledger>>);

impl SharedLedger {
    pub(super) fn new(sign_ups: &[SignUp]) -> Self {
        let user = |it: &SignUp| User { id: it.user_id.clone(), ..User::default() };
        let users = sign_ups.iter().map(user).collect();
        Self(Arc::new(Mutex::new(Ledger { users, ..Ledger::default() })))
    }

    /// Never held over an await, nor while Xata or Clerk is asked.
    pub(super) fn lock(&self) -> MutexGuard<'_, Ledger> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Ledger {
    /// A delivery begins. Returns its number.
    pub(super) fn begin(&mut self, user: usize, kind: Kind, is_fresh: bool) -> usize {
        let of = &self.users[user];
        self.deliveries.push(Delivery {
            user,
            kind,
            is_fresh,
            began_in_time: !of.has_left,
            n_hindrances: 0,
            knows: false,
            n_taken_before: of.n_taken(),
            looked: BTreeMap::new(),
        });
        self.deliveries.len() - 1
    }

    /// Clerk has answered; perhaps to the question whether the user is there.
    pub(super) fn heard(&mut self, delivery: usize, is_question: bool, status: StatusCode) {
        let delivery = &mut self.deliveries[delivery];
        delivery.knows |= is_question && status.is_success();
        delivery.n_hindrances += u32::from(status == StatusCode::TOO_MANY_REQUESTS);
    }

    pub(super) fn complain(&mut self, user: usize, what: &str) {
        let user_id = &self.users[user].id;
        self.wrong.push(format!("{user_id}: {what}"));
    }

    /// Whether what is there of this user was made after this delivery had looked for it, by one
    /// that had asked Clerk in time.
    pub(super) fn was_made_behind(&self, delivery: usize, id: &str) -> bool {
        let Delivery { user, looked, .. } = &self.deliveries[delivery];
        self.users[*user].databases.iter().any(|made| {
            made.id == id
                && made.is_late
                && looked.get(&made.project).is_some_and(|at| made.at > *at)
        })
    }

    /// Whether a database of the user was taken away since this delivery began.
    pub(super) fn was_taken_since(&self, delivery: usize) -> bool {
        let Delivery { user, n_taken_before, .. } = self.deliveries[delivery];
        self.users[user].n_taken() > n_taken_before
    }

    /// A database was made. Of somebody who has left only by a first delivery, before a deletion is
    /// through, or by one that Clerk had told that they are there.
    fn made(&mut self, delivery: usize, project: &str, id: String) {
        self.n_seen += 1;
        let Delivery { user, kind, is_fresh, knows, .. } = self.deliveries[delivery];
        let of = &mut self.users[user];
        let is_late = of.has_left && !is_fresh && knows;
        let is_early = is_fresh && !of.is_parted && of.n_taken() == 0;
        let (project, at) = (project.to_owned(), self.n_seen);
        of.databases.push(Made { id, project, at, is_late, is_taken: false });
        if kind != Kind::Created || (of.has_left && !is_late && !is_early) {
            self.complain(user, "a database was made for somebody who had left");
        }
    }

    fn taken(&mut self, delivery: usize, id: &str) {
        let Delivery { user, kind, .. } = self.deliveries[delivery];
        let of = &mut self.users[user];
        // Two deletions at once park the same one twice.
        let theirs = of.databases.iter_mut().find(|it| it.id == id);
        let is_theirs = theirs.map(|it| it.is_taken = true).is_some();
        if !is_theirs || kind != Kind::Deleted || !of.has_left {
            self.complain(user, &format!("{id} was taken away"));
        }
    }

    fn looked(&mut self, delivery: usize, project: &str) {
        self.n_seen += 1;
        self.deliveries[delivery].looked.insert(project.to_owned(), self.n_seen);
    }
}

impl User {
    pub(super) fn n_taken(&self) -> usize {
        self.databases.iter().filter(|it| it.is_taken).count()
    }
}

/// Writes down what Xata does, whatever the function hears of it.
impl Observer for SharedLedger {
    fn asked(&self, _: &Request<Bytes>) {}

    fn answered(&self, request: &Request<Bytes>, response: &Response<Bytes>) {
        let header = request.headers().get(&HEADER).and_then(|it| it.to_str().ok()?.parse().ok());
        let Some(delivery) = header else { return };
        // …/projects/{project}/branches, and perhaps /{id}
        let path: Vec<_> = request.uri().path().split('/').collect();
        let (project, id) = match path[..] {
            [.., project, "branches"] => (project, None),
            [.., project, "branches", id] => (project, Some(id)),
            _ => return,
        };
        if !response.status().is_success() {
            return;
        }
        let mut ledger = self.lock();
        match (request.method(), id) {
            (&Method::GET, None) => ledger.looked(delivery, project),
            (&Method::POST, None) => {
                let branch = serde_json::from_slice(response.body());
                let branch: serde_json::Value = branch.unwrap_or_default();
                let id = branch["id"].as_str().unwrap_or_default();
                ledger.made(delivery, project, id.to_owned());
            }
            (&Method::PATCH | &Method::DELETE, Some(id)) => ledger.taken(delivery, id),
            _ => {}
        }
    }
}
