//! The environment of the command: no credential of before, the address of the proxy in the variables
//! that clients read, and no detour to it.

use std::ffi::{OsStr, OsString};
use std::process::Command;

use crate::config::SECRET_VARIABLES;
use crate::types::secret::Secret;

/// Credentials under the names that HubSpot's tools and examples have used for them, beside those that
/// the proxy reads itself. A client that found one could go around the proxy with it.
const OTHER_CREDENTIALS: [&str; 5] = [
    // Of no use without its secret, and a reason for some programs to look for that.
    "HUBSPOT_CLIENT_ID",
    "HUBSPOT_API_KEY",
    "HUBSPOT_DEVELOPER_API_KEY",
    "HUBSPOT_PRIVATE_APP_ACCESS_TOKEN",
    "HAPIKEY",
];
/// The generated clients (`hubspot-sdk`), an older state of them in Python, and `@hubspot/mcp-server`.
const ADDRESSES: [&str; 3] = ["HUBSPOT_BASE_URL", "HUB_SPOT_BASE_URL", "BASE_URL_OVERRIDE"];
/// Variables without which a client does not start: `@hubspot/mcp-server`.
const DEMANDED: [&str; 1] = ["PRIVATE_APP_ACCESS_TOKEN"];
/// What stands in [`DEMANDED`] where the child needs no key. The proxy drops it.
const PLACEHOLDER: &str = "the-proxy-holds-the-token";

/// Where clients look for a proxy on the way to a `http` address, ours among them.
const DETOURS: [&str; 4] = ["http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"];
/// Where they look for the exceptions. Some read only one of them, others the first before the second.
const EXCEPTIONS: [&str; 2] = ["no_proxy", "NO_PROXY"];
const OWN_HOSTS: [&str; 2] = ["localhost", "127.0.0.1"];

/// What is taken out of the environment that this process was started with, and then put into it.
pub struct ChildEnvironment {
    unset: Vec<String>,
    set: Vec<(&'static str, OsString)>,
}

impl ChildEnvironment {
    /// For a proxy at `address` that wants to see `key`; `secret_variables` are those that the
    /// configuration reads secrets from.
    pub fn new(address: &str, key: Option<&Secret>, secret_variables: &[String]) -> Self {
        Self::beside(address, key, secret_variables, |name| std::env::var_os(name))
    }

    fn beside(
        address: &str,
        key: Option<&Secret>,
        secret_variables: &[String],
        inherited: impl Fn(&str) -> Option<OsString>,
    ) -> Self {
        let known = SECRET_VARIABLES.into_iter().chain(OTHER_CREDENTIALS).map(str::to_owned);
        let unset = known.chain(secret_variables.iter().cloned()).collect();
        let (url, placeholder) = match key {
            Some(key) => (format!("{address}/@key:{}", key.expose()), key.expose()),
            None => (address.to_owned(), PLACEHOLDER),
        };
        let addresses = ADDRESSES.into_iter().map(|name| (name, OsString::from(&url)));
        let demanded = DEMANDED.into_iter().map(|name| (name, OsString::from(placeholder)));
        let set = addresses.chain(demanded).chain(exceptions(inherited)).collect();
        Self { unset, set }
    }

