//! Exchange of a personal access key, as HubSpot's command line does it.

use http::StatusCode;
use serde_json::{Value, json};

use super::super::answer::{Answer, Problem, Reply};
use super::super::exchange::Call;
use super::super::{Sandbox, demo};
use super::same;

pub(super) fn refresh(sandbox: &Sandbox, call: &Call) -> Answer {
    let body = call.json()?;
    let key = body.get("encodedOAuthRefreshToken").and_then(Value::as_str).unwrap_or_default();
    if !same(key, demo::PERSONAL_ACCESS_KEY) {
        return Err(Problem::new(
            StatusCode::UNAUTHORIZED,
            "INVALID_AUTHENTICATION",
            "The personal access key is not known.",
        ));
    }
    let portal = call.query.get("portalId");
    if portal.is_some_and(|portal| portal != demo::HUB_ID.to_string()) {
        return Err(Problem::invalid("The personal access key belongs to another portal."));
    }
    let (issued, expires) = sandbox.grants.lock().for_access_key(call.now);
    Ok(Reply::json(json!({
        "oauthAccessToken": issued.access_token,
        "expiresAtMillis": expires.0,
        "hubId": demo::HUB_ID,
        "userId": demo::USER_ID,
        "hubName": "Sandbox",
        "accountType": "DEVELOPER_TEST",
        "scopeGroups": *issued.scopes,
        "encodedOAuthRefreshToken": key,
        "enabledFeatures": {},
    })))
}
