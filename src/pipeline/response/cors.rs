//! What lets a page of an allowed origin read its answers (the CORS protocol of the Fetch
//! standard).
//!
//! Credentials are never allowed: a page needs none, and the browser would add cookies of
//! `localhost`, which all its ports share.

use bytes::Bytes;
use http::header::{
    ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS, ACCESS_CONTROL_ALLOW_ORIGIN,
    ACCESS_CONTROL_EXPOSE_HEADERS, ACCESS_CONTROL_MAX_AGE, ACCESS_CONTROL_REQUEST_HEADERS,
    ACCESS_CONTROL_REQUEST_METHOD, HeaderMap, HeaderName, HeaderValue, VARY,
};
use http::request::Parts;
use http::{Method, Response, StatusCode};

use crate::pipeline::gate::allowed::Allowed;

static REQUEST_PRIVATE_NETWORK: HeaderName =
    HeaderName::from_static("access-control-request-private-network");
static ALLOW_PRIVATE_NETWORK: HeaderName =
    HeaderName::from_static("access-control-allow-private-network");

/// Seconds for which a browser may remember a preflight: short, so that an origin that is taken off
/// the list is soon off it.
const MAX_AGE: &str = "600";

/// What a page may read of the headers. A browser takes no pattern, so HubSpot's are listed.
const EXPOSED: &str = "X-HubSpot-Proxy, X-HubSpot-Proxy-Error, X-HubSpot-RateLimit-Max, X-HubSpot-RateLimit-Remaining, X-HubSpot-RateLimit-Interval-Milliseconds, X-HubSpot-RateLimit-Secondly, X-HubSpot-RateLimit-Secondly-Remaining, X-HubSpot-RateLimit-Daily, X-HubSpot-RateLimit-Daily-Remaining";
const RATE_LIMIT_PREFIX: &str = "x-hubspot-ratelimit-";

/// The answer to a preflight of an allowed origin; `None` for any other request. The origin itself
/// is added by [`mark`], as to every answer.
pub fn preflight(head: &Parts, allowed: &Allowed) -> Option<Response<Bytes>> {
    if head.method != Method::OPTIONS {
        return None;
    }
    allowed.origin_of(&head.headers)?;
    let method = head.headers.get(ACCESS_CONTROL_REQUEST_METHOD)?;
    let mut answer = Response::new(Bytes::new());
    *answer.status_mut() = StatusCode::NO_CONTENT;
    let headers = answer.headers_mut();
    headers.insert(ACCESS_CONTROL_ALLOW_METHODS, method.clone());
    for names in head.headers.get_all(ACCESS_CONTROL_REQUEST_HEADERS) {
        headers.append(ACCESS_CONTROL_ALLOW_HEADERS, names.clone());
    }
    if head.headers.get(&REQUEST_PRIVATE_NETWORK).is_some_and(|asked| asked == "true") {
        headers.insert(&ALLOW_PRIVATE_NETWORK, HeaderValue::from_static("true"));
    }
    headers.insert(ACCESS_CONTROL_MAX_AGE, HeaderValue::from_static(MAX_AGE));
    Some(answer)
}

/// Tells the browser that pages of `origin` may read this answer.
pub fn mark(headers: &mut HeaderMap, origin: HeaderValue) {
    headers.insert(ACCESS_CONTROL_ALLOW_ORIGIN, origin);
    headers.insert(ACCESS_CONTROL_EXPOSE_HEADERS, exposed(headers));
}

/// Tells caches that the answer depends on who asks, beside what the upstream says of that.
pub fn vary_by_origin(headers: &mut HeaderMap) {
    headers.append(VARY, HeaderValue::from_static("Origin"));
}

fn exposed(headers: &HeaderMap) -> HeaderValue {
    let known = || EXPOSED.split(", ");
    let further = headers.keys().map(HeaderName::as_str).filter(|name| {
        name.starts_with(RATE_LIMIT_PREFIX)
            && !known().any(|known| known.eq_ignore_ascii_case(name))
    });
    let further: Vec<&str> = further.collect();
    if further.is_empty() {
        return HeaderValue::from_static(EXPOSED);
    }
    let all = known().chain(further).collect::<Vec<_>>().join(", ");
    // Names of headers are visible ASCII.
    HeaderValue::from_maybe_shared(Bytes::from(all)).unwrap_or(HeaderValue::from_static(EXPOSED))
}

#[cfg(test)]
mod tests {
    use http::{HeaderMap, Request};

    use super::{mark, preflight};
    use crate::pipeline::gate::allowed::Allowed;

    const APP: &str = "https://app.example";

    fn allowed() -> Allowed {
        Allowed { origins: vec![APP.parse().unwrap()], ..Allowed::default() }
    }

    #[test]
    fn only_a_preflight_of_an_allowed_origin_is_answered() {
        type Lines = &'static [(&'static str, &'static str)];
        let cases: [(&str, Lines, bool); 6] = [
            ("OPTIONS", &[("origin", APP), ("access-control-request-method", "PUT")], true),
            ("GET", &[("origin", APP), ("access-control-request-method", "PUT")], false),
            ("OPTIONS", &[("origin", APP)], false),
            ("OPTIONS", &[("access-control-request-method", "PUT")], false),
            ("OPTIONS", &[("origin", "null"), ("access-control-request-method", "PUT")], false),
            (
                "OPTIONS",
                &[("origin", APP), ("origin", APP), ("access-control-request-method", "PUT")],
                false,
            ),
        ];
        for (method, lines, expected) in cases {
            let mut request = Request::builder().method(method).uri("/a");
            for (name, value) in lines {
                request = request.header(*name, *value);
            }
            let head = request.body(()).unwrap().into_parts().0;
            assert_eq!(preflight(&head, &allowed()).is_some(), expected, "{method} {lines:?}");
            assert!(preflight(&head, &Allowed::default()).is_none());
        }
    }

    #[test]
    fn limits_that_hubspot_may_add_are_exposed_as_well() {
        let mut headers = HeaderMap::new();
        headers.insert("x-hubspot-ratelimit-weekly", "1".parse().unwrap());
        headers.insert("x-hubspot-ratelimit-max", "1".parse().unwrap());
        mark(&mut headers, APP.parse().unwrap());
        let exposed = headers["access-control-expose-headers"].to_str().unwrap();
        assert!(exposed.ends_with(", x-hubspot-ratelimit-weekly"), "{exposed}");
        assert_eq!(exposed.to_lowercase().matches("ratelimit-max").count(), 1, "{exposed}");
    }
}
