//! Checks `tests/properties/envelope.rs` on the inputs of libFuzzer.
#![no_main]

#[path = "../../tests/properties/envelope.rs"]
mod envelope;

libfuzzer_sys::fuzz_target!(|data: &[u8]| envelope::check(data));
