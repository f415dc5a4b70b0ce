//! Lists and counts.

use standin::clerk::{SignUp, user_id};

use super::{Instance, error, error_of};
use crate::helpers::Client;

/// Users `1..=n`, created a second apart, and of one name each two.
fn instance(n: u64) -> Instance {
    let instance = Instance::with(|_| {});
    for seed in 1..=n {
        instance.backend.insert(SignUp {
            timestamp_ms: 1_767_784_000_036 + seed * 1000,
            first_name: format!("Name {}", seed / 2),
            ..SignUp::new(&user_id(seed))
        });
    }
    instance
}

async fn listed(instance: &Instance, query: &str) -> Vec<u64> {
    let answer = instance.get(&format!("/v1/users{query}")).await;
    assert_eq!(answer.status, 200, "{query}: {:?}", answer.body);
    let seed = |id: &str| (1..=1000).find(|seed| user_id(*seed) == id).unwrap();
    answer.json().as_array().unwrap().iter().map(|it| seed(it["id"].as_str().unwrap())).collect()
}

#[tokio::test(start_paused = true)]
async fn a_page_has_ten_users_and_the_newest_come_first() {
    let instance = instance(12);
    assert_eq!(listed(&instance, "").await, (3..=12).rev().collect::<Vec<_>>());
    assert_eq!(listed(&instance, "?offset=10").await, [2, 1]);
    assert_eq!(listed(&instance, "?limit=2&offset=1").await, [11, 10]);
    assert_eq!(listed(&instance, "?offset=12").await, [] as [u64; 0]);
    assert_eq!(listed(&instance, "?limit=500&order_by=created_at").await.len(), 12);
    for order in ["created_at", "%2Bcreated_at"] {
        assert_eq!(listed(&instance, &format!("?limit=3&order_by={order}")).await, [1, 2, 3]);
    }
    // Of several the first counts.
    assert_eq!(listed(&instance, "?limit=1&order_by=created_at&order_by=-created_at").await, [1]);
}

#[tokio::test(start_paused = true)]
async fn a_cursor_walks_the_whole_list_in_either_direction() {
    let instance = instance(7);
    for order in ["created_at", "-created_at"] {
        let mut seen: Vec<u64> = Vec::new();
        let mut cursor = String::new();
        loop {
            let page = listed(&instance, &format!("?limit=3&order_by={order}{cursor}")).await;
            seen.extend(&page);
            if page.len() < 3 {
                break;
            }
            cursor = format!("&starting_after={}", user_id(*page.last().unwrap()));
        }
        if order.starts_with('-') {
            seen.reverse();
        }
        assert_eq!(seen, [1, 2, 3, 4, 5, 6, 7]);
    }
}

#[tokio::test(start_paused = true)]
async fn a_user_who_signs_up_during_an_ascending_walk_comes_last() {
    let instance = instance(3);
    assert_eq!(listed(&instance, "?limit=2&order_by=created_at").await, [1, 2]);
    instance.backend.insert(SignUp { timestamp_ms: 1_767_785_000_000, ..SignUp::new(&user_id(4)) });
    let next = format!("?limit=2&order_by=created_at&starting_after={}", user_id(2));
    assert_eq!(listed(&instance, &next).await, [3, 4]);
}

#[tokio::test(start_paused = true)]
async fn users_of_one_moment_are_all_reached() {
    let instance = Instance::with(|_| {});
    for seed in 1..=5 {
        instance.backend.insert(SignUp::new(&user_id(seed)));
    }
    let mut seen = listed(&instance, "?limit=2").await;
    for _ in 0..2 {
        let cursor = user_id(*seen.last().unwrap());
        seen.extend(listed(&instance, &format!("?limit=2&starting_after={cursor}")).await);
    }
    seen.sort_unstable();
    assert_eq!(seen, [1, 2, 3, 4, 5]);
}

#[tokio::test(start_paused = true)]
async fn filters_hold_for_the_list_and_for_the_count() {
    let instance = instance(9);
    // Each user was created this many milliseconds after the epoch, and as many seconds as its number.
    let created = |seed: u64| 1_767_784_000_000 + seed * 1000;
    let (two, five) = (user_id(2), user_id(5));
    for (query, expected) in [
        (format!("user_id={two}"), vec![2]),
        (format!("user_id={two}&user_id={five}&user_id=user_nobody"), vec![5, 2]),
        (format!("created_at_after={}", created(7)), vec![9, 8]),
        (format!("created_at_after={}", created(7) - 1), vec![9, 8, 7]),
        (format!("created_at_before={}", created(3)), vec![2, 1]),
        (format!("created_at_before={}&created_at_after={}", created(5), created(3)), vec![4]),
        (format!("user_id={two}&created_at_after={}", created(2)), vec![]),
    ] {
        assert_eq!(listed(&instance, &format!("?{query}")).await, expected, "{query}");
        let count = instance.get(&format!("/v1/users/count?{query}")).await.json();
        let total = serde_json::json!({ "object": "total_count", "total_count": expected.len() });
        assert_eq!(count, total, "{query}");
    }
    let cursor = format!("/v1/users/count?starting_after={two}");
    assert_eq!(instance.get(&cursor).await.json()["total_count"], 9);
}

#[tokio::test(start_paused = true)]
async fn every_ordering_of_the_document_is_taken_and_ends_with_the_id() {
    let instance = instance(4);
    for field in [
        "created_at",
        "updated_at",
        "email_address",
        "web3wallet",
        "first_name",
        "last_name",
        "phone_number",
        "username",
        "last_active_at",
        "last_sign_in_at",
    ] {
        let ascending = listed(&instance, &format!("?order_by={field}")).await;
        let mut descending = listed(&instance, &format!("?order_by=-{field}")).await;
        descending.reverse();
        assert_eq!(ascending, descending, "{field}");
    }
    let by_name = listed(&instance, "?order_by=first_name").await;
    assert_eq!((by_name[0], by_name[3]), (1, 4));
}

#[tokio::test(start_paused = true)]
async fn a_bad_parameter_is_refused_by_name() {
    let instance = instance(3);
    let (two, four) = (user_id(2), user_id(4));
    for (query, code, parameter) in [
        ("limit=0".to_owned(), "form_param_value_invalid", "limit"),
        ("limit=501".into(), "form_param_value_invalid", "limit"),
        ("limit=ten".into(), "form_param_type_invalid", "limit"),
        ("offset=-1".into(), "form_param_value_invalid", "offset"),
        ("created_at_after=yesterday".into(), "form_param_type_invalid", "created_at_after"),
        ("order_by=shoe_size".into(), "form_param_value_invalid", "order_by"),
        // A plus that is not escaped is a blank.
        ("order_by=+created_at".into(), "form_param_value_invalid", "order_by"),
        (format!("starting_after={two}&order_by=username"), "form_param_value_invalid", "order_by"),
        (format!("starting_after={two}&offset=1"), "form_param_value_invalid", "offset"),
        (format!("starting_after={four}"), "form_param_value_invalid", "starting_after"),
        ("user_id=u&".repeat(101), "form_param_value_invalid", "user_id"),
        ("email_address=a%40example.com".into(), "form_param_unknown", "email_address"),
    ] {
        let answer = instance.get(&format!("/v1/users?{query}")).await;
        assert_eq!(error_of(&answer), error(422, code), "{query}");
        assert_eq!(answer.json()["errors"][0]["meta"]["param_name"], parameter, "{query}");
    }
    let cursor = format!("?starting_after={two}&offset=0");
    assert_eq!(listed(&instance, &cursor).await, [1]);
}
