//! `cargo dev events`.

use std::fs;

use serde_json::Value;

use crate::{dev, run};

#[test]
fn a_dry_run_lists_the_stale_files_and_writes_nothing() {
    let directory = std::env::temp_dir().join(format!("dev-events-{}", std::process::id()));
    fs::create_dir_all(&directory).unwrap();
    let events = |flags: &[&str]| {
        let arguments = [&["events", directory.to_str().unwrap(), "--json"], flags].concat();
        let (code, out, error) = run(&mut dev(&arguments));
        let document: Value = serde_json::from_str(&out).unwrap_or_else(|_| panic!("{error}"));
        let count = |key: &str| document[key].as_array().map(Vec::len);
        (code, count("stale"), count("written"), count("current"))
    };
    assert_eq!(events(&["--dry-run"]), (3, Some(10), None, Some(0)));
    assert_eq!(fs::read_dir(&directory).unwrap().count(), 0);
    assert_eq!(events(&[]), (0, None, Some(10), Some(0)));
    fs::write(directory.join("not-json.json"), "another").unwrap();
    assert_eq!(events(&[]), (0, None, Some(1), Some(9)));
    assert_eq!(events(&["--dry-run"]), (0, Some(0), None, Some(10)));
    fs::remove_dir_all(&directory).unwrap();
}
