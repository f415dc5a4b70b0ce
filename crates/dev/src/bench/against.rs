use std::collections::BTreeSet;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Instant;

use anyhow::Context;
use axum::Router;
use axum::body::{Body, to_bytes};
use bytes::Bytes;
use cli::output::{self, Report, Status};
use http::{Request, Response, StatusCode, Uri};
use per_user_db::http_client::{self, HttpClient};
use serde::Serialize;
use standin::function_url;

use super::Arguments;
use super::lab::{Kind, Lab, Process, payload};
use super::times::percentile;
use crate::server;
use crate::services::{Api, LOOPBACK, PORT};
use crate::standins;

pub(super) async fn run(arguments: Arguments, other: Uri) -> anyhow::Result<ExitCode> {
    let lab = Lab::start(Api::Platform, PORT)?;
    output::note(format_args!(
        "The settings of the other program:\n\n{}",
        standins::env_file(&lab.settings())
    ));
    let process = Process::start(&[], &arguments.builds.function()?, &lab.settings())?;
    let ours = serve(process)?;
    let client = http_client::live();
    let bar = output::bar("deliveries", 3 * u64::from(arguments.calls + 1));
    let mut rows = Vec::new();
    for (what, kind) in
        [("ignored", Kind::Ignored), ("refused", Kind::Refused), ("created", Kind::Created)]
    {
        let mut sides = [("per-user-db", &ours, Vec::new()), ("the other", &other, Vec::new())];
        // The first delivery makes connections, and `cargo lambda watch` compiles for it.
        for call in 0..=arguments.calls {
            for (_, url, sent) in &mut sides {
                let response = send(&client, url, lab.delivery(kind)?).await?;
                if call > 0 {
                    sent.push(response);
                }
            }
            bar.inc(1);
        }
        for (side, _, sent) in sides {
            let (statuses, ms): (BTreeSet<u16>, Vec<f64>) = sent.into_iter().unzip();
            let statuses = statuses.into_iter().collect();
            let (p50_ms, p99_ms) = (percentile(&ms, 50), percentile(&ms, 99));
            rows.push(Row { what, side, statuses, p50_ms, p99_ms });
        }
    }
    bar.finish_and_clear();
    output::report(&Against { rows }, arguments.json)
}

/// Sends a delivery, and tells the status of the response and the milliseconds until it was whole.
async fn send(
    client: &HttpClient,
    url: &Uri,
    mut delivery: Request<Bytes>,
) -> anyhow::Result<(u16, f64)> {
    *delivery.uri_mut() = url.clone();
    let sent_at = Instant::now();
    let response = cli::delivery::send(client, delivery).await;
    let response = response.with_context(|| format!("{url} does not answer"))?;
    Ok((response.status().as_u16(), sent_at.elapsed().as_secs_f64() * 1e3))
}

/// Puts the process behind a Function URL.
fn serve(process: Process) -> anyhow::Result<Uri> {
    let process = Arc::new(process);
    let router = Router::new().fallback(move |request| respond(process.clone(), request));
    let listener = server::listen(LOOPBACK, 0)?;
    let url = format!("http://{}/", listener.local_addr()?).parse()?;
    tokio::spawn(standin::serve::serve(listener, router));
    Ok(url)
}

async fn respond(
    process: Arc<Process>,
    request: Request<Body>,
) -> Result<Response<Body>, StatusCode> {
    let (head, body) = request.into_parts();
    let body = to_bytes(body, usize::MAX).await.map_err(|_| StatusCode::BAD_REQUEST)?;
    let payload = payload(&Request::from_parts(head, body));
    let (_, response) = process.respond(payload).await.map_err(|_| StatusCode::BAD_GATEWAY)?;
    let response = function_url::response(&response).map_err(|_| StatusCode::BAD_GATEWAY)?;
    Ok(response.map(Body::from))
}

#[derive(Serialize)]
struct Row {
    what: &'static str,
    side: &'static str,
    statuses: Vec<u16>,
    p50_ms: f64,
    p99_ms: f64,
}

#[derive(Serialize)]
struct Against {
    rows: Vec<Row>,
}

impl Report for Against {
    fn text(&self) -> Vec<String> {
        let header = ["", "program", "status", "p50, ms", "p99, ms"];
        let rows = self.rows.iter().map(|it| {
            let ms = |value| format!("{value:.2}");
            let (what, side) = (it.what.to_owned(), it.side.to_owned());
            let statuses =
                it.statuses.iter().map(ToString::to_string).collect::<Vec<_>>().join(" ");
            [what, side, statuses, ms(it.p50_ms), ms(it.p99_ms)]
        });
        vec![output::listing(header, rows)]
    }

    fn status(&self) -> Status {
        Status::Success
    }
}
