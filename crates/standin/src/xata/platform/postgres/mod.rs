//! The databases of the branches, over PostgreSQL's wire protocol (docs/vendors/xata.md, "Wire protocol").
//!
//! [`Platform::use_postgres`] gives the platform a real PostgreSQL server, where each branch is a database
//! and a child is created from its parent's, and opens a port of 127.0.0.1 for all branches: the password
//! selects the branch. From then on credentials and connection strings name this port. It needs no TLS.
//!
//! A child is created only while nobody is connected to its parent. PostgreSQL waits 5 s for a client that
//! has just disconnected; a template must have no connection that stays.
//!
//! | file | what is in it |
//! | --- | --- |
//! | `server` | the PostgreSQL server: a database for each branch |
//! | `gateway` | the port: from the first byte of a connection to its last |

mod gateway;
mod server;

use std::collections::HashMap;
use std::io;
use std::net::Ipv4Addr;
use std::time::Duration;

use tokio::net::TcpListener;
use tokio::time::sleep;

pub use self::server::{Server, VARIABLE, url};

use super::Platform;
use super::rows::{Branch, Project};

/// A branch and its ancestors, the root first. It begins below the last ancestor that was deleted.
type Lineage = Vec<String>;

/// What an organization with a server has.
#[derive(Debug)]
pub(super) struct Databases {
    server: Server,
    /// The port of 127.0.0.1 for all branches.
    pub(super) port: u16,
    /// The branches that clients were connected to, in this order.
    connections: Vec<String>,
    /// The texts of [`Platform::cut_after`] that no client has sent yet.
    cuts: Vec<String>,
    /// Of [`Platform::n_exchanges`].
    n_exchanges: u64,
    /// Of [`Platform::set_round_trip`].
    round_trip: Duration,
    /// The project and the id of the branch that had a password when it was last looked for.
    owners: HashMap<String, (String, String)>,
}

impl Platform {
    /// Keeps the data of all branches on this server from now on, and lets clients connect to them as long as the
    /// runtime exists. Existing branches begin empty.
    ///
    /// # Panics
    ///
    /// If the platform has a server already.
    pub async fn use_postgres(&self, server: Server) -> io::Result<()> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        let port = listener.local_addr()?.port();
        let databases = Databases {
            server,
            port,
            connections: Vec::new(),
            cuts: Vec::new(),
            n_exchanges: 0,
            round_trip: Duration::ZERO,
            owners: HashMap::new(),
        };
        let previous = self.state().databases.replace(databases);
        assert!(previous.is_none(), "the platform has a server already");
        tokio::spawn(gateway::accept(self.clone(), listener));
        Ok(())
    }

    /// The ids of the branches that clients were connected to, one for each connection, in this order. A connection
    /// that was refused or that a fault ended is not among them.
    pub fn connections(&self) -> Vec<String> {
        self.state().databases.as_ref().map(|it| it.connections.clone()).unwrap_or_default()
    }

    /// Lets every message of a client arrive this much later, so that each exchange with a database lasts so long at
    /// least, for a measurement. What a client sends before an answer arrives late together. The answers of the API
    /// are delayed by a fault, [`crate::fault::Effect::Trickle`].
    ///
    /// # Panics
    ///
    /// Without a server.
    pub fn set_round_trip(&self, round_trip: Duration) {
        let mut state = self.state();
        let databases = state.databases.as_mut().expect("the platform has no server");
        databases.round_trip = round_trip;
    }

    /// How often clients have sent something and then waited for the answer, at the beginning of a connection, too.
    pub fn n_exchanges(&self) -> u64 {
        self.state().databases.as_ref().map_or(0, |it| it.n_exchanges)
    }

    /// Counts an exchange, and waits as long as the client's message is on its way.
    async fn exchange(&self) {
        let round_trip = self.state().databases.as_mut().map_or(Duration::ZERO, |databases| {
            databases.n_exchanges += 1;
            databases.round_trip
        });
        if !round_trip.is_zero() {
            sleep(round_trip).await;
        }
    }

    /// Loses one answer: that to the next message of a client that contains this text. The server does what the
    /// message and those that came along with it ask for, and then the connection is closed. So the answer of a
    /// `COMMIT` that was applied is lost. A driver that prepares a statement sends its text before it executes it, and
    /// is then cut before the statement is done.
    ///
    /// # Panics
    ///
    /// Without a server, or without a text.
    pub fn cut_after(&self, text: &str) {
        assert!(!text.is_empty(), "every message contains this text");
        let mut state = self.state();
        let databases = state.databases.as_mut().expect("the platform has no server");
        databases.cuts.push(text.into());
    }

    /// How many texts of [`Self::cut_after`] no client has sent yet.
    pub fn n_cuts_left(&self) -> usize {
        self.state().databases.as_ref().map_or(0, |it| it.cuts.len())
    }

    fn server(&self) -> Option<Server> {
        self.state().databases.as_ref().map(|it| it.server.clone())
    }

    /// Makes the database of a new branch. A client that hangs up meanwhile does not stop it.
    pub(super) async fn create_data(&self, branch: &Branch) {
        let Some(server) = self.server() else { return };
        let lineage = {
            let state = self.state();
            let project = state.active_projects().find(|it| it.branch(&branch.id).is_ok());
            project.map(|project| lineage(project, &branch.id)).unwrap_or_default()
        };
        // An error here occurs again when a client connects, and closes its connection.
        let _ = tokio::spawn(async move { server.create(&lineage).await }).await;
    }

    /// Drops the database of a branch that is deleted.
    pub(super) async fn drop_data(&self, id: String) {
        let Some(server) = self.server() else { return };
        let _ = tokio::spawn(async move { server.drop(&id).await }).await;
    }
}

fn lineage(project: &Project, id: &str) -> Lineage {
    let parent = |branch: &&Branch| project.branch(branch.parent.as_ref()?).ok().map(AsRef::as_ref);
    let branch = project.branch(id).ok().map(AsRef::as_ref);
    let upwards = std::iter::successors(branch, parent);
    let mut lineage: Vec<_> = upwards.map(|branch| branch.id.clone()).collect();
    lineage.reverse();
    lineage
}
