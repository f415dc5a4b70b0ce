//! Rate limits, on the stand-in's own clock.

use http::Method;
use http::header::RETRY_AFTER;
use serde_json::json;
use standin::clerk::backend::Options;
use standin::clerk::{SignUp, user_id};

use super::{Instance, SECOND, error, error_of, metadata, user};
use crate::helpers::{Answer, Client};

fn limited(answer: &Answer) -> Option<&str> {
    (answer.status == 429).then(|| {
        assert_eq!(error_of(answer), error(429, "too_many_requests"));
        answer.headers[RETRY_AFTER].to_str().unwrap()
    })
}

#[tokio::test(start_paused = true)]
async fn the_whole_api_answers_so_many_requests_within_ten_seconds() {
    for (options, most) in [(Options::default(), 100), (Options::production(), 1000)] {
        let secret_key = Options::default().secret_key;
        let instance = Instance::with(|it| *it = Options { secret_key, ..options });
        for n in 0..most {
            let path = ["/v1/users/count", "/v1/instance"][n % 2];
            assert_eq!(instance.get(path).await.status, 200);
        }
        tokio::time::advance(2 * SECOND + SECOND / 2).await;
        for path in ["/v1/users", "/v1/users/count", "/v1/instance", &user(1)] {
            assert_eq!(limited(&instance.get(path).await), Some("8"), "{path}");
        }
        tokio::time::advance(7 * SECOND).await;
        assert_eq!(limited(&instance.get("/v1/users").await), Some("1"));
        // To ask meanwhile has not made it longer.
        tokio::time::advance(SECOND / 2).await;
        assert_eq!(instance.get("/v1/users").await.status, 200);
    }
}

#[tokio::test(start_paused = true)]
async fn each_user_may_be_changed_so_often_within_ten_seconds() {
    let instance = Instance::new();
    instance.backend.insert(SignUp::new(&user_id(2)));
    let body = Some(json!({}));
    for n in 0..10 {
        let (method, path) = match n % 3 {
            0 => (Method::PATCH, user(1)),
            1 => (Method::PATCH, metadata(1)),
            _ => (Method::PUT, metadata(1)),
        };
        assert_eq!(instance.call(method, &path, body.clone()).await.status, 200);
    }
    tokio::time::advance(SECOND).await;
    let n_events = instance.backend.take_events().len();
    assert_eq!(n_events, 10);
    for (method, path) in
        [(Method::PATCH, user(1)), (Method::PATCH, metadata(1)), (Method::PUT, metadata(1))]
    {
        let answer = instance.call(method, &path, body.clone()).await;
        assert_eq!(limited(&answer), Some("9"), "{path}");
    }
    assert!(instance.backend.take_events().is_empty());
    // Others, and reading this one, go on.
    assert_eq!(instance.get(&user(1)).await.status, 200);
    assert_eq!(instance.call(Method::PATCH, &metadata(2), body.clone()).await.status, 200);
    tokio::time::advance(9 * SECOND).await;
    assert_eq!(instance.call(Method::PATCH, &metadata(1), body).await.status, 200);
}

#[tokio::test(start_paused = true)]
async fn a_request_without_the_key_does_not_count_towards_the_limit() {
    let instance = Instance::with(|options| options.most_requests = Some(1));
    for _ in 0..3 {
        let mut request = super::request(Method::GET, "/v1/users", None);
        request.headers_mut().remove(http::header::AUTHORIZATION);
        assert_eq!(instance.send(request).await.unwrap().status, 401);
    }
    assert_eq!(instance.get("/v1/users").await.status, 200);
    assert_eq!(instance.get("/v1/users").await.status, 429);
}

#[tokio::test(start_paused = true)]
async fn the_limits_can_be_switched_off() {
    let instance = Instance::with(|options| *options = options.clone().unlimited());
    instance.backend.insert(SignUp::new(&user_id(1)));
    for _ in 0..150 {
        let changed = instance.call(Method::PATCH, &metadata(1), Some(json!({}))).await;
        assert_eq!(changed.status, 200);
    }
}
