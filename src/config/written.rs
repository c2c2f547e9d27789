//! What is set, key by key, so that two configurations can be compared by the names of their keys.
//!
//! Of a secret it knows the place and not the value.

use std::collections::{BTreeMap, BTreeSet};

use super::error::Place;
use super::layers::{Layer, Setting};

/// Keys that a running proxy cannot change: they take effect at the next start.
const AT_START: [&str; 18] = [
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
    "oauth.introspect_url",
    "oauth.refresh_ahead",
];

/// The settings of all sources together.
#[derive(Debug)]
pub struct Written(BTreeMap<String, Setting>);

impl Written {
    pub(super) fn of(layer: &Layer) -> Self {
        Self(layer.rest().map(|(key, setting)| (key.to_owned(), setting.clone())).collect())
    }

    /// The keys that are set here or in `other` and not to the same in both.
    pub fn changed(&self, other: &Self) -> Vec<String> {
        let keys: BTreeSet<&String> = self.0.keys().chain(other.0.keys()).collect();
        let value = |written: &Self, key: &String| written.0.get(key).map(|set| set.value.clone());
        let differs = |key: &&String| value(self, key) != value(other, key);
        keys.into_iter().filter(differs).cloned().collect()
    }

    /// Each key that is set, and where.
    pub fn places(&self) -> impl Iterator<Item = (&str, &Place)> {
        self.0.iter().map(|(key, setting)| (key.as_str(), &setting.place))
    }

    /// Where `key` is set, if it is.
    pub fn place(&self, key: &str) -> Option<&Place> {
        self.0.get(key).map(|setting| &setting.place)
    }
}

/// Whether a change of `key` waits for the next start.
pub fn takes_a_start(key: &str) -> bool {
    let of_account = key.starts_with("accounts.") && key.ends_with(".listen");
    of_account
        || ["store.", "audit."].iter().any(|table| key.starts_with(table))
        || AT_START.contains(&key)
}
