//! Checks `tests/properties/request.rs` on the inputs of libFuzzer.
#![no_main]

#[path = "../../tests/properties/request.rs"]
mod request;

libfuzzer_sys::fuzz_target!(|data: &[u8]| request::check(data));
