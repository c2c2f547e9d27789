//! Why a request failed and what mends that, in a sentence each.

use super::Told;
use crate::accounts::{Account, Accounts};
use crate::telemetry::record::Ending;
use crate::types::account::AccountName;

/// A login command names no more scopes than these.
const MOST_SCOPES: usize = 12;

/// Why it failed, and what mends that.
pub struct Cause {
    pub what: String,
    /// `None` where the cause says it already.
    pub mend: Option<String>,
}

/// `None` where nothing went wrong.
pub fn of(told: &Told, accounts: &Accounts) -> Option<Cause> {
    let Some(refusal) = &told.refusal else {
        let (what, mend) = of_upstream(told, accounts)?;
        return Some(Cause { what, mend: Some(mend) });
    };
    let mend =
        told.sent.map(|_| "`hubspot-proxy doctor` tries the way to the upstream.".to_owned());
    Some(Cause { what: refusal.message(), mend })
}

fn of_upstream(told: &Told, accounts: &Accounts) -> Option<(String, String)> {
    if told.ending == Ending::BrokeOff {
        return Some((
            "HubSpot, or the network on the way to it, ended the answer before it was whole.".to_owned(),
            "Repeat the request if it may be repeated; if it happens again, `hubspot-proxy doctor` tries the way there.".to_owned(),
        ));
    }
    let account = told.account.as_ref().and_then(|name| accounts.named(name));
    let (cause, mend) = match told.status {
        401 => unauthorized(told, account.map(AsRef::as_ref)),
        403 => forbidden(told, account.map(AsRef::as_ref)),
        429 => too_many(told),
        _ => other(told)?,
    };
    Some((cause, mend))
}

fn unauthorized(told: &Told, account: Option<&Account>) -> (String, String) {
    let name = told.account.as_ref().map_or("NAME", AccountName::as_str);
    let can_refresh = account.is_some_and(|account| account.credential.can_refresh());
    let cause = match told.replay.map(|note| note.trim_start_matches("; ")) {
        Some("replayed") => {
            "HubSpot refused the token, the proxy fetched another and sent the request again, and that one was refused as well."
        }
        Some("not-replayed=body-too-large") => {
            "HubSpot refused the token, and more of the request's body had gone by than upstream.replay_buffer keeps, so it could not be sent again."
        }
        Some("not-replayed=token-just-fetched") => {
            "HubSpot refused a token that it had issued in the last ten seconds, so the token is not what is wrong."
        }
        Some("not-replayed=refresh-paused") => {
            "HubSpot refuses the account's tokens however new they are, so the proxy pauses before it fetches another because of a 401."
        }
        Some("not-replayed=token-unavailable") => {
            "HubSpot refused the token, and its token endpoint gives no other at the moment."
        }
        _ if can_refresh => "HubSpot refused the request for another reason than its token.",
        _ => "HubSpot refused the account's static token: it was rotated, revoked or deactivated.",
    };
    let mend = match (can_refresh, told.replay) {
        (true, Some("; not-replayed=body-too-large")) => {
            "Repeat the request, or raise upstream.replay_buffer.".to_owned()
        }
        (true, _) => format!(
            "Repeat the request; if it is refused again, `hubspot-proxy login {name}` gets a new grant, and `hubspot-proxy doctor` looks at the token."
        ),
        (false, _) => format!(
            "Copy the new token from HubSpot to where account {name} has it, or run `hubspot-proxy accounts import {name}`."
        ),
    };
    (cause.to_owned(), mend)
}

fn forbidden(told: &Told, account: Option<&Account>) -> (String, String) {
    let category = told.answer.category.as_deref();
    if category != Some("MISSING_SCOPES") {
        let what = category.map(|category| format!(" ({category})")).unwrap_or_default();
        return (
            format!("HubSpot does not let this account do it{what}: the portal lacks the product, or the user the permission."),
            "A new token does not help; see the answer's message, and the permissions of the user who logged in.".to_owned(),
        );
    }
    let scopes = &told.answer.scopes;
    let needed = match scopes.as_slice() {
        [] => "a scope that HubSpot does not name".to_owned(),
        [one] => format!("the scope {one}"),
        several => format!("one of the scopes {}", several.join(", ")),
    };
    let cause = format!("HubSpot says that the token lacks {needed}.");
    (cause, scope_mend(told, account, scopes.first()))
}

fn scope_mend(told: &Told, account: Option<&Account>, scope: Option<&String>) -> String {
    let name = told.account.as_ref().map_or("NAME", AccountName::as_str);
    let scope = scope.map_or("SCOPE", String::as_str);
    if account.is_none_or(|account| !account.credential.can_refresh()) {
        return format!(
            "Add {scope} to the private app or service key in HubSpot; its token gets the scope without a change here."
        );
    }
    let granted = account.map(|account| account.identity().about.scopes).unwrap_or_default();
    if granted.is_empty() || granted.len() > MOST_SCOPES {
        return format!(
            "Add {scope} to the app in HubSpot and to accounts.{name}.scopes, then run `hubspot-proxy login {name}`."
        );
    }
    let flags = granted.iter().map(String::as_str).chain([scope]);
    let flags: Vec<_> = flags.map(|scope| format!("--scope {scope}")).collect();
    format!(
        "Add {scope} to the app in HubSpot, then run `hubspot-proxy login {name} {}`.",
        flags.join(" ")
    )
}

fn too_many(told: &Told) -> (String, String) {
    let (limit, mend) = match told.answer.policy_name.as_deref() {
        Some("TEN_SECONDLY_ROLLING") => (
            "the app's limit of requests in ten seconds",
            "It frees within ten seconds: send fewer at a time, or batch them.",
        ),
        Some("SECONDLY") => (
            "the limit of requests in a second, which for searches is five for the whole portal",
            "It frees within a second: send searches one after the other.",
        ),
        Some("DAILY") => (
            "the portal's limit of requests in a day",
            "It frees at midnight in the portal's time zone; until then a repeat does not help.",
        ),
        _ => (
            "a rate limit",
            "Wait as long as Retry-After says, else ten seconds, and send fewer at a time.",
        ),
    };
    let limit = format!("HubSpot refused the request because {limit} was hit.");
    (limit, mend.to_owned())
}

fn other(told: &Told) -> Option<(String, String)> {
    let (cause, mend) = match told.status {
        404 | 410 => (
            "HubSpot has nothing at this path: the record is not there, or the path is not one of its API.",
            "Check the path and the id; `hint=old-path` in X-HubSpot-Proxy marks paths that HubSpot retires.",
        ),
        400 | 405 | 409 | 411..=417 | 422 => (
            "HubSpot did not accept the request; its answer says what is wrong with it.",
            "See the message in the answer's body.",
        ),
        423 => ("The record is locked by a heavy synchronisation.", "Wait two seconds and repeat."),
        477 => (
            "HubSpot is moving the portal to another data centre.",
            "Wait as long as Retry-After says; it can be hours.",
        ),
        500..=599 => (
            "HubSpot, or its edge, failed on the request.",
            "Wait some seconds and repeat if the request may be repeated; status.hubspot.com tells of outages.",
        ),
        400..=499 => {
            ("HubSpot did not accept the request.", "See the message in the answer's body.")
        }
        _ if told.ending == Ending::ClientGone && told.is_upstreams() => (
            "The client closed its connection before it had the whole answer.",
            "Look at the client's time-outs.",
        ),
        _ => return None,
    };
    Some((cause.to_owned(), mend.to_owned()))
}
