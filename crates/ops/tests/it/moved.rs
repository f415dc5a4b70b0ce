//! Commands that moved to `cargo dev`.

use crate::{ops, run};

#[test]
fn a_command_that_moved_names_its_new_place() {
    for name in ["standins", "send", "simulate", "events"] {
        let (code, out, error) = run(&mut ops(&[name, "--port", "1"]));
        assert_eq!((code, out.as_str()), (2, ""));
        assert!(error.contains(&format!("cargo dev {name}")), "{error}");
    }
}