    /// First what goes and then what comes, since a name can be in both.
    pub fn apply_to(&self, command: &mut Command) {
        for name in &self.unset {
            command.env_remove(name);
        }
        command.envs(self.set.iter().map(|(name, value)| (name, value)));
    }
}

/// The exceptions with the proxy's hosts among them, where there is something to be an exception from.
fn exceptions(
    inherited: impl Fn(&str) -> Option<OsString>,
) -> impl Iterator<Item = (&'static str, OsString)> {
    let given = |name: &str| inherited(name).filter(|value| !value.is_empty());
    let detour = DETOURS.into_iter().any(|name| given(name).is_some());
    let any = || EXCEPTIONS.into_iter().find_map(given);
    // One that is not there takes over what is in the other: a client that reads it first would not
    // look at that any more.
    let merged = EXCEPTIONS.map(|name| (name, with_own_hosts(given(name).or_else(any))));
    merged.into_iter().filter(move |_| detour)
}

fn with_own_hosts(list: Option<OsString>) -> OsString {
    let mut list = list.unwrap_or_default();
    let text = list.to_string_lossy().into_owned();
    let entries: Vec<&str> = text.split([',', ' ']).collect();
    if entries.contains(&"*") {
        return list;
    }
    for host in OWN_HOSTS.into_iter().filter(|host| !entries.contains(host)) {
        if !list.is_empty() {
            list.push(OsStr::new(","));
        }
        list.push(host);
    }
    list
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::ffi::OsString;
    use std::process::Command;

    use super::ChildEnvironment;
    use crate::types::secret::Secret;

    /// What changes: a value, or `-` for what is taken out.
    fn changes(inherited: &[(&str, &str)], key: Option<&str>, more: &[&str]) -> Vec<String> {
        let inherited: BTreeMap<_, _> = inherited.iter().copied().collect();
        let of = |name: &str| inherited.get(name).map(OsString::from);
        let key = key.map(|key| Secret::new(key.to_owned()));
        let more: Vec<String> = more.iter().map(ToString::to_string).collect();
        let environment = ChildEnvironment::beside("http://localhost:1", key.as_ref(), &more, of);
        let mut command = Command::new("x");
        environment.apply_to(&mut command);
        let shown = command.get_envs().map(|(name, value)| {
            let value = value.map_or("-".into(), |value| value.to_string_lossy());
            format!("{}={value}", name.to_string_lossy())
        });
        shown.collect()
    }

    #[test]
    fn credentials_go_and_addresses_and_placeholders_come() {
        let expected = [
            "ACME_TOKEN=-",
            "BASE_URL_OVERRIDE=http://localhost:1",
            "HAPIKEY=-",
            "HUBSPOT_ACCESS_TOKEN=-",
            "HUBSPOT_API_KEY=-",
            "HUBSPOT_BASE_URL=http://localhost:1",
            "HUBSPOT_CLIENT_ID=-",
            "HUBSPOT_CLIENT_SECRET=-",
            "HUBSPOT_DEVELOPER_API_KEY=-",
            "HUBSPOT_PERSONAL_ACCESS_KEY=-",
            "HUBSPOT_PRIVATE_APP_ACCESS_TOKEN=-",
            "HUBSPOT_REFRESH_TOKEN=-",
            "HUB_SPOT_BASE_URL=http://localhost:1",
            "PRIVATE_APP_ACCESS_TOKEN=the-proxy-holds-the-token",
        ];
        // The last is demanded by a client and holds a secret of the configuration as well.
        let more = ["ACME_TOKEN", "PRIVATE_APP_ACCESS_TOKEN"];
        assert_eq!(changes(&[], None, &more), expected);
    }

    #[test]
    fn a_key_stands_in_the_address_and_in_place_of_placeholders() {
        let changes = changes(&[], Some("hsp_k"), &[]);
        for expected in [
            "BASE_URL_OVERRIDE=http://localhost:1/@key:hsp_k",
            "HUBSPOT_BASE_URL=http://localhost:1/@key:hsp_k",
            "PRIVATE_APP_ACCESS_TOKEN=hsp_k",
        ] {
            assert!(changes.iter().any(|change| change == expected), "{changes:?}");
        }
    }

    #[test]
    fn the_way_to_the_proxy_leads_through_no_other() {
        const BOTH: &str = "localhost,127.0.0.1";
        let http = ("http_proxy", "http://proxy.example:3128");
        // What there is, then `no_proxy` and `NO_PROXY`; `-` where they are left alone.
        type Case<'a> = (&'a [(&'a str, &'a str)], &'a str, &'a str);
        let cases: [Case<'_>; 8] = [
            (&[], "-", "-"),
            (&[("https_proxy", "http://proxy.example:3128"), ("NO_PROXY", "a")], "-", "-"),
            (&[("http_proxy", "")], "-", "-"),
            (&[http], BOTH, BOTH),
            (&[("ALL_PROXY", "socks5://x")], BOTH, BOTH),
            (
                &[http, ("NO_PROXY", "a.example")],
                "a.example,localhost,127.0.0.1",
                "a.example,localhost,127.0.0.1",
            ),
            (
                &[http, ("no_proxy", "*"), ("NO_PROXY", "127.0.0.1, b")],
                "*",
                "127.0.0.1, b,localhost",
            ),
            (&[http, ("no_proxy", BOTH)], BOTH, BOTH),
        ];
        for (inherited, lower, upper) in cases {
            let changes = changes(inherited, None, &[]);
            for (name, expected) in [("no_proxy=", lower), ("NO_PROXY=", upper)] {
                let value = changes.iter().find_map(|change| change.strip_prefix(name));
                assert_eq!(value.unwrap_or("-"), expected, "{inherited:?} {name}");
            }
        }
    }
}
