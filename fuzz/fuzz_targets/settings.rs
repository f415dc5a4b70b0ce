//! Checks `tests/properties/settings.rs` on the inputs of libFuzzer.
#![no_main]

#[path = "../../tests/properties/settings.rs"]
mod settings;

libfuzzer_sys::fuzz_target!(|data: &[u8]| settings::check(data));
