//! The time of the parts of a delivery that need no network, for a small and a large event:
//! `cargo bench --bench parts`.

use divan::Bencher;
use futures_util::FutureExt;
use http::{HeaderMap, HeaderValue};
use per_user_db::clerk::{Event, Intent};
use per_user_db::http_client::{self, HttpClient};
use per_user_db::settings::Settings;
use per_user_db::{hookdeck, request};
use standin::clerk::{SignUp, user_id};
use tokio::time::Instant;

/// The size of an ordinary event, and of one whose user has much metadata.
const SIZES_KB: [usize; 2] = [4, 20];

const SECRET: &str = "local-development-secret";

fn main() {
    divan::main();
}

/// A sign-up whose event has this size.
fn body(kb: usize) -> Vec<u8> {
    let mut sign_up = SignUp::new(&user_id(1));
    let missing = (kb * 1000).saturating_sub(sign_up.user_created().len());
    sign_up.public_metadata = serde_json::json!({ "note": "n".repeat(missing) });
    sign_up.user_created()
}

fn headers(body: &[u8]) -> HeaderMap {
    let signature = hookdeck::sign(SECRET, body).try_into();
    let signature: HeaderValue = signature.expect("base64 is a header value");
    [("x-hookdeck-signature".parse().expect("a name"), signature)].into_iter().collect()
}

fn settings() -> Settings {
    let settings = [
        ("HOOKDECK_WEBHOOK_SECRET", SECRET),
        ("XATA_API_KEY", "xau_fake"),
        ("XATA_ORGANIZATION_ID", "org123"),
        ("XATA_PROJECT_ID", "prj_a"),
    ];
    let settings = settings.map(|(name, value)| (name.into(), value.into()));
    Settings::read(settings).expect("settings that work")
}

#[divan::bench(args = SIZES_KB)]
fn request(bencher: Bencher<'_, '_>, kb: usize) {
    let mut event: serde_json::Value =
        serde_json::from_str(include_str!("../events/user-created.json")).expect("an event");
    event["body"] = String::from_utf8(body(kb)).expect("JSON is text").into();
    let payload = event.to_string();
    bencher.bench(|| request::read(&payload));
}

#[divan::bench(args = SIZES_KB)]
fn signature(bencher: Bencher<'_, '_>, kb: usize) {
    let (settings, body) = (settings(), body(kb));
    let headers = headers(&body);
    bencher.bench(|| settings.verifier.verify(&headers, &body));
}

#[divan::bench(args = SIZES_KB)]
fn envelope(bencher: Bencher<'_, '_>, kb: usize) {
    let (settings, body) = (settings(), body(kb));
    bencher.bench(|| Event::read(&body, &settings.instances));
}

#[divan::bench(args = SIZES_KB)]
fn placement(bencher: Bencher<'_, '_>, kb: usize) {
    let settings = settings();
    let event = Event::read(&body(kb), &settings.instances).expect("an event");
    let Intent::Provision(sign_up) = event.intent else { unreachable!("it is a sign-up") };
    let client: HttpClient = http_client::boxed(tower::service_fn(unexpected));
    let deadline = Instant::now();
    let place = || settings.policy.place(&sign_up.hints, &client, deadline).now_or_never();
    bencher.bench(|| place().expect("the countries are compiled in"));
}

async fn unexpected(_: reqwest::Request) -> Result<reqwest::Response, std::convert::Infallible> {
    unreachable!("a placement sends no request")
}
