//! Branches as the API shows them.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::{Stream, stream};
use serde_json::{Value, json};

use super::rows::{Branch, ROLE};

/// How many rows a piece of a list carries. A client that has found its row need not read on.
const ROWS_PER_PIECE: usize = 256;

/// The list as a stream, which a client need not read to its end.
pub(super) fn list(
    branches: Vec<Arc<Branch>>,
) -> impl Stream<Item = Result<Bytes, Infallible>> + Send + 'static {
    let n_branches = branches.len();
    let pieces = (0..n_branches).step_by(ROWS_PER_PIECE).map(move |start| {
        let end = n_branches.min(start + ROWS_PER_PIECE);
        let rows: Vec<_> = branches[start..end].iter().map(|it| it.row()).collect();
        let comma = if start == 0 { "" } else { "," };
        format!("{comma}{}", rows.join(","))
    });
    let head = std::iter::once(String::from(r#"{"branches":["#));
    let tail = std::iter::once(String::from("]}"));
    stream::iter(head.chain(pieces).chain(tail).map(|piece| Ok(piece.into())))
}

/// What create and patch answer.
pub(super) fn short(branch: &Branch, connection_string: Option<String>) -> Value {
    let mut shown = json!(branch);
    if let Some(members) = shown.as_object_mut() {
        members.remove("backupsEnabled");
    }
    shown["connectionString"] = connection_string.into();
    shown
}

pub(super) fn described(branch: &Branch, now: Duration, port: Option<u16>) -> Value {
    let mut shown = json!(branch);
    shown["status"] = status(branch, now);
    shown["connectionString"] = connection_string(branch, now, port).into();
    shown["configuration"] = json!(branch.configuration);
    // The region stands at the top; in here it is empty.
    shown["configuration"]["region"] = "".into();
    shown["scaleToZero"] = json!(branch.scale_to_zero);
    shown
}

fn status(branch: &Branch, now: Duration) -> Value {
    let (kind, text, n_instances, n_ready) = if now < branch.appears_at {
        // Not a slip: the text may say healthy although nothing exists yet.
        ("HIBERNATED", "Cluster in healthy state", 0, 0)
    } else if now < branch.ready_at {
        ("TRANSIENT", "Setting up primary", 1, 0)
    } else if branch.hibernated {
        ("HIBERNATED", "Cluster is hibernated", 0, 0)
    } else {
        let n_instances = 1 + branch.configuration.replicas;
        ("HEALTHY", "Cluster in healthy state", n_instances, n_instances)
    };
    let instances: Vec<Value> = (0..n_instances)
        .map(|n| {
            json!({
                "id": format!("{}-{}", branch.id, n + 1),
                "status": if n < n_ready { "running" } else { "starting" },
                "primary": n == 0,
                "targetPrimary": n == 0,
            })
        })
        .collect();
    json!({
        "status": text,
        "statusType": format!("STATUS_TYPE_{kind}"),
        "message": text,
        "instanceCount": n_instances,
        "instanceReadyCount": n_ready,
        "instances": instances,
    })
}

/// Present once the password is. The credentials' own has no `sslmode`. `port` is that of 127.0.0.1 for all branches,
/// which has no TLS; without one, nobody can connect to a branch.
pub(super) fn connection_string(
    branch: &Branch,
    now: Duration,
    port: Option<u16>,
) -> Option<String> {
    let mode = if port.is_none() { "require" } else { "disable" };
    (now >= branch.credentials_at).then(|| format!("{}?sslmode={mode}", url(branch, port)))
}

pub(super) fn credentials(branch: &Branch, with_host: bool, port: Option<u16>) -> Value {
    let mut shown = json!({ "username": ROLE, "password": branch.password() });
    if with_host {
        shown["hostname"] = host(branch, port).into();
        shown["port"] = port.unwrap_or(5432).into();
        shown["dbname"] = "xata".into();
        shown["connectionString"] = url(branch, port).into();
    }
    shown
}

fn url(branch: &Branch, port: Option<u16>) -> String {
    let (password, host) = (branch.password(), host(branch, port));
    let port = port.map(|port| format!(":{port}")).unwrap_or_default();
    format!("postgresql://{ROLE}:{password}@{host}{port}/xata")
}

fn host(branch: &Branch, port: Option<u16>) -> String {
    match port {
        Some(_) => "127.0.0.1".to_owned(),
        None => format!("{}.{}.xata.tech", branch.id, branch.region),
    }
}
