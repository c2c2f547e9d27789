//! `audit`: whether an audit log is as it was written, and what stands in it.

mod summary;
mod tail;
mod verify;

use std::path::{Path, PathBuf};

use clap::{Args, Subcommand};

use super::Failure;
use super::store::Context;
use crate::telemetry::audit::verify::set_of;

/// What `--help` ends with.
pub const HELP: &str = "\
Examples:
  hubspot-proxy audit verify                                  the log that is configured
  hubspot-proxy audit verify audit.log                        with the full files beside it
  hubspot-proxy audit tail --follow
  hubspot-proxy audit summary --since 7d";

/// What `audit` does.
#[derive(Debug, Subcommand)]
pub(super) enum AuditCommand {
    /// Check that a log is as it was written, line by line, up to the end that the store has saved
    #[command(after_help = verify::HELP)]
    Verify(verify::VerifyArgs),
    /// Show the last lines, one for each request and event
    #[command(after_help = tail::HELP)]
    Tail(tail::TailArgs),
    /// Show who called how much, what became of credentials, and what to look at
    #[command(after_help = summary::HELP)]
    Summary(summary::SummaryArgs),
}

/// Which files are meant.
#[derive(Debug, Args)]
struct FilesArgs {
    /// Files of the log; each stands for the whole set beside it [default: audit.file]
    #[arg(value_name = "FILE")]
    files: Vec<PathBuf>,
}

/// Runs one of the commands.
pub(super) fn run(config_flag: Option<&Path>, command: &AuditCommand) -> Result<(), Failure> {
    match command {
        AuditCommand::Verify(args) => verify::run(config_flag, args),
        AuditCommand::Tail(args) => tail::run(config_flag, args),
        AuditCommand::Summary(args) => summary::run(config_flag, args),
    }
}

impl FilesArgs {
    /// The files of all sets that are meant, the oldest of each first.
    fn found(&self, config_flag: Option<&Path>) -> Result<Vec<PathBuf>, Failure> {
        let mut found: Vec<PathBuf> = Vec::new();
        for path in self.named(config_flag)? {
            // A pattern such as `audit.log*` takes it in.
            if path.extension().is_some_and(|extension| extension == "lock") {
                continue;
            }
            let failed = |error| unreadable(&path, &error);
            std::fs::metadata(&path).map_err(failed)?;
            let whole = std::path::absolute(&path).and_then(|path| set_of(&path));
            for file in whole.map_err(failed)? {
                if !found.contains(&file) {
                    found.push(file);
                }
            }
        }
        Ok(found)
    }

    fn named(&self, config_flag: Option<&Path>) -> Result<Vec<PathBuf>, Failure> {
        if !self.files.is_empty() {
            return Ok(self.files.clone());
        }
        let audit = Context::load(config_flag)?.config.audit;
        audit.map(|audit| vec![audit.file]).ok_or_else(|| {
            Failure::usage("no audit log is configured: name its file, or set audit.file")
        })
    }
}

fn unreadable(path: &Path, error: &std::io::Error) -> Failure {
    Failure::failed(format!("the audit log {} cannot be read: {error}", path.display()))
}
