//! The dashboard: a page without data, and the exchange of a one-time code for the token by which it
//! asks the admin API.

use std::sync::{Arc, LazyLock};

use axum::extract::State;
use axum::response::{IntoResponse, Response as Answer};
use axum::{Json, Router, routing};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use http::header::{
    CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, HeaderName, HeaderValue, LOCATION,
    REFERRER_POLICY, X_CONTENT_TYPE_OPTIONS,
};
use http::{Response, StatusCode};
use ring::digest::{SHA256, digest};
use serde::Deserialize;
use serde_json::json;

use super::api::wrong;
use super::sessions::{CODE_LIVES, Sessions};
use crate::types::secret::Secret;

/// Where the page is.
pub const PATH: &str = "/_proxy/";
/// Where a code is exchanged: the only path of the admin API that needs no key.
pub const SESSION: &str = "/_proxy/api/dashboard/session";

const CODES: &str = "/_proxy/api/dashboard/codes";
const PAGE: &str = include_str!("dashboard.html");

/// What the page may load and do: its own script and style, known by their hashes, and calls to the
/// proxy that it came from.
static POLICY: LazyLock<String> = LazyLock::new(|| {
    let hash = |element| STANDARD.encode(digest(&SHA256, inside(PAGE, element).as_bytes()));
    format!(
        "default-src 'none'; script-src 'sha256-{}'; style-src 'sha256-{}'; connect-src 'self'; \
         img-src data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
        hash("script"),
        hash("style")
    )
});

/// The text of the only such element.
fn inside<'a>(page: &'a str, element: &str) -> &'a str {
    let (open, close) = (format!("<{element}>"), format!("</{element}>"));
    let text = page.split_once(&open).and_then(|(_, rest)| rest.split_once(&close));
    text.map_or("", |(text, _)| text)
}

/// The page.
pub fn page() -> Response<Bytes> {
    let mut page = Response::new(Bytes::from_static(PAGE.as_bytes()));
    let headers = page.headers_mut();
    for (name, value) in [
        (CONTENT_TYPE, "text/html; charset=utf-8"),
        (CACHE_CONTROL, "no-store"),
        (REFERRER_POLICY, "no-referrer"),
        (X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (HeaderName::from_static("cross-origin-opener-policy"), "same-origin"),
        (HeaderName::from_static("cross-origin-resource-policy"), "same-origin"),
    ] {
        headers.insert(name, HeaderValue::from_static(value));
    }
    if let Ok(policy) = HeaderValue::from_str(&POLICY) {
        headers.insert(CONTENT_SECURITY_POLICY, policy);
    }
    page
}

/// To [`PATH`], for who left out its last slash.
pub fn redirect() -> Response<Bytes> {
    let mut answer = Response::new(Bytes::new());
    *answer.status_mut() = StatusCode::PERMANENT_REDIRECT;
    answer.headers_mut().insert(LOCATION, HeaderValue::from_static(PATH));
    answer
}

/// The part of the admin API that lets the page in.
pub fn routes(sessions: Arc<Sessions>) -> Router {
    Router::new()
        .route(CODES, routing::post(make_code))
        .route(SESSION, routing::post(begin_session))
        .with_state(sessions)
}

async fn make_code(State(sessions): State<Arc<Sessions>>) -> Answer {
    match sessions.make_code() {
        Ok(code) => Json(json!({
            "code": code.expose(),
            "expires_in_seconds": CODE_LIVES.as_secs(),
        }))
        .into_response(),
        Err(error) => wrong(StatusCode::INTERNAL_SERVER_ERROR, &error),
    }
}

#[derive(Deserialize)]
struct Shown {
    code: String,
}

async fn begin_session(State(sessions): State<Arc<Sessions>>, body: Bytes) -> Answer {
    let Ok(Shown { code }) = serde_json::from_slice(&body) else {
        return wrong(StatusCode::BAD_REQUEST, "the body is not {\"code\": \"...\"}");
    };
    let code = Secret::new(code);
    match sessions.exchange(code.expose().as_bytes()) {
        Ok(Some(token)) => Json(json!({ "token": token.expose() })).into_response(),
        Ok(None) => wrong(
            StatusCode::FORBIDDEN,
            "this link has been used or is too old: run `hubspot-proxy dashboard` for a new one",
        ),
        Err(error) => wrong(StatusCode::INTERNAL_SERVER_ERROR, &error),
    }
}

#[cfg(test)]
mod tests {
    use super::{PAGE, POLICY, inside, page};

    #[test]
    fn the_page_is_small_and_whole() {
        assert!(PAGE.len() < 120 * 1024, "{}", PAGE.len());
        for element in ["script", "style"] {
            assert_eq!(PAGE.matches(&format!("<{element}")).count(), 1, "{element}");
            assert!(inside(PAGE, element).len() > 1000, "{element}");
        }
        for outside in ["http://", "https://", "//cdn", "@import", "url("] {
            let foreign = PAGE.match_indices(outside).map(|(at, _)| &PAGE[at..at + 40]);
            // The name of a namespace, which nobody loads.
            let foreign = foreign.filter(|text| !text.starts_with("http://www.w3.org/2000/svg"));
            assert_eq!(foreign.collect::<Vec<_>>(), Vec::<&str>::new(), "{outside}");
        }
    }

    #[test]
    fn no_text_becomes_markup() {
        for way in ["innerHTML", "outerHTML", "insertAdjacentHTML", "document.write", "eval("] {
            assert!(!PAGE.contains(way), "{way}");
        }
        // What the policy would not let work.
        for way in [" style=", " onclick=", "javascript:"] {
            assert!(!PAGE.contains(way), "{way}");
        }
        for keeper in ["localStorage.setItem", "sessionStorage", "document.cookie", "indexedDB"] {
            let count = PAGE.matches(keeper).count();
            assert_eq!(count, usize::from(keeper == "localStorage.setItem"), "{keeper}");
        }
    }

    #[test]
    fn its_policy_names_what_is_in_it_and_nothing_else() {
        let answer = page();
        let policy = answer.headers()["content-security-policy"].to_str().unwrap();
        assert_eq!(policy, POLICY.as_str());
        for part in ["default-src 'none'; ", "frame-ancestors 'none'", "connect-src 'self'; "] {
            assert!(policy.contains(part), "{part}");
        }
        assert!(!policy.contains("unsafe"));
        // 32 bytes in base64.
        let hashes = policy.match_indices("'sha256-").map(|(at, text)| &policy[at + text.len()..]);
        let hashes: Vec<_> = hashes.map(|rest| rest.split('\'').next().unwrap()).collect();
        assert_eq!(hashes.iter().map(|hash| hash.len()).collect::<Vec<_>>(), [44, 44]);
        assert_ne!(hashes[0], hashes[1]);
    }
}
