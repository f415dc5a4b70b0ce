//! The invariants of a run: of each response when it is given, and of each user at the end.

use std::time::Duration;

use per_user_db::clerk::UserId;
use per_user_db::provision::{DELETION_DELAY, parse_parked_name};
use per_user_db::response::Response;
use per_user_db::worker::TIMEOUT;
use standin::xata::Database;

use super::fixture::Fixture;
use super::record::{Delivery, Record};
use super::users::{EventType, User};

/// The reasons of `misconfigured` that a faulty call explains.
const EXPLAINED_BY_FAULTS: [&str; 6] = [
    "access_denied",
    "clerk_key_refused",
    "clerk_metadata_full",
    "key_refused",
    "request_rejected",
    "standing_quota",
];

/// Checks a response when it is given.
pub(super) fn check_response(
    fixture: &Fixture,
    delivery: usize,
    response: &Response,
    elapsed: Duration,
) {
    let record = &mut *fixture.record.lock();
    let Delivery { user: index, event_type, .. } = record.deliveries[delivery];
    let (scenario, user) = (&fixture.scenario, &fixture.scenario.users[index]);
    let is_deleted = record.users[index].is_deleted;
    let since_sign_up = fixture.started_at.elapsed().saturating_sub(user.signed_up_at);
    let outcome = <&str>::from(response);
    let reason = response.reason().unwrap_or_default();
    let violation = match (event_type, outcome) {
        (EventType::Created, "created" | "exists") => {
            record.users[index].time_to_success.get_or_insert(since_sign_up);
            check_database(fixture, record, delivery)
        }
        (EventType::Created, "ignored") if reason == "user_gone" => {
            let is_known = is_deleted && scenario.has_clerk_key;
            (!is_known).then_some("the user exists, or Clerk was not asked")
        }
        (EventType::Deleted, "parked" | "removed" | "gone") => {
            let violation = check_deletion(fixture, record, delivery, outcome);
            record.users[index].is_deletion_acknowledged = true;
            violation
        }
        (EventType::Deleted, "retained") => is_deleted.then_some("the user is deleted"),
        (EventType::Deleted, "unavailable") if reason == "too_early" => {
            let is_early = since_sign_up < DELETION_DELAY && scenario.has_clerk_key;
            (!is_early).then_some("the deletion does not have to wait")
        }
        (_, "unavailable") => {
            ["internal_error", "too_early"].contains(&reason).then_some("unexpected")
        }
        (_, "misconfigured") => {
            let is_explained = scenario.fault_rate > 0.0 && EXPLAINED_BY_FAULTS.contains(&reason)
                || scenario.room.is_some() && reason == "standing_quota";
            (!is_explained).then_some("no fault explains it")
        }
        _ => Some("unexpected"),
    };
    let outcome = format!("{outcome} {reason}");
    let outcome = outcome.trim_end();
    if let Some(violation) = violation {
        let databases = fixture.databases(user);
        let text = format!("answered {outcome}: {violation}; its databases: {databases:?}");
        record.add_violation(index, &text);
    }
    if elapsed >= TIMEOUT {
        record.add_violation(index, &format!("answered after {elapsed:?}"));
    }
    let key = format!("{} {outcome}", response.status());
    *record.counts.responses.entry(key).or_default() += 1;
}

/// After `created` and `exists`, the database exists. With a key, the entry at Clerk names it, and the
/// user existed when the delivery began; without one, only a fresh delivery may respond so to the
/// event of a deleted user.
fn check_database(fixture: &Fixture, record: &Record, index: usize) -> Option<&'static str> {
    let delivery = &record.deliveries[index];
    let user = &fixture.scenario.users[delivery.user];
    let is_deleted = record.users[delivery.user].is_deleted;
    let existed = is_deleted && record.was_removed_since(index);
    let has_clerk_key = fixture.scenario.has_clerk_key;
    if !existed && !is_one_in_region(&fixture.databases(user), user) {
        Some("the database is not the only one, or not in its region")
    } else if delivery.began_after_deletion && (has_clerk_key || !delivery.is_fresh) {
        Some("the user was deleted before")
    } else if has_clerk_key && !is_deleted && !fixture.has_entry(user) {
        Some("the entry at Clerk does not name the database")
    } else {
        None
    }
}

