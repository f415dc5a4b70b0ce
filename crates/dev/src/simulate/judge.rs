//! What must be true in a world: of each answer when it is given, and of everybody in the end.

use std::time::Duration;

use per_user_db::response::Response;
use per_user_db::settings::OnUserDeleted;
use per_user_db::worker::TIMEOUT;
use standin::xata::Database;

use super::ledger::{Delivery, Ledger, User};
use super::people::{Kind, SignUp};
use super::scenario::Scenario;
use super::stage::Stage;

/// For so long after a sign-up no deletion is carried out.
const SETTLED: Duration = Duration::from_secs(10 * 60);

/// The answers that somebody has to look into. Those of them that a call which went wrong explains.
const EXPLAINED: [&str; 5] =
    ["access_denied", "clerk_key_refused", "key_refused", "request_rejected", "standing_quota"];

/// Judges the answer to a delivery, now that it is given.
pub(super) fn answer(
    scenario: &Scenario,
    stage: &Stage,
    ledger: &mut Ledger,
    number: usize,
    answer: &Response,
    took: Duration,
) {
    let Delivery { user, kind, .. } = ledger.deliveries[number];
    let sign_up = &scenario.sign_ups[user];
    let now = stage.began.elapsed();
    let word = <&str>::from(answer);
    let reason = answer.reason().unwrap_or_default();
    let wrong = match (kind, word) {
        (Kind::Created, "created" | "exists") => {
            let since = now.saturating_sub(sign_up.at);
            ledger.users[user].served.get_or_insert(since);
            served(scenario, stage, ledger, number, word)
        }
        (Kind::Created, "ignored") if reason == "user_gone" => {
            let is_true = ledger.users[user].has_left && scenario.asks_clerk;
            (!is_true || ledger.deliveries[number].is_fresh).then_some("they are there")
        }
        (Kind::Deleted, "parked" | "removed" | "gone") => {
            let wrong = parted(scenario, stage, ledger, number, word);
            ledger.users[user].is_parted = true;
            wrong
        }
        (Kind::Deleted, "retained") => ledger.users[user].has_left.then_some("they have left"),
        (Kind::Deleted, "unavailable") if reason == "too_early" => {
            (now >= sign_up.at + SETTLED || !scenario.asks_clerk).then_some("it is not")
        }
        (_, "unavailable") => {
            ["internal_error", "too_early"].contains(&reason).then_some("of all things")
        }
        (_, "misconfigured") => {
            let is_explained = scenario.fault_rate > 0.0 && EXPLAINED.contains(&reason);
            (!is_explained).then_some("nothing explains it")
        }
        _ => Some("of all things"),
    };
    if let Some(why) = wrong {
        let databases = stage.databases(sign_up);
        ledger.complain(user, &format!("answered {word} {reason}: {why}; there is {databases:?}"));
    }
    if took >= TIMEOUT {
        ledger.complain(user, &format!("an answer after {took:?}"));
    }
    let answered = format!("{} {word} {reason}", answer.status());
    *ledger.tally.answers.entry(answered.trim_end().to_owned()).or_default() += 1;
}

/// Who is told to have a database has it, and Clerk tells where. Of somebody who had left, only a
/// first delivery is told so.
fn served(
    scenario: &Scenario,
    stage: &Stage,
    ledger: &Ledger,
    number: usize,
    word: &str,
) -> Option<&'static str> {
    let delivery = &ledger.deliveries[number];
    let (user, sign_up) = (&ledger.users[delivery.user], &scenario.sign_ups[delivery.user]);
    let is_there = is_as_promised(&stage.databases(sign_up), sign_up);
    let was_there = user.has_left && ledger.was_taken_since(number);
    if !is_there && !was_there {
        return Some("there is none");
    }
    if !delivery.began_in_time && !delivery.is_fresh {
        return Some("they had left");
    }
    let is_told = scenario.asks_clerk
        && !user.has_left
        && delivery.n_hindrances == 0
        && (word == "created" || !delivery.is_fresh);
    (is_told && !stage.is_listed(sign_up)).then_some("Clerk was not told where")
}

/// Whose deletion is through has left, and has no database, but for one that was made behind the
/// back of the deletion.
fn parted(
    scenario: &Scenario,
    stage: &Stage,
    ledger: &Ledger,
    number: usize,
    word: &str,
) -> Option<&'static str> {
    let user = ledger.deliveries[number].user;
    let behind =
        |it: &Database| it.id.as_ref().is_some_and(|id| ledger.was_made_behind(number, id));
    let expected = match scenario.on_user_deleted {
        OnUserDeleted::Retain => "retained",
        OnUserDeleted::Park => "parked",
        OnUserDeleted::Delete => "removed",
    };
    if !ledger.users[user].has_left {
        Some("they are there")
    } else if !stage.databases(&scenario.sign_ups[user]).iter().all(behind) {
        Some("it is there")
    } else if word != "gone" && (word != expected || ledger.users[user].n_taken() == 0) {
        Some("none was taken away")
    } else {
        None
    }
}

/// Judges how everybody ends.
pub(super) fn end(scenario: &Scenario, stage: &Stage, ledger: &mut Ledger) {
    let parked = stage.parked();
    for (user, sign_up) in scenario.sign_ups.iter().enumerate() {
        let n_parked = parked.get(&sign_up.user_id).copied().unwrap_or_default();
        for wrong in one_end(scenario, stage, &mut ledger.users[user], sign_up, n_parked) {
            ledger.complain(user, &wrong);
        }
    }
    let n_left_behind = ledger.users.iter().filter(|it| it.is_left_behind).count();
    ledger.tally.leavers.left_behind = n_left_behind as u64;
    ledger.tally.leavers.seeds_of_left_behind.extend((n_left_behind > 0).then_some(scenario.seed));
}

/// Who stayed has one database, and an entry at Clerk's that tells where. Who left has none, but
/// for one that was made late. Of each that was taken away there is one copy, if any.
fn one_end(
    scenario: &Scenario,
    stage: &Stage,
    user: &mut User,
    sign_up: &SignUp,
    n_parked: usize,
) -> Vec<String> {
    let databases = stage.databases(sign_up);
    let is_late = |it: &Database| {
        user.databases.iter().any(|made| Some(&made.id) == it.id.as_ref() && made.is_late)
    };
    let mut wrong = Vec::new();
    let is_right = match sign_up.leaves_at {
        None => is_as_promised(&databases, sign_up),
        Some(_) => databases.iter().all(is_late),
    };
    if !is_right {
        wrong.push(format!("ends with {databases:?}"));
    } else if sign_up.leaves_at.is_some() {
        user.is_left_behind = !databases.is_empty();
    } else if scenario.asks_clerk && !stage.is_listed(sign_up) {
        wrong.push("after a replay, Clerk does not tell where the database is".to_owned());
    }
    let n_copies = match scenario.on_user_deleted {
        OnUserDeleted::Park => user.n_taken(),
        OnUserDeleted::Retain | OnUserDeleted::Delete => 0,
    };
    let n_late = user.databases.iter().filter(|it| it.is_late).count();
    if n_parked != n_copies || user.n_taken() > 1 + n_late {
        let n_made = user.databases.len();
        wrong.push(format!("ends with {n_parked} parked databases of {n_made}"));
    }
    wrong
}

fn is_as_promised(databases: &[Database], sign_up: &SignUp) -> bool {
    matches!(databases, [database] if database.region == sign_up.region)
}
