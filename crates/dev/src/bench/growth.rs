use std::path::Path;
use std::process::ExitCode;

use cli::output::{self, Report, Status};
use indicatif::HumanCount;
use serde::Serialize;
use standin::fault::{Effect, Fault};
use standin::xata::Call;

use super::Builds;
use super::lab::{Kind, Lab, Process, delivery, payload};
use crate::services::{Api, SIGNING_SECRET};

/// How many users of each kind are looked at.
const USERS: u64 = 5;

/// Measure requests, bytes and memory of a delivery, by the number of databases that exist
///
/// The function runs as a process behind Lambda's Runtime API, and Xata is a stand-in with that many
/// databases. A new, a known and a deleted user are ordinary deliveries; for an unclear one, Xata creates
/// the database and its answer is lost.
///
/// Example: cargo dev bench growth --databases 10,1000
#[derive(clap::Args)]
pub(super) struct Arguments {
    /// How many databases exist
    #[arg(long, value_delimiter = ',', default_value = "10,1000,10000,100000")]
    databases: Vec<u32>,
    /// Print one JSON document instead of the table
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    builds: Builds,
}

pub(super) async fn run(arguments: Arguments) -> anyhow::Result<ExitCode> {
    let function = arguments.builds.function()?;
    let bar = output::bar("sizes", 2 * arguments.databases.len() as u64);
    let mut rows = Vec::new();
    for api in [Api::Platform, Api::Lite] {
        for databases in &arguments.databases {
            let lab = Lab::start(api, 0)?;
            let names = (0..*databases).map(|n| format!("user_existing{n:018}"));
            lab.insert(names);
            for user in User::ALL {
                rows.extend(measure(&lab, &function, *databases, user).await?);
            }
            bar.inc(1);
        }
    }
    bar.finish_and_clear();
    output::report(&Growth { rows }, arguments.json)
}

/// What a delivery is about.
#[derive(Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
enum User {
    New,
    Known,
    Unclear,
    Deleted,
}

impl User {
    const ALL: [Self; 4] = [Self::New, Self::Known, Self::Unclear, Self::Deleted];

    fn name(self) -> &'static str {
        match self {
            Self::New => "new",
            Self::Known => "known",
            Self::Unclear => "unclear",
            Self::Deleted => "deleted",
        }
    }
}

#[derive(Serialize)]
struct Row {
    api: &'static str,
    databases: u32,
    user: User,
    /// Requests to Xata for one delivery.
    requests: u64,
    /// Bytes of Xata's responses for one delivery.
    bytes: u64,
    /// By how many kB the process's memory was larger than before at most, over all deliveries.
    memory_kb: u64,
}

/// None for deleted users on Xata Lite, where no database is ever deleted.
async fn measure(
    lab: &Lab,
    function: &Path,
    databases: u32,
    user: User,
) -> anyhow::Result<Option<Row>> {
    let api = lab.services.api;
    let mut settings = lab.settings_without_clerk();
    if user == User::Deleted {
        if api == Api::Lite {
            return Ok(None);
        }
        settings.insert("ON_USER_DELETED", "delete".to_owned());
    }
    let process = Process::start(&[], function, &settings)?;
    // The first sign-up makes what every process makes once, such as the connection.
    process.invoke(payload(&lab.delivery(Kind::Created)?), 200).await?;
    process.forget_peak()?;
    let (before, xata) = (process.memory_kb("VmRSS")?, &lab.services.xata);
    xata.clear_requests();
    let bytes = lab.bytes();
    for _ in 0..USERS {
        let delivery = match user {
            User::New => lab.delivery(Kind::Created)?,
            User::Known => lab.delivery(Kind::Retried)?,
            User::Unclear => {
                xata.fault(Fault::once(Call::Create, Effect::ResetAfter));
                lab.delivery(Kind::Created)?
            }
            User::Deleted => {
                let sign_up = lab.new_user();
                lab.insert([sign_up.user_id.clone()]);
                delivery(sign_up.user_deleted(sign_up.timestamp_ms), SIGNING_SECRET, 1)?
            }
        };
        process.invoke(payload(&delivery), 200).await?;
    }
    let row = Row {
        api: if api == Api::Platform { "platform" } else { "Lite" },
        databases,
        user,
        requests: xata.requests().len() as u64 / USERS,
        bytes: (lab.bytes() - bytes) / USERS,
        memory_kb: process.memory_kb("VmHWM")?.saturating_sub(before),
    };
    process.end().await?;
    Ok(Some(row))
}

#[derive(Serialize)]
struct Growth {
    rows: Vec<Row>,
}

impl Report for Growth {
    fn text(&self) -> Vec<String> {
        let header =
            ["API", "databases", "user", "requests", "bytes from Xata", "memory at most, kB"];
        let rows = self.rows.iter().map(|it| {
            let count = |n: u64| HumanCount(n).to_string();
            [
                it.api.to_owned(),
                count(it.databases.into()),
                it.user.name().to_owned(),
                count(it.requests),
                count(it.bytes),
                count(it.memory_kb),
            ]
        });
        vec![output::listing(header, rows)]
    }

    fn status(&self) -> Status {
        Status::Success
    }
}
