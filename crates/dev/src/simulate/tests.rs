//! Would the worlds notice? Each of these takes something away that the promises rest on.

use std::time::Duration;

use standin::clerk::user_id_of;
use standin::clock::START;

use super::scenario::{Plan, Scenario};
use super::world;

const PLAN: Plan = Plan { users: 5, faults_per_cent: 10, concurrency: 2, outage_hours: None };

/// What is wrong with some worlds that people leave, when they are changed like this.
fn wrong(change: fn(&mut Scenario)) -> Vec<String> {
    let worlds = (0..400).map(|seed| Scenario::draw(seed, PLAN));
    let worlds = worlds.filter(|it| it.sign_ups.iter().any(|it| it.leaves_at.is_some()));
    let mut wrong = Vec::new();
    for mut scenario in worlds {
        change(&mut scenario);
        wrong.extend(world::play(scenario, false).expect("an end").wrong);
    }
    wrong
}

fn says(wrong: &[String], what: &str) -> bool {
    wrong.iter().any(|it| it.contains(what))
}

#[test]
fn with_nothing_taken_away_nothing_is_wrong() {
    assert_eq!(wrong(|_| {}), <[String; 0]>::default());
}

#[test]
fn without_a_key_of_clerk_s_replays_bring_back_who_left_and_false_alarms_rob_who_stayed() {
    let wrong = wrong(|scenario| scenario.asks_clerk = false);
    let brought_back = ["a database was made for somebody who had left", "ends with [D"];
    let robbed = ["was taken away", "answered removed : they are there", "ends with []"];
    for what in brought_back.into_iter().chain(robbed) {
        assert!(says(&wrong, what), "{what}: {wrong:?}");
    }
}

#[test]
fn a_deletion_that_does_not_wait_is_undone_by_the_sign_up() {
    // With ids that seem an hour old, every sign-up seems settled.
    let wrong = wrong(|scenario| {
        for (seed, sign_up) in (0..).zip(&mut scenario.sign_ups) {
            let second = (START + sign_up.at).saturating_sub(Duration::from_secs(3600)).as_secs();
            sign_up.user_id = user_id_of(seed, second);
        }
    });
    for what in ["a database was made for somebody who had left", "ends with [D"] {
        assert!(says(&wrong, what), "{what}: {wrong:?}");
    }
}
