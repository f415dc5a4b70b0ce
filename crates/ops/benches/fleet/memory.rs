//! The memory of the commands over many databases, and whether their time is linear. All databases are in one
//! project, which is the hardest case: its list comes in one piece.

use crate::report::{Report, Wanted, count};
use crate::world::{Ended, World};

const SECTION: &str = "memory";

/// Of this many users one has no database.
const USERS_PER_NEW: u64 = 100;

/// What the program takes with nothing to do, in MB, and then some.
const BASE_MB: f64 = 24.0;

pub(crate) fn measure(report: &mut Report, postgres: &str, n_users: u64) {
    let world = World::new(n_users, 1);
    world.share_postgres(postgres);
    world.write_schema("1_create_notes.sql", "create table notes ();");
    let migrate = world.ops(&["migrate", "schema", "--yes"]).with_code(0);
    let n_databases = migrate.number("/databases");
    assert_eq!(n_databases, n_users + 1);
    // 64 MB for 10,000 databases.
    let most_mb = BASE_MB + 40.0 * count(n_users) / 10_000.0;
    add(report, &format!("migrate {n_databases} databases"), &migrate, most_mb);
    let run = world.newest_run();
    let ledger = std::fs::metadata(world.path(&format!(".ops/runs/{run}/ledger.jsonl"))).unwrap();
    let each = count(ledger.len() / n_databases);
    report.add(SECTION, "its ledger, for each database", (each, "bytes"), None);
    let resumed = world.ops(&["migrate", "schema", "--yes", "--resume", &run]).with_code(0);
    assert_eq!(resumed.number("/count/done_before"), n_databases);
    add(report, "--resume, all of them done before", &resumed, most_mb);
    drop(world);

    let n_users = 10 * n_users;
    // 100 MB for 100,000 users.
    let most_mb = BASE_MB + 76.0 * count(n_users) / 100_000.0;
    let (small, large) = (audit(n_users / 10), audit(n_users));
    add(report, &format!("audit {n_users} users with databases"), &large, most_mb);
    add_ratio(report, "audit", &small, &large);
    let (small, large) = (backfill(n_users / 10), backfill(n_users));
    let n_new = n_users / USERS_PER_NEW;
    let what = format!("backfill {n_users} users, {n_new} of them new");
    add(report, &what, &large, most_mb);
    add_ratio(report, "backfill", &small, &large);
}

fn audit(n_users: u64) -> Ended {
    let ended = World::new(n_users, 1).ops(&["audit"]).with_code(0);
    assert_eq!((ended.number("/users"), ended.number("/databases")), (n_users, n_users));
    ended
}

fn backfill(n_users: u64) -> Ended {
    let n_new = n_users / USERS_PER_NEW;
    let world = World::new(n_users - n_new, 1);
    world.add_users_without_databases(n_users - n_new..n_users);
    let ended = world.ops(&["backfill", "--yes"]).with_code(0);
    assert_eq!(ended.number("/count/changed"), n_new);
    ended
}

fn add(report: &mut Report, what: &str, ended: &Ended, most_mb: f64) {
    let mb = count(ended.peak_kib * 1024) / 1e6;
    report.add(SECTION, format!("{what}: peak"), (mb, "MB"), Wanted::AtMost(most_mb));
    report.add(SECTION, format!("{what}: time"), (ended.time.as_secs_f64(), "s"), None);
}

fn add_ratio(report: &mut Report, command: &str, small: &Ended, large: &Ended) {
    let ratio = count(large.ticks) / count(small.ticks);
    let what = format!("{command}: processor time against a tenth of the users");
    report.add(SECTION, what, (ratio, "times"), Wanted::RatioAtMost(12.0));
}
