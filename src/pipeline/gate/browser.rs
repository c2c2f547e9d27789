//! The browser check: a web page gets nothing through, not even a request whose answer it could
//! not read.
//!
//! Browsers say of themselves where a request comes from (`Sec-Fetch-Site`, `Origin`, `Referer`),
//! and a page cannot change what they say. `Sec-Fetch-Mode` alone is no sign of one: Node's fetch
//! sends it.

use http::header::{HeaderMap, HeaderName, ORIGIN, REFERER};
use http::request::Parts;
use http::{HeaderValue, Method};

use super::{Entrance, host};
use crate::types::refusal::Refusal;

static SEC_FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");
static SEC_FETCH_DEST: HeaderName = HeaderName::from_static("sec-fetch-dest");

/// Whether the answer goes to a browser.
pub fn is_browser(headers: &HeaderMap) -> bool {
    headers.contains_key(&SEC_FETCH_SITE) || headers.contains_key(&SEC_FETCH_DEST)
}

/// No page of another origin is behind the request; below `/_proxy/` the proxy's own pages may be.
pub fn check(head: &Parts, entrance: &Entrance) -> Result<(), Refusal> {
    let local = head.uri.path().starts_with("/_proxy/");
    let headers = &head.headers;
    for site in headers.get_all(&SEC_FETCH_SITE) {
        check_site(site, &head.method, local)?;
    }
    for origin in headers.get_all(ORIGIN) {
        if !(local && is_own_origin(origin.as_bytes(), entrance)) {
            return Err(Refusal::OriginNotAllowed("the Origin header names a page"));
        }
    }
    for referer in headers.get_all(REFERER) {
        if !is_own_origin(origin_of(referer.as_bytes()), entrance) {
            return Err(Refusal::OriginNotAllowed("the Referer header names another origin"));
        }
    }
    Ok(())
}

fn check_site(site: &HeaderValue, method: &Method, local: bool) -> Result<(), Refusal> {
    let reads = matches!(*method, Method::GET | Method::HEAD);
    match site.as_bytes() {
        b"none" if reads => Ok(()),
        b"same-origin" if local => Ok(()),
        _ => Err(Refusal::OriginNotAllowed("the Sec-Fetch-Site header says that a page sent it")),
    }
}

/// Compared with the names of this listener, never with the request's own `Host` alone.
fn is_own_origin(origin: &[u8], entrance: &Entrance) -> bool {
    origin.strip_prefix(b"http://").is_some_and(|authority| host::names(authority, entrance))
}

fn origin_of(url: &[u8]) -> &[u8] {
    let after_scheme = url.windows(3).position(|part| part == b"://").map_or(0, |at| at + 3);
    let length = url[after_scheme..].iter().position(|b| matches!(b, b'/' | b'?' | b'#'));
    length.map_or(url, |length| &url[..after_scheme + length])
}

#[cfg(test)]
mod tests {
    use http::Request;

    use super::{Entrance, check};

    #[test]
    fn a_page_gets_nothing_through_and_other_software_everything() {
        type Lines = &'static [(&'static str, &'static str)];
        let cases: &[(&str, &str, Lines, bool)] = &[
            ("GET", "/a", &[], true),
            ("POST", "/a", &[], true),
            ("POST", "/a", &[("sec-fetch-mode", "cors")], true),
            ("GET", "/a", &[("sec-fetch-site", "none")], true),
            ("HEAD", "/a", &[("sec-fetch-site", "none")], true),
            ("POST", "/a", &[("sec-fetch-site", "none")], false),
            ("GET", "/a", &[("sec-fetch-site", "same-origin")], false),
            ("GET", "/a", &[("sec-fetch-site", "same-site")], false),
            ("GET", "/a", &[("sec-fetch-site", "cross-site")], false),
            ("GET", "/a", &[("sec-fetch-site", "")], false),
            ("GET", "/a", &[("sec-fetch-site", "none"), ("sec-fetch-site", "cross-site")], false),
            ("POST", "/a", &[("origin", "https://evil.example")], false),
            ("POST", "/a", &[("origin", "null")], false),
            ("POST", "/a", &[("origin", "http://localhost:1")], false),
            ("GET", "/a", &[("referer", "https://evil.example/x")], false),
            ("GET", "/a", &[("referer", "http://localhost:1/x")], true),
            ("GET", "/a", &[("referer", "http://localhost:1.evil.example/")], false),
            ("GET", "/a", &[("referer", "http://localhost:1@evil.example/")], false),
            ("GET", "/a", &[("referer", "about:blank")], false),
            ("GET", "/_proxy/", &[("sec-fetch-site", "none")], true),
            ("POST", "/_proxy/x", &[("sec-fetch-site", "same-origin")], true),
            ("POST", "/_proxy/x", &[("origin", "http://localhost:1")], true),
            ("POST", "/_proxy/x", &[("origin", "http://localhost:2")], false),
            ("POST", "/_proxy/x", &[("origin", "https://localhost:1")], false),
            ("POST", "/_proxy/x", &[("origin", "null")], false),
            ("POST", "/_proxy/x", &[("sec-fetch-site", "cross-site")], false),
            ("POST", "/_proxy", &[("sec-fetch-site", "same-origin")], false),
        ];
        for (method, path, lines, expected) in cases {
            let mut request = Request::builder().method(*method).uri(*path);
            for (name, value) in *lines {
                request = request.header(*name, *value);
            }
            let head = request.body(()).unwrap().into_parts().0;
            let seen = check(&head, &Entrance { port: Some(1), refusal: None }).is_ok();
            assert_eq!(seen, *expected, "{method} {path} {lines:?}");
        }
    }
}
