//! Who calls: a Bearer token looked up, or a developer key, and what it may do.

use std::collections::BTreeSet;
use std::sync::Arc;

use http::header::AUTHORIZATION;
use http::{HeaderMap, Method, StatusCode};
use serde_json::json;

use super::answer::Problem;
use super::oauth::grants::Standing;
use super::path::Pairs;
use super::time::iso;
use super::{Sandbox, demo, scopes};
use crate::types::clock::WallTime;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// A private app's token.
    Static,
    /// A token that came from a grant.
    Oauth,
    /// A token of the app itself, for no account.
    ClientCredentials,
    /// No token: a developer key.
    Developer,
}

#[derive(Clone, Debug)]
pub(super) struct Caller {
    pub(super) kind: Kind,
    pub(super) scopes: Arc<BTreeSet<String>>,
}

impl Caller {
    /// The app on whose account a call is counted.
    pub(super) fn app(&self) -> &'static str {
        match self.kind {
            Kind::Static => "private-app",
            Kind::Oauth | Kind::ClientCredentials => "oauth-app",
            Kind::Developer => "developer",
        }
    }
}

/// Whether only a developer key opens this path.
pub(super) fn takes_developer_key(segments: &[&str]) -> bool {
    matches!(segments, ["webhooks", app, ..] if app.bytes().all(|b| b.is_ascii_digit()))
}

/// Finds the caller and checks that it may do this.
pub(super) fn authorize(
    sandbox: &Sandbox,
    method: &Method,
    segments: &[&str],
    query: &Pairs,
    headers: &HeaderMap,
    now: WallTime,
) -> Result<Caller, Problem> {
    if let Some(key) = query.get("hapikey") {
        if !takes_developer_key(segments) || key != demo::DEVELOPER_KEY {
            return Err(not_found());
        }
        return Ok(Caller { kind: Kind::Developer, scopes: Arc::default() });
    }
    let token = bearer(headers).ok_or_else(not_found)?;
    let caller = match sandbox.grants.lock().look_up(token, now) {
        Standing::Valid(caller) => caller,
        Standing::Expired(at) => return Err(expired(at, now)),
        Standing::Unknown => return Err(not_found()),
    };
    let needed = scopes::needed(method, segments);
    if needed.is_empty() || needed.iter().any(|scope| caller.scopes.contains(*scope)) {
        return Ok(caller);
    }
    Err(missing_scopes(&needed))
}

/// The token of an `Authorization` header; two headers are none.
fn bearer(headers: &HeaderMap) -> Option<&str> {
    let mut values = headers.get_all(AUTHORIZATION).iter();
    let value = values.next()?.to_str().ok()?;
    if values.next().is_some() {
        return None;
    }
    let (scheme, token) = value.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then_some(token.trim())
}

fn not_found() -> Problem {
    Problem::new(
        StatusCode::UNAUTHORIZED,
        "INVALID_AUTHENTICATION",
        "Authentication credentials not found. This API supports OAuth 2.0 authentication.",
    )
}

fn expired(at: WallTime, now: WallTime) -> Problem {
    let seconds = at.until(now).as_secs();
    Problem::new(
        StatusCode::UNAUTHORIZED,
        "EXPIRED_AUTHENTICATION",
        format!("The OAuth token used to make this call expired {seconds} second(s) ago."),
    )
    .context("expire time", json!([iso(at)]))
}

fn missing_scopes(needed: &[&str]) -> Problem {
    Problem::new(
        StatusCode::FORBIDDEN,
        "MISSING_SCOPES",
        "The token lacks a scope that this call needs.",
    )
    .with(
        "errors",
        json!([{
            "message": "One of these scopes is needed.",
            "context": { "requiredGranularScopes": needed },
        }]),
    )
}
