//! `cargo bench --bench counts` is `cargo dev bench counts`, which says what it does with `--help`:
//! instructions, allocations and copied bytes of a start and of each kind of delivery.

use std::process::{Command, ExitCode};

fn main() -> ExitCode {
    let arguments = std::env::args().skip(1).filter(|argument| argument != "--bench");
    let mut command = Command::new(env!("CARGO"));
    command.args(["run", "--quiet", "--package", "dev", "--", "bench", "counts"]).args(arguments);
    let status = command.status().ok().and_then(|status| status.code());
    ExitCode::from(status.and_then(|code| u8::try_from(code).ok()).unwrap_or(1))
}
