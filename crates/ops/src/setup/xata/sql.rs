//! SQL over HTTP on a branch's hostname (`docs/vendors/xata.md`, "SQL over HTTP"), and the record of
//! the files that were applied.

use std::fmt;
use std::time::Duration;

use anyhow::anyhow;
use http::header::{ACCEPT, CONTENT_TYPE, USER_AGENT};
use http::{HeaderValue, Request, StatusCode};
use per_user_db::http_client::{self, CallError, HttpClient};
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::time::Instant;

use super::schema::{AppliedFile, File};

/// The gateway takes 30 s for a statement and 50 s to wake a branch, and ends at 60 s.
const TIMEOUT: Duration = Duration::from_secs(65);

/// The queries here have short results.
const RESPONSE_LIMIT_BYTES: usize = 1024 * 1024;

/// The error that ends a trial, so that nothing of it stays.
const END_OF_TRIAL: &str = "per-user-db: end of the trial";

/// Where a template records the files that were applied to it.
const PREPARE: [&str; 2] = [
    "create schema if not exists per_user_db",
    "create table if not exists per_user_db.schema_files (name text primary key, \
     sha256 text not null, applied_at timestamptz not null default now())",
];
const IS_PREPARED: &str = "select to_regclass('per_user_db.schema_files') is not null as answer";
const APPLIED: &str = "select name, sha256 from per_user_db.schema_files order by name";
const RECORD: &str = "insert into per_user_db.schema_files (name, sha256) values ($1, $2)";

/// Roles that can log in, besides those of every branch.
const EXTRA_ROLES: &str = "select rolname::text as name from pg_catalog.pg_roles \
     where rolcanlogin and not rolsuper and rolname !~ '^(xata|cnpg_|pg_|postgres$|streaming_replica$)' \
     order by 1";

/// The SQL gateway of one branch. The credentials are in a header that no debug output shows.
#[derive(Clone)]
pub(crate) struct Gateway {
    client: HttpClient,
    url: String,
    connection: HeaderValue,
}

/// Why a batch has no result.
pub(crate) enum Failure {
    Refused(Box<PostgresError>),
    /// The branch is not ready yet.
    NotReady(anyhow::Error),
    /// The batch may have been applied.
    Unclear(anyhow::Error),
    /// It was not applied, and a retry cannot help.
    Blocked(anyhow::Error),
}

/// PostgreSQL's own text. It concerns the operator's schema.
#[derive(Debug, Default, Deserialize)]
pub(crate) struct PostgresError {
    pub(crate) message: String,
    #[serde(default)]
    pub(crate) code: String,
    detail: Option<String>,
    hint: Option<String>,
    /// In characters, from 1.
    position: Option<String>,
    table: Option<String>,
}

impl fmt::Display for PostgresError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let texts = [
            Some(format!("{} (SQLSTATE {})", self.message, self.code)),
            self.detail.clone(),
            self.hint.as_ref().map(|hint| format!("hint: {hint}")),
        ];
        let text = texts.into_iter().flatten().collect::<Vec<_>>().join("; ");
        formatter.write_str(&text.replace(char::is_control, " "))
    }
}

impl Failure {
    pub(crate) fn into_error(self) -> anyhow::Error {
        match self {
            Self::Refused(error) => anyhow!("PostgreSQL says: {error}"),
            Self::NotReady(error) | Self::Unclear(error) | Self::Blocked(error) => error,
        }
    }
}

impl Gateway {
    /// The gateway of the branch at this hostname. A stand-in, whose API is on a loopback address
    /// without TLS, is the gateway of all hostnames.
    pub(crate) fn new(
        client: HttpClient,
        api_url: &str,
        hostname: &str,
        database: &str,
        password: &str,
    ) -> Option<Self> {
        let is_name = |text: &str| {
            let is_safe = |byte: u8| byte.is_ascii_alphanumeric() || b"-._".contains(&byte);
            !text.is_empty() && text.bytes().all(is_safe)
        };
        if ![hostname, database, password].into_iter().all(is_name) {
            return None;
        }
        let url = match api_url.strip_prefix("http://") {
            Some(rest) => format!("http://{}/sql", rest.split('/').next().unwrap_or_default()),
            None => format!("https://{hostname}/sql"),
        };
        let connection = format!("postgresql://xata:{password}@{hostname}/{database}");
        let mut connection = HeaderValue::try_from(connection).ok()?;
        connection.set_sensitive(true);
        Some(Self { client, url, connection })
    }

