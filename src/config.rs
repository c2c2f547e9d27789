//! The configuration, typed and validated.
//!
//! Keys come from a file, from the environment and from flags, in rising order of precedence;
//! `keys` lists them all, `file` and `env` read them, `layers` merges them, and this module gives
//! them meaning. It opens no socket and reads no secret: a [`SecretRef`] says where one is.

mod accounts;
mod allowed;
mod audit;
mod duration;
mod env;
mod error;
mod file;
mod keys;
mod layers;
mod listen;
mod paths;
mod policy;
mod reload_state;
mod roster;
mod secret_ref;
mod server;
mod size;
#[cfg(test)]
mod tests;
mod upstream;
mod users;
pub mod watch;
mod written;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use crate::types::account::AccountName;
use crate::types::origin::Origin;
use crate::types::policy::Policy;
use layers::{Layer, Value};
use paths::Candidate;

pub use audit::AuditConfig;
pub use duration::parse_flag as parse_duration;
pub use env::{Environment, SECRET_VARIABLES};
pub use error::{ConfigError, Place};
pub use listen::Listen;
pub use paths::{Folders, InUse};
pub use reload_state::{ReloadState, SharedReloadState};
pub use roster::{DefaultAccount, Roster};
pub use secret_ref::{STORE_KEY, SecretError, SecretRef, keyring};
use server::Reach;
pub use server::ServerConfig;
pub use users::{AllowedUser, AllowedUsers};
pub use written::{Written, takes_a_start};

/// Where settings come from.
#[derive(Debug)]
pub struct Sources<'a> {
    /// `--config`: the file to read, and no other.
    pub config_flag: Option<&'a Path>,
    pub flags: Flags,
    pub env: &'a Environment,
    pub folders: &'a Folders,
}

/// The flags that set keys.
#[derive(Clone, Debug, Default)]
pub struct Flags {
    /// `--listen`, each time it is given.
    pub listen: Vec<String>,
    /// `--account`: the default account.
    pub account: Option<String>,
    /// `--sandbox`: no account is needed, and those that there are do not count.
    pub sandbox: bool,
    /// `--log-requests`.
    pub log_requests: bool,
}

/// A configuration and the file that it comes from, if any.
#[derive(Debug)]
pub struct Loaded {
    pub config: Config,
    pub file: Option<PathBuf>,
    /// What is set, key by key.
    pub written: Written,
    /// The environment variables that secrets are read from.
    pub secret_variables: Vec<String>,
}

/// All that a command needs to know.
#[derive(Debug)]
pub struct Config {
    pub server: ServerConfig,
    pub upstream: UpstreamConfig,
    pub oauth: OAuthConfig,
    pub log: LogConfig,
    /// `None` where there is no audit log.
    pub audit: Option<AuditConfig>,
    /// Whether an old client's own token refresh is answered here.
    pub legacy_oauth_shim: bool,
    /// Whether a client that asks about its token is answered here: wherever that is on, and for the
    /// child of `exec`.
    pub token_information: bool,
    /// Of accounts that have none of their own.
    pub policy: Arc<Policy>,
    pub store: StoreConfig,
    /// What was chosen as the account of a request that names none. With `--sandbox` it is `default`.
    pub default_account: Option<DefaultAccount>,
    /// Those of the file and the environment; none with `--sandbox`, which brings its own.
    pub accounts: BTreeMap<AccountName, AccountConfig>,
    /// Whether the environment alone makes an account: then there are no others but those that a
    /// file names.
    pub made_by_environment: bool,
    /// The only account to serve, where that was asked for.
    only: Option<AccountName>,
}

/// `[store]`.
#[derive(Clone, Debug)]
pub struct StoreConfig {
    /// `None` where it is not set: then it is in the state folder.
    pub path: Option<PathBuf>,
    /// `None` where it is not set: then it is in the keyring, else in a file.
    pub key: Option<SecretRef>,
}

/// `[upstream]`.
#[derive(Clone, Debug)]
pub struct UpstreamConfig {
    pub url: Origin,
    pub ca_file: Option<PathBuf>,
    /// The outbound proxy as configured; when `None`, `HTTPS_PROXY` and `NO_PROXY` decide.
    pub proxy: Option<Origin>,
    pub connect_timeout: Duration,
    /// To the head of the answer.
    pub response_timeout: Duration,
    /// Bytes of a request body kept for the replay after a 401.
    pub replay_buffer: usize,
    /// Whether links of HubSpot to itself become the proxy's.
    pub rewrite_links: bool,
}

/// `[oauth]`.
#[derive(Clone, Debug)]
pub struct OAuthConfig {
    pub authorize_url: String,
    pub token_url: String,
    pub introspect_url: String,
    pub revoke_url: String,
    pub redirect_uri: String,
    pub refresh_ahead: Duration,
}

/// `[log]`.
#[derive(Clone, Copy, Debug)]
pub struct LogConfig {
    pub requests: bool,
}

/// `[accounts.NAME]`.
#[derive(Clone, Debug)]
pub struct AccountConfig {
    pub hub_id: Option<u64>,
    /// Replaces the one of all accounts.
    pub policy: Option<Arc<Policy>>,
    /// Addresses that serve this account only.
    pub listen: Vec<Listen>,
    pub credential: CredentialConfig,
    /// Where it is configured.
    place: Option<Place>,
}

