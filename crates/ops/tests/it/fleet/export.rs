//! `ops export`. What needs a PostgreSQL server is skipped without one, which is said.

use std::fs;
use std::os::unix::fs::PermissionsExt;

use super::world::Fleet;

#[test]
fn a_file_has_the_user_s_rows_and_is_readable_by_its_owner_alone() {
    let Some(fleet) = Fleet::with_postgres(2) else { return };
    let user = fleet.users[0].clone();
    fleet.sql(&user, "create table notes as select 'of-a-row' as text");
    let export = ["export", &user, "--to", "data.sql"];
    let outcome = fleet.run(&export);
    assert_eq!(outcome.code, 0, "{}", outcome.error);
    let path = fleet.world.directory.path().join("data.sql");
    assert!(fs::read_to_string(&path).unwrap().contains("of-a-row"));
    assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    let again = fleet.run(&export);
    assert!(again.code == 1 && again.error.contains("--force replaces it"), "{}", again.error);
    let custom = fleet.run(&[&export[..], &["--force", "--format", "custom", "--json"]].concat());
    assert!(custom.json()["bytes"].as_u64().unwrap() > 0);
    assert!(fs::read(&path).unwrap().starts_with(b"PGDMP"));
}

#[test]
fn an_old_or_missing_pg_dump_writes_no_file() {
    let Some(fleet) = Fleet::with_postgres(1) else { return };
    let user = fleet.users[0].clone();
    fleet.write("bin/pg_dump", "#!/bin/sh\necho 'pg_dump (PostgreSQL) 9.6.24'\n");
    let bin = fleet.world.directory.path().join("bin");
    fs::set_permissions(bin.join("pg_dump"), fs::Permissions::from_mode(0o755)).unwrap();
    let with_path = |path: &str| {
        let outcome = fleet.run_with(&["export", &user, "--to", "data.sql"], &[("PATH", path)]);
        assert_eq!(outcome.code, 1);
        outcome.error
    };
    let old = with_path(bin.to_str().unwrap());
    assert!(old.contains("pg_dump is of version 9"), "{old}");
    let none = with_path("/nowhere");
    assert!(none.contains("install the client programs"), "{none}");
    assert!(!fleet.world.directory.path().join("data.sql").exists());
}

#[test]
fn a_user_without_one_database_is_an_error_that_says_what_to_do() {
    let fleet = Fleet::start(2);
    fleet.write("bin/pg_dump", "#!/bin/sh\necho 'pg_dump (PostgreSQL) 99.1'\n");
    let bin = fleet.world.directory.path().join("bin");
    fs::set_permissions(bin.join("pg_dump"), fs::Permissions::from_mode(0o755)).unwrap();
    let error = |user: &str| {
        let path = [("PATH", bin.to_str().unwrap())];
        let outcome = fleet.run_with(&["export", user, "--to", "data.sql"], &path);
        assert_eq!(outcome.code, 1);
        outcome.error
    };
    assert!(error(&standin::clerk::user_id(9)).contains("has no database"));
    let parked = fleet.database(&fleet.users[1]);
    fleet.world.xata.rename(&parked.id, &format!("parked/{}/1700000000", fleet.users[1]));
    assert!(error(&fleet.users[1]).contains("ops unpark"));
}
