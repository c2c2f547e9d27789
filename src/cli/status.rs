//! `status`: how the running proxy and its accounts stand.

use std::time::Duration;

use clap::Args;
use serde_json::Value;

use super::{Failure, control, explain, print};
use crate::config::Folders;

/// What `--help` ends with.
pub const HELP: &str = "\
Examples:
  hubspot-proxy status
  hubspot-proxy status --json
  hubspot-proxy status --listen localhost:9000                where several proxies run";

/// Flags of `status`.
#[derive(Debug, Args)]
pub struct StatusArgs {
    /// As JSON
    #[arg(long)]
    json: bool,

    /// An address of the proxy that is meant, where several run
    #[arg(long, value_name = "ADDR")]
    listen: Option<String>,
}

/// Asks the running proxy and prints what it says.
pub fn run(args: &StatusArgs) -> Result<(), Failure> {
    let proxy = control::find(&Folders::of_process(), args.listen.as_deref())?;
    let status = proxy.get("status")?;
    if args.json {
        print::line(format!("{status:#}"));
        return Ok(());
    }
    print::line(head(&status));
    print::line(print::table(&accounts(&status)));
    for message in messages(&status) {
        print::line(format!("\n{message}"));
    }
    let failures = status["last_failures"].as_array().map(Vec::as_slice).unwrap_or_default();
    if !failures.is_empty() {
        print::line("\nLast failures (see `hubspot-proxy explain ID`):");
        for failure in failures {
            print::line(format!("  {}", explain::in_a_line(failure)));
        }
    }
    Ok(())
}

fn head(status: &Value) -> String {
    let text = |key: &str| status[key].as_str().unwrap_or_default().to_owned();
    let up = print::span(Duration::from_secs(status["uptime_seconds"].as_u64().unwrap_or(0)));
    let pid = status["pid"].as_u64().unwrap_or_default();
    let mut lines =
        vec![format!("hubspot-proxy {} (process {pid}), running for {up}", text("version"))];
    for address in status["listen"].as_array().into_iter().flatten().filter_map(Value::as_str) {
        lines.push(format!("Listening on {address}"));
    }
    lines.push(match status["config_file"].as_str() {
        Some(file) => format!("Configured by {file}"),
        None => "No configuration file".to_owned(),
    });
    let sandbox = if status["sandbox"] == true { " (the sandbox)" } else { "" };
    lines.push(format!("Upstream: {}{sandbox}", text("upstream")));
    if let Some(why) = status["configuration"]["refused"].as_str() {
        let since = status["configuration"]["loaded_at"].as_str().unwrap_or_default();
        lines.push(format!(
            "Its changed configuration was refused, and the one of {since} stays in force: {why}"
        ));
    }
    let traffic = &status["traffic"];
    let count = |key: &str| traffic[key].as_u64().unwrap_or(0);
    lines.push(format!(
        "Requests: {}, of them {} answered by the proxy itself, {} sent again after a 401\n",
        count("requests"),
        count("refused"),
        count("replayed")
    ));
    lines.join("\n")
}

fn accounts(status: &Value) -> Vec<Vec<String>> {
    let titles = ["ACCOUNT", "TOKEN", "HUB ID", "REQUESTS", "4XX", "5XX", "LIMIT LEFT"];
    let mut rows = vec![titles.map(str::to_owned).to_vec()];
    for account in status["accounts"].as_array().into_iter().flatten() {
        let number = |value: &Value| value.as_u64().map_or("-".to_owned(), |n| n.to_string());
        let default = if account["default"] == true { " *" } else { "" };
        let by_status = &account["traffic"]["by_status"];
        rows.push(vec![
            format!("{}{default}", account["name"].as_str().unwrap_or_default()),
            token(&account["token"]),
            number(&account["hub_id"]),
            number(&account["traffic"]["requests"]),
            number(&by_status["4xx"]),
            number(&by_status["5xx"]),
            limit(&account["rate_limits"]),
        ]);
    }
    rows
}

fn token(token: &Value) -> String {
    let state = token["state"].as_str().unwrap_or_default();
    let left = token["expires_in_seconds"]
        .as_u64()
        .filter(|_| matches!(state, "fresh" | "stale" | "expired"));
    let degraded = if token["degraded"] == true { ", not stored" } else { "" };
    match left {
        Some(left) => {
            format!("{state}, {} left{degraded}", print::span(Duration::from_secs(left)))
        }
        None => format!("{state}{degraded}"),
    }
}

fn limit(limits: &Value) -> String {
    let Some(remaining) = limits["remaining"].as_u64() else { return "-".to_owned() };
    let of = limits["max"].as_u64().map(|max| format!(" of {max}")).unwrap_or_default();
    let daily = limits["daily_remaining"].as_u64();
    let daily = daily.map(|left| format!(", {left} today")).unwrap_or_default();
    format!("{remaining}{of}{daily}")
}

fn messages(status: &Value) -> impl Iterator<Item = &str> {
    let accounts = status["accounts"].as_array().into_iter().flatten();
    accounts.filter_map(|account| account["token"]["message"].as_str())
}
