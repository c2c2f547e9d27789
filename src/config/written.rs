//! What is set, key by key, so that two configurations can be compared by the names of their keys.
//!
//! Of a secret it knows the place and not the value.

use std::collections::{BTreeMap, BTreeSet};

use super::layers::{Layer, Value};

/// Keys that a running proxy cannot change: they take effect at the next start.
const AT_START: [&str; 17] = [
    "server.listen",
    "server.expose",
    "server.threads",
    "server.allowed_users",
    "server.max_connections",
    "server.max_header_size",
    "server.max_headers",
    "server.header_timeout",
    "server.idle_timeout",
    "server.shutdown_grace",
    "upstream.url",
    "upstream.ca_file",
    "upstream.proxy",
    "upstream.connect_timeout",
    "upstream.response_timeout",
    "oauth.token_url",
    "oauth.refresh_ahead",
];

/// The settings of all sources together.
#[derive(Debug)]
pub struct Written(BTreeMap<String, Value>);

impl Written {
    pub(super) fn of(layer: &Layer) -> Self {
        Self(layer.rest().map(|(key, setting)| (key.to_owned(), setting.value.clone())).collect())
    }

    /// The keys that are set here or in `other` and not to the same in both.
    pub fn changed(&self, other: &Self) -> Vec<String> {
        let keys: BTreeSet<&String> = self.0.keys().chain(other.0.keys()).collect();
        let differs = |key: &&String| self.0.get(*key) != other.0.get(*key);
        keys.into_iter().filter(differs).cloned().collect()
    }
}

/// Whether a change of `key` waits for the next start.
pub fn takes_a_start(key: &str) -> bool {
    let of_account = key.starts_with("accounts.") && key.ends_with(".listen");
    of_account
        || ["store.", "audit."].iter().any(|table| key.starts_with(table))
        || AT_START.contains(&key)
}
