//! The PostgreSQL server: a database for each branch.
//!
//! It is PostgreSQL 15 or newer, and differs from the service in two ways. Roles belong to the server and
//! not to the branch, so all branches see a `CREATE ROLE`; and `current_database()` is not `xata`. The
//! databases are not removed at the end, so the server should be a temporary one.

use std::collections::HashSet;
use std::env;
use std::io::{self, Write};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::SystemTime;

use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
#[cfg(unix)]
use tokio::net::UnixStream;
use tokio::sync::Mutex;
use tokio_postgres::config::Host;
use tokio_postgres::{Config, Error, NoTls};

use crate::xata::platform::rows::ROLE;

/// The variable with the URL of the server, whose user must be a superuser.
pub const VARIABLE: &str = "STANDIN_POSTGRES";

/// If it is 1, tests fail without a server.
const REQUIRED: &str = "REQUIRE_POSTGRES";

/// PostgreSQL's own, for a URL without one.
const PORT: u16 = 5432;

/// The role's password on the server. It is no secret: the server is for tests.
pub(super) const PASSWORD: &str = "standin";

/// Any number, the same in every process that prepares a server.
const LOCK: i64 = 0x7374_616e_6469_6e00;

/// The role of every branch (docs/vendors/xata.md, "Connection strings and roles").
const PREPARE: &str = "
do $$ begin
  if not exists (select from pg_roles where rolname = 'xata_superuser') then
    create role xata_superuser nologin;
  end if;
  if not exists (select from pg_roles where rolname = 'xata') then
    create role xata login createdb createrole bypassrls replication password 'standin'
      in role xata_superuser;
  end if;
end $$";

/// A connection to the server, by TCP or by a socket of the file system.
pub(super) trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}

impl<S: AsyncRead + AsyncWrite + Send + Unpin> Stream for S {}

/// A server to keep the data of a platform's branches on. Clones are the same one.
#[derive(Clone, Debug)]
pub struct Server(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    config: Config,
    /// What the names of its databases begin with: several platforms may share a server.
    prefix: String,
    /// Whether one database is that of all branches.
    is_shared: bool,
    /// The names of the databases that exist. Held while databases come and go.
    made: Mutex<HashSet<String>>,
}

/// The URL of the server that the environment names for tests. Without one, the first call says on
/// standard error that tests are skipped.
///
/// # Panics
///
/// Without one, if `REQUIRE_POSTGRES` is `1`.
pub fn url() -> Option<String> {
    static URL: OnceLock<Option<String>> = OnceLock::new();
    let find = || {
        let url = env::var(VARIABLE).ok().filter(|url| !url.is_empty());
        if url.is_none() {
            let why = format!("{VARIABLE} names no PostgreSQL server; .ci/postgres.sh starts one");
            assert!(env::var(REQUIRED).as_deref() != Ok("1"), "{why}");
            // `eprintln!` is captured in a test that passes; standard error itself is not.
            let _ = writeln!(std::io::stderr(), "skipped: {why}");
        }
        url
    };
    URL.get_or_init(find).clone()
}

impl Server {
    /// Prepares the server at this URL, whose user must be a superuser.
    pub async fn connect(url: &str) -> Result<Self, Error> {
        Self::prepare(url, false).await
    }

    /// The same with one database for all branches, for a measurement over more branches than a server should have
    /// databases: what one branch's client does, all see.
    pub async fn connect_shared(url: &str) -> Result<Self, Error> {
        Self::prepare(url, true).await
    }

    async fn prepare(url: &str, is_shared: bool) -> Result<Self, Error> {
        static SERVERS: AtomicU32 = AtomicU32::new(0);
        let config: Config = url.parse()?;
        let serial = SERVERS.fetch_add(1, Ordering::Relaxed);
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        let prefix = format!("{:x}_{:x}_{serial}", now.as_secs(), std::process::id());
        let server = Self(Arc::new(Inner { config, prefix, is_shared, made: Mutex::default() }));
        let prepare = format!("select pg_advisory_xact_lock({LOCK}); {PREPARE}");
        server.administer(&prepare).await?;
        Ok(server)
    }

    /// A connection on which nothing has been said.
    pub(super) async fn dial(&self) -> io::Result<Box<dyn Stream>> {
        let config = &self.0.config;
        let port = config.get_ports().first().copied().unwrap_or(PORT);
        if let Some(address) = config.get_hostaddrs().first() {
            return Ok(Box::new(TcpStream::connect((*address, port)).await?));
        }
        match config.get_hosts().first() {
            Some(Host::Tcp(name)) => Ok(Box::new(TcpStream::connect((name.as_str(), port)).await?)),
            #[cfg(unix)]
            Some(Host::Unix(directory)) => {
                let socket = directory.join(format!(".s.PGSQL.{port}"));
                Ok(Box::new(UnixStream::connect(socket).await?))
            }
            None => Err(io::ErrorKind::NotFound.into()),
        }
    }

    /// Makes what is missing of the databases of a branch and its ancestors.
    pub(super) async fn create(&self, lineage: &[String]) -> Result<(), Error> {
        let mut made = self.0.made.lock().await;
        let mut source = "template0 encoding 'UTF8' lc_collate 'C' lc_ctype 'C'".to_owned();
        for branch in lineage {
            let name = self.name(branch);
            if !made.contains(&name) {
                // For small databases, a copy of the files is faster than one through the log.
                let create = format!(
                    r#"create database "{name}" owner {ROLE} template {source} strategy file_copy"#
                );
                self.administer(&create).await?;
                made.insert(name.clone());
            }
            source = format!(r#""{name}""#);
        }
        Ok(())
    }

    /// Drops a branch's database, even if a client is connected to it.
    pub(super) async fn drop(&self, branch: &str) -> Result<(), Error> {
        if self.0.is_shared {
            return Ok(());
        }
        let mut made = self.0.made.lock().await;
        let name = self.name(branch);
        if made.remove(&name) {
            self.administer(&format!(r#"drop database "{name}" with (force)"#)).await?;
        }
        Ok(())
    }

    /// Runs this as the user of the URL.
    pub async fn administer(&self, sql: &str) -> Result<(), Error> {
        let (client, connection) = self.0.config.connect(NoTls).await?;
        let connection = tokio::spawn(connection);
        let done = client.batch_execute(sql).await;
        drop(client);
        let _ = connection.await;
        done
    }

    /// The name of a branch's database.
    pub(super) fn name(&self, branch: &str) -> String {
        let branch = if self.0.is_shared { "all" } else { branch };
        format!("{}_{branch}", self.0.prefix).replace('"', "")
    }
}
