//! Hookdeck's delivery engine (docs/vendors/hookdeck.md, "Delivery headers" to "Filter" and "Choices of the stand-in"), and
//! its admin API in [`admin`].
//!
//! | file | what is in it |
//! | --- | --- |
//! | `connection` | the settings of source, connection and destination |
//! | `filter` | which events are delivered at all |
//! | `rule` | when there is another attempt |
//! | `event` | events and attempts |
//! | `ledger` | what the engine stores of each event, and the headers of an attempt |
//! | `engine` | deliveries, the schedule, pause, manual retries |
//! | `signature` | the signature of a delivery |
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
mod signature;

pub use self::connection::{Connection, LastRetryHeader};
pub use self::destination::{Destination, from_fn, from_router};
pub use self::engine::Engine;
pub use self::event::{Attempt, AttemptError, Event, EventId, EventStatus, Trigger};
pub use self::filter::matches;
pub use self::rule::{RetryRule, Strategy};
pub use self::signature::signature;
