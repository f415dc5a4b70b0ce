//! The result of the samples, as a table or as JSON.

use cli::output;
use serde::Serialize;
use serde_json::{Value, json};

use super::sample_events::{Case, SampleRun};
use crate::services::Services;

#[derive(Serialize)]
pub(crate) struct Report {
    users: Vec<Row>,
    #[serde(rename = "left")]
    deleted: Vec<Row>,
    /// Deliveries that must not create a database.
    others: Vec<Row>,
    /// How many requests reached the stand-in.
    #[serde(skip_serializing_if = "Option::is_none")]
    requests_to_xata: Option<usize>,
    #[serde(skip_serializing_if = "Option::is_none")]
    requests_to_clerk: Option<usize>,
    every_user_has_one_database: bool,
}

/// One user.
#[derive(Serialize)]
struct Row {
    id: String,
    from: &'static str,
    region: Value,
    reason: Value,
    attempts: usize,
    /// The `status` of each response, with its reason.
    answers: Vec<String>,
    /// `name`, `region` and `id` (on the platform only), as Xata's stand-in has them. A real Xata is
    /// not asked: its databases are those of the responses.
    databases: Vec<Value>,
    /// Whether the entry at Clerk's stand-in names the database; none without an entry.
    entry_agrees: Option<bool>,
}

impl Report {
    pub(crate) fn new(runs: &[SampleRun], services: Option<&Services>) -> Self {
        let (mut users, mut deleted, mut others) = (Vec::new(), Vec::new(), Vec::new());
        for run in runs {
            let rows = match run.case {
                Case::Deleted => &mut deleted,
                Case::Session | Case::Forged => &mut others,
                _ => &mut users,
            };
            rows.push(Row::new(run, services));
        }
        Self {
            every_user_has_one_database: users.iter().all(|user| user.databases.len() == 1),
            users,
            deleted,
            others,
            requests_to_xata: services.map(|it| it.xata.requests().len()),
            requests_to_clerk: services.map(|it| it.clerk.requests().len()),
        }
    }

    /// Whether every sample ended as it must.
    pub(crate) fn holds(&self) -> bool {
        let mut others = self.deleted.iter().chain(&self.others);
        self.every_user_has_one_database && others.all(|other| other.databases.is_empty())
    }

    pub(crate) fn print(&self, as_json: bool) -> anyhow::Result<()> {
        if as_json {
            return output::json(self);
        }
        let mut table = output::table();
        let header = ["user", "from", "region", "why", "attempts", "answers", "database", "entry"];
        table.set_header(header);
        for row in self.users.iter().chain(&self.deleted).chain(&self.others) {
            // On Xata Lite, a database has no id.
            let id = |it: &'_ Value| it["id"].as_str().or(it["name"].as_str()).map(str::to_owned);
            let databases: Vec<_> = row.databases.iter().filter_map(id).collect();
            table.add_row([
                row.id.as_str(),
                row.from,
                row.region.as_str().unwrap_or("–"),
                row.reason.as_str().unwrap_or("–"),
                &row.attempts.to_string(),
                &row.answers.join(", "),
                &if databases.is_empty() { "–".to_owned() } else { databases.join(", ") },
                match row.entry_agrees {
                    Some(true) => "agrees",
                    Some(false) => "differs",
                    None => "–",
                },
            ]);
        }
        output::line(table)?;
        if let (Some(to_xata), Some(to_clerk)) = (self.requests_to_xata, self.requests_to_clerk) {
            let deleted = match self.deleted.len() {
                0 => String::new(),
                n_deleted => format!(", and {n_deleted} who left"),
            };
            output::line(format_args!(
                "{} users{deleted}: {to_xata} requests to Xata, {to_clerk} to Clerk.",
                self.users.len(),
            ))?;
        }
        if !self.holds() {
            output::line("A user does not have exactly one database, or another sample has one.")?;
        }
        Ok(())
    }
}

impl Row {
    fn new(run: &SampleRun, services: Option<&Services>) -> Self {
        let SampleRun { user_id, from, responses, .. } = run;
        let (mut databases, mut entry) = (Vec::new(), None);
        let database =
            |region: Value, id: Value| json!({ "name": user_id, "region": region, "id": id });
        if let Some(Services { xata, clerk, .. }) = services {
            let found = xata.databases_named(user_id).into_iter();
            databases.extend(found.map(|it| database(it.region.into(), it.id.into())));
            let user = clerk.user(user_id);
            entry = user.and_then(|user| user.private_metadata.get("database").cloned());
        } else {
            let success = |it: &&Value| it["status"] == "created" || it["status"] == "exists";
            // The response `exists` has no details.
            let details = responses.iter().find(success).map(|it| &it["database"]);
            databases.extend(details.map(|it| database(it["region"].clone(), it["id"].clone())));
        }
        let names = |entry: &Value, database: &Value| {
            ["name", "region", "id"].iter().all(|name| entry[name] == database[name])
        };
        let word = |response: &Value| {
            let word = |name| response[name].as_str().unwrap_or_default();
            format!("{} {}", word("status"), word("reason")).trim_end().to_owned()
        };
        let placement = responses.iter().find_map(|response| response.get("placement"));
        let placement = placement.unwrap_or(&Value::Null);
        Self {
            id: user_id.clone(),
            from,
            region: placement["region"].clone(),
            reason: placement["reason"].clone(),
            attempts: responses.len(),
            answers: responses.iter().map(word).collect(),
            entry_agrees: entry.map(|entry| databases.iter().any(|it| names(&entry, it))),
            databases,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_report_holds_only_if_each_user_has_one_database_and_no_other_sample_has_any() {
        let rows = |n_databases| {
            vec![Row {
                id: "user_abcdefghij".to_owned(),
                from: "here",
                region: Value::Null,
                reason: Value::Null,
                attempts: 1,
                answers: Vec::new(),
                databases: vec![json!({ "name": "user_abcdefghij" }); n_databases],
                entry_agrees: None,
            }]
        };
        let report = |n_users, n_deleted, n_others| Report {
            users: rows(n_users),
            deleted: rows(n_deleted),
            others: rows(n_others),
            requests_to_xata: None,
            requests_to_clerk: None,
            every_user_has_one_database: n_users == 1,
        };
        assert!(report(1, 0, 0).holds());
        for (users, deleted, others) in [(0, 0, 0), (2, 0, 0), (1, 1, 0), (1, 0, 1)] {
            assert!(!report(users, deleted, others).holds(), "{users} {deleted} {others}");
        }
    }
}
