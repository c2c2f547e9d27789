//! The program: parse, run, print one error, exit with 0, 1 or 2.

use std::process::ExitCode;

fn main() -> ExitCode {
    hubspot_proxy::cli::run()
}
