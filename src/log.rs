//! The log: JSON lines, as `CloudWatch` reads them.

use tracing::Subscriber;
use tracing_subscriber::filter::{LevelFilter, Targets};
use tracing_subscriber::fmt::{self, MakeWriter};
use tracing_subscriber::layer::{Layer, SubscriberExt};
use tracing_subscriber::registry::Registry;

/// Where our own words go, from this level on. Libraries are not heard at all, because some of them
/// print whole bodies at their finer levels.
pub fn subscriber<W>(level: LevelFilter, writer: W) -> impl Subscriber + Send + Sync
where
    W: for<'a> MakeWriter<'a> + Send + Sync + 'static,
{
    let lines = fmt::layer()
        .json()
        .flatten_event(true)
        .with_current_span(false)
        .with_span_list(false)
        .with_target(false)
        .log_internal_errors(false) // whoever reads the log may have gone
        .with_writer(writer);
    let ours = Targets::new().with_target(env!("CARGO_CRATE_NAME"), level);
    Registry::default().with(lines.with_filter(ours))
}

/// Has everything of this process logged there.
///
/// # Panics
/// If that is settled already.
pub fn start<W>(level: LevelFilter, writer: W)
where
    W: for<'a> MakeWriter<'a> + Send + Sync + 'static,
{
    tracing::subscriber::set_global_default(subscriber(level, writer)).expect("one log");
}
