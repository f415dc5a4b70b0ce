//! The requests to Xata's API, beside what docs/fleet.md promises in "Cost, time and limits".

use crate::kills::write_pair;
use crate::report::{Report, Wanted, count};
use crate::world::World;

const SECTION: &str = "requests";
const N_PROJECTS: u64 = 2;
const MIGRATE: [&str; 3] = ["migrate", "schema", "--yes"];

pub(crate) fn measure(report: &mut Report, postgres: &str, n_users: u64) {
    let world = World::with_postgres(n_users, 2, postgres);
    let n_databases = n_users + N_PROJECTS;
    let mut add = |what: &str, ends: &[&str], promised: u64| {
        let requests = world.xata.requests();
        let is_counted = |path: &str| {
            let path = path.split('?').next().unwrap_or_default();
            ends.is_empty() || ends.iter().any(|end| path.ends_with(end))
        };
        let n = requests.iter().filter(|request| is_counted(&request.path)).count() as u64;
        report.add(SECTION, what, (count(n), ""), Wanted::AtMost(count(promised)));
    };

    write_pair(&world, 1);
    world.xata.clear_requests();
    world.ops(&MIGRATE).with_code(0);
    add("migrate, 2 projects: lists", &["/branches"], 2 * N_PROJECTS);
    let what = format!("migrate, {n_databases} databases: credentials");
    add(&what, &["/credentials"], n_databases);
    add("migrate, 1 region: all requests", &[], 2 * N_PROJECTS + n_databases + 1);

    write_pair(&world, 2);
    let mut program = world.start(&MIGRATE);
    world.await_done(&mut program, n_databases / 2);
    program.child.kill().unwrap();
    assert_eq!(program.wait().code, None);
    world.xata.clear_requests();
    let run = world.newest_run();
    let resumed = world.ops(&[&MIGRATE[..], &["--resume", &run]].concat()).with_code(0);
    let n_left = n_databases - resumed.number("/count/done_before");
    let what = format!("--resume, {n_left} of {n_databases} left: credentials");
    add(&what, &["/credentials"], n_left);
    add("--resume: all requests", &[], 2 * N_PROJECTS + n_left + 1);

    world.xata.clear_requests();
    world.ops(&["audit"]).with_code(0);
    add("audit, 2 projects: all requests", &[], 2 * N_PROJECTS);

    let n_new = 3;
    world.add_users_without_databases(n_users..n_users + n_new);
    world.xata.clear_requests();
    world.clerk.clear_requests();
    world.ops(&["backfill", "--yes"]).with_code(0);
    add("backfill, 2 projects, 3 new users: all requests", &[], N_PROJECTS + n_new);
    // The instance, the number of users, and a page of 500 of them.
    let (sent, promised) = (world.clerk.requests().len() as u64, 2 + 1 + n_new);
    let what = "backfill, 3 new users: all requests to Clerk";
    report.add(SECTION, what, (count(sent), ""), Wanted::AtMost(count(promised)));
}
