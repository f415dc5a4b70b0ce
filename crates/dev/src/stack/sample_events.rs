//! Sample sign-ups from around the world, some of them with a fault, and one user who is deleted.

use std::time::SystemTime;

use bytes::Bytes;
use cli::output;
use http::{HeaderMap, StatusCode};
use per_user_db::region::Region;
use serde_json::{Value, json};
use standin::clerk::{SignUp, user_id};
use standin::fault::{CannedResponse, Effect, Fault};
use standin::xata::Call;

use crate::console::World;
use crate::services::{Api, Services};

const HOUR_MS: u64 = 3_600_000;

/// One sample: who signs up from where, and what is special about it.
type Sample = (&'static str, &'static str, Case);

#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Case {
    Plain,
    /// The application's backend sets the default region in the user's metadata.
    Region,
    /// An operator creates the user, so the address is that of a server.
    ByServer,
    /// Hookdeck delivers two copies at the same time.
    Duplicate,
    /// Xata is down during the first attempt.
    XataDown,
    /// Xata creates the database, and its response is lost.
    ResponseLost,
    /// The user is deleted. Later, Clerk sends the sign-up again.
    Deleted,
    /// An event that is not about a user.
    Session,
    /// Not signed by Hookdeck.
    Forged,
}

/// The addresses are those of public name servers and registries.
const SAMPLES: [Sample; 15] = [
    ("Frankfurt", "84.200.69.80", Case::Plain),
    ("Sydney", "1.1.1.1", Case::Plain),
    ("Mountain View", "8.8.8.8", Case::Plain),
    ("Amsterdam, by IPv6", "2001:67c:2e8:22::c100:68b", Case::Plain),
    ("São Paulo", "200.160.0.8", Case::Plain),
    ("Wellington", "202.46.190.130", Case::Duplicate),
    ("Tokyo", "202.12.27.33", Case::XataDown),
    ("Stockholm", "192.36.148.17", Case::ResponseLost),
    ("Paris, with a db_region", "192.134.0.49", Case::Region),
    ("Clerk's dashboard", "84.200.69.80", Case::ByServer),
    ("a private network", "192.168.1.20", Case::Plain),
    ("nowhere known", "", Case::Plain),
    ("Prague, and leaves", "193.17.47.1", Case::Deleted),
    ("Vienna, a session", "193.171.255.2", Case::Session),
    ("a forger", "84.200.69.80", Case::Forged),
];

/// A sample, and the function's responses to it, in order.
pub(crate) struct SampleRun {
    pub(crate) user_id: String,
    pub(crate) from: &'static str,
    pub(crate) case: Case,
    pub(crate) responses: Vec<Value>,
}

/// Sends the samples one after the other, so that each fault hits the sample it is meant for.
pub(crate) async fn send_all(
    world: &World,
    default_region: &Region,
) -> anyhow::Result<Vec<SampleRun>> {
    let services = world.services();
    // Xata Lite and `--live` keep the database of a deleted user.
    let deletes = services.is_some_and(|it| it.api == Api::Platform);
    let bar = output::bar("sample events", SAMPLES.len() as u64);
    let mut runs = Vec::new();
    for (sample, seed) in bar.wrap_iter(SAMPLES.into_iter()).zip(1..) {
        if sample.2 != Case::Deleted || deletes {
            runs.push(send(sample, seed, world, default_region).await?);
        }
    }
    world.restore_connection();
    bar.finish_and_clear();
    Ok(runs)
}

async fn send(
    (from, client_ip, case): Sample,
    seed: u64,
    world: &World,
    default_region: &Region,
) -> anyhow::Result<SampleRun> {
    let services = world.services();
    let sign_up = sign_up(client_ip, case, seed, default_region)?;
    if let Some(Services { xata, clerk, .. }) = services {
        clerk.insert(sign_up.clone());
        if let Some(effect) = effect(case) {
            xata.fault(Fault::once(Call::Create, effect));
        }
    }
    let is_forged = case == Case::Forged;
    world.restore_connection();
    let engine = world.engine();
    engine.change(|connection| {
        // Retries come after 30 s and more; a demonstration takes seconds.
        connection.time_scale = 100.0;
        if is_forged {
            "a guess".clone_into(&mut connection.secret);
            // Without a retry rule, an event is delivered once.
            connection.retry = None;
        }
    });
    let n_before = engine.events().len();
    let deliver = async |body: Vec<u8>| {
        engine.ingest(HeaderMap::new(), Bytes::from(body));
        engine.settle().await;
    };
    let created = sign_up.user_created();
    match case {
        Case::Duplicate => {
            engine.ingest(HeaderMap::new(), created.clone().into());
            deliver(created).await;
        }
        Case::Deleted => {
            deliver(created.clone()).await;
            if let Some(Services { clerk, .. }) = services {
                clerk.remove(&sign_up.user_id);
            }
            deliver(sign_up.user_deleted(sign_up.timestamp_ms + HOUR_MS / 2)).await;
            deliver(created).await;
        }
        Case::Session => deliver(sign_up.session_created(sign_up.timestamp_ms)).await,
        _ => deliver(created).await,
    }
    let attempts = engine.events().into_iter().skip(n_before).flat_map(|event| event.attempts);
    let response = |body: Bytes| serde_json::from_slice(&body).unwrap_or_default();
    Ok(SampleRun {
        user_id: sign_up.user_id,
        from,
        case,
        responses: attempts.map(|attempt| response(attempt.body)).collect(),
    })
}

/// The fault of the first create.
fn effect(case: Case) -> Option<Effect> {
    let unavailable =
        || CannedResponse::message(StatusCode::SERVICE_UNAVAILABLE, "Service Unavailable");
    match case {
        Case::XataDown => Some(Effect::Answer(unavailable().with_retry_after("30"))),
        Case::ResponseLost => Some(Effect::ResetAfter),
        _ => None,
    }
}

fn sign_up(client_ip: &str, case: Case, seed: u64, region: &Region) -> anyhow::Result<SignUp> {
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH)?.as_millis();
    let mut sign_up = SignUp::new(&user_id(seed));
    sign_up.client_ip = Some(client_ip.to_owned());
    sign_up.timestamp_ms = u64::try_from(now)?;
    match case {
        Case::Region => sign_up.private_metadata = json!({ "db_region": region.as_str() }),
        Case::ByServer => "clerk/clerk-sdk-go@v3.0.0".clone_into(&mut sign_up.user_agent),
        // Old enough that its deletion does not wait.
        Case::Deleted => sign_up.timestamp_ms -= HOUR_MS,
        _ => {}
    }
    Ok(sign_up)
}
