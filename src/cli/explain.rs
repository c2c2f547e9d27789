//! `explain`: what the running proxy decided about one request, stage by stage.

use clap::Args;
use serde_json::Value;

use super::{Failure, control, print};
use crate::config::Folders;
use crate::types::request_id::RequestId;

/// What `--help` ends with.
pub const HELP: &str = "\
Examples:
  hubspot-proxy explain --last
  hubspot-proxy explain --failed
  hubspot-proxy explain 0191d5a2-7c31-8abc-9def-0123456789ab  the id= of X-HubSpot-Proxy";

/// Flags of `explain`.
#[derive(Debug, Args)]
pub struct ExplainArgs {
    /// The request's id, as the header X-HubSpot-Proxy and the field correlationId show it
    #[arg(value_name = "REQUEST_ID", required_unless_present_any = ["last", "failed"],
          conflicts_with_all = ["last", "failed"])]
    id: Option<RequestId>,

    /// The last request
    #[arg(long)]
    last: bool,

    /// The last requests that failed; with --last, only the last of them
    #[arg(long)]
    failed: bool,

    /// As JSON
    #[arg(long)]
    json: bool,

    /// An address of the proxy that is meant, where several run
    #[arg(long, value_name = "ADDR")]
    listen: Option<String>,
}

/// Asks the running proxy and prints what it says.
pub fn run(args: &ExplainArgs) -> Result<(), Failure> {
    let proxy = control::find(&Folders::of_process(), args.listen.as_deref())?;
    let requests = match &args.id {
        Some(id) => vec![proxy.get(&format!("requests/{id}"))?],
        None => {
            let limit = if args.last { 1 } else { 10 };
            let found = proxy.get(&format!("requests?limit={limit}&failed={}", args.failed))?;
            found["requests"].as_array().cloned().unwrap_or_default()
        }
    };
    if args.json {
        let shown = match args.id.is_some() || args.last {
            true => requests.into_iter().next().unwrap_or_default(),
            false => Value::Array(requests),
        };
        print::line(format!("{shown:#}"));
        return Ok(());
    }
    if requests.is_empty() {
        print::note(if args.failed {
            "No request has failed that the proxy remembers."
        } else {
            "The proxy has served no request yet."
        });
        return Ok(());
    }
    let told: Vec<String> = requests.iter().map(in_full).collect();
    print::line(told.join("\n\n"));
    Ok(())
}

/// One request in one line: when, what, how it ended, and its id.
pub fn in_a_line(request: &Value) -> String {
    let text = |key: &str| request[key].as_str().unwrap_or("-");
    let status = request["status"].as_u64().unwrap_or(0);
    let error = request["error"].as_str().map(|code| format!(" {code}")).unwrap_or_default();
    format!(
        "{}  {status}{error}  {} {}  {}  {}",
        text("began_at"),
        text("method"),
        text("path"),
        text("account"),
        text("id")
    )
}

fn in_full(request: &Value) -> String {
    let text = |key: &str| request[key].as_str().unwrap_or("-");
    let mut lines = vec![
        format!("{} {} at {}", text("method"), text("path"), text("began_at")),
        format!("  id {}, {} from the client", text("id"), text("client")),
    ];
    for stage in request["stages"].as_array().into_iter().flatten() {
        let name = stage["stage"].as_str().unwrap_or_default();
        let decision = stage["decision"].as_str().unwrap_or_default();
        let after = stage["after_ms"].as_f64();
        let after = after.map(|ms| format!("  (after {ms} ms)")).unwrap_or_default();
        lines.push(format!("  {name:<9}  {decision}{after}"));
    }
    if let Some(id) = request["upstream"]["correlation_id"].as_str() {
        lines.push(format!("  HubSpot's correlation id: {id}"));
    }
    for (title, key) in [("Cause", "cause"), ("Mend", "mend")] {
        if let Some(sentence) = request[key].as_str() {
            lines.push(format!("  {title}: {sentence}"));
        }
    }
    lines.join("\n")
}
