//! The `hetsync-probe` command.

use std::process::ExitCode;

fn main() -> ExitCode {
    hetsync_probe::cli::main().into()
}
