//! What the sqlx command line says of the databases that `ops migrate` has migrated.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;

use crate::report::{Report, Wanted, count};
use crate::world::World;

const SECTION: &str = "sqlx";
const MIGRATE: [&str; 3] = ["migrate", "schema", "--yes"];
/// The name of a file, the description that sqlx makes of it, and its text.
const FILES: [(&str, &str, &str); 3] = [
    ("1_create_notes.sql", "create notes", "create table notes (text text);"),
    ("2_add_title.sql", "add title", "alter table notes add title text;"),
    (
        "3_index_title.sql",
        "index title",
        "-- no-transaction\ncreate index concurrently on notes (title);",
    ),
];

pub(crate) fn compare(report: &mut Report, postgres: &str, n_users: u64, sqlx: &Path) {
    let Ok(version) = Command::new(sqlx).arg("--version").output() else {
        report.skip(SECTION, "the sqlx command line is not on the PATH, nor named by --sqlx");
        return;
    };
    let world = World::with_postgres(n_users, 1, postgres);
    // All have the first file, two thirds the second one, and a third the third one.
    for ((name, _, sql), sample) in FILES.iter().zip([None, Some(2), Some(1)]) {
        world.write_schema(name, sql);
        let sample = sample.map(|thirds| (n_users * thirds / 3).to_string());
        let flags = sample.iter().flat_map(|sample| ["--sample", sample.as_str()]);
        world.ops(&MIGRATE.into_iter().chain(flags).collect::<Vec<_>>()).with_code(0);
    }
    let status = world.ops(&["migrate", "schema", "--status", "--yes"]).with_code(3).json();
    let mut ours = BTreeMap::new();
    for group in status["versions"].as_array().unwrap() {
        for user in group["users"].as_array().unwrap() {
            ours.insert(user.as_str().unwrap().to_owned(), group["version"].as_u64().unwrap());
        }
    }
    let databases = world.connection_strings();
    assert_eq!(databases.len(), ours.len());
    let is_same = |(name, url): &&(String, String)| {
        let source = world.path("schema");
        let mut info = Command::new(sqlx);
        info.args(["migrate", "info", "--database-url", url, "--source"]).arg(source);
        let output = info.output().unwrap();
        let text = String::from_utf8(output.stdout).unwrap();
        let expected = (1..).zip(FILES).map(|(version, (_, words, _))| {
            let state = if version <= ours[name] { "installed" } else { "pending" };
            format!("{version}/{state} {words}")
        });
        text.lines().eq(expected)
    };
    let n_same = databases.iter().filter(is_same).count() as u64;
    let version = String::from_utf8(version.stdout).unwrap();
    let what = format!("{}: says the same as --status of", version.trim());
    let wanted = Wanted::Exactly(count(n_users + 1));
    report.add(SECTION, what, (count(n_same), "databases"), wanted);
    let versions = status["versions"].as_array().unwrap().len() as u64;
    report.add(SECTION, "versions among them", (count(versions), ""), Wanted::Exactly(3.0));
}
