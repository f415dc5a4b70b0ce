//! The console: a page that shows what runs, as it happens, and breaks it on request.
//!
//! | module | what is in it |
//! | --- | --- |
//! | `world` | what runs: the stand-ins, Hookdeck's engine, the function; the actions |
//! | `function` | the function, whose processes can be killed |
//! | `delivery` | the way of a delivery from the engine to the function: copies, order, signature |
//! | `switches` | the faults that a switch of the page turns on |
//! | `trace` | the upstream calls and the log line of each delivery |
//! | `clock` | the clock of the function and of Clerk, which can run fast |
//! | `journal` | the rows, the databases and the counts |
//! | `databases` | the databases, as the stand-in has them and as the page shows them |
//! | `counts` | the numbers of the page |
//! | `history` | the last messages of the stream, and a client's way through them |
//! | `places` | where sign-ups come from, and where the regions are |
//! | `runs` | the runs of the fleet commands, read from `.ops/runs` |
//! | `copies` | an event as a curl command, for `sam local invoke`, as a test |
//! | `mask` | texts without secrets |
//! | `api`, `security`, `assets` | the routes, who may use them, the files of the page |

mod api;
mod assets;
mod clock;
mod copies;
mod counts;
mod databases;
mod delivery;
mod function;
mod history;
mod journal;
mod mask;
mod places;
mod runs;
mod security;
mod switches;
mod trace;
mod world;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use anyhow::anyhow;
use tokio::net::TcpListener;
use tokio::time::{MissedTickBehavior, interval};

pub(crate) use self::function::Function;
pub(crate) use self::world::{Setup, World, read};

use self::runs::Runs;
use crate::server;
use crate::services::LOOPBACK;

/// The port unless a flag names another one.
const PORT: u16 = 4000;

/// How often the rows that wait are sent, and the journal is asked whether to read the databases.
const REFRESH_INTERVAL: Duration = Duration::from_millis(100);

/// How many refreshes pass until the runs are read again.
const RUNS_EVERY: u64 = 10;

/// Listens on this port, or else on the usual one, or on a free one where that is taken.
pub(crate) fn listen(port: Option<u16>) -> anyhow::Result<TcpListener> {
    match port {
        Some(port) => server::listen(LOOPBACK, port).map_err(|_| {
            anyhow!(
                "cannot use port {port} for the console; choose another one with --console-port"
            )
        }),
        None => server::listen(LOOPBACK, PORT).or_else(|_| server::listen(LOOPBACK, 0)),
    }
}

/// Serves the console on a thread of its own, so that open pages cost the function no time.
pub(crate) fn serve(listener: TcpListener, world: Arc<World>) -> anyhow::Result<SocketAddr> {
    let address = listener.local_addr()?;
    let listener = listener.into_std()?;
    // The first page sees the databases of the samples.
    world.refresh();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let run = async move {
        let Ok(listener) = TcpListener::from_std(listener) else { return };
        tokio::spawn(refresh(world.clone()));
        let ended = standin::serve::serve(listener, api::router(world, address.port())).await;
        if let Err(error) = ended {
            cli::output::note(format_args!("the console has ended: {error}"));
        }
    };
    std::thread::Builder::new().name("console".into()).spawn(move || runtime.block_on(run))?;
    Ok(address)
}

async fn refresh(world: Arc<World>) {
    let mut ticks = interval(REFRESH_INTERVAL);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Skip);
    let mut runs = Runs::new(cli::runs::DIRECTORY.as_ref());
    for n in 0_u64.. {
        ticks.tick().await;
        world.refresh();
        if n % RUNS_EVERY == 0 {
            world.journal.show_runs(runs.read());
        }
    }
}

/// Opens the page in the browser of this machine.
pub(crate) fn open(url: &str) {
    let program = if cfg!(target_os = "macos") { "open" } else { "xdg-open" };
    let started = std::process::Command::new(program)
        .arg(url)
        .stdout(std::process::Stdio::null())
        .stderr(std::process::Stdio::null())
        .spawn();
    if started.is_err() {
        cli::output::note(format_args!("{program} is missing: open {url} yourself"));
    }
}
