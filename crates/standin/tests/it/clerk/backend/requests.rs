//! What every request needs: the key, a known version, a body with its content type, a known path.

use http::Method;
use http::header::{AUTHORIZATION, CONTENT_TYPE};
use http_body_util::Full;
use standin::clerk::user_id;

use super::{Instance, VERSION, error, error_of, metadata, request, user};
use crate::helpers::Client;

#[tokio::test(start_paused = true)]
async fn only_the_key_of_the_instance_is_accepted() {
    let instance = Instance::new();
    for (authorization, code) in [
        (None, "authentication_invalid"),
        (Some("Bearer sk_test_other_fake_key"), "clerk_key_invalid"),
        (Some("Basic sk_test_other_fake_key"), "authorization_header_format_invalid"),
        (Some("Bearer"), "authorization_header_format_invalid"),
        (Some("Bearer "), "authorization_header_format_invalid"),
    ] {
        for (method, path) in
            [(Method::GET, "/v1/users"), (Method::GET, "/v1/instance"), (Method::DELETE, &user(1))]
        {
            let mut request = request(method, path, None);
            request.headers_mut().remove(AUTHORIZATION);
            if let Some(value) = authorization {
                request.headers_mut().insert(AUTHORIZATION, value.parse().unwrap());
            }
            let answer = instance.send(request).await.unwrap();
            assert_eq!(error_of(&answer), error(401, code), "{authorization:?} {path}");
        }
    }
    assert!(instance.backend.user(&user_id(1)).is_some());
}

#[tokio::test(start_paused = true)]
async fn the_version_is_named_once_or_not_at_all() {
    let instance = Instance::new();
    for (header, query, status) in [
        (None, None, 200),
        (Some(VERSION), None, 200),
        (None, Some(VERSION), 200),
        (Some(VERSION), Some(VERSION), 400),
        (Some("2021-02-05"), None, 400),
        (Some(""), None, 400),
        (None, Some("latest"), 400),
    ] {
        let query = query.map(|it| format!("?__clerk_api_version={it}")).unwrap_or_default();
        let mut request = request(Method::GET, &format!("/v1/instance{query}"), None);
        request.headers_mut().remove("Clerk-API-Version");
        if let Some(value) = header {
            request.headers_mut().insert("Clerk-API-Version", value.parse().unwrap());
        }
        let answer = instance.send(request).await.unwrap();
        assert_eq!(answer.status, status, "{header:?} {query}");
        if status == 400 {
            assert_eq!(error_of(&answer), error(400, "api_version_invalid"));
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_body_must_be_json_and_say_so() {
    let instance = Instance::new();
    let patch = |content_type: &str, body: &'static str| {
        let mut request = request(Method::PATCH, &metadata(1), None);
        request.headers_mut().insert(CONTENT_TYPE, content_type.parse().unwrap());
        *request.body_mut() = Full::from(body);
        instance.send(request)
    };
    for content_type in ["text/plain", "application/x-www-form-urlencoded", "application/jsonp"] {
        let answer = patch(content_type, "{}").await.unwrap();
        assert_eq!(error_of(&answer), error(415, "unsupported_content_type"));
    }
    for body in ["{", "[]", "7", "null"] {
        let answer = patch("application/json", body).await.unwrap();
        assert_eq!(error_of(&answer), error(400, "request_body_invalid"), "{body}");
    }
    assert_eq!(patch("application/json; charset=utf-8", "{}").await.unwrap().status, 200);
}

#[tokio::test(start_paused = true)]
async fn an_unknown_path_is_404_and_an_unknown_method_405() {
    let instance = Instance::new();
    for path in ["/v1/nothing", "/users", "/v1/users/user_nobody", "/v1/users/User_1"] {
        assert_eq!(error_of(&instance.get(path).await), error(404, "resource_not_found"), "{path}");
    }
    assert_eq!(instance.call(Method::POST, "/v1/users/count", None).await.status, 405);
    assert_eq!(error_of(&instance.get("/v1/users/%FF").await).0, 400);
}
