//! A dozen sign-ups from around the world, and what goes wrong on their way.

use std::net::SocketAddr;
use std::time::SystemTime;

use bytes::Bytes;
use http::{HeaderMap, Request, StatusCode};
use http_body_util::Full;
use indicatif::{ProgressBar, ProgressStyle};
use per_user_db::http_client;
use serde_json::{Value, json};
use standin::clerk::{SignUp, user_id};
use standin::fault::{Answer, Effect, Fault};
use standin::hookdeck::{Connection, Destination, Engine, Event, RetryRule, from_fn};
use standin::xata::{Call, Xata};

use crate::send;

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
    /// Nobody's: it must leave nothing behind.
    Session,
    /// Not signed by Hookdeck.
    Forged,
}

/// Addresses of public name servers and registries: they belong to nobody who signs up.
const SAMPLES: [Sample; 14] = [
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
    Sample { from: "Vienna, a session", client_ip: "193.171.255.2", story: Story::Session },
    Sample { from: "a forger", client_ip: "84.200.69.80", story: Story::Forged },
];

/// A sign-up that was played, with everything that came of it.
pub(crate) struct Played {
    pub(crate) user_id: String,
    pub(crate) from: &'static str,
    /// Whether this ought to have a database.
    pub(crate) is_sign_up: bool,
    pub(crate) events: Vec<Event>,
}

/// Plays the samples, one after the other, so that what goes wrong hits whom it should.
pub(crate) async fn play(
    function: SocketAddr,
    secret: String,
    xata: Option<&Xata>,
) -> anyhow::Result<Vec<Played>> {
    let bar = ProgressBar::new(SAMPLES.len() as u64)
        .with_style(ProgressStyle::with_template("sign-ups {bar:30} {pos}/{len}")?);
    let mut played = Vec::new();
    for (sample, seed) in SAMPLES.iter().zip(1..) {
        played.push(sample.play(seed, function, &secret, xata).await?);
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
        xata: Option<&Xata>,
    ) -> anyhow::Result<Played> {
        if let (Some(xata), Some(fault)) = (xata, self.fault()) {
            xata.fault(fault);
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
        let body = Bytes::from(self.event(seed)?);
        let copies = if self.story == Story::Twice { 2 } else { 1 };
        for _ in 0..copies {
            engine.ingest(HeaderMap::new(), body.clone());
        }
        engine.settle().await;
        Ok(Played {
            user_id: user_id(seed),
            from: self.from,
            is_sign_up: !matches!(self.story, Story::Session | Story::Forged),
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

    fn event(&self, seed: u64) -> anyhow::Result<Vec<u8>> {
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH)?.as_millis();
        let sign_up = SignUp {
            client_ip: Some(self.client_ip.to_owned()),
            timestamp_ms: u64::try_from(now)?,
            ..SignUp::new(&user_id(seed))
        };
        Ok(match self.story {
            Story::Prefers(region) => {
                SignUp { private_metadata: json!({ "db_region": region }), ..sign_up }
                    .user_created()
            }
            Story::ByServer => {
                SignUp { user_agent: "clerk/clerk-sdk-go@v3.0.0".to_owned(), ..sign_up }
                    .user_created()
            }
            Story::Session => sign_up.session_created(sign_up.timestamp_ms),
            _ => sign_up.user_created(),
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
            let request = Request::from_parts(head, Full::from(body));
            Ok(send::deliver(&client, request).await?)
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
