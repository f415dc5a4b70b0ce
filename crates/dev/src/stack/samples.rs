//! A dozen sign-ups from around the world, what goes wrong on their way, and somebody who leaves.

use std::net::SocketAddr;
use std::time::SystemTime;

use bytes::Bytes;
use http::{HeaderMap, Request, StatusCode};
use indicatif::{ProgressBar, ProgressStyle};
use per_user_db::http_client;
use serde_json::{Value, json};
use standin::clerk::{SignUp, user_id};
use standin::fault::{Answer, Effect, Fault};
use standin::hookdeck::{Connection, Destination, Engine, Event, RetryRule, from_fn};
use standin::xata::Call;

use super::Standins;
use cli::delivery;

const HOUR_MS: u64 = 3_600_000;

/// One person who signs up.
struct Sample {
    from: &'static str,
    client_ip: &'static str,
    story: Story,
}

/// What is special about a sign-up.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Story {
    Plain,
    /// The backend knows better than the address.
    Prefers(&'static str),
    /// Made by an operator, so that the address is a server's.
    ByServer,
    /// Hookdeck delivers two copies at the same moment.
    Twice,
    /// Xata is down for the first attempt.
    XataDown,
    /// Xata makes the database, and its answer is lost.
    AnswerLost,
    /// Deletes the account; later, Clerk sends the sign-up again.
    Leaves,
    /// Nobody's: it must leave nothing behind.
    Session,
    /// Not signed by Hookdeck.
    Forged,
}

/// Addresses of public name servers and registries: they belong to nobody who signs up.
const SAMPLES: [Sample; 15] = [
    Sample { from: "Frankfurt", client_ip: "84.200.69.80", story: Story::Plain },
    Sample { from: "Sydney", client_ip: "1.1.1.1", story: Story::Plain },
    Sample { from: "Mountain View", client_ip: "8.8.8.8", story: Story::Plain },
    Sample {
        from: "Amsterdam, by IPv6",
        client_ip: "2001:67c:2e8:22::c100:68b",
        story: Story::Plain,
    },
    Sample { from: "São Paulo", client_ip: "200.160.0.8", story: Story::Plain },
    Sample { from: "Wellington", client_ip: "202.46.190.130", story: Story::Twice },
    Sample { from: "Tokyo", client_ip: "202.12.27.33", story: Story::XataDown },
    Sample { from: "Stockholm", client_ip: "192.36.148.17", story: Story::AnswerLost },
    Sample {
        from: "Paris, prefers the US",
        client_ip: "192.134.0.49",
        story: Story::Prefers("us-east-1"),
    },
    Sample { from: "Clerk's dashboard", client_ip: "84.200.69.80", story: Story::ByServer },
    Sample { from: "a private network", client_ip: "192.168.1.20", story: Story::Plain },
    Sample { from: "nowhere known", client_ip: "", story: Story::Plain },
    Sample { from: "Prague, and leaves", client_ip: "193.17.47.1", story: Story::Leaves },
    Sample { from: "Vienna, a session", client_ip: "193.171.255.2", story: Story::Session },
    Sample { from: "a forger", client_ip: "84.200.69.80", story: Story::Forged },
];

/// A sign-up that was played, with everything that came of it.
pub(crate) struct Played {
    pub(crate) user_id: String,
    pub(crate) from: &'static str,
    pub(crate) end: End,
    pub(crate) events: Vec<Event>,
}

/// What ought to come of a sample.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum End {
    /// A database.
    Stays,
    /// None any more.
    Leaves,
    /// None ever.
    Nobody,
}

/// Plays the samples, one after the other, so that what goes wrong hits whom it should.
pub(crate) async fn play(
    function: SocketAddr,
    secret: String,
    standins: Option<&Standins>,
) -> anyhow::Result<Vec<Played>> {
    // Nobody leaves where the database would stay.
    let is_played =
        |sample: &Sample| sample.story != Story::Leaves || standins.is_some_and(Standins::deletes);
    let samples: Vec<_> = SAMPLES.iter().zip(1..).filter(|(sample, _)| is_played(sample)).collect();
    let bar = ProgressBar::new(samples.len() as u64)
        .with_style(ProgressStyle::with_template("sign-ups {bar:30} {pos}/{len}")?);
    let mut played = Vec::new();
    for (sample, seed) in samples {
        played.push(sample.play(seed, function, &secret, standins).await?);
        bar.inc(1);
    }
    bar.finish_and_clear();
    Ok(played)
}

