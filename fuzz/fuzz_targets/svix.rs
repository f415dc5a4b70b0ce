//! Checks `tests/properties/svix.rs` on the inputs of libFuzzer.
#![no_main]

#[path = "../../tests/properties/input.rs"]
mod input;
#[path = "../../tests/properties/svix.rs"]
mod svix;

libfuzzer_sys::fuzz_target!(|data: &[u8]| svix::check(data));
