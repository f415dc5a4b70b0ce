//! Many deliveries at once in one process, as on Lambda Managed Instances.

use std::sync::Arc;
use std::time::Duration;

use axum::middleware::{Next, from_fn};
use futures_util::future::join_all;
use http::Method;
use per_user_db::http_client;
use serde_json::Value;
use standin::clerk::user_id;
use standin::fault::{Effect, Fault};
use standin::runtime_api::{Invoked, RuntimeApi};
use standin::xata::Call;
use tokio::net::TcpListener;
use tokio::sync::Barrier;
use tokio::time::Instant;

use crate::binary::{Process, SETTINGS, deadline};
use crate::log::outgoing_requests;
use crate::test_app::{
    KEY, TestApp, client, delivery, payload, platform, user_created, with_header,
};

/// The body of the function's response.
fn body(invoked: &Invoked) -> Value {
    let response: Value = serde_json::from_slice(invoked.result.as_ref().unwrap()).unwrap();
    serde_json::from_str(response["body"].as_str().unwrap()).unwrap()
}

#[tokio::test]
async fn eight_deliveries_at_once_have_their_own_answers_and_whole_lines() {
    // No create is answered before eight of them have arrived.
    let all_are_here = Arc::new(Barrier::new(8));
    let hold = from_fn(move |request: axum::extract::Request, next: Next| {
        let all_are_here = all_are_here.clone();
        async move {
            if request.method() == Method::POST {
                all_are_here.wait().await;
            }
            next.run(request).await
        }
    });
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let xata = format!("http://{}", listener.local_addr().unwrap());
    let _server = tokio::spawn(standin::serve::serve(listener, platform().router().layer(hold)));
    let api = RuntimeApi::start().unwrap();
    let variables = [
        ("AWS_LAMBDA_MAX_CONCURRENCY", "8"),
        ("LOG_LEVEL", "debug"),
        ("XATA_API_KEY", KEY),
        ("XATA_API_URL", &xata),
    ];
    let mut process = Process::start(&api, &[&SETTINGS[1..], &variables].concat());
    // The second eight find connections that were kept.
    let mut invoked = Vec::new();
    for seeds in [1..=8, 9..=16] {
        let sign_up = |seed| {
            let event_id = format!("evt_{seed}");
            with_header(delivery(user_created(seed)), "x-hookdeck-eventid", &event_id)
        };
        let invoke = |seed| api.invoke(payload(&sign_up(seed)).into(), deadline());
        let round = join_all(seeds.clone().map(invoke)).await;
        invoked.extend(seeds.zip(round));
    }
    process.kill();
    let (_, stdout, stderr) = process.output();
    assert_eq!(stderr, "");
    let lines: Vec<Value> =
        stdout.lines().map(|it| serde_json::from_str(it).expect("a whole line of JSON")).collect();
    let n_metrics = lines.iter().filter(|it| it["Deliveries"] == 1).count();
    assert_eq!(n_metrics, 16);
    let outgoing = outgoing_requests(&lines);
    for (seed, invoked) in &invoked {
        let answer = body(invoked);
        assert_eq!(answer["status"], "created", "{answer}");
        assert_eq!(answer["database"]["name"], user_id(*seed));
        let is_its = |it: &&Value| it["request_id"] == invoked.request_id;
        let [line] = lines.iter().filter(is_its).collect::<Vec<_>>()[..] else {
            panic!("{stdout}")
        };
        let found = (line["user_id"].as_str(), line["event_id"].as_str());
        assert_eq!(found, (Some(&*user_id(*seed)), Some(&*format!("evt_{seed}"))));
        let is_its = |it: &&&Value| it["spans"].to_string().contains(&invoked.request_id);
        assert_eq!(outgoing.iter().filter(is_its).count(), 1, "{stdout}");
    }
}

#[tokio::test]
async fn without_a_number_above_one_deliveries_come_one_after_the_other() {
    for limit in [None, Some("1"), Some("0"), Some("eight")] {
        let limit = limit.map(|it| ("AWS_LAMBDA_MAX_CONCURRENCY", it));
        let variables: Vec<_> = SETTINGS.into_iter().chain(limit).collect();
        let api = RuntimeApi::start().unwrap();
        let _process = Process::start(&api, &variables);
        let invoke = || api.invoke(payload(&delivery("{}")).into(), deadline());
        let (first, second) = tokio::join!(invoke(), invoke());
        assert!(first.answered_at <= second.handed_out_at, "{limit:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn each_of_eight_deliveries_is_answered_before_its_own_deadline() {
    let app = TestApp::new();
    app.xata.fault(Fault::always(Call::Any, Effect::HangBefore));
    let began_at = Instant::now();
    let deliveries = (1..=8).map(|seed| {
        let app = &app;
        async move {
            let time = Duration::from_secs(5 * seed);
            let payload = payload(&delivery(user_created(seed)));
            let response = app.handle(&payload, (app.clock)() + time).await;
            let took = began_at.elapsed();
            assert_eq!(response.reason(), Some("xata_timeout"));
            assert!(took < time && time < took + Duration::from_secs(3), "{took:?} of {time:?}");
        }
    });
    join_all(deliveries).await;
}

#[tokio::test(start_paused = true)]
async fn a_panic_in_one_of_eight_deliveries_hurts_no_other() {
    let xata = platform();
    let client = client(xata.router());
    let unlucky = user_id(5);
    let app = TestApp::with_client(http_client::boxed(tower::service_fn(
        move |request: reqwest::Request| {
            let client = client.clone();
            let body = request.body().and_then(|it| it.as_bytes()).unwrap_or_default();
            let is_unlucky = String::from_utf8_lossy(body).contains(&unlucky);
            async move {
                // All eight are under way.
                tokio::time::sleep(Duration::from_secs(1)).await;
                assert!(!is_unlucky, "a bug");
                tower::ServiceExt::oneshot(client, request).await
            }
        },
    )));
    let outcomes = join_all((1..=8).map(|seed| app.outcome(delivery(user_created(seed))))).await;
    let mut expected = ["created"; 8];
    expected[4] = "unavailable";
    assert_eq!(outcomes, expected);
}
