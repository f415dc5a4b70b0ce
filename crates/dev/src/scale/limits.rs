//! A load, and the limits of the services that it passes.

use std::time::Duration;

use cli::delivery_policy::DeliveryPolicy;
use serde::Serialize;

/// Sign-ups, spread evenly over a time.
#[derive(Clone, Copy, Debug, clap::Args, Serialize)]
pub(crate) struct Load {
    /// How many users sign up
    #[arg(long, default_value_t = 100_000, value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    pub(crate) sign_ups: u32,
    /// The time in which they do, such as 10m or 1h
    #[arg(long = "within", value_name = "TIME", default_value = "10m", value_parser = seconds)]
    pub(crate) within_seconds: u32,
}

/// The defaults are the largest quotas of an organization at Xata that are known, a production
/// instance of Clerk, Hookdeck's throughput without an add-on, the destination of `cargo ops setup
/// hookdeck`, and Lambda's quota of an account that is not new (docs/scale.md has the sources).
#[derive(Clone, Copy, Debug, clap::Args, Serialize)]
pub(crate) struct Limits {
    /// Hookdeck: the events that the project delivers in a second
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) throughput: u32,
    /// Hookdeck: the destination's limit, with a period of second, minute, hour or concurrent
    #[arg(long, value_name = "RATE/PERIOD", default_value_t = DeliveryPolicy::DEFAULT)]
    pub(crate) delivery: DeliveryPolicy,
    /// Lambda: the invocations that may be under way; beyond them it answers 429
    #[arg(long, default_value_t = 1000, value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) lambda_concurrency: u32,
    /// Clerk: the requests that the instance answers in ten seconds
    #[arg(long, default_value_t = 1000, value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) clerk_requests: u32,
    /// Xata: the databases that the organization may create in an hour
    #[arg(long, default_value_t = 500, value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) creations_per_hour: u32,
    /// Xata: the databases of a project, templates included
    #[arg(long, default_value_t = 1000, value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) branches_per_project: u32,
    /// Xata: the databases of the organization, templates included
    #[arg(long, default_value_t = 10_000, value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) branches_per_organization: u32,
    /// Xata: the projects in `XATA_PROJECT_ID`; in each of them one database is created at a time
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=1000))]
    pub(crate) projects: u32,
    /// Xata: the milliseconds that a create takes beside the way there and back
    #[arg(long, default_value_t = 1000)]
    pub(crate) create_latency_ms: u32,
    /// The milliseconds that each request to Xata or Clerk takes
    #[arg(long, default_value_t = 100)]
    pub(crate) request_latency_ms: u64,
}

impl Load {
    pub(crate) fn within(self) -> Duration {
        Duration::from_secs(self.within_seconds.into())
    }

    /// Sign-ups a second.
    pub(crate) fn rate(self) -> f64 {
        f64::from(self.sign_ups) / f64::from(self.within_seconds)
    }
}

impl Limits {
    pub(crate) fn create_latency(&self) -> Duration {
        Duration::from_millis(self.create_latency_ms.into())
    }

    pub(crate) fn request_latency(&self) -> Duration {
        Duration::from_millis(self.request_latency_ms)
    }

    /// The time between two deliveries of Hookdeck, at least.
    pub(crate) fn spacing(&self) -> Duration {
        let of_project = Duration::from_secs(1) / self.throughput;
        of_project.max(self.delivery.spacing().unwrap_or_default())
    }
}

/// A time of at least a second.
fn seconds(text: &str) -> Result<u32, String> {
    let time = humantime::parse_duration(text).map_err(|error| error.to_string())?;
    let seconds = u32::try_from(time.as_secs()).ok().filter(|seconds| *seconds > 0);
    seconds.ok_or_else(|| "must be between a second and a hundred years".into())
}
