//! `dashboard`: opens the running proxy's dashboard in the browser.

use clap::Args;
use serde_json::Value;

use super::{Failure, control, print, web_browser};
use crate::config::{Folders, Listen};

/// What `--help` ends with.
pub const HELP: &str = "\
Examples:
  hubspot-proxy dashboard
  hubspot-proxy dashboard --no-browser                        print the link and open it yourself
  hubspot-proxy dashboard --listen localhost:9000             where several proxies run

The link works once, within 30 seconds.";

/// Flags of `dashboard`.
#[derive(Debug, Args)]
pub struct DashboardArgs {
    /// Do not open a browser: only print the link
    #[arg(long)]
    no_browser: bool,

    /// An address of the proxy that is meant, where several run
    #[arg(long, value_name = "ADDR")]
    listen: Option<String>,
}

/// Asks the running proxy for a one-time code and opens the page with it.
pub fn run(args: &DashboardArgs) -> Result<(), Failure> {
    let proxy = control::find(&Folders::of_process(), args.listen.as_deref())?;
    let status = proxy.get("status")?;
    let listen = status["listen"].as_array().map(Vec::as_slice).unwrap_or_default();
    let wanted = args.listen.as_deref().and_then(|listen| listen.parse().ok());
    let Some(address) = browsable(listen.iter().filter_map(Value::as_str), wanted.as_ref()) else {
        return Err(Failure::failed(
            "the proxy listens on Unix sockets alone, which a browser cannot reach: add `localhost:PORT` to server.listen, or use `hubspot-proxy status`",
        ));
    };
    let made = proxy.post("dashboard/codes")?;
    let code = made["code"].as_str();
    let code = code.ok_or_else(|| Failure::failed("the proxy gave no code: is it older?"))?;
    let url = format!("{address}/_proxy/#code={code}");
    print::line(&url);
    print::note("The link works once, within 30 seconds.");
    if !args.no_browser {
        web_browser::open(&url);
    }
    Ok(())
}

/// The address by which a browser of this machine gets to the proxy: the one that is wanted, else one
/// that is local for sure.
fn browsable<'a>(shown: impl Iterator<Item = &'a str>, wanted: Option<&Listen>) -> Option<String> {
    let shown: Vec<_> = shown.filter(|address| address.starts_with("http://")).collect();
    let is_wanted = |address: &&&str| wanted.is_some_and(|wanted| control::is_at(address, wanted));
    let is_local = |address: &&&str| {
        ["http://localhost:", "http://127.0.0.1:", "http://[::1]:"]
            .iter()
            .any(|local| address.starts_with(local))
    };
    let found = shown.iter().find(is_wanted).or_else(|| shown.iter().find(is_local));
    let found = found.or_else(|| shown.first())?;
    // No address to go to, but every one of this machine.
    Some(found.replacen("//0.0.0.0:", "//localhost:", 1).replacen("//[::]:", "//localhost:", 1))
}

#[cfg(test)]
mod tests {
    use super::browsable;

    #[test]
    fn a_browser_is_sent_where_it_can_go() {
        for (shown, wanted, expected) in [
            (&["http://localhost:1"][..], None, Some("http://localhost:1")),
            (&["unix:/a", "http://127.0.0.1:2"], None, Some("http://127.0.0.1:2")),
            (&["http://10.0.0.1:3", "http://[::1]:4"], None, Some("http://[::1]:4")),
            (&["http://10.0.0.1:3"], None, Some("http://10.0.0.1:3")),
            (&["http://0.0.0.0:5"], None, Some("http://localhost:5")),
            (&["http://[::]:6"], None, Some("http://localhost:6")),
            (
                &["http://localhost:1", "http://localhost:7"],
                Some("localhost:7"),
                Some("http://localhost:7"),
            ),
            (&["unix:/a"], Some("unix:/a"), None),
            (&[], None, None),
        ] {
            let wanted = wanted.map(|wanted: &str| wanted.parse().unwrap());
            let found = browsable(shown.iter().copied(), wanted.as_ref());
            assert_eq!(found.as_deref(), expected, "{shown:?}");
        }
    }
}
