//! A connection to a database, by PostgreSQL's wire protocol (`docs/vendors/xata.md`, "Wire protocol").

use std::time::Duration;

use http::StatusCode;
use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;
use sqlx::postgres::{PgConnectOptions, PgConnection, PgSslMode};
use sqlx::{ConnectOptions, Connection};
use tokio::time::{Instant, sleep, timeout_at};

use crate::failure::{Failure, FailureKind, UNREACHABLE};
use crate::organization::Organization;
use crate::service::ApiError;

/// Xata waits up to 50 s for a database to wake.
const WAKE_TIMEOUT: Duration = Duration::from_mins(1);

/// The first pause between two attempts to connect; each one after it is twice as long.
const FIRST_PAUSE: Duration = Duration::from_millis(250);
const LONGEST_PAUSE: Duration = Duration::from_secs(4);

const PORT: u16 = 5432;

/// How a client connects to a database.
pub(crate) struct Credentials {
    pub(crate) host: String,
    pub(crate) port: u16,
    pub(crate) database: String,
    pub(crate) password: SecretString,
    is_local: bool,
}

impl Credentials {
    /// The only role of a database (`docs/vendors/xata.md`, "Connection strings and roles").
    pub(crate) const USER: &'static str = "xata";

    /// The URL for another program, in the form that Xata gives it.
    pub(crate) fn url(&self) -> SecretString {
        let Self { host, port, database, password, .. } = self;
        let (user, password, ssl_mode) = (Self::USER, password.expose_secret(), self.ssl_mode());
        format!("postgresql://{user}:{password}@{host}:{port}/{database}?sslmode={ssl_mode}").into()
    }

    /// The variables that PostgreSQL's own programs read, without the password.
    pub(crate) fn variables(&self) -> [(&'static str, String); 5] {
        [
            ("PGHOST", self.host.clone()),
            ("PGPORT", self.port.to_string()),
            ("PGUSER", Self::USER.to_owned()),
            ("PGDATABASE", self.database.clone()),
            ("PGSSLMODE", self.ssl_mode().to_owned()),
        ]
    }

    /// What every tool understands. A stand-in's connections are loopback ones, without TLS.
    fn ssl_mode(&self) -> &'static str {
        if self.is_local { "disable" } else { "require" }
    }

    fn options(&self) -> PgConnectOptions {
        let ssl_mode = if self.is_local { PgSslMode::Disable } else { PgSslMode::VerifyFull };
        PgConnectOptions::new_without_pgpass()
            .host(&self.host)
            .port(self.port)
            .username(Self::USER)
            .password(self.password.expose_secret())
            .database(&self.database)
            .ssl_mode(ssl_mode)
            .application_name("per-user-db ops")
            .disable_statement_logging()
    }

    /// Connects, and wakes the database where it sleeps.
    pub(crate) async fn connect(&self) -> Result<PgConnection, Failure> {
        if self.is_local && self.host != "127.0.0.1" {
            let message = "this stand-in keeps no data: start it with STANDIN_POSTGRES";
            return Err(Failure::permanent("no_postgres", message));
        }
        let (options, deadline) = (self.options(), Instant::now() + WAKE_TIMEOUT);
        let mut pause = FIRST_PAUSE;
        loop {
            let failure = match timeout_at(deadline, PgConnection::connect_with(&options)).await {
                Ok(Ok(connection)) => return Ok(connection),
                Ok(Err(error)) => Failure::from(error),
                Err(_) => Failure::transient("no_answer", "the database does not answer"),
            };
            if failure.kind != FailureKind::Transient || failure.code == UNREACHABLE {
                return Err(failure);
            }
            if Instant::now() + pause > deadline {
                let words = format!("it does not wake within {} s", WAKE_TIMEOUT.as_secs());
                return Err(Failure { kind: FailureKind::Permanent, ..failure.after(&words) });
            }
            sleep(pause).await;
            pause = LONGEST_PAUSE.min(pause * 2);
        }
    }
}

impl Organization {
    /// The credentials of a branch; none while it is being created. Both ids must be safe in a path.
    pub(crate) async fn credentials(
        &self,
        project: &str,
        branch: &str,
    ) -> Result<Option<Credentials>, ApiError> {
        #[derive(Deserialize)]
        struct Response {
            password: String,
            hostname: Option<String>,
            port: Option<u16>,
            dbname: Option<String>,
        }
        let path = format!("{}/{branch}/credentials?username=xata", self.branches_path(project));
        let response: Response = match self.service.get(&path).await {
            Err(error) if error.status() == Some(StatusCode::NOT_FOUND) => return Ok(None),
            response => response?,
        };
        let Response { password, hostname, port, dbname } = response;
        let (host, port) = match hostname {
            Some(host) => (host, port.unwrap_or(PORT)),
            // Older versions of Xata tell the host in the description only.
            None => match self.describe(project, branch).await?.address() {
                Some((host, port)) => (host, port.unwrap_or(PORT)),
                None => return Ok(None),
            },
        };
        let is_safe = |byte: u8| byte.is_ascii_alphanumeric() || b"-.".contains(&byte);
        if host.is_empty() || !host.bytes().all(is_safe) {
            return Err(self.service.unreadable());
        }
        Ok(Some(Credentials {
            // The pooler is in transaction mode, in which no lock and no setting of a session holds.
            host: host.replacen("-pooler.", ".", 1),
            port,
            database: dbname.unwrap_or_else(|| "xata".to_owned()),
            password: password.into(),
            is_local: self.service.url.starts_with("http://"),
        }))
    }

    /// The credentials of a branch that exists. Both ids must be safe in a path.
    pub(crate) async fn ready_credentials(
        &self,
        project: &str,
        branch: &str,
    ) -> Result<Credentials, Failure> {
        let credentials = self.credentials(project, branch).await?;
        credentials.ok_or_else(|| {
            Failure::transient(
                "not_ready",
                "the database is still being created: Xata has no password yet",
            )
        })
    }

    /// Connects to a branch, and wakes it where it sleeps. Both ids must be safe in a path.
    pub(crate) async fn connect(
        &self,
        project: &str,
        branch: &str,
    ) -> Result<PgConnection, Failure> {
        self.ready_credentials(project, branch).await?.connect().await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_certificate_of_a_real_database_is_checked() {
        let credentials = |is_local| Credentials {
            host: "abc.eu-central-1.xata.tech".to_owned(),
            port: PORT,
            database: "xata".to_owned(),
            password: "fake".to_owned().into(),
            is_local,
        };
        assert!(matches!(credentials(false).options().get_ssl_mode(), PgSslMode::VerifyFull));
        assert!(matches!(credentials(true).options().get_ssl_mode(), PgSslMode::Disable));
    }
}
