//! A program that works on one database: its variables, its output, and its end.

use std::process::{ExitStatus, Stdio};

use anyhow::{Context as _, Result};
use rustix::process::{Pid, Signal, kill_process_group};
use secrecy::{ExposeSecret, SecretString};
use tokio::io::{AsyncRead, AsyncReadExt};
use tokio::process::Command;

use crate::postgres::Credentials;

/// What is kept of a program's output: its end.
const OUTPUT_LIMIT_BYTES: usize = 64 * 1024;

/// The beginnings of the variables that hold our own keys and secrets.
const OURS: [&str; 4] = ["XATA_", "CLERK_", "HOOKDECK_", "IP_API_"];

/// A program, and the group of processes that it starts, which ends with it.
struct Group(Option<Pid>);

impl Group {
    fn kill(&self) {
        if let Some(group) = self.0 {
            let _no_process_is_left = kill_process_group(group, Signal::KILL);
        }
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        self.kill();
    }
}

/// Adds what a program needs to connect to a database, and takes our own keys away.
pub(crate) fn prepare(command: &mut Command, credentials: &Credentials, url_name: &str) {
    for (name, _) in std::env::vars_os() {
        if name.to_str().is_some_and(|name| OURS.iter().any(|ours| name.starts_with(ours))) {
            command.env_remove(name);
        }
    }
    let url = credentials.url();
    for name in [url_name, "DIRECT_URL"] {
        command.env(name, url.expose_secret());
    }
    let variables = credentials.variables();
    // An operator may want a stricter check of the certificate than every tool knows.
    let is_set = |name: &str| name == "PGSSLMODE" && std::env::var_os(name).is_some();
    command.envs(variables.into_iter().filter(|(name, _)| !is_set(name)));
    command.env("PGPASSWORD", credentials.password.expose_secret());
}

/// Runs a program to its end. Dropping the future ends it, and everything that it has started.
pub(crate) async fn output(
    mut command: Command,
    secret: &SecretString,
) -> Result<(ExitStatus, String)> {
    let name = command.as_std().get_program().to_string_lossy().into_owned();
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).process_group(0);
    let child = command.kill_on_drop(true).spawn();
    let mut child = child.with_context(|| format!("{name} cannot be started"))?;
    let id = child.id().and_then(|id| i32::try_from(id).ok());
    let group = Group(id.and_then(Pid::from_raw));
    let mut tail = Tail::default();
    let status = {
        let (mut out, mut error) = (child.stdout.take(), child.stderr.take());
        let (mut from_out, mut from_error) = (vec![0; 8192], vec![0; 8192]);
        let mut ended = None;
        loop {
            tokio::select! {
                biased;
                n = read(&mut out, &mut from_out), if out.is_some() => match n {
                    0 => out = None,
                    n => tail.push(&from_out[..n]),
                },
                n = read(&mut error, &mut from_error), if error.is_some() => match n {
                    0 => error = None,
                    n => tail.push(&from_error[..n]),
                },
                status = child.wait(), if ended.is_none() => {
                    ended = Some(status);
                    // What it has left behind would keep the output open.
                    group.kill();
                }
                else => break,
            }
        }
        ended.context("the program did not end")??
    };
    Ok((status, tail.text(secret)))
}

async fn read(source: &mut Option<impl AsyncRead + Unpin>, buffer: &mut [u8]) -> usize {
    match source {
        Some(source) => source.read(buffer).await.unwrap_or_default(),
        None => 0,
    }
}

/// The end of an output.
#[derive(Default)]
struct Tail {
    bytes: Vec<u8>,
    is_cut: bool,
}

impl Tail {
    fn push(&mut self, bytes: &[u8]) {
        self.bytes.extend_from_slice(bytes);
        if self.bytes.len() > 2 * OUTPUT_LIMIT_BYTES {
            self.cut();
        }
    }

    fn cut(&mut self) {
        let n_too_many = self.bytes.len().saturating_sub(OUTPUT_LIMIT_BYTES);
        self.bytes.drain(..n_too_many);
        self.is_cut |= n_too_many > 0;
    }

    /// The text without the secret. A line whose beginning is cut off may begin within the secret.
    fn text(mut self, secret: &SecretString) -> String {
        self.cut();
        let text = String::from_utf8_lossy(&self.bytes);
        let whole =
            if self.is_cut { text.split_once('\n').map_or("", |(_, rest)| rest) } else { &text };
        whole.replace(secret.expose_secret(), "***")
    }
}
