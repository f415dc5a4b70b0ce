//! The schema: what is applied, what is refused, and what users get. Skipped, with a message, without
//! a PostgreSQL server.

use serde_json::{Value, json};

use super::steps;
use super::world::World;

const TABLES: &str = r#"
-- Notes; of one user.
create table notes (
    id bigint generated always as identity primary key,
    text text not null default 'a;b',  -- not the end;
    "odd;name" text
);
/* A comment; with /* another; */ inside. */
create function touch() returns trigger language plpgsql as $body$
begin
    new.text := new.text || ';';
    return new;
end;
$body$;
create trigger touch before update on notes for each row execute function touch();
"#;
const MORE: &str = "insert into notes (text) values ('first; note');
create function count_notes() returns bigint begin atomic select count(*) from notes; end;";
const COUNT: &str = "select count(*)::int as n from notes";

/// Two regions, and a schema of two files.
fn world() -> Option<World> {
    let world = World::with_sql()?;
    world.write("1_tables.sql", TABLES);
    world.write("2_more.sql", MORE);
    world.write("README.md", "No SQL; at all.");
    Some(world)
}

fn files(document: &Value, template: usize) -> &Value {
    &document["templates"][template]["files"]
}

#[test]
fn every_user_gets_the_schema_and_sees_only_their_own_rows() {
    let Some(world) = world() else { return };
    let document = world.document(&[], 0);
    for template in 0..2 {
        assert_eq!(*files(&document, template), json!(["1_tables.sql", "2_more.sql"]));
    }
    let database = |event| {
        let answer = world.deliver(&document, event);
        assert_eq!(answer["status"], "created", "{answer}");
        answer["database"]["id"].as_str().unwrap().to_owned()
    };
    let (ann, ben) = (database("user-created.json"), database("user-created-ipv6.json"));
    world.sql(&ann, "insert into notes (text) values ('of Ann')");
    world.sql(&ann, "update notes set text = 'hers' where text = 'of Ann'");
    let last = world.sql(&ann, "select text, count_notes() as n from notes order by id desc");
    assert_eq!(last[0], json!({ "text": "hers;", "n": 2 }));
    for other in [&ben, &world.template("eu-central-1"), &world.template("us-east-1")] {
        assert_eq!(world.sql(other, COUNT)[0]["n"], 1);
    }
}

#[test]
fn a_re_run_applies_nothing_and_a_new_file_is_applied_alone() {
    let Some(world) = world() else { return };
    world.document(&[], 0);
    let again = world.apply(&[]);
    assert_eq!(again.code, 0, "{}", again.error);
    assert!(again.out.starts_with("Nothing to do: 2 templates are in sync.\n"), "{}", again.out);

    world.write("3_new.sql", "alter table notes add column colour text;");
    let dry = world.document(&["--dry-run"], 3);
    let expected = ["apply_file per-user-db eu-central-1", "apply_file per-user-db us-east-1"];
    assert_eq!(steps(&dry), expected);
    assert_eq!(files(&dry, 0).as_array().unwrap().len(), 2);
    let document = world.document(&[], 0);
    assert_eq!((steps(&document), &document["outcome"]), (steps(&dry), &json!("done")));
    let template = world.template("us-east-1");
    assert_eq!(world.sql(&template, COUNT)[0]["n"], 1);
    world.sql(&template, "select colour from notes");
}

#[test]
fn a_file_that_was_changed_or_taken_away_or_put_between_is_refused() {
    let Some(world) = world() else { return };
    world.document(&[], 0);
    let refuses = |says: &str| {
        let outcome = world.apply(&[]);
        assert_eq!(outcome.code, 1, "{}", outcome.out);
        assert!(outcome.error.contains(says), "{says}: {}", outcome.error);
        assert!(outcome.error.contains("Nothing was changed"), "{}", outcome.error);
    };
    let place = "template-eu-central-1 in prj_";
    world.write("2_more.sql", &format!("{MORE} -- changed"));
    refuses("2_more.sql was changed after it was applied");
    refuses(place);
    world.remove("2_more.sql");
    world.write("3_more.sql", MORE);
    refuses("version 2 was applied, and is not in the directory");
}

#[test]
fn an_error_names_file_statement_line_and_state_and_leaves_nothing_of_its_file() {
    let Some(world) = world() else { return };
    for (text, says) in [
        (
            "create table a ();\n\ninsert into a\nvalues (1, 2);\ncreate table b ();",
            ["statement 2, line 4: INSERT has more expressions", "SQLSTATE 42601"],
        ),
        (
            "create table a ();\ncreate table b (\n  c nothing_known\n);",
            ["statement 2, line 3: type \"nothing_known\"", "SQLSTATE 42704"],
        ),
        (
            "create table a ();\ncreate table b (); create table\na ();",
            ["statement 3, line 2: relation \"a\" already exists", "SQLSTATE 42P07"],
        ),
        (
            "create table a (b int unique deferrable initially deferred);\n\
             insert into a values (1), (1);",
            ["2_more.sql, at its commit", "SQLSTATE 23505"],
        ),
    ] {
        world.write("2_more.sql", text);
        let outcome = world.apply(&[]);
        assert_eq!(outcome.code, 1, "{}", outcome.out);
        let place = "template-eu-central-1 in prj_";
        for part in [says[0], says[1], "2_more.sql, ", place, "run this again"] {
            assert!(outcome.error.contains(part), "{part}: {}", outcome.error);
        }
    }
    let template = world.template("eu-central-1");
    let there = "select to_regclass('notes') is not null as notes, to_regclass('a') as a";
    assert_eq!(world.sql(&template, there)[0], json!({ "notes": true, "a": null }));
    world.write("2_more.sql", MORE);
    let document = world.document(&[], 0);
    assert_eq!(steps(&document).len(), 3, "one file here, both there: {document}");
}

