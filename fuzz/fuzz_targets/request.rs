//! Checks `tests/properties/request.rs` on the inputs of libFuzzer.
#![no_main]

#[path = "../../tests/properties/request.rs"]
mod request;

libfuzzer_sys::fuzz_target!(
    init: {
        // libFuzzer ends the process at every panic. The function catches those of lambda_http.
        let end = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |panic| {
            if !per_user_db::request::is_reading() {
                end(panic);
            }
        }));
    },
    |data: &[u8]| request::check(data)
);
