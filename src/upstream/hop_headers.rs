//! Headers that end at this hop (RFC 9110, section 7.6.1) and client credentials that must not
//! travel on, removed in place.

use http::HeaderMap;
use http::header::{
    AUTHORIZATION, CONNECTION, CONTENT_LENGTH, COOKIE, HOST, HeaderName, HeaderValue,
    PROXY_AUTHENTICATE, PROXY_AUTHORIZATION, TE, TRAILER, TRANSFER_ENCODING, UPGRADE,
};

/// Removes all that concerns this connection alone, and all that `Connection` names, from a
/// request or response head, and all else whose name is `unwanted`. `TE: trailers` and `Trailer`
/// stay, unless `Connection` is the only reason to think of them as this hop's (RFC 9110, section
/// 10.1.4 makes `TE` name itself there).
pub fn remove(headers: &mut HeaderMap, unwanted: impl Fn(&HeaderName) -> bool) {
    remove_named_by_connection(headers);
    // Looks before it removes, in one pass: mostly there is nothing.
    while let Some(name) = headers.keys().find(|name| is_of_this_hop(name) || unwanted(name)) {
        let name = name.clone();
        headers.remove(name);
    }
    keep_only_te_trailers(headers);
}

fn is_of_this_hop(name: &HeaderName) -> bool {
    *name == TRANSFER_ENCODING
        || *name == UPGRADE
        || *name == PROXY_AUTHENTICATE
        || matches!(name.as_str(), "keep-alive" | "close" | "proxy-connection")
}

fn remove_named_by_connection(headers: &mut HeaderMap) {
    if !headers.contains_key(CONNECTION) {
        return;
    }
    let named: Vec<HeaderName> = headers
        .get_all(CONNECTION)
        .iter()
        .flat_map(|value| value.as_bytes().split(|b| *b == b','))
        .map(<[u8]>::trim_ascii)
        .filter(|name| !is_mere_option(name))
        .filter_map(|name| HeaderName::from_bytes(name).ok())
        .filter(|name| !frames_or_routes_the_message(name))
        .collect();
    headers.remove(CONNECTION);
    for name in named {
        headers.remove(name);
    }
}

/// What nearly every `Connection` says; a header of that name is removed in any case.
fn is_mere_option(name: &[u8]) -> bool {
    name.eq_ignore_ascii_case(b"keep-alive") || name.eq_ignore_ascii_case(b"close")
}

/// A sender must not list these (RFC 9110, section 7.6.1: fields meant for all recipients); were
/// they removed, the message would lose its length, its target or its declared trailers.
fn frames_or_routes_the_message(name: &HeaderName) -> bool {
    *name == CONTENT_LENGTH || *name == HOST || *name == TE || *name == TRAILER
}

fn keep_only_te_trailers(headers: &mut HeaderMap) {
    if !headers.contains_key(TE) {
        return;
    }
    let wants_trailers = headers
        .get_all(TE)
        .iter()
        .flat_map(|value| value.as_bytes().split(|b| *b == b','))
        .any(|coding| coding.trim_ascii().eq_ignore_ascii_case(b"trailers"));
    headers.remove(TE);
    if wants_trailers {
        headers.insert(TE, HeaderValue::from_static("trailers"));
    }
}

/// Whether a request header is a client's credential or would say who the client is, in whatever
/// section of the message it stands.
pub fn is_client_only(name: &HeaderName) -> bool {
    if *name == AUTHORIZATION || *name == COOKIE || *name == PROXY_AUTHORIZATION {
        return true;
    }
    let name = name.as_str();
    match name.as_bytes()[0] {
        b'p' => matches!(name, "private-app" | "private-app-legacy"),
        b'o' => name == "origin",
        b'r' => name == "referer",
        b'f' => name == "forwarded",
        b'x' => is_client_only_extension(name),
        _ => false,
    }
}

fn is_client_only_extension(name: &str) -> bool {
    const PREFIXES: [&str; 3] = ["x-hubspot-proxy", "x-forwarded-", "x-http-method"];
    const NAMES: [&str; 3] = ["x-hubspot-account", "x-real-ip", "x-method-override"];
    PREFIXES.iter().any(|prefix| name.starts_with(prefix)) || NAMES.contains(&name)
}

/// Leaves in request trailers only what may travel on.
pub fn remove_from_request_trailers(trailers: &mut HeaderMap) {
    remove(trailers, |name| is_client_only(name) || *name == CONTENT_LENGTH || *name == HOST);
}

#[cfg(test)]
mod tests {
    use http::{HeaderMap, HeaderName, HeaderValue};

    use super::{is_client_only, remove};

    fn after_removal(lines: &[(&str, &str)]) -> Vec<(String, String)> {
        let mut headers = HeaderMap::new();
        for (name, value) in lines {
            headers.append(
                HeaderName::from_bytes(name.as_bytes()).unwrap(),
                HeaderValue::from_str(value).unwrap(),
            );
        }
        remove(&mut headers, |_| false);
        let mut left: Vec<_> =
            headers.iter().map(|(n, v)| (n.to_string(), v.to_str().unwrap().to_owned())).collect();
        left.sort();
        left
    }

    #[test]
    fn hop_by_hop_headers_and_all_that_connection_names_are_removed() {
        type Lines = &'static [(&'static str, &'static str)];
        let cases: &[(Lines, Lines)] = &[
            (&[("connection", "keep-alive, x-mine"), ("x-mine", "1"), ("a", "b")], &[("a", "b")]),
            (
                &[
                    ("connection", "X-Mine"),
                    ("connection", ",,x-other ,"),
                    ("x-mine", "1"),
                    ("x-other", "2"),
                ],
                &[],
            ),
            (&[("keep-alive", "1"), ("proxy-connection", "close"), ("upgrade", "h2c")], &[]),
            (&[("transfer-encoding", "chunked"), ("transfer-encoding", "gzip")], &[]),
            (&[("te", "gzip;q=1, Trailers"), ("connection", "te")], &[("te", "trailers")]),
            (&[("te", "gzip")], &[]),
            (&[("connection", "close"), ("close", "1"), ("keep-alive", "2")], &[]),
            (&[("trailer", "x-checksum")], &[("trailer", "x-checksum")]),
            (
                &[("connection", "content-length, host"), ("content-length", "5"), ("host", "h")],
                &[("content-length", "5"), ("host", "h")],
            ),
            (&[("connection", "not a name, close"), ("a", "b")], &[("a", "b")]),
        ];
        for (given, expected) in cases {
            let expected: Vec<_> =
                expected.iter().map(|(n, v)| (n.to_string(), v.to_string())).collect();
            assert_eq!(after_removal(given), expected, "{given:?}");
        }
    }

    #[test]
    fn every_place_of_a_client_credential_is_known() {
        let dropped = [
            "authorization",
            "proxy-authorization",
            "cookie",
            "private-app",
            "private-app-legacy",
            "x-hubspot-proxy",
            "x-hubspot-proxy-key",
            "x-hubspot-account",
            "origin",
            "referer",
            "forwarded",
            "x-forwarded-for",
            "x-forwarded-host",
            "x-real-ip",
            "x-http-method",
            "x-http-method-override",
            "x-method-override",
        ];
        for name in dropped {
            assert!(is_client_only(&HeaderName::from_static(name)), "{name}");
        }
        for name in ["accept", "content-type", "private", "x-hubspot-signature", "x-stainless-os"] {
            assert!(!is_client_only(&HeaderName::from_static(name)), "{name}");
        }
    }
}
