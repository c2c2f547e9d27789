//! Last stage: the answer's headers, and whose answer it is.

pub mod body;
pub mod cors;
pub mod links;
pub mod old_paths;
pub mod refusal;

use bytes::Bytes;
use http::Response;
use http::header::{CONTENT_LENGTH, HeaderMap, HeaderName, HeaderValue};

use crate::types::request_id::RequestId;
use crate::upstream::hop_headers;

static X_HUBSPOT_PROXY: HeaderName = HeaderName::from_static("x-hubspot-proxy");
static CONTENT_SECURITY_POLICY: HeaderName = HeaderName::from_static("content-security-policy");
static X_CONTENT_TYPE_OPTIONS: HeaderName = HeaderName::from_static("x-content-type-options");

/// Leaves of the upstream's headers what may reach the client.
pub fn filter(headers: &mut HeaderMap) {
    hop_headers::remove(headers, is_upstreams_alone);
}

/// Headers that are about the upstream's own origin, or that only the proxy may set.
fn is_upstreams_alone(name: &HeaderName) -> bool {
    let name = name.as_str();
    match name.as_bytes()[0] {
        b'a' => name == "alt-svc" || name.starts_with("access-control-"),
        b'c' => name == "clear-site-data",
        b'n' => name == "nel",
        b'r' => name == "report-to",
        b's' => matches!(name, "set-cookie" | "strict-transport-security"),
        b'x' => name.starts_with("x-hubspot-proxy"),
        _ => false,
    }
}

/// Adds `X-HubSpot-Proxy: id=REQUEST_ID; account=NAME` and `notes`.
pub fn add_proxy_header(
    headers: &mut HeaderMap,
    id: &RequestId,
    account: Option<&str>,
    notes: [&'static str; 2],
) {
    // Of exactly its length, so that it becomes the value without a copy.
    let parts = match account {
        Some(account) => ["id=", id.as_str(), "; account=", account, notes[0], notes[1]],
        None => ["id=", id.as_str(), "", "", notes[0], notes[1]],
    };
    let text = Bytes::from(parts.concat());
    // An id and an account's name are visible ASCII.
    if let Ok(value) = HeaderValue::from_maybe_shared(text) {
        headers.insert(&X_HUBSPOT_PROXY, value);
    }
}

/// Makes an answer of the proxy's own one to `HEAD`: hyper's HTTP/2 server would send the body.
pub fn leave_head_alone(answer: &mut Response<Bytes>) {
    let length = answer.body().len();
    answer.headers_mut().insert(CONTENT_LENGTH, HeaderValue::from(length));
    *answer.body_mut() = Bytes::new();
}

/// Content from the CRM never runs at the proxy's origin, where it would pass for one of its pages.
pub fn add_sandboxing_headers(headers: &mut HeaderMap) {
    let sandbox = HeaderValue::from_static("sandbox; default-src 'none'");
    headers.insert(&CONTENT_SECURITY_POLICY, sandbox);
    headers.insert(&X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
}

#[cfg(test)]
mod tests {
    use http::HeaderMap;
    use http::header::{HeaderName, HeaderValue};

    use super::filter;

    #[test]
    fn what_concerns_the_upstreams_origin_is_removed_and_the_rest_passes() {
        let mut headers = HeaderMap::new();
        let removed = [
            "set-cookie",
            "strict-transport-security",
            "alt-svc",
            "nel",
            "report-to",
            "clear-site-data",
            "access-control-allow-origin",
            "access-control-allow-credentials",
            "x-hubspot-proxy",
            "x-hubspot-proxy-error",
            "connection",
            "keep-alive",
            "upgrade",
            "transfer-encoding",
            "proxy-authenticate",
            "x-named",
        ];
        let passed = [
            "content-encoding",
            "content-length",
            "content-type",
            "date",
            "etag",
            "location",
            "retry-after",
            "trailer",
            "vary",
            "x-hubspot-correlation-id",
            "x-hubspot-ratelimit-max",
        ];
        for name in removed.iter().chain(&passed) {
            headers.append(HeaderName::from_static(name), HeaderValue::from_static("1"));
        }
        headers.insert("connection", HeaderValue::from_static("x-named"));
        headers.append("set-cookie", HeaderValue::from_static("2"));
        filter(&mut headers);
        let mut left: Vec<_> = headers.keys().map(HeaderName::as_str).collect();
        left.sort_unstable();
        assert_eq!(left, passed);
    }
}
