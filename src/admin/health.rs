//! `/_proxy/health` and `/_proxy/ready`: for supervisors, scripts and people.

use bytes::Bytes;
use http::{Response, StatusCode};
use serde_json::{Value, json};

use crate::accounts::{Account, Accounts};
use crate::pipeline::authorize;
use crate::pipeline::response::refusal::json_response;

/// 200 while the process serves.
pub fn health(_: &Accounts, _: bool) -> Response<Bytes> {
    json_response(StatusCode::OK, &json!({ "status": "ok" }))
}

/// 200 when each account has a token or can get one when it is asked for, else 503 and, for a caller
/// who is `known`, why.
pub fn ready(accounts: &Accounts, known: bool) -> Response<Bytes> {
    let states: Vec<Value> = accounts.all().iter().map(|account| state(account)).collect();
    let all_ready = states.iter().all(|state| state["ready"] == true);
    let (status, word) = match all_ready {
        true => (StatusCode::OK, "ready"),
        false => (StatusCode::SERVICE_UNAVAILABLE, "not-ready"),
    };
    match known {
        true => json_response(status, &json!({ "status": word, "accounts": states })),
        false => json_response(status, &json!({ "status": word })),
    }
}

fn state(account: &Account) -> Value {
    let name = account.name.as_str();
    match account.credential.readiness() {
        Ok(()) if account.credential.is_degraded() => json!({
            "account": name,
            "ready": true,
            "degraded": true,
            "message": "Its newest token could not be written to the store and is served from memory: free disk space or mend the store, and do not stop the proxy before that.",
        }),
        Ok(()) => json!({ "account": name, "ready": true }),
        Err(why) => {
            let refusal = authorize::refusal(&account.name, why);
            json!({
                "account": name,
                "ready": false,
                "reason": refusal.code(),
                "message": refusal.message(),
            })
        }
    }
}
