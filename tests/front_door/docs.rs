//! `docs/reference.md` and `template.yaml` agree with the code.

use per_user_db::clerk::{IgnoreReason, InvalidReason};
use per_user_db::error::ErrorKind;
use per_user_db::settings::VARIABLES;
use strum::VariantNames;

const REFERENCE: &str = include_str!("../../docs/reference.md");

#[test]
fn every_setting_is_in_the_reference() {
    for name in VARIABLES {
        assert!(REFERENCE.contains(&format!("`{name}`")), "{name}");
    }
}

#[test]
fn every_reason_is_in_the_reference() {
    let reasons =
        [IgnoreReason::VARIANTS, InvalidReason::VARIANTS, ErrorKind::VARIANTS, &["internal_error"]];
    for reason in reasons.concat() {
        assert!(REFERENCE.contains(&format!("`{reason}`")), "{reason}");
    }
}

#[test]
fn the_function_s_timeout_is_that_of_the_template() {
    let seconds = per_user_db::worker::TIMEOUT.as_secs();
    let template = include_str!("../../template.yaml");
    assert!(template.contains(&format!("      Timeout: {seconds}\n")));
}
