//! Every key that there is: one table for the file, the environment and the advice in errors.

use std::time::Duration;

use super::{duration, size};

/// What a key's value is.
#[derive(Clone, Copy, Debug)]
pub(super) enum Kind {
    /// A text that is not empty.
    Text,
    /// Texts; in the environment with commas between them.
    List,
    /// Addresses to listen on; likewise, and the path of a Unix socket is relative as a path is.
    Addresses,
    /// A path.
    Path,
    /// `true` or `false`.
    Switch,
    Count {
        min: u64,
        max: u64,
    },
    Size {
        min: u64,
        max: u64,
    },
    /// A size, or `"off"` for no limit.
    Limit {
        min: u64,
        max: u64,
    },
    Time {
        min: Duration,
        max: Duration,
    },
    /// Where a secret is; never the secret, and never from a `HUBSPOT_PROXY_*` variable.
    Secret,
    /// The same for the key of the store, which the program itself can keep in the keyring.
    StoreKey,
    /// `sqlite:` and a path.
    Database,
}

/// One key.
#[derive(Debug)]
pub(super) struct Key {
    /// Tables and key with dots between them; [`NAME`] stands for any account's name.
    pub path: &'static str,
    pub kind: Kind,
    /// A right value as it stands in the file.
    pub example: &'static str,
}

/// The prefix of the environment variables that set keys.
pub(super) const PREFIX: &str = "HUBSPOT_PROXY_";
/// Stands for the name of an account in [`Key::path`].
const NAME: &str = "NAME";

const KIB: u64 = 1 << 10;
const MIB: u64 = 1 << 20;

const fn key(path: &'static str, kind: Kind, example: &'static str) -> Key {
    Key { path, kind, example }
}

const fn time(min_millis: u64, max_secs: u64) -> Kind {
    Kind::Time { min: Duration::from_millis(min_millis), max: Duration::from_secs(max_secs) }
}

const fn count(min: u64, max: u64) -> Kind {
    Kind::Count { min, max }
}

/// The bounds keep out what can only be a slip: a limit below them stops all traffic, one above
/// them is none.
pub(super) const KEYS: &[Key] = &[
    key("default_account", Kind::Text, "\"acme\""),
    key("legacy_oauth_shim", Kind::Switch, "false"),
    key("server.listen", Kind::Addresses, "[\"localhost:8787\"]"),
    key("server.client_keys", Kind::Text, "\"optional\""),
    key("server.expose", Kind::Switch, "false"),
    key("server.allowed_hosts", Kind::List, "[\"hubspot.localhost\"]"),
    key("server.allowed_origins", Kind::List, "[\"http://localhost:3000\"]"),
    key("server.allowed_users", Kind::List, "[\"self\", \"root\"]"),
    key("server.threads", count(1, 1024), "2"),
    key("server.max_connections", count(1, 1_000_000), "4096"),
    key("server.header_timeout", time(100, 600), "\"10s\""),
    key("server.idle_timeout", time(100, 86_400), "\"75s\""),
    key("server.shutdown_grace", time(0, 3_600), "\"10s\""),
    key("server.max_header_size", Kind::Size { min: KIB, max: MIB }, "\"64KiB\""),
    key("server.max_headers", count(1, 1_000), "100"),
    key("server.max_body_size", Kind::Limit { min: 1, max: 1024 * 1024 * MIB }, "\"100MiB\""),
    key("server.response_header", Kind::Switch, "true"),
    key("upstream.url", Kind::Text, "\"https://api.hubapi.com\""),
    key("upstream.allow_plaintext", Kind::Switch, "false"),
    key("upstream.ca_file", Kind::Path, "\"roots.pem\""),
    key("upstream.proxy", Kind::Text, "\"http://proxy.example:3128\""),
    key("upstream.connect_timeout", time(100, 300), "\"10s\""),
    key("upstream.response_timeout", time(100, 3_600), "\"120s\""),
    key("upstream.replay_buffer", Kind::Size { min: 0, max: 64 * MIB }, "\"256KiB\""),
    key("upstream.rewrite_links", Kind::Switch, "false"),
    key("oauth.authorize_url", Kind::Text, "\"https://app.hubspot.com/oauth/authorize\""),
    key("oauth.token_url", Kind::Text, "\"https://api.hubapi.com/oauth/2026-03/token\""),
    key(
        "oauth.introspect_url",
        Kind::Text,
        "\"https://api.hubapi.com/oauth/2026-03/token/introspect\"",
    ),
    key("oauth.revoke_url", Kind::Text, "\"https://api.hubapi.com/oauth/2026-03/token/revoke\""),
    key("oauth.redirect_uri", Kind::Text, "\"http://localhost:3000/oauth-callback\""),
    key("oauth.refresh_ahead", time(0, 86_400), "\"5m\""),
    key("store.url", Kind::Database, "\"sqlite:store.sqlite\""),
    key("store.key", Kind::StoreKey, "{ keyring = true }"),
    key("log.requests", Kind::Switch, "false"),
    key("audit.file", Kind::Path, "\"audit.log\""),
    key("audit.max_size", Kind::Size { min: 4 * KIB, max: MIB * MIB }, "\"64MiB\""),
    key("audit.max_age", time(1_000, 3_650 * 86_400), "\"30d\""),
    key("audit.keep", count(1, 10_000), "12"),
    key("policy.mode", Kind::Text, "\"read-only\""),
    key("policy.allow", Kind::List, "[\"GET /crm/v3/objects/**\"]"),
    key("policy.deny", Kind::List, "[\"DELETE /**\"]"),
    key("accounts.NAME.type", Kind::Text, "\"oauth\""),
    key("accounts.NAME.hub_id", count(1, u64::MAX), "1234567"),
    key("accounts.NAME.listen", Kind::Addresses, "[\"localhost:8788\"]"),
    key("accounts.NAME.policy.mode", Kind::Text, "\"read-only\""),
    key("accounts.NAME.policy.allow", Kind::List, "[\"GET /crm/v3/objects/**\"]"),
    key("accounts.NAME.policy.deny", Kind::List, "[\"DELETE /**\"]"),
    key("accounts.NAME.client_id", Kind::Text, "\"6e7a3c21-0000-0000-0000-000000000000\""),
    key("accounts.NAME.client_secret", Kind::Secret, "{ env = \"ACME_CLIENT_SECRET\" }"),
    key("accounts.NAME.refresh_token", Kind::Secret, "{ file = \"acme.refresh\" }"),
    key("accounts.NAME.token", Kind::Secret, "{ env = \"ACME_TOKEN\" }"),
    key("accounts.NAME.key", Kind::Secret, "{ env = \"ACME_KEY\" }"),
    key("accounts.NAME.scopes", Kind::List, "[\"oauth\", \"crm.objects.contacts.read\"]"),
    key("accounts.NAME.optional_scopes", Kind::List, "[\"crm.objects.deals.read\"]"),
    key("accounts.NAME.pkce", Kind::Switch, "false"),
];

