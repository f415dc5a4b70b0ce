//! `migrate`, killed at half and resumed, over and over: every file is applied once.

use std::time::Duration;

use cli::output;

use crate::report::{Report, Wanted, count};
use crate::world::World;

const SECTION: &str = "kills";
const KILLS: u64 = 20;
const MIGRATE: [&str; 3] = ["migrate", "schema", "--yes"];

/// How often a file was applied twice, and how often one is missing, in all databases.
#[derive(Default)]
pub(crate) struct Wrong {
    pub(crate) twice: i64,
    pub(crate) missing: i64,
}

pub(crate) fn drill(report: &mut Report, postgres: &str, n_users: u64) {
    let world = World::with_postgres(n_users, 1, postgres);
    let (mut wrong, mut cut_off) = (Wrong::default(), 0);
    for round in 1..=KILLS {
        write_pair(&world, round);
        let mut program = world.start(&MIGRATE);
        world.await_done(&mut program, n_users / 2);
        // Each time at another moment of the work on a database, which takes about a tenth of a second.
        std::thread::sleep(Duration::from_millis(round * 37 % 100));
        program.child.kill().unwrap();
        assert_eq!(program.wait().code, None, "it ended before the kill");
        let run = world.newest_run();
        let resumed = world.ops(&[&MIGRATE[..], &["--resume", &run]].concat()).with_code(0);
        cut_off += n_users + 1 - resumed.number("/count/done_before");
        let Wrong { twice, missing } = check(&world, round);
        wrong = Wrong { twice: wrong.twice + twice, missing: wrong.missing + missing };
    }
    world.ops(&["audit"]).with_code(0);
    let Wrong { twice, missing } = wrong;
    output::note(format_args!("{KILLS} kills, {twice} files applied twice, {missing} missing"));
    let n_databases = n_users + 1;
    report.add(SECTION, "kill -9 at half, --resume", (count(KILLS), "kills"), None);
    let what = "databases, each of two files a time";
    report.add(SECTION, what, (count(n_databases), "databases"), None);
    report.add(SECTION, "databases left to --resume, of all", (count(cut_off), "databases"), None);
    add(report, SECTION, &wrong);
}

pub(crate) fn add(report: &mut Report, section: &'static str, wrong: &Wrong) {
    for (what, n) in [("files applied twice", wrong.twice), ("files missing", wrong.missing)] {
        report.add(section, what, (count(n.unsigned_abs()), "files"), Wanted::Exactly(0.0));
    }
}

/// Writes two files, of which the first one lasts, and the second one leaves a row each time.
pub(crate) fn write_pair(world: &World, n: u64) {
    let create = format!("create table applied_{n} (); select pg_sleep(0.05);");
    world.write_schema(&format!("{}_create.sql", 2 * n - 1), &create);
    let insert = format!("insert into applied_{n} default values;");
    world.write_schema(&format!("{}_insert.sql", 2 * n), &insert);
}

/// Looks into every database, where each file of these pairs must have been applied once.
pub(crate) fn check(world: &World, n_pairs: u64) -> Wrong {
    let rows = (1..=n_pairs).map(|n| format!("select count(*) n from applied_{n}"));
    let rows = rows.collect::<Vec<_>>().join(" union all ");
    let query = format!(
        "select (select count(*) from _sqlx_migrations where success), \
         (select count(distinct version) from _sqlx_migrations where success), \
         (select coalesce(sum(greatest(n - 1, 0)), 0)::bigint from ({rows}) it), \
         (select count(*) from ({rows}) it where n = 0)"
    );
    let n_files = i64::try_from(2 * n_pairs).unwrap();
    let found = world.at_each_database(&async |client| {
        let row = client.query_one(&query, &[]).await.unwrap();
        let [records, versions, more_rows, no_rows]: [i64; 4] =
            std::array::from_fn(|column| row.get(column));
        (records - versions + more_rows, n_files - versions + no_rows)
    });
    let twice = found.iter().map(|(twice, _)| twice).sum();
    Wrong { twice, missing: found.iter().map(|(_, missing)| missing).sum() }
}
