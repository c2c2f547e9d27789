//! The token endpoint: codes, refresh tokens and client credentials for access tokens.

use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::json;

use super::super::answer::{Answer, Problem, Reply};
use super::super::exchange::Call;
use super::super::path::Pairs;
use super::super::{Sandbox, demo, scopes};
use super::grants::Issued;
use super::{client, form, refused, same};

/// The version that lists no client-credentials grant.
const WITHOUT_CLIENT_CREDENTIALS: &str = "2026-09";

pub(super) fn issue(sandbox: &Sandbox, call: &Call) -> Answer {
    let fields = form(call)?;
    let grant_type = fields.get("grant_type").unwrap_or_default();
    client(&fields)?;
    let version = call.path.version().unwrap_or_default();
    let app_itself = grant_type == "client_credentials"
        && version.trim_end_matches("-beta") != WITHOUT_CLIENT_CREDENTIALS;
    let issued = match grant_type {
        "authorization_code" => exchange(sandbox, call, &fields)?,
        "refresh_token" => {
            let token = fields.get("refresh_token").unwrap_or_default();
            let refreshed = sandbox.grants.lock().refresh(token, call.now);
            refreshed.ok_or_else(|| {
                let message = "missing or invalid refresh token";
                refused("invalid_grant", "BAD_REFRESH_TOKEN", message)
            })?
        }
        "client_credentials" if app_itself => of_client(sandbox, call, &fields)?,
        _ => {
            let message = "missing or unsupported grant type";
            return Err(refused("unsupported_grant_type", "BAD_GRANT_TYPE", message));
        }
    };
    Ok(Reply::json(body(&issued)).with(http::header::CACHE_CONTROL, "no-store"))
}

fn exchange(sandbox: &Sandbox, call: &Call, fields: &Pairs) -> Result<Issued, Problem> {
    let given = |name| fields.get(name).unwrap_or_default();
    let mut grants = sandbox.grants.lock();
    let code = grants
        .take_code(given("code"))
        .ok_or_else(|| refused("invalid_grant", "BAD_AUTH_CODE", "missing or unknown auth code"))?;
    if code.expires <= call.now {
        return Err(refused("invalid_grant", "EXPIRED_AUTH_CODE", "the auth code has expired"));
    }
    if code.redirect_uri != given("redirect_uri") {
        let message = "redirect URI does not match the one used to obtain the auth code";
        return Err(refused("invalid_grant", "MISMATCH_REDIRECT_URI_AUTH_CODE", message));
    }
    if let Some(challenge) = &code.challenge {
        let digest = ring::digest::digest(&ring::digest::SHA256, given("code_verifier").as_bytes());
        if !same(&URL_SAFE_NO_PAD.encode(digest), challenge) {
            let message = "the code verifier does not match the code challenge";
            return Err(refused("invalid_grant", "BAD_CODE_VERIFIER", message));
        }
    }
    Ok(grants.start_family(code.scopes, call.now))
}

fn of_client(sandbox: &Sandbox, call: &Call, fields: &Pairs) -> Result<Issued, Problem> {
    let asked = fields.get("scope").unwrap_or_default();
    let mut granted: Vec<&str> = asked.split_whitespace().collect();
    if granted.is_empty() {
        granted = scopes::JOURNAL.to_vec();
    }
    if let Some(other) = granted.iter().find(|scope| !scopes::JOURNAL.contains(scope)) {
        let message = format!("client credentials do not give the scope {other}");
        return Err(refused("invalid_scope", "BAD_SCOPE", &message));
    }
    let granted = Arc::new(granted.into_iter().map(str::to_owned).collect());
    Ok(sandbox.grants.lock().for_client(granted, call.now))
}

fn body(issued: &Issued) -> serde_json::Value {
    let mut body = json!({
        "access_token": issued.access_token,
        "expires_in": issued.life.as_secs(),
        "token_type": "bearer",
        "token_use": "client_credentials",
        "scopes": *issued.scopes,
    });
    if let Some(refresh_token) = &issued.refresh_token {
        body["refresh_token"] = refresh_token.as_str().into();
        body["token_use"] = "access_token".into();
        body["hub_id"] = demo::HUB_ID.into();
        body["user_id"] = demo::USER_ID.into();
    }
    body
}
