//! `scopes`: which scopes are granted, which the traffic needed, and the login for just those.

use clap::Args;
use serde_json::Value;

use super::{Failure, control, print};
use crate::config::Folders;
use crate::types::account::AccountName;

/// What `--help` ends with.
pub const HELP: &str = "\
It learns from the requests that the running proxy has seen since it started, so let
everything run once before you take a scope away.

Examples:
  hubspot-proxy scopes
  hubspot-proxy scopes --account acme
  hubspot-proxy scopes --json";

/// Flags of `scopes`.
#[derive(Debug, Args)]
pub struct ScopesArgs {
    /// Only this account
    #[arg(long, value_name = "NAME")]
    account: Option<AccountName>,

    /// As JSON
    #[arg(long)]
    json: bool,

    /// An address of the proxy that is meant, where several run
    #[arg(long, value_name = "ADDR")]
    listen: Option<String>,
}

/// Asks the running proxy and prints what it says.
pub fn run(args: &ScopesArgs) -> Result<(), Failure> {
    let proxy = control::find(&Folders::of_process(), args.listen.as_deref())?;
    let mut scopes = proxy.get("scopes")?;
    if let Some(name) = &args.account {
        let accounts = scopes["accounts"].as_array_mut();
        let accounts = accounts.map(std::mem::take).unwrap_or_default();
        let is_it = |account: &Value| account["account"] == name.as_str();
        let Some(account) = accounts.into_iter().find(is_it) else {
            return Err(Failure::failed(format!(
                "the running proxy has no account {name}: `hubspot-proxy status` lists those it has"
            )));
        };
        scopes["accounts"] = Value::Array(vec![account]);
    }
    if args.json {
        print::line(format!("{scopes:#}"));
        return Ok(());
    }
    let since = scopes["since"].as_str().unwrap_or("the start").to_owned();
    let accounts = scopes["accounts"].as_array().into_iter().flatten();
    let told: Vec<String> = accounts.map(|account| in_full(account, &since)).collect();
    print::line(told.join("\n\n"));
    Ok(())
}

fn in_full(account: &Value, since: &str) -> String {
    let name = account["account"].as_str().unwrap_or_default();
    let requests = account["requests"].as_u64().unwrap_or(0);
    let head = format!("Account {name}: {requests} requests since {since}");
    if requests == 0 {
        return format!("{head}: nothing to learn from yet.");
    }
    let mut parts = vec![head, print::table(&rows(account))];
    let granted = strings(&account["granted"]);
    if granted.is_empty() {
        parts
            .push("What is granted is not known: HubSpot has not said it to the proxy.".to_owned());
    }
    let unknown = unknown(account);
    if !unknown.is_empty() {
        parts.push(format!(
            "Not counted, since it is not known what they need:\n  {}",
            unknown.join("\n  ")
        ));
    }
    parts.push(advice(account, &granted));
    parts.join("\n\n")
}

/// One row for each scope that is granted or needed.
fn rows(account: &Value) -> Vec<Vec<String>> {
    let (granted, needed) = (strings(&account["granted"]), strings(&account["needed"]));
    let titles = ["SCOPE", "GRANTED", "NEEDED", "BY", "AS KNOWN FROM"];
    let mut rows = vec![titles.map(str::to_owned).to_vec()];
    let mut all: Vec<&str> = granted.iter().chain(&needed).copied().collect();
    all.sort_unstable();
    all.dedup();
    for scope in all {
        let yes_or_no = |list: &[&str]| if list.contains(&scope) { "yes" } else { "no" }.to_owned();
        let is_granted = match granted.is_empty() {
            true => "?".to_owned(),
            false => yes_or_no(&granted),
        };
        let (by, known_from) = by(account, scope);
        rows.push(vec![scope.to_owned(), is_granted, yes_or_no(&needed), by, known_from]);
    }
    rows
}

/// The operations that need a scope, in short, and what that rests on.
fn by(account: &Value, scope: &str) -> (String, String) {
    let operations = account["operations"].as_array().into_iter().flatten();
    let mut with_it = operations.filter(|operation| strings(&operation["by"]).contains(&scope));
    let Some(first) = with_it.next() else {
        let needed = strings(&account["needed"]).contains(&scope);
        let text = if needed { "every login" } else { "-" };
        return (text.to_owned(), if needed { "HubSpot's documentation" } else { "-" }.to_owned());
    };
    let more = match with_it.count() {
        0 => String::new(),
        more => format!(" and {more} more"),
    };
    let known_from = first["rests_on"].as_str().unwrap_or_default();
    (format!("{}{more}", operation(first)), known_from.to_owned())
}

fn operation(operation: &Value) -> String {
    let text = |key: &str| operation[key].as_str().unwrap_or_default();
    format!("{} {}", text("method"), text("operation"))
}

fn unknown(account: &Value) -> Vec<String> {
    let operations = account["operations"].as_array().into_iter().flatten();
    let is_unknown = |operation: &&Value| strings_of_groups(&operation["any_of"]).is_empty();
    operations.filter(is_unknown).map(operation).collect()
}

fn advice(account: &Value, granted: &[&str]) -> String {
    let needed = strings(&account["needed"]);
    let (missing, unused) = (strings(&account["missing"]), strings(&account["unused"]));
    if missing.is_empty() && unused.is_empty() && !granted.is_empty() {
        return "Granted is just what was needed.".to_owned();
    }
    let caution = "It rests on the traffic seen and on HubSpot's documentation, whose lists are wider than what a call needs: keep a scope that you are not sure of.";
    match account["login"].as_str() {
        Some(login) => format!(
            "Just what was needed, once the app in HubSpot has the same scopes:\n  {login}\nWhere proxy.toml names scopes for the account, put these in their place: --scope adds to them.\n{caution}"
        ),
        None => format!(
            "Just what was needed, to be set for the private app or service key in HubSpot:\n  {}\n{caution}",
            needed.join(" ")
        ),
    }
}

fn strings(list: &Value) -> Vec<&str> {
    list.as_array().into_iter().flatten().filter_map(Value::as_str).collect()
}

fn strings_of_groups(groups: &Value) -> Vec<&str> {
    groups.as_array().into_iter().flatten().flat_map(strings).collect()
}
