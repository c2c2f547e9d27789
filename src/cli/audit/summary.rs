//! `audit summary`.

use std::path::Path;
use std::time::Duration;

use clap::Args;
use serde_json::{Value, json};

use super::{FilesArgs, unreadable};
use crate::cli::{Failure, print};
use crate::config::parse_duration;
use crate::telemetry::audit::line::{Line, shown_time};
use crate::telemetry::audit::read::Lines;
use crate::telemetry::audit::summary::{Caller, Count, Summary};
use crate::types::clock::{Clock, SystemClock, WallTime};

/// What `--help` ends with.
pub(super) const HELP: &str = "\
What is usual is what the files hold from before --since. The lines are not verified: see `audit verify`.

Examples:
  hubspot-proxy audit summary
  hubspot-proxy audit summary --since 7d --json";

/// Flags of `audit summary`.
#[derive(Debug, Args)]
pub(in crate::cli) struct SummaryArgs {
    #[command(flatten)]
    files: FilesArgs,

    /// How far back to look
    #[arg(long, value_name = "DURATION", default_value = "24h", value_parser = parse_duration)]
    since: Duration,

    /// As JSON
    #[arg(long)]
    json: bool,
}

pub(super) fn run(config_flag: Option<&Path>, args: &SummaryArgs) -> Result<(), Failure> {
    let span = u64::try_from(args.since.as_millis()).unwrap_or(u64::MAX);
    let since = WallTime(SystemClock::new().now().0.saturating_sub(span));
    let since = shown_time(since);
    let mut summary = Summary::since(since.clone());
    for path in args.files.found(config_flag)? {
        let failed = |error| unreadable(&path, &error);
        let mut lines = Lines::of(&path).map_err(failed)?;
        while let Some(line) = lines.next_whole().map_err(failed)? {
            if let Some(line) = Line::parse(&line) {
                summary.see(&line);
            }
        }
    }
    match args.json {
        true => print::line(format!("{:#}", as_json(&summary, &since))),
        false => print::line(plain(&as_text(&summary, &since))),
    }
    Ok(())
}

fn as_text(summary: &Summary, since: &str) -> String {
    let mut parts = vec![match summary.lines {
        0 => "There is no line in it.".to_owned(),
        lines => format!(
            "{lines} lines, from {} to {}; what was since {since} counts",
            summary.first, summary.last
        ),
    }];
    let callers = rows(summary);
    if callers.len() > 1 {
        parts.push(print::table(&callers));
    }
    if !summary.events.is_empty() {
        let event = |((event, whom), Count { count, last }): (&(String, String), &Count)| {
            let whom = if whom.is_empty() { String::new() } else { format!(" of {whom}") };
            format!("  {event}{whom}: {count}, last at {last}")
        };
        let events: Vec<String> = summary.events.iter().map(event).collect();
        parts.push(format!("Events:\n{}", events.join("\n")));
    }
    let told = summary.to_look_at();
    parts.push(match told.is_empty() {
        true => "Nothing to look at.".to_owned(),
        false => format!("To look at:\n  {}", told.join("\n  ")),
    });
    if !summary.knows_what_is_usual() {
        parts.push("The files hold nothing from before that time: which paths are usual cannot be told. A shorter --since tells more.".to_owned());
    }
    parts.join("\n\n")
}

fn rows(summary: &Summary) -> Vec<Vec<String>> {
    let titles = ["ACCOUNT", "KEY", "CALLS", "FAILED", "REFUSED", "LAST"];
    let mut rows = vec![titles.map(str::to_owned).to_vec()];
    for ((account, key), caller) in seen(summary) {
        let name = |name: &Option<String>| name.clone().unwrap_or_else(|| "-".to_owned());
        let Caller { calls, failed, refused, last, .. } = caller;
        rows.push(vec![
            name(account),
            name(key),
            calls.to_string(),
            failed.to_string(),
            refused.to_string(),
            last.clone(),
        ]);
    }
    rows
}

/// Those that have called since then.
fn seen(
    summary: &Summary,
) -> impl Iterator<Item = (&crate::telemetry::audit::summary::Name, &Caller)> {
    summary.callers.iter().filter(|(_, caller)| caller.calls > 0)
}

/// Lines that were tampered with could move the cursor of a terminal.
fn plain(text: &str) -> String {
    text.replace(|c: char| c.is_control() && c != '\n', "\u{fffd}")
}

fn as_json(summary: &Summary, since: &str) -> Value {
    let callers = seen(summary).map(|((account, key), caller)| {
        json!({
            "account": account,
            "key": key,
            "calls": caller.calls,
            "failed": caller.failed,
            "refused": caller.refused,
            "last": caller.last,
        })
    });
    let events = summary.events.iter().map(|((event, whom), Count { count, last })| {
        json!({ "event": event, "of": whom, "count": count, "last": last })
    });
    json!({
        "since": since,
        "lines": summary.lines,
        "first": summary.first,
        "last": summary.last,
        "callers": callers.collect::<Vec<_>>(),
        "events": events.collect::<Vec<_>>(),
        "to_look_at": summary.to_look_at(),
    })
}
