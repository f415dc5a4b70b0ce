//! `cargo dev standins`.

use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};

use per_user_db::settings::Xata;
use serde_json::Value;
use standin::xata::platform::postgres;
use tokio_postgres::NoTls;

use crate::{Background, busy_port, client, dev, file, live_function, run, runtime};

/// Running stand-ins, and the settings that they print.
pub(crate) fn standins() -> (Background, Vec<(String, String)>) {
    standins_with(&[])
}

fn standins_with(flags: &[&str]) -> (Background, Vec<(String, String)>) {
    started(dev(&[&["standins", "--env", "--port", "0"], flags].concat()))
}

fn started(mut command: Command) -> (Background, Vec<(String, String)>) {
    let mut process = Background(command.stdout(Stdio::piped()).spawn().unwrap());
    let lines = BufReader::new(process.0.stdout.take().unwrap()).lines().map(Result::unwrap);
    let file = lines.take_while(|line| line != "# ready").collect::<Vec<_>>().join("\n");
    let settings = dotenvy::from_read_iter(file.as_bytes()).map(Result::unwrap).collect();
    (process, settings)
}

#[test]
fn the_printed_settings_are_an_env_file_that_the_function_accepts() {
    let (_standins, settings) = standins();
    let settings = settings.into_iter().map(|(name, value)| (name.into(), value.into()));
    let settings = per_user_db::settings::Settings::read(settings).expect("settings that work");
    assert_eq!(settings.warnings, [""; 0]);
    match settings.xata {
        Xata::Platform(platform) => assert!(platform.url.starts_with("http://127.0.0.1:")),
        Xata::Lite(_) => panic!("Xata Lite without --api lite"),
    }
    assert!(settings.clerk.expect("Clerk").url.ends_with("/v1"));
}

#[test]
fn with_json_the_settings_are_one_document() {
    let mut command = dev(&["standins", "--json", "--port", "0"]);
    let mut process = Background(command.stdout(Stdio::piped()).spawn().unwrap());
    let mut stdout = BufReader::new(process.0.stdout.take().unwrap());
    let mut documents = serde_json::Deserializer::from_reader(&mut stdout).into_iter();
    let settings: serde_json::Value = documents.next().unwrap().unwrap();
    assert_eq!(settings["XATA_ORGANIZATION_ID"], "org123");
}

#[test]
fn clerk_s_stand_in_knows_the_users_of_the_events() {
    let (_standins, settings) = standins();
    let (_function, url) = live_function(settings);
    for (event, status) in [
        ("user-created", "created"),
        ("base64-body", "exists"),
        ("user-created-oceania", "created"),
        ("user-created-ipv6", "created"),
        ("user-created-ipv6", "exists"),
        ("user-deleted", "retained"),
        ("session-created", "ignored"),
    ] {
        let event = file(&format!("events/{event}.json"));
        let (code, answer, error) = run(&mut dev(&["send", &event, "--to", &url]));
        let expected = if status == "ignored" { 3 } else { 0 };
        assert_eq!(code, expected, "{event}: {answer}{error}");
        assert!(answer.contains(&format!("\"status\":\"{status}\"")), "{event}: {answer}");
    }
}

#[test]
fn the_error_about_a_busy_port_names_the_port_and_the_flag() {
    let (_listener, port) = busy_port();
    let (code, _, error) = run(&mut dev(&["standins", "--port", &port]));
    assert_eq!(code, 1);
    assert!(error.contains(&port) && error.contains("--port"), "{error}");
}

#[test]
fn the_stand_ins_answer_as_soon_as_they_say_that_they_are_ready() {
    let (_standins, settings) = standins();
    let url = &settings.iter().find(|(name, _)| name == "XATA_API_URL").unwrap().1;
    let address = url.strip_prefix("http://").unwrap();
    std::net::TcpStream::connect(address).expect("a connection at the first attempt");
}

#[test]
fn another_address_is_listened_on_only_when_it_is_asked_for() {
    let connects = |flags: &[&str]| {
        let (_standins, settings) = standins_with(flags);
        let url = &settings.iter().find(|(name, _)| name == "XATA_API_URL").unwrap().1;
        let port: u16 = url.rsplit_once(':').unwrap().1.parse().unwrap();
        std::net::TcpStream::connect(("127.0.0.2", port)).is_ok()
    };
    assert!(!connects(&[]));
    assert!(connects(&["--listen", "127.0.0.2"]));
    let (code, _, error) = run(&mut dev(&["standins", "--port", "0", "--listen", "192.0.2.1"]));
    assert_eq!(code, 1);
    assert!(error.contains("192.0.2.1") && error.contains("this machine"), "{error}");
}

#[test]
fn with_a_postgresql_server_a_connection_string_is_one_to_connect_with() {
    let Some(url) = postgres::url() else { return };
    let mut command = dev(&["standins", "--env", "--port", "0"]);
    command.env(postgres::VARIABLE, url);
    let (_standins, settings) = started(command);
    let setting = |name: &str| &settings.iter().find(|(it, _)| it == name).unwrap().1;
    let (_, template) =
        setting("XATA_TEMPLATES").split(',').next().unwrap().split_once('=').unwrap();
    let credentials = format!(
        "{}/organizations/{}/projects/{}/branches/{template}/credentials",
        setting("XATA_API_URL"),
        setting("XATA_ORGANIZATION_ID"),
        setting("XATA_PROJECT_ID"),
    );
    runtime().block_on(async {
        let request = client().get(credentials).bearer_auth(setting("XATA_API_KEY"));
        let credentials: Value = request.send().await.unwrap().json().await.unwrap();
        let access = credentials["connectionString"].as_str().unwrap();
        let (client, connection) = tokio_postgres::connect(access, NoTls).await.unwrap();
        tokio::spawn(connection);
        client.batch_execute("create table notes (text text)").await.unwrap();
    });
}

#[test]
fn the_error_about_an_unusable_postgresql_server_is_a_line_that_names_the_variable() {
    let (listener, port) = busy_port();
    drop(listener);
    for command in [&["standins", "--port", "0"][..], &["--once", "--port", "0"]] {
        for url in [format!("postgresql://planted:secret@127.0.0.1:{port}/x"), "planted".into()] {
            let (code, _, error) = run(dev(command).env(postgres::VARIABLE, url));
            assert_eq!((code, error.trim().lines().count()), (1, 1), "{error}");
            assert!(error.contains("STANDIN_POSTGRES cannot be used: "), "{error}");
            assert!(!error.contains("planted"), "{error}");
        }
    }
}

#[test]
#[cfg(target_os = "linux")]
fn without_docker_the_flag_says_what_to_do() {
    for command in ["standins", "--once"] {
        let (code, _, error) = run(dev(&[command, "--port", "0", "--docker"]).env("PATH", "/none"));
        assert_eq!(code, 1);
        assert!(error.contains("cannot run docker") && error.contains("--listen"), "{error}");
    }
}
