//! `audit tail`.

use std::collections::VecDeque;
use std::io::{self, Write};
use std::path::Path;
use std::thread;
use std::time::Duration;

use clap::Args;

use super::{FilesArgs, unreadable};
use crate::cli::Failure;
use crate::telemetry::audit::files::Files;
use crate::telemetry::audit::line::Line;
use crate::telemetry::audit::read::{Lines, shown};
use crate::types::account::AccountName;

/// What `--help` ends with.
pub(super) const HELP: &str = "\
Examples:
  hubspot-proxy audit tail
  hubspot-proxy audit tail --follow --failed
  hubspot-proxy audit tail --lines 1000 --json | jq 'select(.account == \"acme\")'";

/// Between two looks at a file that is followed.
const LOOK: Duration = Duration::from_millis(200);

/// Flags of `audit tail`.
#[derive(Debug, Args)]
pub(in crate::cli) struct TailArgs {
    #[command(flatten)]
    files: FilesArgs,

    /// How many lines
    #[arg(long, short = 'n', value_name = "N", default_value_t = 20)]
    lines: usize,

    /// Go on with lines as they come
    #[arg(long, short)]
    follow: bool,

    /// Only requests that failed, and events that tell of a failure
    #[arg(long)]
    failed: bool,

    /// Only lines about this account
    #[arg(long, value_name = "NAME")]
    account: Option<AccountName>,

    /// As they stand in the file
    #[arg(long)]
    json: bool,
}

pub(super) fn run(config_flag: Option<&Path>, args: &TailArgs) -> Result<(), Failure> {
    let mut files = args.files.found(config_flag)?;
    let Some(current) = files.pop() else { return Ok(()) };
    let mut last = VecDeque::new();
    let (mut lines, found) = args.last_of(&current, args.lines)?;
    last.extend(found);
    while let (true, Some(file)) = (last.len() < args.lines, files.pop()) {
        let (_, older) = args.last_of(&file, args.lines - last.len())?;
        older.into_iter().rev().for_each(|line| last.push_front(line));
    }
    let mut out = io::stdout().lock();
    for line in last {
        if writeln!(out, "{line}").is_err() {
            return Ok(());
        }
    }
    while args.follow && out.flush().is_ok() {
        // In this order: what a full file got last is read before the next one is opened.
        let is_current = Files::of(&current).is_current(lines.file());
        while let Some(line) = lines.next_whole().map_err(|error| unreadable(&current, &error))? {
            let Some(line) = args.shown(&line) else { continue };
            if writeln!(out, "{line}").is_err() {
                return Ok(());
            }
        }
        match (is_current, Lines::of(&current)) {
            (false, Ok(next)) => lines = next,
            _ => thread::sleep(LOOK),
        }
    }
    Ok(())
}

impl TailArgs {
    /// The last `most` lines of a file that are asked for, and its reader behind them.
    fn last_of(&self, path: &Path, most: usize) -> Result<(Lines, VecDeque<String>), Failure> {
        let failed = |error: io::Error| unreadable(path, &error);
        let mut lines = Lines::of(path).map_err(failed)?;
        let mut last = VecDeque::new();
        while let Some(line) = lines.next_whole().map_err(failed)? {
            last.extend(self.shown(&line));
            if last.len() > most {
                last.pop_front();
            }
        }
        Ok((lines, last))
    }

    /// What to print of a line, if anything.
    fn shown(&self, bytes: &[u8]) -> Option<String> {
        let line = Line::parse(bytes)?;
        let about = self.account.as_ref().map(AccountName::as_str);
        let is_asked_for = about.is_none_or(|account| line.account.as_deref() == Some(account));
        let has_failed = line.error.is_some()
            || line.ending.is_some()
            || line.lost.is_some()
            || line.status.is_some_and(|status| status >= 400);
        if !is_asked_for || self.failed && !has_failed {
            return None;
        }
        Some(match self.json {
            // Known to be JSON, which has no control characters but those it escapes.
            true => String::from_utf8_lossy(bytes).into_owned(),
            false => shown(&line),
        })
    }
}