impl Key {
    /// The last part of the path.
    pub(super) fn leaf(&self) -> &'static str {
        self.path.rsplit_once('.').map_or(self.path, |(_, leaf)| leaf)
    }

    /// The path without its last part.
    pub(super) fn table(&self) -> &'static str {
        self.path.rsplit_once('.').map_or("", |(table, _)| table)
    }

    /// What follows the account's name in the path, if there is one.
    pub(super) fn of_account(&self) -> Option<&'static str> {
        self.path.strip_prefix("accounts.")?.strip_prefix(NAME)?.strip_prefix('.')
    }

    /// The environment variable that sets this key, for the account `name` where it has one.
    pub(super) fn variable(&self, name: &str) -> String {
        let parts = self.path.split('.').map(|part| if part == NAME { name } else { part });
        format!("{PREFIX}{}", parts.collect::<Vec<_>>().join("__").to_ascii_uppercase())
    }

    /// What to say of a wrong value in the file, the key being written as `path`.
    pub(super) fn expected_in_file(&self, path: &str) -> String {
        let (what, leaf, example) = (self.kind.expected(), self.leaf(), self.example);
        format!("`{path}` must be {what}, such as `{leaf} = {example}`")
    }

    /// What to say of a wrong value of an environment variable.
    pub(super) fn expected_in_environment(&self) -> String {
        let example = self.example.trim_matches(['[', ']', '"']);
        format!("it must be {}, such as `{example}`", self.kind.expected())
    }
}

impl Kind {
    /// Whether it says where a secret is.
    pub(super) fn is_secret(self) -> bool {
        matches!(self, Self::Secret | Self::StoreKey)
    }

    fn expected(&self) -> String {
        match self {
            Self::Text | Self::Path => "a text that is not empty".to_owned(),
            Self::List | Self::Addresses => "a list of texts".to_owned(),
            Self::Switch => "true or false".to_owned(),
            Self::Count { min, max: u64::MAX } => format!("a whole number from {min}"),
            Self::Count { min, max } => format!("a whole number from {min} to {max}"),
            Self::Size { min, max } => {
                format!("a size from {} to {}", size::show(*min), size::show(*max))
            }
            Self::Limit { min, max } => {
                format!("a size from {} to {}, or off", size::show(*min), size::show(*max))
            }
            Self::Time { min, max } => {
                format!("a duration from {} to {}", duration::show(*min), duration::show(*max))
            }
            Self::Secret | Self::StoreKey => "the place of a secret".to_owned(),
            Self::Database => "`sqlite:` and the path of the store".to_owned(),
        }
    }
}

