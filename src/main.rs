//! Cold start: settings, telemetry, clients, run.

use std::convert::Infallible;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::SystemTime;

use lambda_runtime::{LambdaEvent, service_fn};
use per_user_db::{function::Function, http_client, settings::Settings, telemetry};
use serde_json::value::RawValue;

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
    let settings = Settings::read(std::env::vars_os())?;
    tracing::subscriber::set_global_default(telemetry::subscriber(
        settings.log_level,
        std::io::stdout,
    ))?;
    for warning in &settings.warnings {
        tracing::warn!("{warning}");
    }
    // A panic's message may quote what it choked on; where it happened is enough.
    std::panic::set_hook(Box::new(|panic| {
        tracing::error!(at = panic.location().map(tracing::field::display), "panic");
    }));
    let function = Function::new(settings, http_client::live(), Arc::new(SystemTime::now));
    let function = &function;
    // One delivery at a time: Lambda gives each its own process, and one thread starts faster than
    // a pool.
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(lambda_runtime::run(service_fn(
        |event: LambdaEvent<Box<RawValue>>| async move {
            let answer = function.handle(event.payload.get(), event.context.deadline()).await;
            Ok::<_, Infallible>(answer.to_response())
        },
    )))
}
