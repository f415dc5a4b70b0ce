//! Hookdeck's delivery engine (docs/vendors/hookdeck.md, "Delivery headers" to "Filter" and "Choices of the stand-in"), and
//! its admin API in [`admin`].
//!
//! | file | what is in it |
//! | --- | --- |
//! | `connection` | the settings of source, connection and destination |
//! | `filter` | which events are delivered at all |
//! | `rule` | when there is another attempt |
//! | `event` | events, attempts, and the headers of an attempt |
//! | `ledger` | what the engine stores of each event |
//! | `engine` | deliveries, the schedule, pause, manual retries |
//! | `destination` | the service that Hookdeck delivers to |
//! | [`admin`] | the admin API, independent of the engine |

pub mod admin;
mod connection;
mod destination;
mod engine;
mod event;
mod filter;
mod ledger;
mod rule;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

pub use self::connection::{Connection, LastRetryHeader};
pub use self::destination::{Destination, from_fn, from_router};
pub use self::engine::Engine;
pub use self::event::{Attempt, AttemptError, Event, EventId, EventStatus, Trigger};
pub use self::filter::matches;
pub use self::rule::{RetryRule, Strategy};

/// The value of `x-hookdeck-signature`: base64 of HMAC-SHA256 over the raw body,
/// keyed with the secret's text as it stands.
///
/// # Panics
///
/// Never: HMAC takes keys of every length.
pub fn signature(secret: &str, body: &[u8]) -> String {
    let mut mac =
        Hmac::<Sha256>::new_from_slice(secret.as_bytes()).expect("HMAC takes keys of every length");
    mac.update(body);
    STANDARD.encode(mac.finalize().into_bytes())
}
