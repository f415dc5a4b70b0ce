//! Whatever Lambda hands us is a request, and gets no further than its signature allows.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use futures_util::FutureExt;
use lambda_http::RequestExt;
use per_user_db::Clock;
use per_user_db::handler::Handler;
use per_user_db::http_client;
use per_user_db::request::{self, BODY_LIMIT_BYTES};
use per_user_db::settings::Settings;
use per_user_db::telemetry::InvocationIds;
use per_user_db::worker::{Invocation, TIMEOUT, Worker};

/// Hands a payload to a function whose secret nobody knows.
pub(crate) fn check(data: &[u8]) {
    let payload = String::from_utf8_lossy(data);
    assert_eq!(status(&payload), promised(&payload));
}

/// What is no HTTP request is 401; else the order is path, method, size, signature.
fn promised(payload: &str) -> u16 {
    let Some(request) = request::read(payload) else { return 401 };
    match request.raw_http_path() {
        "/" | "/webhooks/clerk" if request.method() != "POST" => 405,
        "/" | "/webhooks/clerk" if request.body().len() > BODY_LIMIT_BYTES => 413,
        "/" | "/webhooks/clerk" => 401,
        _ => 404,
    }
}

/// The function's answer, which comes at once and without asking anybody.
fn status(payload: &str) -> u16 {
    let settings = [
        ("HOOKDECK_WEBHOOK_SECRET", "fake-signing-secret-that-no-input-is-signed-with"),
        ("XATA_API_KEY", "xau_fake"),
        ("XATA_ORGANIZATION_ID", "org123"),
        ("XATA_PROJECT_ID", "prj_a"),
    ];
    let settings = settings.into_iter().map(|(name, value)| (name.into(), value.into()));
    let settings = Settings::read(settings).expect("settings that work");
    let now = SystemTime::UNIX_EPOCH + Duration::from_secs(1_767_784_000);
    let client = http_client::boxed(tower::service_fn(asked));
    let clock: Clock = Arc::new(move || now);
    let function = Handler::new(settings, client, clock.clone());
    let worker = Worker::new(function, clock, None);
    let invocation = Invocation { payload, deadline: now + TIMEOUT, ids: InvocationIds::default() };
    let answer = worker.invoke(invocation).now_or_never();
    answer.expect("an answer without a wait").status()
}

async fn asked(_: reqwest::Request) -> Result<reqwest::Response, Infallible> {
    panic!("somebody was asked")
}

#[cfg(test)]
#[test]
fn a_request_is_what_its_payload_tells_and_is_refused() {
    let base64_body = include_str!("../../events/base64-body.json");
    let places = "/rawPath|/requestContext|/requestContext/http|/requestContext/http/method|\
        /isBase64Encoded|/body|/headers|/headers/x-hookdeck-signature|\
        /headers/X-Hookdeck-Signature";
    let values = r#"|null|true|true|false|7|[]|{}|"/"|"/webhooks/clerk"|"/x"|"POST"|"post"|"aGk="|
        "aGl="|"aGk"|"aGk=\n"|"_-8="|"="|"""#;
    crate::generate(check, crate::changed(base64_body, places, values));
}
