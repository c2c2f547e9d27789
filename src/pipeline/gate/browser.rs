//! The browser check: a web page gets nothing through, not even a request whose answer it could
//! not read, unless its origin is on the list of those that may call.
//!
//! Browsers say of themselves where a request comes from (`Sec-Fetch-Site`, `Origin`, `Referer`),
//! and a page cannot change what they say. `Sec-Fetch-Mode` alone is no sign of one: Node's fetch
//! sends it.

use http::header::{HeaderMap, HeaderName, ORIGIN, REFERER};
use http::request::Parts;
use http::{HeaderValue, Method};

use super::allowed::Allowed;
use super::{Entrance, host};
use crate::types::refusal::Refusal;

static SEC_FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");
static SEC_FETCH_DEST: HeaderName = HeaderName::from_static("sec-fetch-dest");

/// Whether the answer goes to a browser.
pub fn is_browser(headers: &HeaderMap) -> bool {
    headers.contains_key(&SEC_FETCH_SITE) || headers.contains_key(&SEC_FETCH_DEST)
}

/// No page of another origin is behind the request, or one that is allowed; below `/_proxy/` the
/// proxy's own pages may be.
pub fn check(head: &Parts, entrance: &Entrance, allowed: &Allowed) -> Result<(), Refusal> {
    let local = head.uri.path().starts_with("/_proxy/");
    let headers = &head.headers;
    let invited = is_invited(headers, allowed);
    if !invited {
        for site in headers.get_all(&SEC_FETCH_SITE) {
            check_site(site, &head.method, local)?;
        }
    }
    for origin in headers.get_all(ORIGIN) {
        if !(invited || local && is_own_origin(origin.as_bytes(), head, entrance, allowed)) {
            return Err(Refusal::OriginNotAllowed("the Origin header names a page"));
        }
    }
    for referer in headers.get_all(REFERER) {
        let origin = origin_of(referer.as_bytes());
        if !(is_own_origin(origin, head, entrance, allowed) || allowed.has_origin(origin)) {
            return Err(Refusal::OriginNotAllowed("the Referer header names another origin"));
        }
    }
    Ok(())
}

/// Whether a page of an allowed origin sent the request. Where there is no `Origin`, as on a `GET`
/// whose answer the page cannot read, `Referer` counts; beside an `Origin` it cannot mend that.
fn is_invited(headers: &HeaderMap, allowed: &Allowed) -> bool {
    if headers.contains_key(ORIGIN) {
        return allowed.origin_of(headers).is_some();
    }
    let mut referers = headers.get_all(REFERER).iter();
    let only = referers.next().filter(|_| referers.next().is_none());
    only.is_some_and(|referer| allowed.has_origin(origin_of(referer.as_bytes())))
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
fn is_own_origin(origin: &[u8], head: &Parts, entrance: &Entrance, allowed: &Allowed) -> bool {
    let authority = origin.strip_prefix(b"http://");
    authority.is_some_and(|authority| host::is_own(authority, head, entrance, allowed))
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
    use crate::pipeline::gate::allowed::Allowed;

    type Lines = &'static [(&'static str, &'static str)];

    fn assert_served(allowed: &Allowed, cases: &[(&str, &str, Lines, bool)]) {
        for (method, path, lines, expected) in cases {
            let mut request = Request::builder().method(*method).uri(*path);
            for (name, value) in *lines {
                request = request.header(*name, *value);
            }
            let head = request.body(()).unwrap().into_parts().0;
            let seen = check(&head, &Entrance::at(1), allowed).is_ok();
            assert_eq!(seen, *expected, "{method} {path} {lines:?}");
        }
    }

    #[test]
    fn a_page_of_an_allowed_origin_is_served_and_what_looks_like_it_is_not() {
        let origins = ["http://localhost:3000", "https://app.example"];
        let origins = origins.map(|o| o.parse().unwrap()).to_vec();
        let allowed = Allowed { origins, ..Allowed::default() };
        assert_served(
            &allowed,
            &[
                ("POST", "/a", &[("origin", "http://localhost:3000")], true),
                ("GET", "/a", &[("origin", "https://app.example")], true),
                (
                    "DELETE",
                    "/a",
                    &[("origin", "https://app.example"), ("sec-fetch-site", "cross-site")],
                    true,
                ),
                (
                    "GET",
                    "/a",
                    &[("referer", "https://app.example/x"), ("sec-fetch-site", "cross-site")],
                    true,
                ),
                (
                    "POST",
                    "/a",
                    &[("origin", "https://app.example"), ("referer", "https://app.example/x")],
                    true,
                ),
                ("POST", "/_proxy/x", &[("origin", "https://app.example")], true),
                ("GET", "/a", &[("sec-fetch-site", "cross-site")], false),
                ("POST", "/a", &[("sec-fetch-site", "none")], false),
                ("POST", "/a", &[("origin", "http://localhost:30000")], false),
                ("POST", "/a", &[("origin", "http://localhost:300")], false),
                ("POST", "/a", &[("origin", "http://localhost:3000.evil.example")], false),
                ("POST", "/a", &[("origin", "http://localhost:3000/")], false),
                ("POST", "/a", &[("origin", "http://localhost")], false),
                ("POST", "/a", &[("origin", "https://localhost:3000")], false),
                ("POST", "/a", &[("origin", "http://app.example")], false),
                ("POST", "/a", &[("origin", "https://sub.app.example")], false),
                ("POST", "/a", &[("origin", "https://app.example.")], false),
                ("POST", "/a", &[("origin", "https://evilapp.example")], false),
                ("POST", "/a", &[("origin", "null")], false),
                ("POST", "/a", &[("origin", "")], false),
                ("POST", "/a", &[("origin", "https://app.example https://evil.example")], false),
                (
                    "POST",
                    "/a",
                    &[("origin", "https://app.example"), ("origin", "https://evil.example")],
                    false,
                ),
                (
                    "POST",
                    "/a",
                    &[("origin", "https://app.example"), ("referer", "https://evil.example/")],
                    false,
                ),
                ("POST", "/a", &[("origin", "null"), ("referer", "https://app.example/")], false),
                ("GET", "/a", &[("referer", "http://localhost:3000@evil.example/")], false),
                ("GET", "/a", &[("referer", "http://localhost:3000.evil.example/")], false),
                (
                    "GET",
                    "/a",
                    &[("referer", "https://app.example/"), ("referer", "https://evil.example/")],
                    false,
                ),
            ],
        );
    }

    #[test]
    fn a_page_gets_nothing_through_and_other_software_everything() {
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
        assert_served(&Allowed::default(), cases);
    }
}
