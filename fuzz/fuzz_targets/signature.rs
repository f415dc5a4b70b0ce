//! Checks `tests/properties/signature.rs` on the inputs of libFuzzer.
#![no_main]

#[path = "../../tests/properties/input.rs"]
mod input;
#[path = "../../tests/properties/signature.rs"]
mod signature;

libfuzzer_sys::fuzz_target!(|data: &[u8]| signature::check(data));
