//! Tries `tests/properties/settings.rs` on what libFuzzer comes up with.
#![no_main]

#[path = "../../tests/properties/settings.rs"]
mod settings;

libfuzzer_sys::fuzz_target!(|data: &[u8]| settings::check(data));
