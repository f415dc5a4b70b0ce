//! Cold start: settings, telemetry, clients, run.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::ffi::OsString;
use std::io::Write;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::SystemTime;

use lambda_runtime::{LambdaEvent, service_fn};
use per_user_db::function::Function;
use per_user_db::secrets::SecretsManager;
use per_user_db::settings::{self, Settings};
use per_user_db::telemetry::{Ids, Metrics};
use per_user_db::worker::{Invocation, Renewal, SECRETS_PATIENCE, Worker};
use per_user_db::{Clock, http_client, log, request};
use serde_json::value::RawValue;
use tokio::time::Instant;

fn main() -> ExitCode {
    match start() {
        Ok(()) => ExitCode::SUCCESS,
        Err(problem) => {
            #[expect(clippy::print_stderr, reason = "there is no log before there are settings")]
            {
                eprintln!("per-user-db: {problem}");
            }
            ExitCode::FAILURE
        }
    }
}

fn start() -> Result<(), lambda_runtime::Error> {
    if std::env::var_os("AWS_LAMBDA_RUNTIME_API").is_none() {
        return Err(
            "this is an AWS Lambda function and there is no Lambda around it; to try it here, run `cargo dev`".into()
        );
    }
    // One delivery at a time: Lambda gives each its own process, and one thread starts faster than
    // a pool.
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(run(std::env::vars_os().collect()))
}

async fn run(variables: Vec<(OsString, OsString)>) -> Result<(), lambda_runtime::Error> {
    let clock: Clock = Arc::new(SystemTime::now);
    let place = settings::secrets(variables.iter().cloned())?;
    let source = place.map(|it| SecretsManager::new(it, http_client::live(), clock.clone()));
    let read = async {
        match &source {
            Some(source) => source.read(Instant::now() + SECRETS_PATIENCE).await,
            None => Ok(BTreeMap::new()),
        }
    };
    // While the secret is on its way, the client is made.
    let (secret, client) = tokio::join!(read, async { http_client::live() });
    let secret = secret.map_err(|error| format!("SECRETS_ID cannot be used: {error}"))?;
    let settings = Settings::read_with(variables.iter().cloned(), &secret)?;
    log::start(settings.log_level, std::io::stdout);
    for warning in &settings.warnings {
        tracing::warn!("{warning}");
    }
    // A panic's message may quote what it choked on; where it happened is enough.
    std::panic::set_hook(Box::new(|panic| {
        if request::is_reading() {
            return;
        }
        let place = panic.location().map(|place| format!("{}:{}", place.file(), place.line()));
        tracing::error!("panic at {}", place.unwrap_or_default());
    }));
    let metrics = std::env::var("AWS_LAMBDA_FUNCTION_NAME").ok();
    let metrics = metrics.map(|name| Metrics::new(name, print));
    let function = Function::new(settings, client.clone(), clock.clone());
    let worker = Worker::new(function, clock, metrics);
    let worker = match source {
        Some(source) => worker.renewing(Renewal::new(source, variables, client, secret)),
        None => worker,
    };
    let worker = &worker;
    lambda_runtime::run(service_fn(|event: LambdaEvent<Box<RawValue>>| async move {
        let LambdaEvent { payload, context } = &event;
        let ids = Ids {
            request_id: Some(context.request_id.clone()),
            trace_id: context.xray_trace_id.clone(),
        };
        let (payload, deadline) = (payload.get(), context.deadline());
        let answer = worker.handle(Invocation { payload, deadline, ids }).await;
        Ok::<_, Infallible>(answer.to_response())
    }))
    .await
}

/// Whoever reads the log may have gone; a delivery is answered all the same.
fn print(line: &str) {
    let _gone = std::io::stdout().write_all(line.as_bytes());
}
