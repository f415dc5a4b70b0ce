//! What the two command lines `cargo dev` and `cargo ops` share.
//!
//! | module | what is in it |
//! | --- | --- |
//! | [`output`] | JSON, tables, progress and exit codes |
//! | [`environment`] | the settings in the environment and in `.env` |
//! | [`delivery_policy`] | how fast Hookdeck delivers |
//! | [`delivery`] | an event, signed and sent as Hookdeck does |
//! | [`runs`] | where a command that takes long leaves what it has done |

pub mod delivery;
pub mod delivery_policy;
pub mod environment;
pub mod output;
pub mod runs;

use std::process::ExitCode;

/// Runs an asynchronous command on a runtime of its own.
///
/// # Errors
/// What the command fails with, or that the operating system refuses a runtime.
pub fn block_on(
    command: impl Future<Output = anyhow::Result<ExitCode>>,
) -> anyhow::Result<ExitCode> {
    tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(command)
}

/// The exit code of a command of the tool `name`, whose error goes to standard error in one line.
pub fn exit(name: &str, result: anyhow::Result<ExitCode>) -> ExitCode {
    match result {
        Ok(code) => code,
        // The reader of the output, such as `head`, has closed it. That is no failure.
        Err(error) if is_broken_pipe(&error) => ExitCode::SUCCESS,
        Err(error) => {
            output::note(format_args!("{name}: {error:#}"));
            ExitCode::FAILURE
        }
    }
}

fn is_broken_pipe(error: &anyhow::Error) -> bool {
    let error = error.downcast_ref::<std::io::Error>();
    error.is_some_and(|error| error.kind() == std::io::ErrorKind::BrokenPipe)
}
