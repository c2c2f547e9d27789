//! What the system grants the proxy and its clients: open files, knowledge of who connects, and
//! variables that lead clients astray.

use std::net::{IpAddr, Ipv4Addr};

use super::finding::Finding;
use super::subject::Subject;
use crate::config::Listen;
use crate::server::users::Users;

/// Open files beside those of connections.
const BESIDES: u64 = 64;

/// `descriptors`
#[cfg(unix)]
pub fn descriptors(subject: &Subject) -> Finding {
    use rustix::process::{Resource, getrlimit};

    let Some(config) = subject.config() else { return subject.unloaded() };
    // The proxy raises its own as far as this.
    of_limit(getrlimit(Resource::Nofile).maximum, config.server.max_connections as u64)
}

#[cfg(unix)]
fn of_limit(limit: Option<u64>, connections: u64) -> Finding {
    // One for the client, one for HubSpot.
    let needed = connections.saturating_mul(2).saturating_add(BESIDES);
    match limit {
        Some(limit) if limit < needed => Finding::warning(
            format!(
                "{limit} files can be open, and {connections} connections (server.max_connections) may need {needed}"
            ),
            format!(
                "raise the hard limit (`ulimit -Hn {needed}` as root, or LimitNOFILE={needed} of a service), or set server.max_connections = {}",
                limit.saturating_sub(BESIDES) / 2
            ),
        ),
        Some(limit) => Finding::ok(format!("{limit}, enough for {connections} connections")),
        None => Finding::ok(format!("no limit, for {connections} connections")),
    }
}

/// `descriptors`
#[cfg(not(unix))]
pub fn descriptors(_: &Subject) -> Finding {
    Finding::skipped("this platform has no such limit")
}

/// `users`
pub fn users(subject: &Subject) -> Finding {
    let Some(config) = subject.config() else { return subject.unloaded() };
    let is_tcp = config.server.listen.iter().any(|entry| !matches!(entry, Listen::Unix(_)));
    let tcp = is_tcp.then_some(IpAddr::V4(Ipv4Addr::LOCALHOST));
    match Users::resolve(&config.server.allowed_users, tcp) {
        Err(error) => Finding::told(error, "set server.allowed_users = [\"self\", \"root\"]"),
        Ok(users) if users.are_told_apart(is_tcp) => {
            Finding::ok("this machine tells whose a connection is")
        }
        Ok(_) => Finding::warning(
            "this machine does not tell whose a TCP connection is, so that any of its users is served",
            "set server.listen = [\"unix:proxy.sock\"] to keep others out, or server.client_keys = \"required\"",
        ),
    }
}

/// `client-environment`
pub fn client_environment(_: &Subject) -> Finding {
    let value = |name: &str| std::env::var(name).ok().filter(|value| !value.is_empty());
    let proxies = ["http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"];
    let Some(set) = proxies.into_iter().find(|name| value(name).is_some()) else {
        return Finding::ok("no variable sends clients' calls to localhost elsewhere");
    };
    let exempt = value("no_proxy").or_else(|| value("NO_PROXY")).unwrap_or_default();
    let exempts = |host: &str| exempt.split(',').any(|one| [host, "*"].contains(&one.trim()));
    if exempts("localhost") && exempts("127.0.0.1") {
        return Finding::ok(format!("{set} is set, and NO_PROXY exempts localhost"));
    }
    Finding::warning(
        format!(
            "{set} is set: curl, Python and others send even calls to localhost there, and they never reach this proxy"
        ),
        "run `export NO_PROXY=localhost,127.0.0.1 no_proxy=localhost,127.0.0.1` where clients run",
    )
}

#[cfg(all(test, unix))]
mod tests {
    use super::super::finding::Outcome;
    use super::of_limit;

    #[test]
    fn a_limit_that_is_too_low_is_told_with_what_would_fit() {
        let finding = of_limit(Some(1024), 4096);
        assert_eq!(finding.outcome, Outcome::Warning);
        assert!(finding.seen.contains("1024 files") && finding.seen.contains("8256"));
        let mend = finding.mend.unwrap();
        assert!(mend.contains("LimitNOFILE=8256"), "{mend}");
        assert!(mend.contains("max_connections = 480"), "{mend}");
        for limit in [Some(8256), None] {
            assert_eq!(of_limit(limit, 4096).outcome, Outcome::Ok, "{limit:?}");
        }
    }
}
