//! `audit verify`.

use std::path::{Path, PathBuf};

use clap::Args;
use serde_json::json;
use tokio::runtime::Builder;

use super::FilesArgs;
use crate::cli::store::Context;
use crate::cli::{Failure, print};
use crate::telemetry::audit::verify::{Finding, Known, Verdict, verify};

/// What `--help` ends with.
pub(super) const HELP: &str = "\
Examples:
  hubspot-proxy audit verify
  hubspot-proxy audit verify --json /var/log/hubspot-proxy/audit.log
  hubspot-proxy audit verify archive/audit.log.2026* audit.log";

/// More findings are counted, not shown.
const SHOWN: usize = 50;

/// Flags of `audit verify`.
#[derive(Debug, Args)]
pub(in crate::cli) struct VerifyArgs {
    #[command(flatten)]
    files: FilesArgs,

    /// As JSON
    #[arg(long)]
    json: bool,
}

pub(super) fn run(config_flag: Option<&Path>, args: &VerifyArgs) -> Result<(), Failure> {
    let runtime = Builder::new_current_thread().enable_all().build().map_err(Failure::failed)?;
    let context = Context::load(config_flag)?;
    let verdict = loop {
        // Before the files, so that lines which come meanwhile are no truncation.
        let known = runtime.block_on(known(&context))?;
        let files = args.files.found(config_flag)?;
        let verdict = verify(&files, &known);
        // A proxy that runs may have begun a new file.
        if args.files.found(config_flag)? == files {
            break verdict.map_err(|error| {
                Failure::failed(format!("the audit log cannot be read: {error}"))
            })?;
        }
    };
    match args.json {
        true => print::line(format!("{:#}", as_json(&verdict))),
        false => show(&verdict),
    }
    match verdict.findings.len() {
        0 => Ok(()),
        1 => Err(Failure::failed("the audit log is not as it was written: see what was found")),
        count => Err(Failure::failed(format!(
            "the audit log is not as it was written: see the {count} things that were found"
        ))),
    }
}

async fn known(context: &Context) -> Result<Known, Failure> {
    match context.existing_store().await? {
        Some(store) => store.audit_known().await.map_err(Failure::failed),
        None => Err(Failure::failed(
            "there is no store here, and an audit log is verified by the store of the proxy that wrote it: run this as its user, with its --config",
        )),
    }
}

fn show(verdict: &Verdict) {
    for Finding { file, line, what } in verdict.findings.iter().take(SHOWN) {
        print::line(plain(&format!("{}:{line}: {what}", file.display())));
    }
    if let Some(more @ 1..) = verdict.findings.len().checked_sub(SHOWN) {
        print::line(format!("And {more} more."));
    }
    for note in &verdict.notes {
        print::line(plain(note));
    }
    if verdict.findings.is_empty() {
        let Verdict { files, first, last, .. } = verdict;
        let files = if *files == 1 { "1 file".to_owned() } else { format!("{files} files") };
        print::line(format!("Sound: lines {first} to {last} in {files} are as they were written."));
    }
}

/// Names of files can hold anything.
fn plain(text: &str) -> String {
    text.replace(char::is_control, "\u{fffd}")
}

fn as_json(verdict: &Verdict) -> serde_json::Value {
    let file = |path: &PathBuf| path.display().to_string();
    let finding = |found: &Finding| json!({ "file": file(&found.file), "line": found.line, "what": found.what });
    json!({
        "sound": verdict.findings.is_empty(),
        "files": verdict.files,
        "lines": verdict.lines,
        "first": verdict.first,
        "last": verdict.last,
        "findings": verdict.findings.iter().map(finding).collect::<Vec<_>>(),
        "notes": verdict.notes,
    })
}
