//! What became of the samples, for people and for machines.

use std::io::Write;

use comfy_table::{Table, presets};
use serde::Serialize;
use serde_json::Value;
use standin::xata::Xata;

use super::samples::Played;

/// What became of the samples.
#[derive(Serialize)]
pub(crate) struct Report {
    users: Vec<User>,
    /// Deliveries that concern nobody's database.
    others: Vec<User>,
    /// Requests that Xata's stand-in saw.
    #[serde(skip_serializing_if = "Option::is_none")]
    requests_to_xata: Option<usize>,
    every_user_has_one_database: bool,
}

/// One row.
#[derive(Serialize)]
struct User {
    id: String,
    from: &'static str,
    region: Option<String>,
    reason: Option<String>,
    attempts: usize,
    /// `status` of each answer, with its reason.
    answers: Vec<String>,
    /// What Xata's stand-in has of this user; a real Xata is not asked, and the answers count.
    databases: Vec<Database>,
}

/// A database of a user.
#[derive(Serialize)]
struct Database {
    name: String,
    region: Option<String>,
    /// Only the platform has ids.
    id: Option<String>,
}

impl Report {
    pub(crate) fn new(played: &[Played], xata: Option<&Xata>) -> Self {
        let rows = |is_sign_up: bool| {
            played
                .iter()
                .filter(move |it| it.is_sign_up == is_sign_up)
                .map(|it| User::new(it, xata))
        };
        let users: Vec<_> = rows(true).collect();
        Self {
            every_user_has_one_database: users.iter().all(|user| user.databases.len() == 1),
            users,
            others: rows(false).collect(),
            requests_to_xata: xata.map(|xata| xata.requests().len()),
        }
    }

    pub(crate) fn all_is_well(&self) -> bool {
        self.every_user_has_one_database
            && self.others.iter().all(|other| other.databases.is_empty())
    }

    pub(crate) fn print(&self, as_json: bool) -> anyhow::Result<()> {
        let mut out = std::io::stdout();
        if as_json {
            writeln!(out, "{}", serde_json::to_string_pretty(self)?)?;
            return Ok(());
        }
        let mut table = Table::new();
        table.load_style(presets::UTF8_BORDERS_ONLY);
        table.set_header(["user", "from", "region", "why", "attempts", "answers", "database"]);
        for user in self.users.iter().chain(&self.others) {
            let (region, reason) = (user.region.as_deref(), user.reason.as_deref());
            table.add_row([
                user.id.as_str(),
                user.from,
                region.unwrap_or("–"),
                reason.unwrap_or("–"),
                &user.attempts.to_string(),
                &user.answers.join(", "),
                &user.database(),
            ]);
        }
        writeln!(out, "{table}")?;
        if let Some(requests) = self.requests_to_xata {
            writeln!(out, "{} users, {requests} requests to Xata.", self.users.len())?;
        }
        if !self.all_is_well() {
            writeln!(out, "Not every user has exactly one database.")?;
        }
        Ok(())
    }
}

impl User {
    fn new(played: &Played, xata: Option<&Xata>) -> Self {
        let answers = played.answers();
        let placement = answers.iter().find_map(|answer| answer.get("placement"));
        let text = |name: &str| Some(placement?.get(name)?.as_str()?.to_owned());
        let databases = if let Some(xata) = xata {
            stored(xata, &played.user_id)
        } else {
            let told = answers.iter().find_map(|answer| told(answer, &played.user_id));
            told.into_iter().collect()
        };
        let words = answers.iter().map(|answer| {
            let word = |name: &str| answer[name].as_str().unwrap_or_default().to_owned();
            [word("status"), word("reason")].join(" ").trim_end().to_owned()
        });
        Self {
            id: played.user_id.clone(),
            from: played.from,
            region: text("region"),
            reason: text("reason"),
            attempts: answers.len(),
            answers: words.collect(),
            databases,
        }
    }

    /// The ids of its databases, or how many there are where there are no ids.
    fn database(&self) -> String {
        let ids: Option<Vec<_>> = self.databases.iter().map(|it| it.id.as_deref()).collect();
        match ids {
            Some(ids) if ids.is_empty() => "–".to_owned(),
            Some(ids) => ids.join(", "),
            None => self.databases.len().to_string(),
        }
    }
}

/// The databases that a stand-in has.
fn stored(xata: &Xata, user_id: &str) -> Vec<Database> {
    let found = xata.databases_named(user_id).into_iter();
    found.map(|it| Database { name: it.name, region: Some(it.region), id: it.id }).collect()
}

/// The database that an answer tells of; `exists` says no more than that there is one.
fn told(answer: &Value, user_id: &str) -> Option<Database> {
    let text = |name: &str| Some(answer["database"][name].as_str()?.to_owned());
    let has_one = answer["status"] == "created" || answer["status"] == "exists";
    has_one.then(|| Database { name: user_id.to_owned(), region: text("region"), id: text("id") })
}
