//! Tries `tests/properties/svix.rs` on what libFuzzer comes up with.
#![no_main]

#[path = "../../tests/properties/svix.rs"]
mod svix;

libfuzzer_sys::fuzz_target!(|data: &[u8]| svix::check(data));
