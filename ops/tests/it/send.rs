//! `ops send`.

use crate::{busy_port, file, ops, run};

#[test]
fn nobody_there_is_told_with_the_address() {
    let (listener, port) = busy_port();
    drop(listener);
    let url = format!("http://127.0.0.1:{port}/");
    let (code, _, error) =
        run(&mut ops(&["send", &file("events/user-created.json"), "--to", &url]));
    assert_eq!(code, 1);
    assert!(error.contains(&url), "{error}");
}

#[test]
fn a_file_that_is_not_there_or_is_empty_is_named() {
    let (code, _, error) = run(&mut ops(&["send", "/no/such/file.json"]));
    assert_eq!(code, 1);
    assert!(error.contains("/no/such/file.json"), "{error}");
    let (code, _, error) = run(&mut ops(&["send", "/dev/null"]));
    assert_eq!(code, 1);
    assert!(error.contains("empty"), "{error}");
}
