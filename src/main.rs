//! The `cordon` program.

use std::process::ExitCode;

fn main() -> ExitCode {
    cordon::cli::main()
}
