//! `ops backfill`.

use std::time::SystemTime;

use http::StatusCode;
use serde_json::json;
use standin::clerk::{SignUp, user_id, user_id_at};
use standin::fault::{CannedResponse, Effect, Fault};
use standin::xata::platform::{Call, Quotas};

use super::world::{Fleet, REGION};

/// Two users who have everything, and some who have nothing.
fn fleet(n_new: u64) -> (Fleet, Vec<String>) {
    let fleet = Fleet::start(2);
    let new: Vec<_> = (100..100 + n_new).map(user_id).collect();
    for user in &new {
        fleet.world.clerk.insert(SignUp::new(user));
    }
    (fleet, new)
}

fn is_linked(fleet: &Fleet, user: &str) -> bool {
    fleet.entry(user)["id"] == json!(fleet.database(user).id)
}

#[test]
fn every_user_gets_one_database_and_an_entry_and_the_others_cost_no_request() {
    let (fleet, new) = fleet(12);
    let preview = fleet.run(&["backfill"]);
    assert_eq!(preview.code, 3, "{}", preview.error);
    for words in [
        "create 12 databases, and write the entry at Clerk for 12 users",
        "nothing is known of the place of 12 users",
    ] {
        let out =
            preview.out.split_whitespace().filter(|it| *it != "│").collect::<Vec<_>>().join(" ");
        assert!(out.contains(words), "{words}: {out}");
    }
    assert_eq!(fleet.world.changes(), [""; 0]);
    let report = fleet.document(&["backfill", "--yes"], 0);
    assert_eq!(report["count"]["changed"], 12);
    assert!(
        new.iter().all(|user| is_linked(&fleet, user) && fleet.database(user).region == REGION)
    );
    assert_eq!(fleet.world.changes().len(), 24);
    let again = fleet.run(&["backfill", "--yes"]);
    assert!(
        again.code == 0 && again.out.contains("14 users, each with a database"),
        "{}",
        again.out
    );
}

#[test]
fn a_database_without_an_entry_is_linked_and_a_young_user_is_left_to_the_function() {
    let (fleet, new) = fleet(1);
    let user = fleet.users[1].clone();
    fleet.world.clerk.change_user(&user, |it| it.private_metadata = json!({ "plan": "pro" }));
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap().as_secs();
    let young = user_id_at(7, now);
    fleet.world.clerk.insert(SignUp { timestamp_ms: now * 1000, ..SignUp::new(&young) });
    let linked = fleet.document(&["backfill", "--yes", "--link-only"], 0);
    assert_eq!((&linked["count"]["changed"], is_linked(&fleet, &user)), (&json!(1), true));
    assert!(fleet.world.xata.databases_named(&new[0]).is_empty());
    fleet.document(&["backfill", "--yes"], 0);
    assert!(is_linked(&fleet, &new[0]));
    assert!(fleet.world.xata.databases_named(&young).is_empty());
}

#[test]
fn the_region_is_that_of_the_metadata_then_of_the_file_then_the_default() {
    let (fleet, new) = fleet(3);
    let asks = |region: &str| json!({ "db_region": region });
    fleet.world.clerk.change_user(&new[0], |it| it.public_metadata = asks(REGION));
    fleet.world.clerk.change_user(&new[1], |it| it.private_metadata = asks("ap-south-1"));
    fleet.write("regions.csv", &format!("user,region\n{},{REGION}\n{},{REGION}\n", new[0], new[2]));
    let preview = fleet.document(&["backfill", "--region-for", "regions.csv"], 3);
    let notes = preview["preview"]["notes"].to_string();
    assert!(notes.contains("1 users are left out, because their metadata"), "{notes}");
    assert!(!notes.contains("nothing is known"), "{notes}");
    for (line, why) in [
        (format!("{},us-west-2", new[0]), "line 1: us-west-2 is not among ALLOWED_REGIONS"),
        ("user_x,eu-central-1".to_owned(), "line 1: not a Clerk user id"),
    ] {
        fleet.write("bad.csv", &line);
        let outcome = fleet.run(&["backfill", "--region-for", "bad.csv"]);
        assert!(outcome.code == 1 && outcome.error.contains(why), "{}", outcome.error);
    }
}

#[test]
fn a_quota_that_is_used_up_stops_the_run_which_can_go_on() {
    let (fleet, _) = fleet(20);
    let n_branches = fleet.world.xata.databases().len();
    let quotas = Quotas { branches_per_organization: Some(n_branches + 6), ..Quotas::UNLIMITED };
    fleet.world.xata.change(|it| it.quotas = quotas);
    let flags = ["backfill", "--yes", "--parallel", "1", "--max-failures", "2", "--retries", "0"];
    let stopped = fleet.document(&flags, 1);
    assert_eq!(stopped["count"]["changed"], 6, "{stopped}");
    assert_eq!(stopped["failures"]["standing_quota"]["count"], 2, "{stopped}");
    fleet.world.xata.change(|it| it.quotas = Quotas::UNLIMITED);
    let run = stopped["run"].as_str().unwrap();
    let resumed = fleet.document(&["backfill", "--yes", "--resume", run], 0);
    assert_eq!(resumed["count"]["changed"], 14, "{resumed}");
}

#[test]
fn the_quota_of_an_hour_is_waited_for() {
    let (fleet, _) = fleet(4);
    let message = "organization [org123] has reached the limit of 50 branch creations per hour";
    // A shorter pause is taken for that of a busy project.
    let full =
        CannedResponse::message(StatusCode::TOO_MANY_REQUESTS, message).with_retry_after("6");
    let full = Fault { on: Call::CreateBranch, skip: 2, times: 1, effect: Effect::Answer(full) };
    fleet.world.xata.faults().push(full);
    let report = fleet.document(&["backfill", "--yes", "--retries", "0", "--canary", "0"], 0);
    assert_eq!(report["count"]["changed"], 4, "{report}");
    let (_, ledger) = fleet.ledger();
    assert!(ledger.iter().any(|line| line["code"] == "hourly_quota"), "{ledger:?}");
}

#[test]
fn another_instance_s_key_or_a_short_list_changes_nothing() {
    let (fleet, _) = fleet(1);
    let other = fleet.run_with(&["backfill", "--yes"], &[("CLERK_INSTANCE_ID", "ins_other")]);
    assert!(
        other.code == 1 && other.error.contains("CLERK_INSTANCE_ID must list"),
        "{}",
        other.error
    );
    let none = fleet
        .run_with(&["backfill", "--yes"], &[("CLERK_SECRET_KEY", ""), ("CLERK_INSTANCE_ID", "")]);
    assert!(none.code == 1 && none.error.contains("CLERK_SECRET_KEY is missing"), "{}", none.error);
    let short = CannedResponse::new(StatusCode::OK).with_body("application/json", "[]");
    let list = standin::clerk::backend::Call::GetUserList;
    let short = Fault::always(list, Effect::Answer(short));
    fleet.world.clerk.faults().push(short);
    let short = fleet.run(&["backfill", "--yes"]);
    assert!(
        short.code == 1 && short.error.contains("Clerk counts 3 users and lists 0"),
        "{}",
        short.error
    );
    assert_eq!(fleet.world.changes(), [""; 0]);
}