/// The key at `path`, if there is one.
pub(super) fn find(path: &[&str]) -> Option<&'static Key> {
    let pattern = pattern(path);
    KEYS.iter().find(|key| key.path == pattern)
}

/// Whether `path` is a table that holds keys.
pub(super) fn is_table(path: &[&str]) -> bool {
    let prefix = format!("{}.", pattern(path));
    KEYS.iter().any(|key| key.path.starts_with(&prefix))
}

/// What to say after the name of a key that does not exist: where it belongs, what may have been
/// meant, or what there is.
pub(super) fn advice(path: &[&str]) -> String {
    let Some((leaf, table)) = path.split_last() else { return String::new() };
    if let Some(home) = only_home(leaf) {
        return format!("; it belongs {home}");
    }
    let written = |child: &str| table.iter().copied().chain([child]).collect::<Vec<_>>().join(".");
    let children = children(table);
    if let Some(child) = nearest(leaf, children.iter().copied()) {
        return format!("; did you mean `{}`?", written(child));
    }
    let elsewhere = KEYS.iter().filter(|key| key.table() != pattern(table));
    if let Some(key) = elsewhere.clone().find(|key| is_near(leaf, key.leaf())) {
        return format!("; did you mean `{}`?", key.path);
    }
    let place = match table.join(".") {
        table if table.is_empty() => "the top level".to_owned(),
        table => format!("`[{table}]`"),
    };
    format!("; {place} has {}", children.join(", "))
}

/// The nearest known variable to an unknown one, as the end of a sentence.
pub(super) fn advice_on_variable(variable: &str) -> String {
    let rest = variable.strip_prefix(PREFIX).unwrap_or(variable);
    let mut account = "NAME";
    if let Some((name, _)) = rest.strip_prefix("ACCOUNTS__").and_then(|r| r.rsplit_once("__")) {
        account = name;
    }
    let settable = KEYS.iter().filter(|key| !key.kind.is_secret());
    let candidates: Vec<(String, &Key)> =
        settable.map(|key| (key.variable(account), key)).collect();
    let names = candidates.iter().map(|(name, _)| &name[PREFIX.len()..]);
    let near = nearest(rest, names).map(|name| format!("{PREFIX}{name}"));
    let by_leaf = || {
        let leaf = rest.to_ascii_lowercase();
        candidates.iter().find(|(_, key)| key.leaf() == leaf).map(|(name, _)| name.clone())
    };
    match near.or_else(by_leaf) {
        Some(name) => format!("did you mean {name}?"),
        None => "mend its name or unset it".to_owned(),
    }
}

/// The path with an account's name replaced by [`NAME`].
fn pattern(path: &[&str]) -> String {
    let mut parts = path.to_vec();
    if let ["accounts", name, ..] = parts.as_mut_slice() {
        *name = NAME;
    }
    parts.join(".")
}

/// The one other table that has a key of this name, as the end of a sentence.
fn only_home(leaf: &str) -> Option<String> {
    let mut homes = KEYS.iter().filter(|key| key.leaf() == leaf);
    match (homes.next()?, homes.next()) {
        (key, None) if key.table().is_empty() => {
            Some("at the top of the file, before the first table".to_owned())
        }
        (key, None) => Some(format!("in `[{}]`", key.table())),
        _ => None,
    }
}

/// Keys and tables directly under `table`.
fn children(table: &[&str]) -> Vec<&'static str> {
    let prefix = match pattern(table) {
        table if table.is_empty() => table,
        table => format!("{table}."),
    };
    let mut children: Vec<&str> = KEYS
        .iter()
        .filter_map(|key| key.path.strip_prefix(prefix.as_str()))
        .map(|rest| rest.split_once('.').map_or(rest, |(child, _)| child))
        .collect();
    children.dedup();
    children
}

fn nearest<'a>(word: &str, candidates: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    candidates
        .filter(|candidate| is_near(word, candidate))
        .min_by_key(|candidate| strsim::osa_distance(word, candidate))
}

/// Near enough that a slip of the hand explains the difference.
fn is_near(word: &str, candidate: &str) -> bool {
    let longest = word.len().max(candidate.len());
    strsim::osa_distance(word, candidate) <= (longest / 4).max(1)
}
