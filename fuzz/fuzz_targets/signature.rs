//! Tries `tests/properties/signature.rs` on what libFuzzer comes up with.
#![no_main]

#[path = "../../tests/properties/signature.rs"]
mod signature;

libfuzzer_sys::fuzz_target!(|data: &[u8]| signature::check(data));
