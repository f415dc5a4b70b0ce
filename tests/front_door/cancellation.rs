//! The process can end at each await.

use std::future::poll_fn;
use std::pin::pin;
use std::task::Poll;
use std::time::Duration;

use per_user_db::worker::TIMEOUT;
use standin::clerk::user_id;
use standin::fault::{Effect, Fault};
use standin::xata::Call;

use crate::test_app::{Api, TestApp, delivery, message, payload, retry, user_created};

/// Polls a future at most this often, and drops it.
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

/// The effects of the create.
fn effects() -> [Option<Effect>; 5] {
    let busy = message(409, "busy").with_retry_after("1");
    [
        None,
        // Xata finishes the create after the function has gone.
        Some(Effect::Detached),
        Some(Effect::ResetBefore),
        Some(Effect::ResetAfter),
        Some(Effect::Answer(busy)),
    ]
}

#[tokio::test(start_paused = true)]
async fn a_delivery_that_ends_at_any_await_succeeds_when_it_is_repeated() {
    let event = user_created(1);
    let payload = payload(&delivery(event.clone()));
    for (api, effect) in Api::each_with(&effects()) {
        for polls in 0.. {
            let app = TestApp::with_api(api, &[]);
            app.xata.set_create_latency(Duration::from_secs(1));
            let slow = Effect::Trickle { chunk: 200, every: Duration::from_secs(1) };
            app.xata.fault(Fault::always(Call::LookUp, slow));
            if let Some(effect) = &effect {
                app.xata.fault(Fault::once(Call::Create, effect.clone()));
            }
            let deadline = (app.clock)() + TIMEOUT;
            let first = within_polls(polls, app.handle(&payload, deadline)).await;
            app.xata.clear_faults();
            let again = app.send(retry(event.clone(), 2)).await;
            assert_eq!(again.status, 200, "{api:?}, {effect:?}, {polls} polls: {}", again.body);
            // A detached create may still be in progress.
            tokio::time::sleep(Duration::from_mins(1)).await;
            assert_eq!(app.databases(&user_id(1)).len(), 1, "{api:?}, {effect:?}, {polls} polls");
            if first.is_some() {
                assert!(polls > 1, "no delivery was interrupted: {api:?}, {effect:?}");
                break;
            }
        }
    }
}
