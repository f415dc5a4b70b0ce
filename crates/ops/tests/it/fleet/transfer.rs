//! `ops transfer`.

use serde_json::{Value, json};
use standin::clerk::{SignUp, user_id};
use standin::fault::{Effect, Fault};
use standin::xata::platform::Call;

use super::world::Fleet;
use crate::world::Outcome;

/// Two users with databases, and one without.
fn fleet() -> (Fleet, String, String) {
    let fleet = Fleet::start(2);
    let (from, to) = (fleet.users[0].clone(), user_id(3));
    fleet.world.clerk.insert(SignUp::new(&to));
    (fleet, from, to)
}

fn transfer(fleet: &Fleet, from: &str, to: &str, flags: &[&str]) -> Outcome {
    fleet.run(&[&["transfer", from, to], flags].concat())
}

#[test]
fn a_database_and_its_entry_change_hands_and_come_back() {
    let (fleet, from, to) = fleet();
    let id = fleet.database(&from).id;
    let preview = transfer(&fleet, &from, &to, &[]);
    assert!(preview.code == 3 && preview.out.contains(&id), "{}{}", preview.out, preview.error);
    assert_eq!(fleet.world.changes(), [""; 0]);
    let done = transfer(&fleet, &from, &to, &["--yes", "--json"]);
    assert_eq!((done.code, &done.json()["done"]), (0, &json!(true)), "{}", done.error);
    assert_eq!(fleet.database(&to).id, id);
    assert_eq!((&fleet.entry(&to)["id"], &fleet.entry(&to)["name"]), (&json!(id), &json!(to)));
    assert_eq!(fleet.entry(&from), Value::Null);
    assert_eq!(transfer(&fleet, &to, &from, &["--yes"]).code, 0);
    assert_eq!(fleet.database(&from).id, id);
    assert_eq!((&fleet.entry(&from)["name"], fleet.entry(&to)), (&json!(from), Value::Null));
}

#[test]
fn what_could_lose_or_mix_data_is_refused() {
    let (fleet, from, to) = fleet();
    let other = fleet.users[1].clone();
    let error = |from: &str, to: &str| {
        let outcome = transfer(&fleet, from, to, &["--yes"]);
        assert_eq!(outcome.code, 1, "{}", outcome.out);
        outcome.error
    };
    assert!(error(&from, &from).contains("both users are"));
    assert!(error(&from, &other).contains("--replace-empty"));
    assert!(error(&to, &from).contains("has no database"));
    assert!(error(&from, &user_id(9)).contains("Clerk does not know"));
    let now = std::time::SystemTime::now().duration_since(std::time::SystemTime::UNIX_EPOCH);
    let young = standin::clerk::user_id_at(4, now.unwrap().as_secs());
    fleet.world.clerk.insert(SignUp::new(&young));
    assert!(error(&from, &young).contains("less than 15 minutes ago"));
    let elsewhere = user_id(5);
    let asks = json!({ "db_region": "us-east-1" });
    fleet.world.clerk.insert(SignUp { private_metadata: asks, ..SignUp::new(&elsewhere) });
    assert!(error(&from, &elsewhere).contains("us-east-1"));
    fleet.world.xata.faults().push(Fault::always(Call::ListBranches, Effect::ResetBefore));
    assert!(error(&from, &to).contains("could not be read"));
    assert_eq!(fleet.world.changes(), [""; 0]);
}

#[test]
fn an_interrupted_transfer_goes_on() {
    let (fleet, from, to) = fleet();
    let id = fleet.database(&from).id;
    fleet.world.xata.faults().push(Fault::once(Call::PatchBranch, Effect::ResetAfter));
    let clerk = standin::clerk::backend::Call::UpdateUserMetadata;
    fleet.world.clerk.faults().push(Fault::once(clerk, Effect::ResetBefore));
    let stopped = transfer(&fleet, &from, &to, &["--yes"]);
    assert!(stopped.code == 1 && stopped.error.contains("Run this again"), "{}", stopped.error);
    assert_eq!(fleet.database(&to).id, id);
    assert_eq!(transfer(&fleet, &from, &to, &["--yes"]).code, 0);
    assert_eq!((&fleet.entry(&to)["id"], fleet.entry(&from)), (&json!(id), Value::Null));
}

#[test]
fn an_empty_database_is_parked_and_a_full_one_is_not() {
    let Some(fleet) = Fleet::with_postgres(2) else { return };
    let [from, to] = [fleet.users[0].clone(), fleet.users[1].clone()];
    let (id, replaced) = (fleet.database(&from).id, fleet.database(&to).id);
    fleet.sql(&to, "create table notes as select 'of-a-row' as text");
    let flags = ["--yes", "--replace-empty"];
    let refused = transfer(&fleet, &from, &to, &flags);
    assert!(
        refused.code == 1 && refused.error.contains("public.notes has rows"),
        "{}",
        refused.error
    );
    fleet.sql(&to, "delete from notes");
    assert_eq!(transfer(&fleet, &from, &to, &flags).code, 0);
    assert_eq!(fleet.database(&to).id, id);
    let all = fleet.world.xata.databases();
    let parked = all.iter().find(|it| it.id == replaced).unwrap();
    assert!(parked.name.starts_with(&format!("parked/{to}/")), "{}", parked.name);
}
