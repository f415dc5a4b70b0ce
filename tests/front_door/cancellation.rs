//! The process may end at any of its awaits.

use std::future::poll_fn;
use std::pin::pin;
use std::task::Poll;
use std::time::Duration;

use per_user_db::worker::TIMEOUT;
use standin::clerk::{SignUp, user_id};
use standin::fault::{CannedResponse, Effect, Fault};
use standin::function_url::{self, BodyEncoding};
use standin::xata::Call;

use crate::world::{Api, World, delivery, retry};

/// The output, unless it takes more polls than this.
async fn within_polls<T>(mut polls: usize, future: impl Future<Output = T>) -> Option<T> {
    let mut future = pin!(future);
    poll_fn(|context| match polls.checked_sub(1) {
        None => Poll::Ready(None),
        Some(left) => {
            polls = left;
            future.as_mut().poll(context).map(Some)
        }
    })
    .await
}

/// What the create that may be cut off comes to.
fn stories() -> [Option<Effect>; 5] {
    let busy = CannedResponse::message(http::StatusCode::CONFLICT, "busy").with_retry_after("1");
    [
        None,
        // Xata goes on when nobody waits any more.
        Some(Effect::Detached),
        Some(Effect::ResetBefore),
        Some(Effect::ResetAfter),
        Some(Effect::Answer(busy)),
    ]
}

#[tokio::test(start_paused = true)]
async fn ending_at_any_await_leaves_nothing_but_a_delivery_to_be_made_again() {
    let event = SignUp::new(&user_id(1)).user_created();
    let payload = function_url::event(&delivery(event.clone()), BodyEncoding::Text).to_string();
    for (api, story) in Api::BOTH.into_iter().flat_map(|api| stories().map(|it| (api, it))) {
        for polls in 0.. {
            let world = World::on(api, &[]);
            world.xata.set_create_latency(Duration::from_secs(1));
            let slow = Effect::Trickle { chunk: 200, every: Duration::from_secs(1) };
            world.xata.fault(Fault::always(Call::LookUp, slow));
            if let Some(effect) = &story {
                world.xata.fault(Fault::once(Call::Create, effect.clone()));
            }
            let deadline = (world.clock)() + TIMEOUT;
            let first = within_polls(polls, world.handle(&payload, deadline)).await;
            world.xata.clear_faults();
            let again = world.send(retry(event.clone(), 2)).await;
            assert_eq!(again.status, 200, "{api:?}, {story:?}, {polls} polls: {}", again.body);
            // What is detached may still be under way.
            tokio::time::sleep(Duration::from_secs(60)).await;
            assert_eq!(world.databases(&user_id(1)).len(), 1, "{api:?}, {story:?}, {polls} polls");
            if first.is_some() {
                assert!(polls > 1, "nothing was cut off: {api:?}, {story:?}");
                break;
            }
        }
    }
}