impl Sample {
    async fn play(
        &self,
        seed: u64,
        function: SocketAddr,
        secret: &str,
        standins: Option<&Standins>,
    ) -> anyhow::Result<Played> {
        let sign_up = self.sign_up(seed)?;
        if let Some(Standins { xata, clerk }) = standins {
            clerk.insert(sign_up.clone());
            if let Some(fault) = self.fault() {
                xata.fault(fault);
            }
        }
        // A forger gets no second chance: without a retry rule, an event is delivered once.
        let is_forged = self.story == Story::Forged;
        let connection = Connection {
            path: "/webhooks/clerk".to_owned(),
            secret: if is_forged { "a guess" } else { secret }.to_owned(),
            retry: (!is_forged).then(RetryRule::default),
            concurrency: Some(2),
            // Retries after 30 s and more, for a demonstration of seconds.
            time_scale: 100.0,
            ..Connection::default()
        };
        let engine = Engine::new(connection, destination(function));
        let deliver = async |body: &[u8]| {
            engine.ingest(HeaderMap::new(), Bytes::copy_from_slice(body));
            engine.settle().await;
        };
        let created = sign_up.user_created();
        match self.story {
            Story::Twice => {
                engine.ingest(HeaderMap::new(), created.clone().into());
                deliver(&created).await;
            }
            Story::Leaves => {
                deliver(&created).await;
                if let Some(Standins { clerk, .. }) = standins {
                    clerk.remove(&sign_up.user_id);
                }
                deliver(&sign_up.user_deleted(sign_up.timestamp_ms + HOUR_MS / 2)).await;
                deliver(&created).await;
            }
            Story::Session => deliver(&sign_up.session_created(sign_up.timestamp_ms)).await,
            _ => deliver(&created).await,
        }
        Ok(Played {
            user_id: sign_up.user_id,
            from: self.from,
            end: match self.story {
                Story::Leaves => End::Leaves,
                Story::Session | Story::Forged => End::Nobody,
                _ => End::Stays,
            },
            events: engine.events(),
        })
    }

    fn fault(&self) -> Option<Fault<Call>> {
        let effect = match self.story {
            Story::XataDown => {
                let answer =
                    Answer::message(StatusCode::SERVICE_UNAVAILABLE, "Service Unavailable");
                Effect::Answer(answer.with_retry_after("30"))
            }
            Story::AnswerLost => Effect::ResetAfter,
            _ => return None,
        };
        Some(Fault::once(Call::Create, effect))
    }

    fn sign_up(&self, seed: u64) -> anyhow::Result<SignUp> {
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH)?.as_millis();
        let now = u64::try_from(now)?;
        let sign_up = SignUp {
            client_ip: Some(self.client_ip.to_owned()),
            timestamp_ms: now,
            ..SignUp::new(&user_id(seed))
        };
        Ok(match self.story {
            Story::Prefers(region) => {
                SignUp { private_metadata: json!({ "db_region": region }), ..sign_up }
            }
            Story::ByServer => {
                SignUp { user_agent: "clerk/clerk-sdk-go@v3.0.0".to_owned(), ..sign_up }
            }
            // A deletion waits until the sign-up is old enough.
            Story::Leaves => SignUp { timestamp_ms: now - HOUR_MS, ..sign_up },
            _ => sign_up,
        })
    }
}

/// The function, reached as Hookdeck reaches it.
fn destination(function: SocketAddr) -> Destination {
    let client = http_client::live();
    from_fn(move |delivery: Request<Bytes>| {
        let client = client.clone();
        async move {
            let (mut head, body) = delivery.into_parts();
            head.uri = format!("http://{function}{}", head.uri.path()).parse()?;
            let request = Request::from_parts(head, body);
            Ok(delivery::send(&client, request).await?)
        }
    })
}

impl Played {
    /// The function's answers, in order.
    pub(crate) fn answers(&self) -> Vec<Value> {
        let attempts = self.events.iter().flat_map(|event| &event.attempts);
        attempts.map(|attempt| serde_json::from_slice(&attempt.body).unwrap_or_default()).collect()
    }
}
