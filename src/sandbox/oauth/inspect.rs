//! What a token is, and its end: introspection, revocation, and the forms of v1 and v2.

use serde_json::{Value, json};

use super::super::access::Kind;
use super::super::answer::{Answer, Problem, Reply};
use super::super::exchange::Call;
use super::super::{Sandbox, demo, scopes};
use super::grants::Scopes;
use super::{client, form, refused};

const HUB_DOMAIN: &str = "sandbox.example";
const USER: &str = "user501@example.com";

pub(super) fn introspect(sandbox: &Sandbox, call: &Call) -> Answer {
    let fields = form(call)?;
    client(&fields)?;
    let token = fields.get("token").unwrap_or_default();
    let grants = sandbox.grants.lock();
    if let Some(access) = grants.active(token, call.now) {
        let token_use = match access.kind {
            Kind::ClientCredentials => "client_credentials",
            _ => "access_token",
        };
        let mut body = common(token, token_use, &access.scopes);
        body["active"] = true.into();
        body["expires_in"] = call.now.until(access.expires).as_secs().into();
        body["is_private_distribution"] = false.into();
        return Ok(Reply::json(body));
    }
    if let Some(scopes) = grants.refresh_scopes(token) {
        let mut body = common(token, "refresh_token", &scopes);
        body["active"] = true.into();
        return Ok(Reply::json(body));
    }
    Ok(Reply::json(json!({ "active": false })))
}

pub(super) fn revoke(sandbox: &Sandbox, call: &Call) -> Answer {
    let fields = form(call)?;
    client(&fields)?;
    sandbox.grants.lock().revoke_one(fields.get("token").unwrap_or_default());
    // An unknown token is revoked already (RFC 7009, section 2.2).
    Ok(Reply::no_content())
}

/// `/oauth/v1/access-tokens/{token}` and `/oauth/v1/refresh-tokens/{token}`: the token in the
/// path is all the proof they ask for.
pub(super) fn first_version(sandbox: &Sandbox, call: &Call, kind: &str, token: &str) -> Answer {
    let mut grants = sandbox.grants.lock();
    let unknown = || refused("invalid_grant", "BAD_TOKEN", "the token is not known");
    if kind == "refresh-tokens" {
        let scopes = grants.refresh_scopes(token).ok_or_else(unknown)?;
        if call.method == http::Method::DELETE {
            grants.revoke_one(token);
            return Ok(Reply::no_content());
        }
        let mut body = common(token, "refresh_token", &scopes);
        body["token_type"] = "refresh".into();
        return Ok(Reply::json(body));
    }
    let access = grants.active(token, call.now).ok_or_else(unknown)?;
    if call.method == http::Method::DELETE {
        return Err(super::nothing_here(call));
    }
    let mut body = common(token, "access_token", &access.scopes);
    body["expires_in"] = call.now.until(access.expires).as_secs().into();
    body["token_type"] = "access".into();
    Ok(Reply::json(body))
}

/// `/oauth/v2/private-apps/get/access-token-info`.
pub(super) fn static_token(call: &Call) -> Answer {
    let body = call.json()?;
    let token = body.get("tokenKey").and_then(Value::as_str).unwrap_or_default();
    if token != demo::ACCESS_TOKEN {
        return Err(Problem::missing("There is no private app with this token."));
    }
    let scopes = scopes::of_demo();
    Ok(Reply::json(json!({
        "userId": demo::USER_ID,
        "hubId": demo::HUB_ID,
        "appId": demo::APP_ID,
        "scopes": *scopes,
    })))
}

fn common(token: &str, token_use: &str, scopes: &Scopes) -> Value {
    json!({
        "token": token,
        "token_use": token_use,
        "token_type": "bearer",
        "client_id": demo::CLIENT_ID,
        "app_id": demo::APP_ID,
        "hub_id": demo::HUB_ID,
        "hub_domain": HUB_DOMAIN,
        "user_id": demo::USER_ID,
        "user": USER,
        "scopes": **scopes,
    })
}
