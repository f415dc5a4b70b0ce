//! Changes of metadata.

use http::Method;
use serde_json::{Value, json};
use standin::clerk::user_id;

use super::{AGENT, Instance, error, error_of, events, metadata, user};
use crate::helpers::Client;

#[tokio::test(start_paused = true)]
async fn a_patch_merges_at_every_depth_and_null_removes() {
    for (before, given, after) in [
        (json!({}), json!({}), json!({})),
        (json!({ "a": 1 }), json!({}), json!({ "a": 1 })),
        (json!({ "a": 1 }), json!({ "b": 2 }), json!({ "a": 1, "b": 2 })),
        (json!({ "a": 1 }), json!({ "a": "text" }), json!({ "a": "text" })),
        (json!({ "a": 1 }), json!({ "a": null }), json!({})),
        (json!({ "a": 1 }), json!({ "b": null }), json!({ "a": 1 })),
        (
            json!({ "a": { "b": 1, "c": 2 } }),
            json!({ "a": { "b": null } }),
            json!({ "a": { "c": 2 } }),
        ),
        (json!({ "a": { "b": 1 } }), json!({ "a": { "b": null } }), json!({ "a": {} })),
        (
            json!({ "a": { "b": { "c": 1, "d": 2 } } }),
            json!({ "a": { "b": { "c": 3 } } }),
            json!({ "a": { "b": { "c": 3, "d": 2 } } }),
        ),
        (json!({ "a": { "b": 1 } }), json!({ "a": 7 }), json!({ "a": 7 })),
        (json!({ "a": 7 }), json!({ "a": { "b": 1, "c": null } }), json!({ "a": { "b": 1 } })),
        (json!({ "a": [1, 2] }), json!({ "a": [3] }), json!({ "a": [3] })),
        (
            json!({ "a": [1] }),
            json!({ "a": [null, { "b": null }] }),
            json!({ "a": [null, { "b": null }] }),
        ),
        (Value::Null, json!({ "a": 1 }), json!({ "a": 1 })),
    ] {
        let instance = Instance::new();
        instance.backend.change_user(&user_id(1), |it| it.private_metadata = before.clone());
        let body = json!({ "private_metadata": given });
        for _ in 0..2 {
            let changed = instance.call(Method::PATCH, &metadata(1), Some(body.clone())).await;
            assert_eq!(changed.status, 200);
            assert_eq!(changed.json()["private_metadata"], after, "{before} and {given}");
            assert_eq!(changed.json(), instance.get(&user(1)).await.json());
        }
        let stored = instance.backend.user(&user_id(1)).unwrap();
        assert_eq!(stored.private_metadata, after);
        assert_eq!((stored.public_metadata, stored.unsafe_metadata), (json!({}), json!({})));
    }
}

#[tokio::test(start_paused = true)]
async fn a_put_replaces_each_kind_that_it_names() {
    let instance = Instance::new();
    instance.backend.change_user(&user_id(1), |it| {
        it.public_metadata = json!({ "a": { "b": 1 } });
        it.private_metadata = json!({ "c": 1 });
        it.unsafe_metadata = json!({ "d": 1 });
    });
    let body = json!({ "public_metadata": { "a": { "e": 1 } }, "private_metadata": {} });
    let changed = instance.call(Method::PUT, &metadata(1), Some(body)).await.json();
    assert_eq!(changed["public_metadata"], json!({ "a": { "e": 1 } }));
    assert_eq!(changed["private_metadata"], json!({}));
    assert_eq!(changed["unsafe_metadata"], json!({ "d": 1 }));
}

