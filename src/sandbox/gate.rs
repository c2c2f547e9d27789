//! Keeps web pages in the user's browser away from the sandbox, as any local service should.
//!
//! A page of another site reaches a local port by its address or by a name of its own that
//! resolves to it (DNS rebinding). The first shows in `Origin` and `Sec-Fetch-Site`, the second
//! in `Host`. Who else on this machine calls is not looked at: there is nothing to steal.

use http::header::{HOST, ORIGIN};
use http::request::Parts;
use http::uri::Authority;
use http::{HeaderMap, StatusCode};

use super::answer::Problem;

/// The request's authority, if it names this machine.
pub(super) fn host(parts: &Parts) -> Result<String, Problem> {
    let mut values = parts.headers.get_all(HOST).iter();
    let header = values.next().and_then(|value| value.to_str().ok());
    if values.next().is_some() {
        return Err(refused("A request has one Host header."));
    }
    let named = parts.uri.authority().map(Authority::as_str).or(header);
    let authority: Option<Authority> = named.and_then(|name| name.parse().ok());
    match authority {
        Some(authority) if is_loopback(authority.host()) => Ok(authority.as_str().to_owned()),
        _ => Err(refused("The sandbox answers to localhost, 127.0.0.1 and [::1] only.")),
    }
}

fn is_loopback(host: &str) -> bool {
    let name = host.strip_suffix('.').unwrap_or(host);
    ["localhost", "127.0.0.1", "[::1]"].iter().any(|own| name.eq_ignore_ascii_case(own))
}

/// Refuses what a page of another origin sent.
pub(super) fn origin(headers: &HeaderMap, host: &str) -> Result<(), Problem> {
    match headers.get(ORIGIN).map(|value| value.to_str().unwrap_or("null")) {
        None => Ok(()),
        Some(origin) if origin.strip_prefix("http://") == Some(host) => Ok(()),
        Some(_) => Err(refused("Web pages of other origins may not call the sandbox.")),
    }
}

/// For what changes the sandbox itself: also refuses what a page sent without naming its origin.
pub(super) fn same_origin(headers: &HeaderMap, host: &str) -> Result<(), Problem> {
    origin(headers, host)?;
    match headers.get("sec-fetch-site").map(|value| value.as_bytes()) {
        None | Some(b"same-origin" | b"none") => Ok(()),
        Some(_) => Err(refused("Web pages of other origins may not call the sandbox.")),
    }
}

fn refused(message: &str) -> Problem {
    Problem::new(StatusCode::FORBIDDEN, "SANDBOX_ACCESS_REFUSED", message)
}