#[test]
fn a_directory_that_no_run_can_apply_is_refused_before_anything_is_asked() {
    let world = World::start();
    for (text, says) in [
        ("begin;", "1_a.sql, line 1: BEGIN: a file is one transaction already"),
        ("select 'a", "1_a.sql, line 1: unterminated"),
    ] {
        world.write("1_a.sql", text);
        let outcome = world.apply(&[]);
        assert_eq!(outcome.code, 1);
        assert!(outcome.error.contains(says), "{says}: {}", outcome.error);
    }
    world.remove("1_a.sql");
    assert!(world.apply(&[]).error.contains("no file whose name is like 1_create_notes.sql"));
    assert_eq!(world.xata.requests(), []);
}

#[test]
fn a_statement_that_needs_no_transaction_is_told_where_it_belongs() {
    let Some(world) = World::with_sql() else { return };
    world.write("1_a.sql", "select 1;\nvacuum;");
    let outcome = world.apply(&["--region", "us-east-1"]);
    for part in ["25001", "whose first line is -- no-transaction"] {
        assert!(outcome.error.contains(part), "{part}: {}", outcome.error);
    }
}

#[test]
fn a_lost_response_applies_every_file_once() {
    for text in ["insert into notes", "COMMIT"] {
        let Some(world) = world() else { return };
        world.xata.cut_after(text);
        world.document(&[], 0);
        assert_eq!(world.xata.n_cuts_left(), 0, "{text}");
        assert_eq!(world.sql(&world.template("eu-central-1"), COUNT)[0]["n"], 1);
    }
}

#[test]
fn a_run_that_stopped_goes_on_from_there() {
    let Some(world) = world() else { return };
    world.write("2_more.sql", "selekt");
    let outcome = world.apply(&[]);
    assert!(outcome.error.contains("4 of 7 steps"), "{}", outcome.error);
    world.write("2_more.sql", MORE);
    let document = world.document(&[], 0);
    assert_eq!(steps(&document).len(), 3, "{document}");
    assert_eq!(world.document(&[], 0)["outcome"], "nothing_to_do");
}

#[test]
fn two_runs_at_the_same_time_apply_every_file_once() {
    let Some(world) = world() else { return };
    assert_eq!(world.apply_twice_at_once(), [0, 0]);
    for region in ["eu-central-1", "us-east-1"] {
        assert_eq!(world.sql(&world.template(region), COUNT)[0]["n"], 1);
    }
}

#[test]
fn the_missing_files_of_a_sleeping_template_are_found_once_it_is_awake() {
    let Some(world) = world() else { return };
    world.document(&[], 0);
    world.hibernate(&world.template("us-east-1"));
    let dry = world.document(&["--dry-run"], 3);
    assert_eq!(
        steps(&dry),
        [
            "keep_awake per-user-db us-east-1",
            "wake per-user-db us-east-1",
            "apply_missing_files per-user-db us-east-1"
        ]
    );
    let document = world.document(&[], 0);
    assert_eq!(document["steps"][2]["detail"], "nothing was missing");
}

#[test]
fn a_role_that_every_tenant_would_share_is_noted() {
    let Some(world) = World::with_sql() else { return };
    let role = format!("planted_{}", std::process::id());
    world.write("1_roles.sql", &format!("create role {role} login password 'planted-secret'"));
    let outcome = world.apply(&["--region", "us-east-1"]);
    // Roles are the whole server's here.
    world.administer(&format!("drop role if exists {role}"));
    assert_eq!(outcome.code, 0, "{}", outcome.error);
    assert!(outcome.out.contains(&role), "{}", outcome.out);
    assert!(outcome.out.contains("same password in every tenant's database"), "{}", outcome.out);
    assert!(!outcome.out.contains("planted-secret"), "{}", outcome.out);
}

#[test]
fn a_stand_in_without_a_postgresql_is_told_from_a_database_that_does_not_answer() {
    let world = World::start();
    assert_eq!(world.run(&[]).code, 0);
    world.write("1_a.sql", "select 1");
    let outcome = world.apply(&[]);
    assert_eq!(outcome.code, 1);
    assert!(outcome.error.contains("start it with STANDIN_POSTGRES"), "{}", outcome.error);
    assert!(outcome.error.contains("Nothing was changed"), "{}", outcome.error);
}
