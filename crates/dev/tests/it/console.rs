//! The console of `cargo dev`: what its page asks for, what it is shown, and who may ask.

mod client;

use std::io::{BufRead, BufReader};
use std::process::Stdio;

use reqwest::Method;
use serde_json::{Value, json};
use tokio::time::timeout;

use self::client::{Console, Messages, PATIENCE};
use crate::{Background, busy_port, dev, run};

#[test]
fn its_address_is_printed_and_shows_a_page_of_the_samples() {
    let console = Console::start();
    console.test(async {
        let page = console.get("/").await;
        assert_eq!(page.headers()["content-type"], "text/html; charset=utf-8");
        assert!(page.text().await.unwrap().contains("<script type=\"module\""));
        for (path, content_type) in [("/main.js", "text/javascript"), ("/style.css", "text/css")] {
            let file = console.get(path).await;
            assert!(file.headers()["content-type"].to_str().unwrap().starts_with(content_type));
        }
        let state = console.json("/api/state").await;
        let shown = (&state["mode"], &state["api"], &state["paused"], &state["time_scale"]);
        let expected = (&json!("stand-ins"), &json!("platform"), &json!(false), &json!(20.0));
        assert_eq!(shown, expected);
        assert_eq!(state["rows_total"], state["rows"].as_array().unwrap().len());
        assert_eq!((&state["databases_total"], &state["runs"]), (&json!(12), &json!([])));
        assert_eq!(state["switches"].as_array().unwrap().len(), 11);
    });
}