    /// The files that were applied, and the roles besides the default one that can log in.
    pub(crate) async fn survey(&self) -> Result<(Vec<AppliedFile>, Vec<String>), Failure> {
        #[derive(Deserialize)]
        struct Prepared {
            answer: bool,
        }
        #[derive(Deserialize)]
        struct Role {
            name: String,
        }
        let queries = [item(IS_PREPARED), item(EXTRA_ROLES)];
        let mut results = self.batch(&queries).await?.into_iter();
        let is_prepared = rows::<Prepared>(results.next())?.iter().any(|it| it.answer);
        let roles = rows::<Role>(results.next())?.into_iter().map(|role| role.name).collect();
        if !is_prepared {
            return Ok((Vec::new(), roles));
        }
        let applied = rows(self.batch(&[item(APPLIED)]).await?.into_iter().next())?;
        Ok((applied, roles))
    }

    /// Creates the record, where it does not exist.
    pub(crate) async fn prepare(&self) -> Result<(), Failure> {
        self.batch(&PREPARE.map(item)).await.map(drop)
    }

    /// Applies a file and records it, in one transaction. The record comes first: another run that
    /// applies the same file at the same time waits there, and then fails.
    pub(crate) async fn apply(&self, file: &File) -> Result<(), Failure> {
        self.batch(&items(file, file.statements.len())).await.map(drop)
    }

    /// Finds the index of the refused statement, and its error: the gateway does not say which it is.
    /// A binary search tries the first statements of the file, and nothing stays, because each batch
    /// ends in an error. None if all statements pass: the commit fails.
    pub(crate) async fn find_fault(
        &self,
        file: &File,
    ) -> Result<Option<(usize, PostgresError)>, Failure> {
        // The first `good` statements pass.
        let (mut good, mut bad, mut found) = (0, file.statements.len() + 1, None);
        while good + 1 < bad {
            let n_tried = usize::midpoint(good, bad);
            let mut batch = items(file, n_tried);
            batch.push(item(&format!("select '{END_OF_TRIAL}'::pg_catalog.int4")));
            match self.batch(&batch).await {
                Err(Failure::Refused(error)) if error.message.contains(END_OF_TRIAL) => {
                    good = n_tried;
                }
                Err(Failure::Refused(error)) => {
                    bad = n_tried;
                    found = Some((n_tried - 1, *error));
                }
                Err(failure) => return Err(failure),
                // The file defines another type of this name, so nothing ended the trial.
                Ok(_) => return Ok(None),
            }
        }
        Ok(found)
    }

    async fn batch(&self, items: &[Value]) -> Result<Vec<Value>, Failure> {
        #[derive(Deserialize)]
        struct Body {
            results: Vec<QueryResult>,
        }
        #[derive(Deserialize)]
        struct QueryResult {
            rows: Value,
        }
        let request = Request::post(&self.url)
            .header("Connection-String", self.connection.clone())
            .header(CONTENT_TYPE, "application/json")
            .header(ACCEPT, "application/json")
            .header(USER_AGENT, http_client::USER_AGENT)
            .body(json!({ "queries": items }).to_string())
            .ok()
            .and_then(|request| request.try_into().ok())
            .ok_or_else(|| Failure::Blocked(anyhow!("the branch has no usable address")))?;
        let deadline = Instant::now() + TIMEOUT;
        let no_response = |error| self.no_response(error);
        let response =
            http_client::send(&self.client, request, deadline).await.map_err(no_response)?;
        let status = response.status();
        let body = http_client::read(response, RESPONSE_LIMIT_BYTES, deadline).await;
        let body = body.map_err(no_response)?;
        if status != StatusCode::OK {
            return Err(self.failure(status, &body));
        }
        let body: Body =
            serde_json::from_slice(&body).map_err(|_| self.no_response(CallError::Unreadable))?;
        Ok(body.results.into_iter().map(|result| result.rows).collect())
    }

