//! The answer comes in time, whatever upstream does.

use std::time::{Duration, SystemTime};

use http::StatusCode;
use standin::clerk::{SignUp, user_id};
use standin::fault::{CannedResponse, Effect, Fault};
use standin::function_url::{self, BodyEncoding};
use standin::xata::Call;
use tokio::time::Instant;

use crate::world::{ALL_PROJECTS, Api, LONG, World, delivery, retry};

fn payload() -> String {
    let event = SignUp::new(&user_id(1)).user_created();
    function_url::event(&delivery(event), BodyEncoding::Text).to_string()
}

#[tokio::test(start_paused = true)]
async fn whatever_hangs_or_trickles_the_answer_comes_before_the_deadline() {
    let trickle = || Effect::Trickle { chunk: 1, every: Duration::from_secs(3) };
    for (on_create, on_list) in [
        (Effect::HangBefore, None),
        (Effect::HangBefore, Some(Effect::HangBefore)),
        (Effect::HangAfter, Some(trickle())),
        (trickle(), Some(trickle())),
        (Effect::ResetBefore, Some(Effect::HangBefore)),
    ] {
        for (api, seconds) in Api::BOTH.into_iter().flat_map(|api| [2, 10, 55].map(|it| (api, it)))
        {
            let world = World::on(api, &[]);
            world.xata.fault(Fault::always(Call::Create, on_create.clone()));
            if let Some(on_list) = &on_list {
                world.xata.fault(Fault::always(Call::LookUp, on_list.clone()));
            }
            let begun = Instant::now();
            let deadline = (world.clock)() + Duration::from_secs(seconds);
            let answered = world.invoke_until(&payload(), deadline).await;
            let took = begun.elapsed();
            assert!(took < Duration::from_secs(seconds), "{took:?} of {seconds} s, {on_create:?}");
            assert!([200, 503].contains(&answered.status), "{:?}", answered.row());
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_slow_create_gets_nearly_all_of_the_time() {
    let world = World::new();
    world.xata.set_create_latency(Duration::from_secs(45));
    let answered = world.invoke(&payload()).await;
    assert_eq!((answered.word("status"), world.requests().len()), ("created", 1));
}

#[tokio::test(start_paused = true)]
async fn a_deadline_far_in_the_past_is_no_deadline() {
    let world = World::new();
    // What `cargo lambda watch` 1.9.2 sends.
    let epoch = SystemTime::UNIX_EPOCH + Duration::from_secs(600);
    assert_eq!(world.invoke_until(&payload(), epoch).await.word("status"), "created");
}

#[tokio::test(start_paused = true)]
async fn a_deadline_beyond_hookdeck_s_patience_is_cut() {
    let world = World::new();
    world.xata.fault(Fault::always(Call::Any, Effect::HangBefore));
    let begun = Instant::now();
    let answered = world.invoke_until(&payload(), (world.clock)() + LONG).await;
    assert_eq!(answered.status, 503);
    assert!(begun.elapsed() < Duration::from_secs(55));
}

#[tokio::test(start_paused = true)]
async fn without_time_there_is_no_request_and_a_retryable_answer() {
    let created = SignUp::new(&user_id(1)).user_created();
    let deleted = SignUp::new(&user_id(1)).user_deleted(1_767_866_800_000);
    let delete = ("ON_USER_DELETED", "delete");
    // What begins with a create, and what begins with a look-up.
    for (changes, request) in [
        (&[][..], delivery(created.clone())),
        (&ALL_PROJECTS, retry(created, 2)),
        (&[delete], delivery(deleted)),
    ] {
        let world = World::with(changes);
        let payload = function_url::event(&request, BodyEncoding::Text).to_string();
        for late in [Duration::ZERO, Duration::from_secs(5)] {
            let answered = world.invoke_until(&payload, (world.clock)() - late).await;
            assert_eq!(answered.row(), (503, "unavailable", Some("time_up"), None));
        }
        assert_eq!(world.requests(), []);
    }
}

#[tokio::test(start_paused = true)]
async fn a_pause_that_would_outlast_the_time_is_not_begun() {
    let busy = CannedResponse::message(StatusCode::CONFLICT, "busy").with_retry_after("1");
    for api in Api::BOTH {
        let world = World::on(api, &[]);
        world.xata.fault(Fault::always(Call::Create, Effect::Answer(busy.clone())));
        let (begun, deadline) = (Instant::now(), (world.clock)() + Duration::from_secs(10));
        assert_eq!(world.invoke_until(&payload(), deadline).await.status, 503);
        assert!(begun.elapsed() < Duration::from_secs(9), "{api:?}: {:?}", begun.elapsed());
    }
}