/// What kind of credential an account has, and where its secrets are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CredentialConfig {
    AccessToken {
        token: SecretRef,
    },
    OAuth {
        client_id: String,
        /// `None` where the store has it.
        client_secret: Option<SecretRef>,
        /// The seed of the grant; `None` where a login brings it.
        refresh_token: Option<SecretRef>,
        consent: Consent,
    },
    PersonalAccessKey {
        key: SecretRef,
    },
    ClientCredentials {
        client_id: String,
        client_secret: SecretRef,
        scopes: Vec<String>,
    },
    DeveloperApiKey {
        key: SecretRef,
    },
    /// Whatever a login or an import has put into the store.
    Stored,
}

/// What a login asks for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Consent {
    pub scopes: Vec<String>,
    /// Dropped by HubSpot, without a word, where the portal has not what they are for.
    pub optional_scopes: Vec<String>,
    pub pkce: bool,
}

impl AccountConfig {
    /// An account that no file and no variable mentions.
    fn stored() -> Self {
        let credential = CredentialConfig::Stored;
        Self { hub_id: None, policy: None, listen: Vec::new(), credential, place: None }
    }
}

/// Finds, reads, merges and checks the configuration.
pub fn load(sources: &Sources<'_>) -> Result<Loaded, ConfigError> {
    load_from(sources, sources.folders.candidates(sources.config_flag))
}

/// The same once more, from the file that was `in_use` and no other: one that appears elsewhere does
/// not take its place, and one that is gone is an error, not a configuration without settings.
pub fn load_again(
    sources: &Sources<'_>,
    in_use: Option<(&Path, InUse)>,
) -> Result<Loaded, ConfigError> {
    let candidates = sources.folders.candidates(sources.config_flag).into_iter();
    let candidates = candidates
        .filter(|candidate| in_use.is_some_and(|(path, _)| candidate.path == path))
        .map(|candidate| Candidate { in_use: in_use.map(|(_, known)| known), ..candidate });
    let loaded = load_from(sources, candidates.collect())?;
    match in_use {
        Some((path, _)) if loaded.file.is_none() => {
            Err(ConfigError::Gone { path: path.to_owned() })
        }
        _ => Ok(loaded),
    }
}

fn load_from(sources: &Sources<'_>, candidates: Vec<Candidate>) -> Result<Loaded, ConfigError> {
    let Sources { flags, env, folders, .. } = sources;
    let mut file_used = None;
    let mut layer = Layer::default();
    for candidate in candidates {
        if let Some(found) = file::read(&candidate, folders.base_of(&candidate.path))? {
            layer.merge(found);
            file_used = Some(candidate.path);
            break;
        }
    }
    layer.merge(env::settings(env, folders.base())?);
    let made_by_environment = !flags.sandbox && env::add_account(env, &mut layer)?;
    layer.merge(from_flags(flags, folders));
    let (written, secret_variables) = (Written::of(&layer), layer.secret_variables());
    let config = build(layer, flags.sandbox, made_by_environment)?;
    Ok(Loaded { config, file: file_used, written, secret_variables })
}

fn from_flags(flags: &Flags, folders: &Folders) -> Layer {
    let mut layer = Layer::default();
    if !flags.listen.is_empty() {
        let listen = Value::List(listen::resolved(flags.listen.clone(), folders.base()));
        layer.set("server.listen", listen, Place::Flag("--listen"));
    }
    if let Some(account) = &flags.account {
        let account = Value::Text(account.clone());
        layer.set("default_account", account, Place::Flag("--account"));
    }
    if flags.log_requests {
        layer.set("log.requests", Value::Switch(true), Place::Flag("--log-requests"));
    }
    layer
}

fn build(
    mut layer: Layer,
    sandbox: bool,
    made_by_environment: bool,
) -> Result<Config, ConfigError> {
    let reach = server::reach(&mut layer)?;
    let server = server::build(&mut layer, reach)?;
    let mut accounts = BTreeMap::new();
    let default_account;
    if sandbox {
        layer.forget_accounts();
        default_account = sandbox_account(&mut layer)?;
        // The emulator takes the place of all.
        layer.take("upstream.url");
        for key in ["authorize_url", "token_url", "introspect_url", "revoke_url"] {
            layer.take(&format!("oauth.{key}"));
        }
    } else {
        accounts = accounts::build(&mut layer, &server.listen, reach)?;
        let chosen = layer.take_text("default_account");
        default_account = chosen.map(|(text, place)| DefaultAccount { text, place });
    }
    let store =
        StoreConfig { path: layer.take_path("store.url"), key: layer.take_secret("store.key") };
    let (upstream, oauth) = upstream::build(&mut layer, &server.listen)?;
    let policy = Arc::new(policy::global(&mut layer)?);
    let legacy_oauth_shim = layer.take_switch("legacy_oauth_shim").unwrap_or(false);
    let log = LogConfig { requests: layer.take_switch("log.requests").unwrap_or(false) };
    let audit = audit::build(&mut layer);
    debug_assert_eq!(layer.rest().next().map(|(path, _)| path), None, "a key that does nothing");
    Ok(Config {
        server,
        upstream,
        oauth,
        log,
        audit,
        legacy_oauth_shim,
        token_information: legacy_oauth_shim,
        policy,
        store,
        default_account,
        accounts,
        made_by_environment,
        only: None,
    })
}

/// The sandbox has one account. A file's choice is about the accounts of that file; a flag is
/// about this run.
fn sandbox_account(layer: &mut Layer) -> Result<Option<DefaultAccount>, ConfigError> {
    let name = AccountName::default_name();
    match layer.take_text("default_account") {
        Some((chosen, place @ Place::Flag(_))) if chosen != name.as_str() => {
            Err(ConfigError::at(&place, format!("the sandbox has one account, `{name}`")))
        }
        _ => Ok(None),
    }
}
