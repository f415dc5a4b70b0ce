use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::Result;
use cli::output;
use http::StatusCode;
use indicatif::HumanCount;
use per_user_db::xata::platform::Source;
use serde::{Deserialize, Serialize};

use super::{Options, Target};
use crate::context::Context;
use crate::prompt;

/// How long a connection, and waking, usually take. It is a guess: Xata promises no time.
const DATABASE_TIME: Duration = Duration::from_secs(2);

/// What a run will ask, wake and cost.
#[derive(Debug, Serialize)]
pub(crate) struct Preview {
    /// What is done to each database.
    what: String,
    databases: usize,
    by_region: BTreeMap<String, usize>,
    api_requests: u64,
    /// How many databases a connection may wake.
    woken: usize,
    cost: Option<Cost>,
    /// An estimate, in seconds.
    seconds: u64,
    notes: Vec<String>,
}

/// The price of waking, in dollars.
#[derive(Debug, Serialize)]
struct Cost {
    dollars: f64,
    formula: String,
}

/// What a command tells about itself.
pub(crate) struct Effort {
    /// What is done to each database.
    pub(crate) what: String,
    /// For each database.
    pub(crate) requests: u64,
    /// For the whole run.
    pub(crate) fixed_requests: u64,
    pub(crate) wakes: bool,
}

impl Preview {
    /// Asks Xata for the price in each region.
    pub(crate) async fn new(
        context: &Context,
        effort: Effort,
        targets: &[Target],
        options: &Options,
        mut notes: Vec<String>,
    ) -> Self {
        let mut by_region = BTreeMap::<String, usize>::new();
        for region in targets.iter().filter_map(|target| target.region.clone()) {
            *by_region.entry(region).or_default() += 1;
        }
        let (databases, parallel) = (targets.len(), options.parallel);
        let mut api_requests = databases as u64 * effort.requests + effort.fixed_requests;
        let mut cost = None;
        if effort.wakes {
            api_requests += by_region.len() as u64;
            match Cost::new(context, &by_region).await {
                Ok(known) => cost = known,
                Err(note) => notes.push(note),
            }
        }
        let seconds = databases.div_ceil(parallel) as u64 * DATABASE_TIME.as_secs();
        let woken = if effort.wakes { databases } else { 0 };
        Self { what: effort.what, databases, by_region, api_requests, woken, cost, seconds, notes }
    }

    pub(crate) fn text(&self) -> String {
        let mut table = output::wrapped_table();
        let regions = self.by_region.iter();
        let regions = regions.map(|(region, n)| format!("{} in {region}", HumanCount(*n as u64)));
        let regions = regions.collect::<Vec<_>>().join(", ");
        table.add_row(["what", &self.what]);
        table.add_row(["databases", &format!("{}: {regions}", HumanCount(self.databases as u64))]);
        table.add_row(["requests to Xata's API", &HumanCount(self.api_requests).to_string()]);
        if self.woken > 0 {
            table.add_row([
                "databases to wake",
                &format!("at most {}", HumanCount(self.woken as u64)),
            ]);
            if let Some(Cost { dollars, formula }) = &self.cost {
                table.add_row(["price of waking", &format!("at most ${dollars:.2}: {formula}")]);
            }
        }
        let time = Duration::from_secs(self.seconds);
        table.add_row(["time", &format!("about {}", humantime::format_duration(time))]);
        for note in &self.notes {
            table.add_row(["note", note]);
        }
        table.to_string()
    }
}

impl Cost {
    /// None where databases never sleep. The error is a note.
    async fn new(
        context: &Context,
        by_region: &BTreeMap<String, usize>,
    ) -> Result<Option<Self>, String> {
        #[derive(Deserialize)]
        #[serde(rename_all = "camelCase")]
        struct List {
            instance_types: Vec<InstanceType>,
        }
        #[derive(Deserialize)]
        #[serde(rename_all = "camelCase")]
        struct InstanceType {
            name: String,
            hourly_rate: f64,
        }
        let xata = &context.xata;
        let Some(minutes) = xata.scale_to_zero_minutes else { return Ok(None) };
        let name = match &xata.source {
            Source::Root { instance_type, .. } => instance_type.as_str(),
            Source::Templates(_) => "xata.micro", // what `ops setup xata` chooses
        };
        let (mut dollars, mut terms) = (0.0, Vec::new());
        for (region, n) in by_region {
            let path = format!("/instanceTypes?region={region}");
            let list: List = context.fleet.organization.get(&path).await.map_err(|error| {
                match error.status() {
                    Some(StatusCode::FORBIDDEN) => {
                        "the price is unknown: the key has no scope org:read".to_owned()
                    }
                    _ => format!("the price is unknown: {error}"),
                }
            })?;
            let found = list.instance_types.into_iter().find(|it| it.name == name);
            let Some(InstanceType { hourly_rate, .. }) = found else {
                return Err(format!("the price is unknown: Xata lists no {name} in {region}"));
            };
            dollars += count(*n) * f64::from(minutes) / 60.0 * hourly_rate;
            terms.push(format!("{n} × {minutes} min × ${hourly_rate} an hour ({name}, {region})"));
        }
        Ok(Some(Self { dollars, formula: terms.join(" + ") }))
    }
}

#[expect(clippy::cast_precision_loss, reason = "no organization has 2^52 databases")]
fn count(n: usize) -> f64 {
    n as f64
}

/// Shows the preview, and asks whether to go on. Without a terminal only `--yes` is a yes.
pub(crate) fn is_confirmed(preview: &Preview, options: &Options) -> Result<bool> {
    if options.json {
        if options.dry_run || !options.yes {
            output::json(&serde_json::json!({ "preview": preview }))?;
        }
    } else {
        output::line(preview.text())?;
    }
    if options.dry_run {
        return Ok(false);
    }
    if options.yes {
        return Ok(true);
    }
    if options.json || !prompt::is_possible() {
        output::note("Nothing was changed: --yes goes on without a question.");
        return Ok(false);
    }
    let is_yes = prompt::confirm("Go on?")?;
    if !is_yes {
        output::note("Nothing was changed.");
    }
    Ok(is_yes)
}