/// After an acknowledged deletion, the user is deleted and has no database, except one that was
/// created after the deletion had looked for it.
fn check_deletion(
    fixture: &Fixture,
    record: &Record,
    delivery: usize,
    outcome: &str,
) -> Option<&'static str> {
    let index = record.deliveries[delivery].user;
    let user = &record.users[index];
    let databases = fixture.databases(&fixture.scenario.users[index]);
    let is_newer = |it: &Database| record.was_created_after_look_up(delivery, it.id.as_deref());
    let expected = match fixture.scenario.on_user_deleted {
        "park" => "parked",
        "delete" => "removed",
        _ => "retained",
    };
    if !user.is_deleted {
        Some("the user exists")
    } else if !databases.iter().all(is_newer) {
        Some("a database is left")
    } else if outcome != "gone" && (outcome != expected || user.n_removed() == 0) {
        Some("no database was removed like this")
    } else {
        None
    }
}

/// Checks every user at the end.
pub(super) fn check_end(fixture: &Fixture) {
    let record = &mut *fixture.record.lock();
    let parked = fixture.parked();
    for index in 0..record.users.len() {
        check_user(fixture, record, index, &parked);
    }
    let n_left_behind = record.users.iter().filter(|it| it.is_left_behind).count() as u64;
    let deleted_users = &mut record.counts.deleted_users;
    deleted_users.left_behind = n_left_behind;
    let seed = (n_left_behind > 0).then_some(fixture.scenario.seed);
    deleted_users.seeds_of_left_behind.extend(seed);
}

/// Checks every user at the end of a run in which Hookdeck may not have delivered everything: a user
/// without an acknowledged sign-up has one database or none.
pub(super) fn check_end_of_load(fixture: &Fixture) {
    let record = &mut *fixture.record.lock();
    for index in 0..record.users.len() {
        if record.users[index].time_to_success.is_some() {
            check_user(fixture, record, index, &[]);
        } else if fixture.databases(&fixture.scenario.users[index]).len() > 1 {
            record.add_violation(index, "has two databases");
        }
    }
}

/// A user has one database, and an entry at Clerk that names it. A deleted user has none, except one
/// that was created late. Of each removed database, one copy is parked where the settings say so.
fn check_user(fixture: &Fixture, record: &mut Record, index: usize, parked: &[String]) {
    let (scenario, user) = (&fixture.scenario, &fixture.scenario.users[index]);
    let user_id = UserId::try_from(&*user.id).expect("Clerk's stand-in makes valid ids");
    let is_theirs = |name: &str| parse_parked_name(name).is_some_and(|(owner, _)| owner == user_id);
    let n_parked = parked.iter().filter(|name| is_theirs(name)).count();
    let databases = fixture.databases(user);
    let is_deleted = user.deleted_at.is_some();
    let user_record = &mut record.users[index];
    let is_right = if is_deleted {
        databases.iter().all(|it| user_record.late(it.id.as_deref()).is_some())
    } else {
        is_one_in_region(&databases, user)
    };
    user_record.is_left_behind = is_right && is_deleted && !databases.is_empty();
    let (n_created, n_removed) = (user_record.databases.len(), user_record.n_removed());
    let n_late = user_record.databases.iter().filter(|it| it.is_late).count();
    if !is_right {
        record.add_violation(index, &format!("ends with {databases:?}"));
    } else if !is_deleted && scenario.has_clerk_key && !fixture.has_entry(user) {
        record.add_violation(index, "ends without an entry at Clerk that names the database");
    }
    let n_copies = if scenario.on_user_deleted == "park" { n_removed } else { 0 };
    if n_parked != n_copies || n_removed > 1 + n_late {
        let text = format!("ends with {n_parked} parked databases of {n_created}");
        record.add_violation(index, &text);
    }
}

fn is_one_in_region(databases: &[Database], user: &User) -> bool {
    matches!(databases, [database] if database.region == user.region)
}
