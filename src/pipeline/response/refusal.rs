//! The proxy's own answers, in HubSpot's shape, so that its clients show them well.

use bytes::Bytes;
use http::header::{ALLOW, CONTENT_TYPE, HeaderName, HeaderValue, RETRY_AFTER, WWW_AUTHENTICATE};
use http::{Response, StatusCode};
use serde_json::json;

use crate::types::refusal::Refusal;
use crate::types::request_id::RequestId;

static X_HUBSPOT_PROXY_ERROR: HeaderName = HeaderName::from_static("x-hubspot-proxy-error");
static X_SHOULD_RETRY: HeaderName = HeaderName::from_static("x-should-retry");

/// The answer for a request that was refused or has failed.
pub fn response(refusal: &Refusal, id: &RequestId) -> Response<Bytes> {
    let body = json!({
        "status": "error",
        "category": category(refusal),
        "message": refusal.message(),
        "correlationId": id.as_str(),
    });
    let mut response = json_response(refusal.status(), &body);
    let headers = response.headers_mut();
    headers.insert(&X_HUBSPOT_PROXY_ERROR, HeaderValue::from_static(refusal.code()));
    if let Some(seconds) = refusal.retry_after() {
        headers.insert(RETRY_AFTER, HeaderValue::from(seconds));
    }
    if !refusal.may_be_repeated() {
        headers.insert(&X_SHOULD_RETRY, HeaderValue::from_static("false"));
    }
    if refusal.status() == StatusCode::UNAUTHORIZED {
        // A 401 has to say how to authenticate (RFC 9110, section 15.5.2).
        let challenge = HeaderValue::from_static("Bearer realm=\"hubspot-proxy\"");
        headers.insert(WWW_AUTHENTICATE, challenge);
    }
    if let Refusal::MethodNotAllowed { allow } = refusal {
        headers.insert(ALLOW, HeaderValue::from_static(allow));
    }
    response
}

/// A JSON answer of the proxy's own.
pub fn json_response(status: StatusCode, body: &serde_json::Value) -> Response<Bytes> {
    let mut response = Response::new(Bytes::from(body.to_string()));
    *response.status_mut() = status;
    let json = HeaderValue::from_static("application/json;charset=utf-8");
    response.headers_mut().insert(CONTENT_TYPE, json);
    response
}

/// `needs-login` is `PROXY_NEEDS_LOGIN`.
fn category(refusal: &Refusal) -> String {
    format!("PROXY_{}", refusal.code().replace('-', "_").to_ascii_uppercase())
}

#[cfg(test)]
mod tests {
    use super::response;
    use crate::types::refusal::Refusal;
    use crate::types::request_id::RequestIds;

    #[test]
    fn a_refusal_has_hubspots_shape_and_names_its_cause() {
        let id = RequestIds::new().next();
        let refusal = Refusal::NeedsLogin("acme".parse().unwrap(), "run it");
        let answer = response(&refusal, &id);
        assert_eq!(answer.status(), 503);
        assert_eq!(answer.headers()["x-hubspot-proxy-error"], "needs-login");
        assert_eq!(answer.headers()["x-should-retry"], "false");
        let body: serde_json::Value = serde_json::from_slice(answer.body()).unwrap();
        assert_eq!(body["status"], "error");
        assert_eq!(body["category"], "PROXY_NEEDS_LOGIN");
        assert_eq!(body["correlationId"], id.as_str());
        assert_eq!(body["message"], "Account acme needs a new login: run it.");
        let busy = response(&Refusal::Overloaded, &id);
        assert_eq!(busy.headers()["retry-after"], "1");
        assert!(!busy.headers().contains_key("x-should-retry"));
    }
}
