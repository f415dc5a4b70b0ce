//! The exchanges of tests/vectors.

use http::header::{AUTHORIZATION, CONTENT_TYPE, RETRY_AFTER};
use http::{Method, Request, StatusCode};
use http_body_util::Full;
use serde_json::{Value, json};
use standin::clerk::SignUp;
use standin::clerk::backend::Call;
use standin::fault::{CannedResponse, Effect, Fault};

use super::{Instance, SECOND};
use crate::helpers::Client;

const EXCHANGES: &str = include_str!(concat!(
    env!("CARGO_MANIFEST_DIR"),
    "/../../tests/vectors/clerk-bapi-exchanges.json"
));
const MARA: &str = "user_37vVbDk2sV69GiZuqjqVZRkONtI";
/// From the creation of a user to the event, in milliseconds.
const LAG: u64 = 36;
/// What the vectors and the stand-in invent, each in its own way: compared by type only.
const MADE_UP: [&str; 6] = [
    "image_url",
    "profile_image_url",
    "primary_email_address_id",
    "message",
    "long_message",
    "clerk_trace_id",
];
/// Likewise, within an e-mail address.
const MADE_UP_OF_EMAIL: [&str; 5] =
    ["id", "email_address", "created_at", "updated_at", "expire_at"];

fn people() -> Vec<SignUp> {
    let person = |id: &str, created_at: u64, first_name: &str, last_name: &str| SignUp {
        timestamp_ms: created_at + LAG,
        first_name: first_name.into(),
        last_name: last_name.into(),
        ..SignUp::new(id)
    };
    let mara = person(MARA, 1_767_783_600_648, "Mara", "Lindqvist");
    let mut tane = person("user_37vctfO9XiVdjV0fLzIiUq2adSQ", 1_767_787_201_065, "Tane", "Walker");
    tane.unsafe_metadata = json!({ "db_region": "ap-southeast-2" });
    let mut joan = person("user_37vkC9iuSYGvbaFAnW3P3GIvrUW", 1_767_790_801_482, "Joan", "Reyes");
    joan.public_metadata = json!({ "plan": "free" });
    vec![mara, tane, joan]
}

/// Everything but what is made up.
fn compared(mut value: Value) -> Value {
    fn mask(value: &mut Value, is_email: bool) {
        match value {
            Value::Object(members) => {
                for (name, value) in members {
                    let name = name.as_str();
                    if MADE_UP.contains(&name) || is_email && MADE_UP_OF_EMAIL.contains(&name) {
                        *value =
                            if value.is_string() { "text".into() } else { value.is_u64().into() };
                    } else {
                        mask(value, is_email || name == "email_addresses");
                    }
                }
            }
            Value::Array(items) => items.iter_mut().for_each(|item| mask(item, is_email)),
            _ => {}
        }
    }
    mask(&mut value, false);
    value
}

/// Prepares what the request does not contain.
async fn prepare(name: &str, instance: &Instance, request: &mut Request<Full<bytes::Bytes>>) {
    let wait_until = |milliseconds: u64| {
        let target = std::time::Duration::from_millis(milliseconds);
        tokio::time::advance(target.checked_sub(instance.backend.clock().now()).unwrap())
    };
    match name {
        "bad_key" => instance.backend.change(|it| it.secret_key = "sk_test_OTHER".into()),
        // The vector's header is in order; what it stands for is one that is not.
        "bad_authorization_header" => {
            request.headers_mut().insert(AUTHORIZATION, "sk_test_SYNTHETIC".parse().unwrap());
        }
        "bad_api_version" => instance.backend.change(|it| it.api_version = "2030-01-01".into()),
        "patch_metadata_first_write" => wait_until(1_767_859_209_405).await,
        "patch_metadata_merge_and_remove" => {
            let database =
                json!({ "name": "example-name", "region": "eu-central-1", "status": "ready" });
            instance.backend.change_user(MARA, |it| {
                it.private_metadata = json!({ "database": database });
            });
            wait_until(1_767_859_209_405).await;
        }
        // The vector only describes the body.
        "patch_metadata_too_large" => {
            let body = json!({ "private_metadata": { "note": "n".repeat(8 * 1024) } });
            *request.body_mut() = Full::from(body.to_string());
        }
        "rate_limited" => {
            for _ in 0..10 {
                assert_eq!(instance.send(request.clone()).await.unwrap().status, 200);
            }
            tokio::time::advance(3 * SECOND).await;
        }
        "upstream_html_error" => {
            let answer = CannedResponse::new(StatusCode::BAD_GATEWAY);
            let page = answer.with_body("text/html", "<html><body>bad gateway</body></html>");
            instance.backend.faults().push(Fault::once(Call::GetUserList, Effect::Answer(page)));
        }
        _ => {}
    }
}

/// Compared are the status, the headers `Content-Type` and `Retry-After`, and the body: every member of it by name,
/// and by value except for what is made up.
#[tokio::test(start_paused = true)]
async fn every_exchange_of_the_vectors_is_answered_as_written() {
    let vectors: Value = serde_json::from_str(EXCHANGES).unwrap();
    let exchanges = vectors["exchanges"].as_array().unwrap();
    assert_eq!(exchanges.len(), 18);
    let mut skipped = Vec::new();
    for exchange in exchanges {
        let name = exchange["name"].as_str().unwrap();
        let (asked, expected) = (&exchange["request"], &exchange["response"]);
        let path = asked["path_and_query"].as_str().unwrap();
        // The stand-in has no sessions.
        if path.starts_with("/v1/sessions") {
            skipped.push(name);
            continue;
        }
        let instance = Instance::with(|options| options.secret_key = "sk_test_SYNTHETIC".into());
        for person in people() {
            instance.backend.insert(person);
        }
        let method: Method = asked["method"].as_str().unwrap().parse().unwrap();
        let mut request = Request::builder().method(method).uri(path);
        for (header, value) in asked["headers"].as_object().unwrap() {
            request = request.header(header, value.as_str().unwrap());
        }
        let body = asked.get("body").map(Value::to_string).unwrap_or_default();
        let mut request = request.body(Full::from(body)).unwrap();
        prepare(name, &instance, &mut request).await;

        let answer = instance.send(request).await.unwrap();
        let header = |name| answer.headers.get(name).map(|value| value.to_str().unwrap());
        assert_eq!(answer.status, expected["status"], "{name}");
        assert_eq!(header(CONTENT_TYPE), expected["headers"]["Content-Type"].as_str(), "{name}");
        assert_eq!(header(RETRY_AFTER), expected["headers"]["Retry-After"].as_str(), "{name}");
        let body = serde_json::from_slice(&answer.body)
            .unwrap_or_else(|_| String::from_utf8_lossy(&answer.body).into());
        assert_eq!(compared(body), compared(expected["body"].clone()), "{name}");
    }
    assert_eq!(skipped, ["recent_logins_with_location"]);
}
