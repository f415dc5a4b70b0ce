//! The process: what it says when it cannot start.

use std::process::{Command, Output};

fn start(variables: &[(&str, &str)]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_per-user-db"));
    command.env_clear().envs(variables.iter().copied());
    command.output().unwrap()
}

/// Exit code 1 and one line, which is returned.
fn refused(variables: &[(&str, &str)]) -> String {
    let output = start(variables);
    assert_eq!(output.status.code(), Some(1));
    assert!(output.stdout.is_empty());
    let text = String::from_utf8(output.stderr).unwrap();
    assert_eq!(text.lines().count(), 1, "{text}");
    text
}

const IN_LAMBDA: (&str, &str) = ("AWS_LAMBDA_RUNTIME_API", "127.0.0.1:1");

#[test]
fn outside_lambda_it_names_the_command_to_try() {
    assert!(refused(&[]).contains("cargo dev"));
}

#[test]
fn a_setting_that_cannot_work_is_named_in_one_line() {
    let line = refused(&[IN_LAMBDA]);
    assert!(line.contains("HOOKDECK_WEBHOOK_SECRET is missing"), "{line}");
    let secret = "xau_fake but with a blank";
    let line = refused(&[
        IN_LAMBDA,
        ("HOOKDECK_WEBHOOK_SECRET", "fake"),
        ("XATA_API_KEY", secret),
        ("XATA_ORGANIZATION_ID", "org123"),
        ("XATA_PROJECT_ID", "prj_a"),
    ]);
    assert!(line.contains("XATA_API_KEY") && !line.contains(secret), "{line}");
}
