//! `doctor`: finds out what is wrong with a set-up, and says how to mend it.
//!
//! Everything is looked at at once and within limits, so that it ends in seconds whatever hangs. Nothing
//! is changed without `--fix`, no credential goes anywhere but where the proxy itself would send it, and
//! nothing secret is printed.

mod checks;
mod configuration;
mod credentials;
mod files;
mod finding;
mod fix;
mod given;
mod login;
mod network;
mod port_owner;
mod report;
mod running;
mod secrets;
mod service;
mod store;
mod subject;
mod system;
mod token;
mod way;

use std::path::Path;
use std::sync::Arc;

use clap::Args;
use tokio::runtime::Builder;

use super::Failure;
use super::spinner::Spinner;
use crate::upstream::tls::install_crypto_provider;
use checks::Examined;
use report::Counts;
use subject::Subject;

/// What `--help` ends with.
pub const HELP: &str = "\
Examples:
  hubspot-proxy doctor
  hubspot-proxy --config ./proxy.toml doctor --json
  hubspot-proxy doctor --fix                      narrow file modes, remove what killed proxies left

It ends with 1 when a check fails; warnings alone are 0.";

/// Flags of `doctor`.
#[derive(Debug, Args)]
pub struct DoctorArgs {
    /// As JSON
    #[arg(long)]
    json: bool,

    /// Mend what can be mended without a decision of yours, then check again
    #[arg(long)]
    fix: bool,
}

/// Runs all checks and prints what they found.
pub fn run(config_flag: Option<&Path>, args: &DoctorArgs) -> Result<(), Failure> {
    install_crypto_provider();
    let runtime = Builder::new_current_thread().enable_all().build().map_err(Failure::failed)?;
    let examine = || {
        let _waiting = Spinner::start("Checking", None);
        runtime.block_on(examine(config_flag))
    };
    let mut examined = examine();
    let mut fixed = Vec::new();
    if args.fix {
        fixed = fix::all(&examined);
        if !fixed.is_empty() {
            examined = examine();
        }
    }
    match args.json {
        true => report::as_json(&examined, &fixed),
        false => report::lines(&examined),
    }
    // What hangs is left behind.
    runtime.shutdown_background();
    match Counts::of(&examined) {
        Counts { failed: 0, .. } => Ok(()),
        Counts { failed: 1, .. } => {
            Err(Failure::failed("a check has failed: see what mends it above"))
        }
        Counts { failed, .. } => {
            Err(Failure::failed(format!("{failed} checks have failed: see what mends them above")))
        }
    }
}

async fn examine(config_flag: Option<&Path>) -> Vec<Examined> {
    let subject = Arc::new(Subject::observe(config_flag).await);
    checks::run(&subject).await
}
