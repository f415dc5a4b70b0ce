//! Cold start: settings, telemetry, clients, run.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::io::Write;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::SystemTime;

use lambda_runtime::{LambdaEvent, Runtime, service_fn};
use per_user_db::handler::Handler;
use per_user_db::request::{self, Payload};
use per_user_db::secrets::SecretsManager;
use per_user_db::settings::{self, Settings, Variables};
use per_user_db::telemetry::{self, InvocationIds, Metrics};
use per_user_db::worker::{Invocation, SECRETS_TIMEOUT, SecretRefresher, Worker};
use per_user_db::{Clock, http_client};
use tokio::time::Instant;

fn main() -> ExitCode {
    match start() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            #[expect(clippy::print_stderr, reason = "the settings may not say yet how to log")]
            {
                eprintln!("per-user-db: {error}");
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
    // One thread starts faster than a pool. It is enough for many deliveries at once, because they
    // wait for Xata nearly all of their time.
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(run())
}

async fn run() -> Result<(), lambda_runtime::Error> {
    let clock: Clock = Arc::new(SystemTime::now);
    let variables: Variables = Arc::new(|| std::env::vars_os().collect());
    let source = settings::secrets(variables())?
        .map(|it| SecretsManager::new(it, variables.clone(), http_client::live(), clock.clone()));
    let secrets = async {
        match &source {
            Some(source) => source.read(Instant::now() + SECRETS_TIMEOUT).await,
            None => Ok(BTreeMap::new()),
        }
    };
    // While the secrets are on their way, the client is built and connects to Xata. Nothing waits for
    // the connection. Without secrets to wait for, it would save no time (docs/decisions.md).
    let client = async {
        let client = http_client::live();
        if source.is_some()
            && let Ok(url) = settings::xata_url(variables())
        {
            tokio::spawn(http_client::connect(client.clone(), url));
        }
        client
    };
    let (secrets, client) = tokio::join!(secrets, client);
    let secrets = secrets.map_err(|error| format!("SECRETS_ID cannot be used: {error}"))?;
    let settings = Settings::read_with(variables(), &secrets)?;
    telemetry::init(settings.log_level, std::io::stdout);
    for warning in &settings.warnings {
        tracing::warn!("{warning}");
    }
    // The place only: a panic's message may quote a payload.
    std::panic::set_hook(Box::new(|panic| {
        if request::is_reading() {
            return;
        }
        let place = panic.location().map(|place| format!("{}:{}", place.file(), place.line()));
        tracing::error!("panic at {}", place.unwrap_or_default());
    }));
    let metrics = std::env::var("AWS_LAMBDA_FUNCTION_NAME").ok();
    let metrics = metrics.map(|name| Metrics::new(name, print));
    let worker = Worker::new(Handler::new(settings, client.clone(), clock.clone()), clock, metrics);
    let worker = match source {
        Some(source) => {
            let refresher = SecretRefresher::new(source, variables, client, secrets);
            worker.with_secret_refresher(refresher)
        }
        None => worker,
    };
    let worker = Arc::new(worker);
    // lambda_http::run would turn odd payloads into Lambda's own error; see src/request.rs.
    // lambda_runtime::run would add a span for each invocation, which the log leaves out.
    let runtime = Runtime::new(service_fn(move |event: LambdaEvent<Payload>| {
        let worker = worker.clone();
        async move {
            let LambdaEvent { payload, context } = event;
            let deadline = context.deadline();
            let ids = InvocationIds {
                request_id: Some(context.request_id),
                trace_id: context.xray_trace_id,
            };
            let response = worker.invoke(Invocation { payload, deadline, ids }).await;
            Ok::<_, Infallible>(response.to_lambda())
        }
    }));
    // Without AWS_LAMBDA_MAX_CONCURRENCY, as on default Lambda, one invocation after the other.
    runtime.run_concurrent().await
}

/// Ignores write errors: a closed standard output must not fail a delivery.
fn print(line: &str) {
    let _closed = std::io::stdout().write_all(line.as_bytes());
}
