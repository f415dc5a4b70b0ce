//! `ops standins`.

use std::io::{BufRead, BufReader};
use std::process::Stdio;

use per_user_db::settings::Xata;

use crate::{busy_port, ops, run};

#[test]
fn the_settings_it_prints_are_an_env_file_that_the_function_takes() {
    let mut command = ops(&["standins", "--env", "--port", "0"]);
    let mut child = command.stdout(Stdio::piped()).spawn().unwrap();
    let lines = BufReader::new(child.stdout.take().unwrap()).lines().map(Result::unwrap);
    let file = lines.take(7).collect::<Vec<_>>().join("\n");
    child.kill().unwrap();
    child.wait().unwrap();
    let settings = dotenvy::from_read_iter(file.as_bytes()).map(Result::unwrap);
    let settings = per_user_db::settings::Settings::read(
        settings.map(|(name, value)| (name.into(), value.into())),
    );
    let settings = settings.expect("settings that work");
    assert_eq!(settings.warnings, [""; 0]);
    match settings.xata {
        Xata::Platform(platform) => assert!(platform.url.starts_with("http://127.0.0.1:")),
        Xata::Lite(_) => panic!("Xata Lite, which nobody asked for"),
    }
}

#[test]
fn a_busy_port_is_named_with_the_flag_that_changes_it() {
    let (_listener, port) = busy_port();
    let (code, _, error) = run(&mut ops(&["standins", "--port", &port]));
    assert_eq!(code, 1);
    assert!(error.contains(&port) && error.contains("--port"), "{error}");
}
