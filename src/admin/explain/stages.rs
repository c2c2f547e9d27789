//! A request's way, stage by stage, in words.

use serde_json::{Value, json};

use super::{Told, protocol, tenths};
use crate::telemetry::record::{Authorized, ChosenBy};
use crate::types::refusal::Refusal;

/// The stages in their order; the last one that was reached says what stopped the request there.
const STAGES: [&str; 6] = ["gate", "route", "policy", "authorize", "forward", "response"];

/// What was decided at each stage that the request came to.
pub fn of(told: &Told) -> Vec<Value> {
    let stopped_at = told.refusal.as_ref().map(|refusal| stage_of(refusal, told.sent.is_some()));
    let mut stages = Vec::new();
    for stage in STAGES {
        if stopped_at == Some(stage) {
            let code = told.refusal.as_ref().map_or("", Refusal::code);
            stages.push(shown(stage, format!("refused: {code}"), told.answered.map(tenths)));
            break;
        }
        let Some((decision, after)) = passed(told, stage) else { break };
        stages.push(shown(stage, decision, after));
    }
    stages
}

fn shown(stage: &str, decision: String, after_ms: Option<f64>) -> Value {
    json!({ "stage": stage, "decision": decision, "after_ms": after_ms })
}

/// The stage that refuses with this; a request that was sent had passed all before.
fn stage_of(refusal: &Refusal, sent: bool) -> &'static str {
    if sent {
        return "forward";
    }
    match refusal {
        Refusal::AccountRequired
        | Refusal::UnknownAccount(_)
        | Refusal::AccountConflict(_)
        | Refusal::CredentialKind(..)
        | Refusal::AdminKeyRequired
        | Refusal::NotFound => "route",
        Refusal::PolicyDenied(..) | Refusal::CredentialPathBlocked => "policy",
        Refusal::NeedsLogin(..)
        | Refusal::Misconfigured(..)
        | Refusal::TokenUnavailable(..)
        | Refusal::WrongPortal(..) => "authorize",
        Refusal::PayloadTooLarge(_)
        | Refusal::UpstreamUnreachable(_)
        | Refusal::UpstreamClosed { .. }
        | Refusal::UpstreamTimeout { .. }
        | Refusal::Internal => "forward",
        _ => "gate",
    }
}

fn passed(told: &Told, stage: &str) -> Option<(String, Option<f64>)> {
    match stage {
        "gate" => Some((gate(told), None)),
        "route" => Some((route(told)?, None)),
        "policy" => told.account.is_some().then(|| ("allowed".to_owned(), None)),
        "authorize" => Some((authorize(told)?, told.sent.map(tenths))),
        "forward" => Some((forward(told)?, told.answered.map(tenths))),
        _ => Some((response(told), Some(tenths(told.ended)))),
    }
}

fn gate(told: &Told) -> String {
    match &told.key {
        Some(key) => format!("let in, with client key {key}"),
        None => "let in".to_owned(),
    }
}

fn route(told: &Told) -> Option<String> {
    let Some(account) = &told.account else {
        // The proxy's own paths have no account and go no further.
        return told.answered.map(|_| "answered by the proxy itself".to_owned());
    };
    let why = match told.chosen_by {
        ChosenBy::Default => "the default",
        ChosenBy::ClientKey => "its client key is for it",
        ChosenBy::Listener => "the listener is for it",
        ChosenBy::Path => "named in the path",
        ChosenBy::Header => "named in X-HubSpot-Account",
        ChosenBy::Operation => "the operation takes a developer key",
    };
    Some(format!("account {account} ({why})"))
}

fn authorize(told: &Told) -> Option<String> {
    match told.authorized {
        Authorized::Not => None,
        Authorized::WithDeveloperKey => Some("developer key put into the query".to_owned()),
        Authorized::WithToken { generation } if told.waited.is_zero() => {
            Some(format!("token {generation} was at hand"))
        }
        Authorized::WithToken { generation } => {
            Some(format!("waited {} ms for token {generation}", tenths(told.waited)))
        }
    }
}

fn forward(told: &Told) -> Option<String> {
    let via = told.via?;
    let connection = match (via.second_attempt, via.reused) {
        (true, _) => "a new connection, after another had gone stale",
        (false, true) => "a connection that was open",
        (false, false) => "a new connection",
    };
    let replay = told.replay.map(|note| note.replacen("; ", ", ", 1)).unwrap_or_default();
    Some(format!("sent over {} on {connection}{replay}", protocol(via.http2)))
}

fn response(told: &Told) -> String {
    let ended = match told.ending {
        crate::telemetry::record::Ending::Done => "",
        crate::telemetry::record::Ending::ClientGone => "; the client did not wait for all of it",
        crate::telemetry::record::Ending::BrokeOff => "; the upstream broke it off",
    };
    format!("{} with {} bytes{ended}", told.status, told.bytes)
}
