use std::process::ExitCode;

use cli::output::{self, Status};
use serde::Serialize;

use crate::context::Context;
use crate::fleet::{ParkedDatabase, UnreadableProject};

/// List the parked databases of all users, the oldest first
///
/// `ON_USER_DELETED=park` keeps the database of a user who leaves, under the name parked/USER/SECONDS.
/// `ops unpark` gives one back, and `ops sweep` deletes old ones. This command changes nothing.
///
/// The settings are those of the function, from the environment or `.env`. Exit codes: 0 done, 1 a
/// project could not be read, 2 wrong usage.
#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// Print one JSON document instead of the table
    #[arg(long)]
    json: bool,
}

#[derive(Serialize)]
struct Report {
    parked: Vec<ParkedDatabase>,
    unread: Vec<UnreadableProject>,
}

pub(crate) async fn run(arguments: Arguments) -> anyhow::Result<ExitCode> {
    let context = Context::read()?;
    let spinner = output::spinner("asking Xata");
    let (parked, unread) = context.fleet.parked().await;
    spinner.finish_and_clear();
    output::report(&Report { parked, unread }, arguments.json)
}

impl output::Report for Report {
    fn text(&self) -> Vec<String> {
        let header = ["user", "database", "project", "region", "parked since", "days"];
        let rows = self.parked.iter().map(|copy| {
            let ParkedDatabase { user_id, branch, .. } = copy;
            let days = copy.age().as_secs() / (24 * 3600);
            let texts = [user_id.as_str(), &branch.id, &branch.project, &branch.region];
            let [user, id, project, region] = texts.map(str::to_owned);
            [user, id, project, region, copy.since_words(), days.to_string()]
        });
        let count = match self.parked.len() {
            0 => "Nothing is parked.".to_owned(),
            1 => "1 database is parked.".to_owned(),
            n => format!("{n} databases are parked."),
        };
        if self.parked.is_empty() {
            vec![count]
        } else {
            vec![output::listing(header, rows), count]
        }
    }

    fn status(&self) -> Status {
        match self.unread.first() {
            None => Status::Success,
            Some(UnreadableProject { project, problem }) => Status::Failure(format!(
                "{project} could not be read, and may hold more: {problem}"
            )),
        }
    }
}
