//! `sunset`: what clients still call that HubSpot retires.

use clap::Args;
use serde_json::Value;

use super::{Failure, control, print};
use crate::config::Folders;

/// What `--help` ends with.
pub const HELP: &str = "\
It shows what the running proxy has seen since it started.

Examples:
  hubspot-proxy sunset
  hubspot-proxy sunset --json";

/// Flags of `sunset`.
#[derive(Debug, Args)]
pub struct SunsetArgs {
    /// As JSON
    #[arg(long)]
    json: bool,

    /// An address of the proxy that is meant, where several run
    #[arg(long, value_name = "ADDR")]
    listen: Option<String>,
}

/// Asks the running proxy and prints what it says.
pub fn run(args: &SunsetArgs) -> Result<(), Failure> {
    let proxy = control::find(&Folders::of_process(), args.listen.as_deref())?;
    let sunset = proxy.get("sunset")?;
    if args.json {
        print::line(format!("{sunset:#}"));
        return Ok(());
    }
    let calls = sunset["calls"].as_array().map(Vec::as_slice).unwrap_or_default();
    let since = sunset["since"].as_str().unwrap_or("the start");
    if calls.is_empty() {
        print::note(format!("No call to anything that HubSpot retires since {since}."));
        return Ok(());
    }
    print::line(format!("Calls to what HubSpot retires, since {since}:\n"));
    print::line(print::table(&rows(calls)));
    print::line("\nInstead:");
    for line in successors(calls) {
        print::line(format!("  {line}"));
    }
    Ok(())
}

fn rows(calls: &[Value]) -> Vec<Vec<String>> {
    let titles = ["OPERATION", "USER AGENT", "CALLS", "SUPPORTED UNTIL"];
    let mut rows = vec![titles.map(str::to_owned).to_vec()];
    rows.extend(calls.iter().map(|call| {
        let text = |key: &str| call[key].as_str().unwrap_or_default().to_owned();
        let agent = Some(text("user_agent")).filter(|agent| !agent.is_empty());
        let calls = call["count"].as_u64().unwrap_or(0).to_string();
        vec![text("operation"), agent.unwrap_or_else(|| "-".to_owned()), calls, text("until")]
    }));
    rows
}

/// What to call instead, each operation once.
fn successors(calls: &[Value]) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    for call in calls {
        let text = |key: &str| call[key].as_str().unwrap_or_default();
        let line = format!("{}: {}", text("operation"), text("successor"));
        if !lines.contains(&line) {
            lines.push(line);
        }
    }
    lines
}