#[test]
fn only_its_own_page_may_use_it() {
    let console = Console::start();
    console.test(async {
        let port = console.url.rsplit_once(':').unwrap().1;
        let action = || console.request(Method::POST, "/api/pause").body(r#"{"on":true}"#);
        let json = "application/json";
        let (origin, content_type) = ("origin", "content-type");
        let rebound = console.request(Method::GET, "/api/state").header("host", "evil.example");
        let rebound_action = action().header("host", format!("evil.example:{port}"));
        let rebound_action = rebound_action.header(origin, format!("http://evil.example:{port}"));
        let too_large = action().header(origin, &console.url).header(content_type, json);
        let too_large = too_large.body(" ".repeat(64 * 1024 + 1));
        for (request, status) in [
            (rebound, 421),
            (rebound_action.header(content_type, json), 421),
            (action().header(content_type, json), 403),
            (action().header(content_type, json).header(origin, "null"), 403),
            (action().header(content_type, json).header(origin, "http://evil.example"), 403),
            (
                action()
                    .header(content_type, json)
                    .header(origin, format!("https://127.0.0.1:{port}")),
                403,
            ),
            (
                action()
                    .header(content_type, json)
                    .header(origin, format!("http://localhost:{port}")),
                403,
            ),
            (action().header(origin, &console.url), 415),
            (action().header(origin, &console.url).header(content_type, "text/plain"), 415),
            (too_large, 413),
            (console.request(Method::GET, "/api/pause"), 405),
            (console.request(Method::PUT, "/"), 405),
            (console.request(Method::GET, "/api/nothing"), 404),
            (console.request(Method::GET, "/../Cargo.toml"), 404),
            (console.request(Method::GET, "/api/state"), 200),
        ] {
            let shown = format!("{request:?}");
            let response = request.send().await.unwrap();
            assert_eq!(response.status(), status, "{shown}");
            let headers = response.headers().clone();
            let policy = headers["content-security-policy"].to_str().unwrap();
            assert!(policy.starts_with("default-src 'none'; script-src 'self'"), "{shown}");
            for (name, value) in [
                ("x-content-type-options", "nosniff"),
                ("referrer-policy", "no-referrer"),
                ("cache-control", "no-store"),
            ] {
                assert_eq!(headers[name], value, "{shown}");
            }
            if status != 200 {
                let error: Value = response.json().await.unwrap();
                assert!(error["error"].as_str().unwrap().ends_with('.'), "{shown}: {error}");
            }
        }
        let localhost = console.request(Method::POST, "/api/pause").json(&json!({ "on": false }));
        let localhost = localhost.header("host", format!("localhost:{port}"));
        let localhost = localhost.header("origin", format!("http://localhost:{port}"));
        assert_eq!(localhost.send().await.unwrap().status(), 200);
        assert_eq!(console.json("/api/state").await["paused"], false);
    });
}

#[test]
fn a_sign_up_from_berlin_is_followed_to_its_database_in_frankfurt() {
    let console = Console::start();
    console.test(async {
        let mut stream = console.stream().await;
        let user = console.sign_up(json!({ "place": "berlin", "name": "Mara Lindqvist" })).await;
        let mut stages = Vec::new();
        let row = loop {
            let row = stream.row(&user, |_| true).await;
            stages.push(row["stage"].as_str().unwrap().to_owned());
            if row["status"] == "successful" {
                break row;
            }
        };
        assert_eq!(stages, ["hookdeck", "function", "xata", "clerk", "done"]);
        let shown = ["name", "from", "outcome", "region", "placement"].map(|it| &row[it]);
        assert_eq!(shown, ["Mara Lindqvist", "Berlin", "created", "eu-central-1", "geo"]);
        assert_eq!((&row["attempts"], &row["http_status"]), (&json!(1), &json!(200)));
        let database = stream.find("database", |it| it["user"] == *user).await;
        let shown = ["region", "state", "entry"].map(|it| &database[it]);
        assert_eq!(shown, ["eu-central-1", "creating", "agrees"]);
        stream.find("database", |it| it["user"] == *user && it["state"] == "ready").await;

        let detail = console.detail(&user).await;
        let attempt = &detail["attempts"][0];
        assert_eq!((&attempt["trigger"], &attempt["status"]), (&json!("INITIAL"), &json!(200)));
        let calls = attempt["calls"].as_array().unwrap();
        let calls: Vec<_> =
            calls.iter().map(|it| (&it["to"], &it["method"], &it["status"])).collect();
        let (xata, clerk) = (json!("Xata"), json!("Clerk"));
        let (post, patch) = (json!("POST"), json!("PATCH"));
        assert_eq!(calls, [(&xata, &post, &json!(201)), (&clerk, &patch, &json!(200))]);
        assert_eq!(
            (&attempt["log"]["outcome"], &attempt["log"]["user_id"]),
            (&json!("created"), &json!(user))
        );
    });
}

#[test]
fn every_place_is_in_the_region_that_its_country_or_continent_has() {
    let console = Console::start();
    console.test(async {
        let mut stream = console.stream().await;
        let places = console.json("/api/state").await["places"].clone();
        for place in places.as_array().unwrap() {
            let user = console.sign_up(json!({ "place": place["id"] })).await;
            let row = stream.acknowledged(&user).await;
            assert_eq!(row["from"], place["label"]);
            let expected = match place["id"].as_str().unwrap() {
                "berlin" | "london" | "paris" | "stockholm" | "amsterdam" => "eu-central-1",
                "mumbai" | "tokyo" | "sydney" | "wellington" => "us-west-2",
                _ => "us-east-1",
            };
            assert_eq!(row["region"], expected, "{place}");
            let is_known = place["id"] != "office";
            assert_eq!(row["placement"] == "geo", is_known && expected != "us-east-1", "{row}");
        }
    });
}

#[test]
fn while_xata_is_down_hookdeck_retries_when_it_is_told_to_and_then_there_is_one_database() {
    let console = Console::start();
    console.test(async {
        let mut stream = console.stream().await;
        console.switch("xata_down", true).await;
        let user = console.sign_up(json!({ "place": "berlin" })).await;
        let row = stream.row(&user, |row| row["status"] == "scheduled").await;
        let shown = (&row["http_status"], &row["retry_after"], &row["reason"]);
        assert_eq!((shown.0, shown.1), (&json!(503), &json!("30")), "{row}");
        assert!(shown.2.is_string() && row["next_at"].is_u64(), "{row}");
        stream.row(&user, |row| row["attempts"] == 2 && row["status"] == "scheduled").await;
        console.switch("xata_down", false).await;
        let row = stream.acknowledged(&user).await;
        assert!(row["attempts"].as_u64() >= Some(3), "{row}");
        stream.find("database", |it| it["user"] == *user).await;
        assert_eq!(console.databases(&user).await.len(), 1);
        assert_eq!(console.detail(&user).await["attempts"][0]["next_in_ms"], 30_000);
    });
}

#[test]
fn a_function_that_is_killed_in_the_middle_leaves_exactly_one_database() {
    let console = Console::start();
    console.test(async {
        let mut stream = console.stream().await;
        console.switch("xata_slow", true).await;
        let user = console.sign_up(json!({ "place": "berlin" })).await;
        stream.row(&user, |row| row["stage"] == "xata").await;
        console.done("/api/actions/kill_function", json!({})).await;
        let row = stream.row(&user, |row| row["status"] == "scheduled").await;
        assert_eq!((&row["http_status"], &row["outcome"]), (&Value::Null, &Value::Null));
        console.switch("xata_slow", false).await;
        assert_eq!(stream.acknowledged(&user).await["attempts"], 2);
        stream.find("database", |it| it["user"] == *user).await;
        assert_eq!(console.databases(&user).await.len(), 1);
        let detail = console.detail(&user).await;
        let killed = &detail["attempts"][0];
        assert!(killed["error"].as_str().unwrap().starts_with("connection: "), "{killed}");
        assert_eq!(killed["calls"][0]["error"], "given up before an answer");
    });
}

#[test]
fn a_deleted_user_loses_the_database_after_the_ten_minutes_that_a_deletion_waits() {
    let console = Console::start();
    console.test(async {
        let mut stream = console.stream().await;
        console.done("/api/time-scale", json!({ "value": 100 })).await;
        let user = console.sign_up(json!({ "place": "paris" })).await;
        stream.acknowledged(&user).await;
        let database = stream.find("database", |it| it["user"] == *user).await;
        console.done(&format!("/api/users/{user}/delete"), json!({})).await;
        let is_deletion = |row: &Value| row["type"] == "user.deleted";
        let early = stream.row(&user, |row| is_deletion(row) && row["status"] == "scheduled").await;
        assert_eq!(early["reason"], "too_early");
        let row = stream.row(&user, |row| is_deletion(row) && row["status"] == "successful").await;
        assert_eq!((&row["outcome"], &row["attempts"]), (&json!("removed"), &json!(2)));
        stream.find("gone", |it| it["id"] == database["id"]).await;
        assert_eq!(console.databases(&user).await, [Value::Null; 0]);
        let (status, _) = console.post(&format!("/api/users/{user}/delete"), json!({})).await;
        assert_eq!(status, 404);

        console.done("/api/actions/replay_old", json!({})).await;
        // It is that of the first user who has left.
        let row = stream.find("row", |row| row["reason"] == "user_gone").await;
        assert_eq!((&row["type"], &row["outcome"]), (&json!("user.created"), &json!("ignored")));
    });
}

#[test]
fn five_hundred_sign_ups_at_once_get_a_database_each_while_two_hundred_pages_watch() {
    let console = Console::start();
    console.test(async {
        let before = console.json("/api/state").await;
        let mut pages = Vec::new();
        for _ in 0..200 {
            pages.push(console.stream().await);
        }
        let mut stream = console.stream().await;
        console.done("/api/burst", json!({ "count": 500 })).await;
        let users = before["counts"]["users"].as_u64().unwrap() + 500;
        let databases = before["counts"]["databases"].as_u64().unwrap() + 500;
        let is_all =
            |counts: &Value| counts["databases"] == databases && counts["entries"] == databases;
        let counts = stream.find("counts", is_all).await;
        assert_eq!(counts["users"], users);
        for each in ["duplicates", "acknowledged_without_database", "acknowledged_without_entry"] {
            assert_eq!(counts[each], 0, "{each}");
        }
        // A page that begins to read only now has missed nothing that it would need.
        for page in &mut pages {
            let caught_up = async {
                loop {
                    let message = page.next().await;
                    if message.event == "reset"
                        || message.event == "counts" && is_all(&message.data)
                    {
                        break;
                    }
                }
            };
            timeout(PATIENCE, caught_up).await.expect("in time");
        }
        let state = console.json("/api/state").await;
        assert_eq!(state["databases_total"], databases);
        assert_eq!(state["rows"].as_array().unwrap().len(), 500);
        let (status, error) = console.post("/api/burst", json!({ "count": 501 })).await;
        assert_eq!(status, 400, "{error}");
    });
}

#[test]
fn what_it_does_not_know_is_404_and_what_it_cannot_read_is_400_with_a_sentence() {
    let console = Console::start();
    console.test(async {
        for path in ["/api/events/evt_unknown", "/api/events/evt_unknown/copy?as=curl"] {
            assert_eq!(console.get(path).await.status(), 404, "{path}");
        }
        assert_eq!(console.get("/api/stream?after=soon").await.status(), 400);
        let long = "x".repeat(201);
        for (path, body, status) in [
            ("/api/events/evt_unknown/retry", json!({}), 404),
            ("/api/events/evt_unknown/cancel", json!({}), 404),
            ("/api/users/user_unknown/delete", json!({}), 404),
            ("/api/users/%00%ff/delete", json!({}), 400),
            ("/api/switches/xata_gone", json!({ "on": true }), 404),
            ("/api/switches/xata_down", json!({}), 400),
            ("/api/switches/xata_down", json!({ "on": "yes" }), 400),
            ("/api/actions/nothing", json!({}), 404),
            ("/api/sign-ups", json!({ "place": "atlantis" }), 400),
            ("/api/sign-ups", json!({ "by": "nobody" }), 400),
            ("/api/sign-ups", json!({ "ip": long }), 400),
            ("/api/sign-ups", json!({ "name": long }), 400),
            ("/api/sign-ups", json!({ "name": 7 }), 400),
            ("/api/sign-ups", json!([]), 400),
            ("/api/burst", json!({}), 400),
            ("/api/burst", json!({ "count": 0 }), 400),
            ("/api/burst", json!({ "count": -1 }), 400),
            ("/api/time-scale", json!({ "value": 0 }), 400),
            ("/api/time-scale", json!({ "value": 101 }), 400),
        ] {
            let (actual, error) = console.post(path, body.clone()).await;
            assert_eq!(actual, status, "{path} {body}");
            assert!(error["error"].as_str().unwrap().ends_with('.'), "{path} {body}: {error}");
        }
    });
}

#[test]
fn any_text_of_a_visitor_is_shown_as_it_is_and_the_user_gets_a_database() {
    let console = Console::start();
    console.test(async {
        let mut stream = console.stream().await;
        for (name, ip) in [
            ("<script>alert(1)</script>", "84.200.69.80"),
            ("\n\ndata: {}\n\nid: 1\r\u{2028}\0", "'; drop table users; --"),
            ("🦀 \u{202e}reversed", "<img src=x onerror=alert(1)>"),
            ("", "999.1.1.1"),
        ] {
            let user = console.sign_up(json!({ "name": name, "ip": ip })).await;
            let row = stream.acknowledged(&user).await;
            assert_eq!(row["name"].as_str().unwrap_or_default(), name.trim());
            assert_eq!(row["outcome"], "created", "{row}");
            if ip.starts_with('8') {
                assert_eq!(row["from"], "Berlin");
            } else {
                assert_eq!(row["from"], ip);
            }
        }
        let state = console.get("/api/state").await;
        assert_eq!(state.headers()["content-type"], "application/json");
    });
}

#[test]
fn a_page_that_comes_back_gets_each_message_that_it_has_missed() {
    let console = Console::start();
    console.test(async {
        let mut stream = console.stream().await;
        let user = console.sign_up(json!({ "place": "tokyo" })).await;
        let first = stream.next().await.id;
        let mut seen = vec![first];
        while seen.len() < 5 {
            seen.push(stream.next().await.id);
        }
        drop(stream);
        let mut stream = console.stream_after(Some(first)).await;
        for expected in &seen[1..] {
            assert_eq!(stream.next().await.id, *expected);
        }
        assert_eq!(seen, (first..first + 5).collect::<Vec<_>>());
        // The header of a browser that comes back counts, and not its old address.
        let old = console.request(Method::GET, &format!("/api/stream?after={first}"));
        let response = old.header("last-event-id", seen[3]).send().await.unwrap();
        let mut stream = Messages::new(response);
        assert_eq!(stream.next().await.id, seen[4]);
        assert_eq!(console.rows(&user).await.len(), 1);
    });
}

#[test]
fn a_page_that_was_away_too_long_or_knows_another_process_is_told_to_load_everything() {
    let console = Console::start();
    console.test(async {
        let sequence = console.json("/api/state").await["sequence"].as_u64().unwrap();
        for other in [1, sequence + 1_000_000] {
            let mut stream = console.stream_after(Some(other)).await;
            let message = stream.next().await;
            assert_eq!((message.event.as_str(), message.data), ("reset", json!({})));
            // What comes next is new.
            let user = console.sign_up(json!({})).await;
            stream.acknowledged(&user).await;
        }
        // Three bursts are more messages than are kept.
        let mut stream = console.stream().await;
        for n in 1..=3 {
            console.done("/api/burst", json!({ "count": 500 })).await;
            stream.find("counts", |it| it["databases"].as_u64() >= Some(n * 500)).await;
        }
        let mut late = console.stream_after(Some(sequence)).await;
        assert_eq!(late.next().await.event, "reset");
    });
}

#[test]
fn each_fault_is_survived_and_leaves_one_database_for_each_user() {
    let console = Console::start();
    console.test(async {
        let mut stream = console.stream().await;
        console.done("/api/time-scale", json!({ "value": 100 })).await;
        for (switch, status) in [
            ("xata_lost_answer", Some(200)),
            ("xata_quota", Some(500)),
            ("xata_limiting", Some(503)),
            ("clerk_down", Some(503)),
            ("clerk_limiting", Some(503)),
            ("clerk_key_rotated", Some(500)),
            ("hookdeck_duplicates", Some(200)),
            ("hookdeck_reorders", Some(200)),
            ("wrong_secret", Some(401)),
        ] {
            console.switch(switch, true).await;
            let user = console.sign_up(json!({ "place": "berlin" })).await;
            let row = stream.row(&user, |row| row["http_status"].is_u64()).await;
            assert_eq!(row["http_status"].as_u64(), status, "{switch}: {row}");
            console.switch(switch, false).await;
            if row["status"] != "successful" {
                stream.acknowledged(&user).await;
            }
            stream.find("database", |it| it["user"] == *user && it["entry"] == "agrees").await;
            assert_eq!(console.databases(&user).await.len(), 1, "{switch}");
            let n_copies = if switch == "hookdeck_duplicates" { 3 } else { 1 };
            let detail = console.detail(&user).await;
            let attempts = detail["attempts"].as_array().unwrap();
            assert_eq!(attempts.iter().filter(|it| it["number"] == 1).count(), n_copies);
        }
        let state = console.json("/api/state").await;
        assert!(state["switches"].as_array().unwrap().iter().all(|it| it["on"] == false));
    });
}

#[test]
fn the_next_three_deliveries_can_come_in_reverse_order() {
    let console = Console::start();
    console.test(async {
        let mut stream = console.stream().await;
        console.done("/api/actions/reorder_next", json!({})).await;
        let mut users = Vec::new();
        for _ in 0..3 {
            users.push(console.sign_up(json!({})).await);
        }
        let mut began = Vec::new();
        while began.len() < 3 {
            let row = stream.find("row", |row| row["stage"] == "function").await;
            began.push(row["user"].as_str().unwrap().to_owned());
        }
        users.reverse();
        assert_eq!(began, users);
    });
}

#[test]
fn an_event_can_be_held_retried_and_cancelled() {
    let console = Console::start();
    console.test(async {
        let mut stream = console.stream().await;
        console.done("/api/pause", json!({ "on": true })).await;
        stream.find("settings", |it| it["paused"] == true).await;
        let user = console.sign_up(json!({})).await;
        let row = stream.row(&user, |row| row["status"] == "hold").await;
        let event = row["id"].as_str().unwrap();
        console.done(&format!("/api/events/{event}/cancel"), json!({})).await;
        stream.row(&user, |row| row["status"] == "cancelled" && row["stage"] == "done").await;
        console.done("/api/pause", json!({ "on": false })).await;
        assert_eq!(console.databases(&user).await, [Value::Null; 0]);
        console.done(&format!("/api/events/{event}/retry"), json!({})).await;
        assert_eq!(stream.acknowledged(&user).await["outcome"], "created");
        assert_eq!(console.detail(&user).await["attempts"][0]["trigger"], "MANUAL");

        console.done("/api/actions/wrong_secret_event", json!({})).await;
        let forged = stream.find("row", |row| row["http_status"] == 401).await;
        assert_eq!(
            (&forged["outcome"], forged["user"] == user.as_str()),
            (&json!("unauthorized"), false)
        );
        let detail = console.detail(forged["user"].as_str().unwrap()).await;
        assert!(!detail.to_string().contains("x-console-forged"));
    });
}

#[test]
fn details_and_copies_hold_no_secret_and_a_copy_is_delivered_as_it_is() {
    let console = Console::start();
    console.test(async {
        let mut stream = console.stream().await;
        let user = console.sign_up(json!({ "name": "it's $(id) \"quoted\"#" })).await;
        let row = stream.acknowledged(&user).await;
        let event = format!("/api/events/{}", row["id"].as_str().unwrap());
        let mut texts = vec![console.get(&event).await.text().await.unwrap()];
        for form in ["curl", "sam", "fixture"] {
            let copy = console.get(&format!("{event}/copy?as={form}")).await;
            assert_eq!(copy.headers()["content-type"], "text/plain; charset=utf-8");
            texts.push(copy.text().await.unwrap());
        }
        for text in &texts {
            for secret in ["local-development-secret", "xau_fake", "sk_test_fake", "Bearer"] {
                assert!(!text.contains(secret), "{secret}: {text}");
            }
        }
        assert_eq!(console.get(&format!("{event}/copy?as=letter")).await.status(), 400);
        assert!(
            texts[1].starts_with(&format!("curl -sS '{}webhooks/clerk'", console.function_url))
        );
        let copied: Value = serde_json::from_str(&texts[2]).unwrap();
        let url = format!("{}webhooks/clerk", console.function_url);
        let mut request =
            console.client.post(url).body(copied["body"].as_str().unwrap().to_owned());
        for (name, value) in copied["headers"].as_object().unwrap() {
            request = request.header(name, value.as_str().unwrap());
        }
        let response = request.send().await.unwrap();
        assert_eq!(response.status(), 200);
        assert_eq!(response.json::<Value>().await.unwrap()["status"], "exists");
    });
}

#[test]
fn the_runs_of_the_fleet_commands_are_shown_as_they_grow() {
    let directory = tempfile::tempdir().unwrap();
    let runs = directory.path().join(".ops/runs/2026-11-29T15-30-12-345678");
    let console = Console::start_in(directory.path());
    console.test(async {
        let mut stream = console.stream().await;
        std::fs::create_dir_all(&runs).unwrap();
        std::fs::write(runs.join("ledger.jsonl"), "{\"step\":\"done\",\"user\":\"user_a\"}\n")
            .unwrap();
        std::fs::write(runs.join("run.json"), r#"{"verb":"migrate"}"#).unwrap();
        let shown = stream.find("runs", |it| it["runs"][0]["done"] == 1).await;
        assert_eq!(shown["runs"][0]["verb"], "migrate");
        assert_eq!(console.json("/api/state").await["runs"], shown["runs"]);
    });
}

#[test]
fn on_xata_lite_a_sign_up_is_shown_with_its_database() {
    let console = Console::start_with(&["--console-port", "0", "--api", "lite"], []);
    console.test(async {
        let mut stream = console.stream().await;
        let user = console.sign_up(json!({ "place": "sydney" })).await;
        let database = stream.find("database", |it| it["user"] == *user).await;
        let shown = ["id", "region", "state", "entry"].map(|it| database[it].clone());
        assert_eq!(shown, [user.as_str(), "ap-southeast-2", "ready", "agrees"]);
    });
}

#[test]
fn with_live_nothing_is_created_unless_it_is_confirmed() {
    let settings = [
        ("HOOKDECK_WEBHOOK_SECRET", "fake-real-secret"),
        ("XATA_API_KEY", "xau_fake_real_key"),
        ("XATA_API_URL", "http://127.0.0.1:1"),
        ("XATA_ORGANIZATION_ID", "org123"),
        ("XATA_PROJECT_ID", "prj_a"),
    ];
    let console = Console::start_with(&["--console-port", "0", "--live"], settings);
    console.test(async {
        let state = console.json("/api/state").await;
        assert_eq!((&state["mode"], &state["rows_total"]), (&json!("live"), &json!(0)));
        for (path, body, status) in [
            ("/api/sign-ups", json!({}), 409),
            ("/api/sign-ups", json!({ "confirm": "yes" }), 409),
            ("/api/burst", json!({ "count": 2 }), 409),
            ("/api/users/user_abcdefghij/delete", json!({}), 501),
            ("/api/switches/xata_down", json!({ "on": true }), 409),
            ("/api/actions/replay_old", json!({}), 409),
        ] {
            let (actual, error) = console.post(path, body).await;
            assert_eq!(actual, status, "{path}");
            assert!(error["error"].as_str().unwrap().ends_with('.'), "{path}: {error}");
        }
        let mut stream = console.stream().await;
        let confirm = "creates a real database, which costs money";
        let user = console.sign_up(json!({ "confirm": confirm })).await;
        let row = stream.row(&user, |row| row["http_status"].is_u64()).await;
        assert_eq!(
            (&row["http_status"], &row["reason"]),
            (&json!(503), &json!("xata_unreachable"))
        );
        let detail = console.detail(&user).await.to_string();
        assert!(!detail.contains("fake-real-secret") && !detail.contains("xau_fake_real_key"));
    });
}

#[test]
fn it_takes_a_free_port_unless_one_is_asked_for_that_is_taken() {
    let consoles = [(), ()].map(|()| Console::start_with(&[], []));
    assert_ne!(consoles[0].url, consoles[1].url);
    let (_listener, port) = busy_port();
    let (code, _, error) = run(&mut dev(&["--port", "0", "--console-port", &port]));
    assert_eq!(code, 1);
    assert!(error.contains(&port) && error.contains("--console-port"), "{error}");
}

#[test]
fn there_is_none_with_once_or_where_it_is_not_wanted() {
    for flag in [&["--console-port", "0"][..], &["--open"]] {
        assert_eq!(run(&mut dev(&[&["--once"], flag].concat())).0, 2, "{flag:?}");
    }
    let mut command = dev(&["--port", "0", "--no-console"]);
    let mut process = Background(command.stderr(Stdio::piped()).spawn().unwrap());
    let lines = BufReader::new(process.0.stderr.take().unwrap()).lines().map(Result::unwrap);
    // An empty line ends the notes.
    let notes: Vec<_> = lines.take_while(|line| !line.is_empty()).collect();
    assert!(!notes.join("\n").contains("console"), "{notes:?}");
}

#[test]
fn a_watched_simulation_is_shown_with_its_report() {
    let directory = tempfile::tempdir().unwrap();
    let mut simulate = dev(&["simulate", "--seeds", "5", "--users", "2", "--watch", "--json"]);
    let (code, report, errors) = run(simulate.current_dir(&directory));
    assert_eq!((code, errors.as_str()), (0, ""), "{report}");
    let report: Value = serde_json::from_str(&report).unwrap();
    let console = Console::start_in(directory.path());
    console.test(async {
        let mut stream = console.stream().await;
        let mut shown = console.json("/api/state").await;
        if shown["runs"][0]["done"] != 5 {
            shown = stream.find("runs", |it| it["runs"][0]["done"] == 5).await;
        }
        let run = &shown["runs"][0];
        assert_eq!((&run["verb"], &run["total"]), (&json!("simulate"), &json!(5)));
        assert_eq!(run["lines"][5]["report"], report);
    });
}

#[test]
fn the_database_of_a_deleted_user_is_parked_where_the_environment_says_so() {
    let console = Console::start_with(&["--console-port", "0"], [("ON_USER_DELETED", "park")]);
    console.test(async {
        let mut stream = console.stream().await;
        let user = console.sign_up(json!({ "place": "berlin" })).await;
        stream.find("row", |it| it["user"] == *user && it["outcome"] == "created").await;
        console.done(&format!("/api/users/{user}/delete"), json!({})).await;
        let parked = |it: &Value| it["user"] == *user && it["state"] == "parked";
        let database = stream.find("database", parked).await;
        assert_eq!(database["entry"], "none");
    });
}
