//! The portal itself: account information, owners, workflows, uninstalling the app.

use serde_json::{Value, json};

use super::access::Caller;
use super::answer::{Answer, Problem, Reply};
use super::exchange::{Call, nothing_here};
use super::time::{SEED_START, iso};
use super::{Sandbox, demo};

/// Owners are numbered from here on; the first is the user behind the grants.
const FIRST_OWNER: u64 = demo::USER_ID;
const OWNERS: u64 = 5;

pub(super) fn route(sandbox: &Sandbox, call: &Call, segments: &[&str], caller: &Caller) -> Answer {
    match (call.method.as_str(), segments) {
        ("GET", ["account-info", "details"]) => Ok(Reply::json(json!({
            "portalId": demo::HUB_ID,
            "accountType": "DEVELOPER_TEST",
            "timeZone": "Europe/Berlin",
            "companyCurrency": "EUR",
            "additionalCurrencies": ["USD"],
            "utcOffset": "+01:00",
            "utcOffsetMilliseconds": 3_600_000,
            "uiDomain": "app.hubspot.com",
            "dataHostingLocation": "na1",
        }))),
        ("GET", ["account-info", "api-usage", "daily", "private-apps"]) => {
            let (used, limit) = sandbox.limits.lock().used_today();
            Ok(Reply::json(json!({ "results": [{
                "name": "private-apps-api-calls-daily",
                "usageLimit": limit,
                "currentUsage": used,
                "collectedAt": iso(call.now),
                "fetchStatus": "SUCCESS",
            }] })))
        }
        ("GET", ["crm", "owners"]) => owners(call),
        ("GET", ["crm", "owners", id]) => {
            let number = id.parse().unwrap_or_default();
            let known = (FIRST_OWNER..FIRST_OWNER + OWNERS).contains(&number);
            match known {
                true => Ok(Reply::json(owner(number))),
                false => Err(Problem::missing(format!("There is no owner {id}."))),
            }
        }
        ("GET", ["automation", "flows"]) => Ok(Reply::json(json!({ "results": [{
            "id": "9001", "name": "Flow 1", "isEnabled": true, "objectTypeId": "0-1", "revisionId": "1",
        }] }))),
        ("DELETE", ["appinstalls", "external-install"]) => {
            let mut grants = sandbox.grants.lock();
            grants.revoke_access();
            grants.revoke_refresh();
            tracing::debug!(app = caller.app(), "the sandbox app was uninstalled");
            Ok(Reply::no_content())
        }
        _ => Err(nothing_here(call)),
    }
}

fn owner(number: u64) -> Value {
    json!({
        "id": number.to_string(),
        "userId": number,
        "userIdIncludingInactive": number,
        "type": "PERSON",
        "email": format!("owner{number}@example.com"),
        "firstName": "Owner",
        "lastName": number.to_string(),
        "archived": false,
        "createdAt": iso(SEED_START),
        "updatedAt": iso(SEED_START),
        "teams": [],
    })
}

fn owners(call: &Call) -> Answer {
    let after = call.query.number("after", 0);
    let limit = usize::try_from(call.query.number("limit", 100)).unwrap_or(100).clamp(1, 500);
    let email = call.query.get("email");
    let mut found: Vec<Value> = (FIRST_OWNER..FIRST_OWNER + OWNERS)
        .filter(|number| *number > after)
        .map(owner)
        .filter(|owner| email.is_none_or(|email| owner["email"] == email))
        .collect();
    if call.query.is_true("archived") {
        found.clear();
    }
    let more = found.len() > limit;
    found.truncate(limit);
    let mut body = json!({ "results": found });
    if more {
        let last = found.last().and_then(|owner| owner["id"].as_str()).unwrap_or_default();
        body["paging"] = json!({ "next": {
            "after": last,
            "link": format!("https://api.hubapi.com{}?after={last}&limit={limit}", call.raw_path),
        } });
    }
    Ok(Reply::json(body))
}