    fn no_response(&self, error: CallError) -> Failure {
        Failure::Unclear(anyhow!("the SQL gateway at {} did not answer: {error}", self.url))
    }

    fn failure(&self, status: StatusCode, body: &[u8]) -> Failure {
        let error: PostgresError = serde_json::from_slice(body).unwrap_or_default();
        let (number, url) = (status.as_u16(), &self.url);
        let is_sqlstate = error.code.len() == 5
            && error.code.bytes().all(|byte| byte.is_ascii_digit() || byte.is_ascii_uppercase());
        let says = |what: &str| anyhow!("the SQL gateway at {url} {what} ({number})");
        match (number, error.code.as_str()) {
            (409, _) => Failure::NotReady(says("finds the branch asleep, or still being created")),
            (404, _) => Failure::NotReady(says("does not find the branch")),
            // A new password takes a moment; 57P03 is a server that starts.
            (400, "28P01") => Failure::NotReady(says("refuses the branch's password")),
            (400, "57P03") => Failure::NotReady(says("finds the database starting")),
            (400, "QUERY_TIMEOUT") => Failure::Unclear(says("ended a statement after 30 s")),
            (400, _) if is_sqlstate => Failure::Refused(Box::new(error)),
            (403, _) => Failure::Blocked(says(
                "does not let this address in: see the IP filter in the project's settings",
            )),
            (400..=499, _) => Failure::Blocked(says("does not accept the request")),
            _ => Failure::Unclear(says("fails")),
        }
    }
}

impl PostgresError {
    /// The line within the statement, from 0; 0 where PostgreSQL gives no position.
    pub(crate) fn line_in(&self, statement: &str) -> usize {
        let position = self.position.as_ref().and_then(|it| it.parse::<usize>().ok()).unwrap_or(1);
        statement.chars().take(position.saturating_sub(1)).filter(|it| *it == '\n').count()
    }

    /// Whether it concerns the record of applied files: another run has applied the file meanwhile.
    pub(crate) fn is_about_the_record(&self) -> bool {
        self.code == "23505" && self.table.as_deref() == Some("schema_files")
    }
}

fn item(query: &str) -> Value {
    json!({ "query": query })
}

/// The record of a file, and its first statements.
fn items(file: &File, n_statements: usize) -> Vec<Value> {
    let record = json!({ "query": RECORD, "params": [file.name, file.sha256] });
    let statements = file.statements[..n_statements.min(file.statements.len())].iter();
    std::iter::once(record).chain(statements.map(|it| item(&it.text))).collect()
}

fn rows<T: for<'a> Deserialize<'a>>(rows: Option<Value>) -> Result<Vec<T>, Failure> {
    let rows = rows.and_then(|rows| serde_json::from_value(rows).ok());
    rows.ok_or_else(|| {
        Failure::Blocked(anyhow!("the SQL gateway sent a response that cannot be read"))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_gateway_is_at_the_hostname_unless_the_api_is_a_stand_in() {
        let gateway = |api, host: &str| {
            Gateway::new(http_client::live(), api, host, "xata", "pass").map(|it| it.url)
        };
        let host = "abc.cell-1.eu-central-1.xata.tech";
        let https = gateway("https://api.xata.tech", host);
        assert_eq!(https.as_deref(), Some("https://abc.cell-1.eu-central-1.xata.tech/sql"));
        let http = gateway("http://127.0.0.1:9100", host);
        assert_eq!(http.as_deref(), Some("http://127.0.0.1:9100/sql"));
        for bad in ["", "a/b", "a@b", "a b", "a:1"] {
            assert_eq!(gateway("https://api.xata.tech", bad), None, "{bad}");
        }
    }

    #[test]
    fn the_line_is_counted_from_the_position() {
        let at = |position: &str| PostgresError {
            position: Some(position.to_owned()),
            ..PostgresError::default()
        };
        let statement = "é\nselect\nx";
        assert_eq!(at("1").line_in(statement), 0);
        assert_eq!(at("3").line_in(statement), 1);
        assert_eq!(at("10").line_in(statement), 2);
        assert_eq!(PostgresError::default().line_in(statement), 0);
    }
}
