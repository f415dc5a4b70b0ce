//! What became of the samples, for people and for machines.

use std::io::Write;

use comfy_table::{Table, presets};
use serde::Serialize;
use serde_json::Value;
use standin::xata::Xata;

use super::Standins;
use super::samples::{End, Played};

/// What became of the samples.
#[derive(Serialize)]
pub(crate) struct Report {
    /// Those who stay.
    users: Vec<User>,
    /// Those who left.
    left: Vec<User>,
    /// Deliveries that concern nobody's database.
    others: Vec<User>,
    /// Requests that the stand-ins saw.
    #[serde(flatten)]
    requests: Option<Requests>,
    every_user_has_one_database: bool,
}

/// Requests that the stand-ins saw.
#[derive(Serialize)]
struct Requests {
    requests_to_xata: usize,
    requests_to_clerk: usize,
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
    /// Whether the entry at Clerk's stand-in is that of the database; none where there is no entry.
    entry_agrees: Option<bool>,
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
    pub(crate) fn new(played: &[Played], standins: Option<&Standins>) -> Self {
        let rows = |end: End| -> Vec<_> {
            let played = played.iter().filter(|it| it.end == end);
            played.map(|it| User::new(it, standins)).collect()
        };
        let users = rows(End::Stays);
        Self {
            every_user_has_one_database: users.iter().all(|user| user.databases.len() == 1),
            users,
            left: rows(End::Leaves),
            others: rows(End::Nobody),
            requests: standins.map(|Standins { xata, clerk }| Requests {
                requests_to_xata: xata.requests().len(),
                requests_to_clerk: clerk.requests().len(),
            }),
        }
    }

    pub(crate) fn all_is_well(&self) -> bool {
        self.every_user_has_one_database && self.nobody_else_has_one()
    }

    fn nobody_else_has_one(&self) -> bool {
        self.left.iter().chain(&self.others).all(|other| other.databases.is_empty())
    }

    pub(crate) fn print(&self, as_json: bool) -> anyhow::Result<()> {
        let mut out = std::io::stdout();
        if as_json {
            writeln!(out, "{}", serde_json::to_string_pretty(self)?)?;
            return Ok(());
        }
        let mut table = Table::new();
        table.load_style(presets::UTF8_BORDERS_ONLY);
        let header = ["user", "from", "region", "why", "attempts", "answers", "database", "entry"];
        table.set_header(header);
        for user in self.users.iter().chain(&self.left).chain(&self.others) {
            let (region, reason) = (user.region.as_deref(), user.reason.as_deref());
            table.add_row([
                user.id.as_str(),
                user.from,
                region.unwrap_or("–"),
                reason.unwrap_or("–"),
                &user.attempts.to_string(),
                &user.answers.join(", "),
                &user.database(),
                user.entry(),
            ]);
        }
        writeln!(out, "{table}")?;
        if let Some(Requests { requests_to_xata, requests_to_clerk }) = self.requests {
            let left = match self.left.len() {
                0 => String::new(),
                n_left => format!(", and {n_left} who left"),
            };
            let n_users = self.users.len();
            writeln!(
                out,
                "{n_users} users{left}: {requests_to_xata} requests to Xata, {requests_to_clerk} to \
                 Clerk.",
            )?;
        }
        if !self.every_user_has_one_database {
            writeln!(out, "Not every user has exactly one database.")?;
        }
        if !self.nobody_else_has_one() {
            writeln!(out, "Somebody has a database who should have none.")?;
        }
        Ok(())
    }
}

impl User {
    fn new(played: &Played, standins: Option<&Standins>) -> Self {
        let answers = played.answers();
        let placement = answers.iter().find_map(|answer| answer.get("placement"));
        let text = |name: &str| Some(placement?.get(name)?.as_str()?.to_owned());
        let (databases, entry) = if let Some(Standins { xata, clerk }) = standins {
            let user = clerk.user(&played.user_id);
            let entry = user.and_then(|user| user.private_metadata.get("database").cloned());
            (stored(xata, &played.user_id), entry)
        } else {
            let told = answers.iter().find_map(|answer| told(answer, &played.user_id));
            (told.into_iter().collect(), None)
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
            entry_agrees: entry.map(|entry| databases.iter().any(|it| it.is_that_of(&entry))),
            databases,
        }
    }

    fn entry(&self) -> &'static str {
        match self.entry_agrees {
            Some(true) => "agrees",
            Some(false) => "differs",
            None => "–",
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

impl Database {
    /// Whether an entry at Clerk's is about this one.
    fn is_that_of(&self, entry: &Value) -> bool {
        let says = |name: &str| entry[name].as_str();
        (says("id"), says("name"), says("region"))
            == (self.id.as_deref(), Some(&*self.name), self.region.as_deref())
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_is_well_only_if_those_who_stay_have_one_database_and_nobody_else_has_any() {
        let user = |databases: usize| User {
            id: "user_abcdefghij".to_owned(),
            from: "here",
            region: None,
            reason: None,
            attempts: 1,
            answers: Vec::new(),
            databases: (0..databases)
                .map(|_| Database { name: "user_abcdefghij".to_owned(), region: None, id: None })
                .collect(),
            entry_agrees: None,
        };
        let report = |users, left, others| Report {
            users: vec![user(users)],
            left: vec![user(left)],
            others: vec![user(others)],
            requests: None,
            every_user_has_one_database: users == 1,
        };
        assert!(report(1, 0, 0).all_is_well());
        for (users, left, others) in [(0, 0, 0), (2, 0, 0), (1, 1, 0), (1, 0, 1)] {
            assert!(!report(users, left, others).all_is_well(), "{users} {left} {others}");
        }
    }
}
