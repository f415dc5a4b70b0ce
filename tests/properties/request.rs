//! A payload without a valid signature has a client error as its response, without a request.

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

/// Invokes a function whose secret signs no input.
pub(crate) fn check(data: &[u8]) {
    let payload = String::from_utf8_lossy(data);
    assert_eq!(status(&payload), expected(&payload));
}

/// 401 where the payload is no HTTP request. Otherwise the order is path, method, size, signature.
fn expected(payload: &str) -> u16 {
    let Some(request) = request::read(payload).0 else { return 401 };
    match request.raw_http_path() {
        "/" | "/webhooks/clerk" if request.method() != "POST" => 405,
        "/" | "/webhooks/clerk" if request.body().len() > BODY_LIMIT_BYTES => 413,
        "/" | "/webhooks/clerk" => 401,
        _ => 404,
    }
}

/// The status of the function's response, which needs no request.
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
    let client = http_client::boxed(tower::service_fn(unexpected_request));
    let clock: Clock = Arc::new(move || now);
    let worker = Worker::new(Handler::new(settings, client, clock.clone()), clock, None);
    let (payload, deadline) = (request::read(payload), now + TIMEOUT);
    let invocation = Invocation { payload, deadline, ids: InvocationIds::default() };
    let response = worker.invoke(invocation).now_or_never();
    response.expect("a response without a wait").status()
}

async fn unexpected_request(_: reqwest::Request) -> Result<reqwest::Response, Infallible> {
    panic!("the function sent a request")
}

#[cfg(test)]
#[test]
fn a_payload_without_a_valid_signature_is_a_client_error() {
    let base64_body = include_str!("../../events/base64-body.json");
    let pointers = "/rawPath|/requestContext|/requestContext/http|/requestContext/http/method|\
        /isBase64Encoded|/body|/headers|/headers/x-hookdeck-signature|\
        /headers/X-Hookdeck-Signature";
    let values = r#"|null|true|true|false|7|[]|{}|"/"|"/webhooks/clerk"|"/x"|"POST"|"post"|"aGk="|
        "aGl="|"aGk"|"aGk=\n"|"_-8="|"="|"""#;
    crate::generate(check, crate::changed(base64_body, pointers, values));
}