#[tokio::test(start_paused = true)]
async fn a_change_causes_an_event_with_the_whole_user_and_the_clients_program() {
    let instance = Instance::new();
    let body = Some(json!({ "private_metadata": { "database": { "status": "ready" } } }));
    let mut answers = Vec::new();
    for method in [Method::PATCH, Method::PUT] {
        tokio::time::advance(super::SECOND).await;
        answers.push(instance.call(method, &metadata(1), body.clone()).await.json());
    }
    let caused = events(&instance);
    assert_eq!(
        caused.iter().map(|event| &event["data"]).collect::<Vec<_>>(),
        answers.iter().collect::<Vec<_>>()
    );
    for event in &caused {
        assert_eq!((&event["type"], &event["object"]), (&json!("user.updated"), &json!("event")));
        let request = &event["event_attributes"]["http_request"];
        assert_eq!(request, &json!({ "client_ip": "", "user_agent": AGENT }));
        let lag =
            event["timestamp"].as_u64().unwrap() - event["data"]["updated_at"].as_u64().unwrap();
        assert_eq!(lag, 18);
    }
    let updated_at = |answer: &Value| answer["updated_at"].as_u64().unwrap();
    assert_eq!(updated_at(&answers[1]) - updated_at(&answers[0]), 1000);
    assert_eq!(events(&instance), [] as [Value; 0]);
}

#[tokio::test(start_paused = true)]
async fn a_body_that_is_not_metadata_is_refused_and_changes_nothing() {
    let instance = Instance::new();
    let before = instance.get(&user(1)).await.json();
    let long = "n".repeat(8 * 1024);
    for (body, code, parameter) in [
        (json!({ "private_metadata": {}, "name": "x" }), "form_param_unknown", "name"),
        (json!({ "private_metadata": "x" }), "form_param_type_invalid", "private_metadata"),
        (json!({ "unsafe_metadata": null }), "form_param_type_invalid", "unsafe_metadata"),
        (json!({ "public_metadata": [] }), "form_param_type_invalid", "public_metadata"),
        (
            json!({ "private_metadata": { "a": long }, "public_metadata": { "a": 1 } }),
            "form_param_exceeds_allowed_size",
            "private_metadata",
        ),
    ] {
        for method in [Method::PATCH, Method::PUT] {
            tokio::time::advance(10 * super::SECOND).await;
            let answer = instance.call(method, &metadata(1), Some(body.clone())).await;
            assert_eq!(error_of(&answer), error(422, code));
            assert_eq!(answer.json()["errors"][0]["meta"]["param_name"], parameter);
        }
    }
    assert_eq!(instance.get(&user(1)).await.json(), before);
    assert_eq!(events(&instance), [] as [Value; 0]);
}

#[tokio::test(start_paused = true)]
async fn the_size_that_counts_is_that_of_the_whole_kind_after_the_merge() {
    let instance = Instance::with(|options| options.most_metadata = 20);
    instance.backend.insert(standin::clerk::SignUp::new(&user_id(1)));
    let status = async |given: Value| {
        let body = json!({ "private_metadata": given, "public_metadata": { "a": "12345678901" } });
        instance.call(Method::PATCH, &metadata(1), Some(body)).await.status
    };
    assert_eq!(status(json!({ "a": "123456789012" })).await, 200);
    assert_eq!(status(json!({ "a": "1234567890123" })).await, 422);
    assert_eq!(status(json!({ "b": 1 })).await, 422);
    assert_eq!(status(json!({ "a": null, "b": 1 })).await, 200);
}

#[tokio::test(start_paused = true)]
async fn the_plain_update_takes_names_and_no_metadata() {
    let instance = Instance::new();
    for kind in ["public_metadata", "private_metadata", "unsafe_metadata"] {
        let body = Some(json!({ "first_name": "Ada", kind: {} }));
        let answer = instance.call(Method::PATCH, &user(1), body).await;
        assert_eq!(error_of(&answer), error(422, "form_param_unknown"));
        assert_eq!(answer.json()["errors"][0]["meta"]["param_name"], kind);
    }
    assert_eq!(events(&instance), [] as [Value; 0]);
    let body = Some(json!({ "first_name": "Ada", "last_name": "Byron" }));
    let named = instance.call(Method::PATCH, &user(1), body).await;
    assert_eq!((named.status, &named.json()["last_name"]), (200, &json!("Byron")));
    assert_eq!(events(&instance)[0]["data"], named.json());
    let body = Some(json!({ "first_name": 7 }));
    let answer = instance.call(Method::PATCH, &user(1), body).await;
    assert_eq!(error_of(&answer), error(422, "form_param_type_invalid"));
}
