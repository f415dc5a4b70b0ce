//! How many databases a second `migrate` does over a link with a round trip.

use std::time::Duration;

use crate::report::{Report, Wanted, count};
use crate::world::{Ended, World};

const SECTION: &str = "parallel";
const ROUND_TRIP: Duration = Duration::from_millis(20);
const NOTES: &str =
    "create table notes (id bigint generated always as identity primary key, text text);
insert into notes (text) values ('first');";

pub(crate) fn measure(report: &mut Report, postgres: &str, n_users: u64) {
    let n_databases = n_users + 1; // the template
    let fleet = || {
        let world = World::with_postgres(n_users, 1, postgres);
        world.write_schema("1_create_notes.sql", NOTES);
        world.set_round_trip(ROUND_TRIP);
        world
    };
    let migrate = |world: &World, parallel: &str, outcome: &str| -> Ended {
        let flags = ["--yes", "--canary", "0", "--parallel", parallel];
        let ended = world.ops(&[&["migrate", "schema"], &flags[..]].concat()).with_code(0);
        assert_eq!(ended.number(&format!("/count/{outcome}")), n_databases);
        ended
    };
    let rate = |ended: &Ended| count(n_databases) / ended.time.as_secs_f64();
    let one = rate(&migrate(&fleet(), "1", "changed"));
    let world = fleet();
    let n_before = world.xata.n_exchanges();
    let eight = rate(&migrate(&world, "8", "changed"));
    let n_migrated = world.xata.n_exchanges();
    let again = rate(&migrate(&world, "8", "unchanged"));
    let n_exchanges = |n: u64| (count(n) / count(n_databases), "");
    let n_first = n_exchanges(n_migrated - n_before);
    let n_again = n_exchanges(world.xata.n_exchanges() - n_migrated);
    let what = format!("migrate {n_databases} databases, 20 ms away, no canaries, --parallel");
    report.add(SECTION, format!("{what} 1"), (one, "databases/s"), None);
    report.add(SECTION, format!("{what} 8"), (eight, "databases/s"), None);
    let ratio = (eight / one, "times");
    report.add(SECTION, "8 at a time against 1", ratio, Wanted::RateAtLeast(6.0));
    let what = "the same again, nothing to do, --parallel 8";
    report.add(SECTION, what, (again, "databases/s"), Wanted::RateAtLeast(20.0));
    // Two of them begin the connection.
    let what = "exchanges with a database, one file to apply";
    report.add(SECTION, what, n_first, Wanted::AtMost(10.0));
    let what = "exchanges with a database, nothing to do";
    report.add(SECTION, what, n_again, Wanted::AtMost(4.0));
}
