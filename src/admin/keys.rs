//! The client keys that the proxy takes, without the keys.

use serde_json::{Value, json};

use crate::accounts::Accounts;
use crate::types::account::AccountName;
use crate::types::clock::WallTime;

/// All of them at `now`, and whether one is required.
pub fn of(accounts: &Accounts, now: WallTime) -> Value {
    let keys = accounts.keys().all().map(|key| {
        json!({
            "name": key.name.as_str(),
            "account": key.account.as_ref().map(AccountName::as_str),
            "policy": key.policy.as_ref().map(|policy| policy.mode.value.to_string()),
            "expires_at": key.expires.map(|end| end.to_string()),
            "expired": key.has_expired(now),
        })
    });
    json!({
        "keys": keys.collect::<Vec<_>>(),
        "required": accounts.config().map(|config| config.server.keys_required),
    })
}
