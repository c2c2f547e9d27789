//! `server.allowed_hosts` and `server.allowed_origins`: what passes the gate beside requests of
//! local programs to the proxy's own names.

use super::error::shown;
use crate::types::host_name::HostName;
use crate::types::origin::{InvalidOrigin, Origin};

const ORIGIN: &str = "write an origin such as `http://localhost:3000` or `https://app.example`";

const HOST: &str = "write a name such as `hubspot.localhost`, with the port if it is not the one that the proxy listens on";

/// Entries of `server.allowed_hosts`; the error is what is wrong with which.
pub(super) fn hosts(entries: &[String], keys_required: bool) -> Result<Vec<HostName>, String> {
    entries.iter().map(|entry| host(entry, keys_required)).collect()
}

fn host(entry: &str, keys_required: bool) -> Result<HostName, String> {
    let name = shown(entry, "an entry");
    match entry.parse::<HostName>() {
        Err(_) => Err(format!("{name} is not a host: {HOST}")),
        // Whoever owns such a name can let it point here, and have a page call by it.
        Ok(host) if !host.is_local() && !keys_required => Err(format!(
            "{name} is not a name of this machine alone: set `server.client_keys = \"required\"` as well, or {HOST}"
        )),
        Ok(host) => Ok(host),
    }
}

/// Entries of `server.allowed_origins`; the error is what is wrong with which.
pub(super) fn origins(entries: &[String]) -> Result<Vec<Origin>, String> {
    entries.iter().map(|entry| origin(entry)).collect()
}

fn origin(entry: &str) -> Result<Origin, String> {
    if entry.eq_ignore_ascii_case("null") {
        return Err(format!(
            "`null` is what a browser says of pages that have no origin, any site's among them, so it cannot be allowed: {ORIGIN}"
        ));
    }
    if entry.contains('*') {
        return Err("a `*` would let pages of any site act with your HubSpot token: name each origin that may call, such as `http://localhost:3000`".to_owned());
    }
    entry.parse().map_err(|what: InvalidOrigin| match what {
        // Not quoted: it holds a password.
        InvalidOrigin::UserInfo => format!("an entry holds a user name or password: {ORIGIN}"),
        InvalidOrigin::NotAUrl => {
            format!("{} is not an origin: {ORIGIN}", shown(entry, "an entry"))
        }
        InvalidOrigin::Scheme => {
            format!("{} is neither http nor https: {ORIGIN}", shown(entry, "an entry"))
        }
        InvalidOrigin::NotAnOrigin => {
            let name = shown(entry, "an entry");
            format!("{name} goes on after the host and port, where an origin ends: {ORIGIN}")
        }
    })
}

#[cfg(test)]
mod tests {
    use super::{hosts, origins};

    #[test]
    fn a_host_that_is_not_loopback_by_nature_needs_client_keys() {
        for (entry, expected) in [
            ("proxy.example", "`proxy.example` is not a name of this machine alone"),
            ("host.docker.internal:8787", "server.client_keys = \"required\""),
            ("192.168.0.1", "server.client_keys = \"required\""),
            ("*.localhost", "`*.localhost` is not a host: write a name such as"),
            ("http://hubspot.localhost", "is not a host"),
            ("", "is not a host"),
        ] {
            let error = hosts(&[entry.to_owned()], false).unwrap_err();
            assert!(error.contains(expected), "{entry}: {error}");
        }
    }

    #[test]
    fn an_origin_is_compared_as_browsers_write_it() {
        for (entry, expected) in [
            ("http://localhost:3000", "http://localhost:3000"),
            ("https://App.Example", "https://app.example"),
            ("https://app.example:443", "https://app.example"),
            ("HTTP://app.example:80/", "http://app.example"),
            ("https://app.example:80", "https://app.example:80"),
            ("http://[::1]:3000", "http://[::1]:3000"),
        ] {
            let parsed = origins(&[entry.to_owned()]).unwrap();
            assert_eq!(parsed[0].serialized(), expected, "{entry}");
        }
    }

    #[test]
    fn what_is_no_single_origin_is_refused_with_a_mend() {
        for (entry, expected) in [
            ("null", "cannot be allowed: write an origin such as"),
            ("*", "pages of any site"),
            ("https://*.example", "pages of any site"),
            ("http://localhost:*", "pages of any site"),
            ("localhost:3000", "is not an origin"),
            ("http://", "is not an origin"),
            ("", "is not an origin"),
            ("chrome-extension://abc", "is neither http nor https"),
            ("https://app.example/page", "goes on after the host"),
            ("https://app.example?x", "goes on after the host"),
            ("https://user:secret@app.example", "an entry holds a user name or password"),
        ] {
            let error = origins(&[entry.to_owned()]).unwrap_err();
            assert!(error.contains(expected), "{entry}: {error}");
            assert!(!error.contains("secret"), "{error}");
        }
    }
}
