//! A thousand databases: interrupted at a third, killed at two thirds, and resumed.

use std::time::Instant;

use rustix::process::{Pid, Signal, kill_process};

use crate::kills;
use crate::report::{Report, count};
use crate::world::World;

const SECTION: &str = "thousand";
const MIGRATE: [&str; 3] = ["migrate", "schema", "--yes"];

pub(crate) fn drill(report: &mut Report, postgres: &str, n_users: u64) {
    let mut add = |what: &str, value: f64, unit| report.add(SECTION, what, (value, unit), None);
    let since = Instant::now();
    let world = World::with_postgres(n_users, 1, postgres);
    add("the databases, made", since.elapsed().as_secs_f64(), "s");
    kills::write_pair(&world, 1);

    let mut program = world.start(&MIGRATE);
    world.await_done(&mut program, n_users / 3);
    kill_process(Pid::from_child(&program.child), Signal::INT).unwrap();
    let interrupted = program.wait().with_code(130);
    add("migrate, interrupted at a third", interrupted.time.as_secs_f64(), "s");

    let run = world.newest_run();
    let resume = [&MIGRATE[..], &["--resume", &run]].concat();
    let mut program = world.start(&resume);
    world.await_done(&mut program, n_users / 3);
    program.child.kill().unwrap();
    let killed = program.wait();
    assert_eq!(killed.code, None);
    add("--resume, killed at two thirds", killed.time.as_secs_f64(), "s");

    let resumed = world.ops(&resume).with_code(0);
    assert_eq!(resumed.number("/databases"), n_users + 1);
    add("--resume, to the end", resumed.time.as_secs_f64(), "s");
    add("done before that", count(resumed.number("/count/done_before")), "databases");
    let audit = world.ops(&["audit"]).with_code(0);
    add("audit, which ends with 0", audit.time.as_secs_f64(), "s");
    kills::add(report, SECTION, &kills::check(&world, 1));
}
