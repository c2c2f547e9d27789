//! The configuration, typed and validated.
//!
//! Keys come from a file, from the environment and from flags, in rising order of precedence;
//! `keys` lists them all, `file` and `env` read them, `layers` merges them, and this module gives
//! them meaning. It opens no socket and reads no secret: a [`SecretRef`] says where one is.

mod accounts;
mod allowed;
mod duration;
mod env;
mod error;
mod file;
mod keys;
mod layers;
mod listen;
mod paths;
mod policy;
mod secret_ref;
mod size;
#[cfg(test)]
mod tests;
mod upstream;
mod users;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use crate::types::account::AccountName;
use crate::types::local_name::LocalName;
use crate::types::origin::Origin;
use crate::types::policy::Policy;
use layers::{Layer, Value};

pub use duration::parse_flag as parse_duration;
pub use env::Environment;
pub use error::{ConfigError, Place};
pub use listen::Listen;
pub use paths::Folders;
pub use secret_ref::{SecretError, SecretRef};
pub use users::{AllowedUser, AllowedUsers};

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
}

/// All that `serve` needs to know.
#[derive(Debug)]
pub struct Config {
    pub server: ServerConfig,
    pub upstream: UpstreamConfig,
    pub oauth: OAuthConfig,
    pub log: LogConfig,
    /// Of accounts that have none of their own.
    pub policy: Arc<Policy>,
    /// The account of a request that names none; `None` when there are several and no choice.
    /// With `--sandbox` it is `default`.
    pub default_account: Option<AccountName>,
    /// At least one; none with `--sandbox`, which brings its own.
    pub accounts: BTreeMap<AccountName, AccountConfig>,
}

/// `[server]`.
#[derive(Clone, Debug)]
pub struct ServerConfig {
    pub listen: Vec<Listen>,
    /// Names in `Host` beside the usual ones.
    pub allowed_hosts: Vec<LocalName>,
    /// Origins of the web pages that may call.
    pub allowed_origins: Vec<Origin>,
    pub allowed_users: AllowedUsers,
    /// Data-plane runtimes, at least 1.
    pub threads: usize,
    pub max_connections: usize,
    pub header_timeout: Duration,
    pub idle_timeout: Duration,
    pub shutdown_grace: Duration,
    /// Bytes.
    pub max_header_size: usize,
    pub max_headers: usize,
    /// Bytes; `None` is no limit.
    pub max_body_size: Option<u64>,
    /// Whether answers carry `X-HubSpot-Proxy`.
    pub response_header: bool,
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
    pub token_url: String,
    pub refresh_ahead: Duration,
}

/// `[log]`.
#[derive(Clone, Copy, Debug)]
pub struct LogConfig {
    pub requests: bool,
}

/// `[accounts.NAME]`.
#[derive(Debug)]
pub struct AccountConfig {
    pub hub_id: Option<u64>,
    /// Replaces the one of all accounts.
    pub policy: Option<Arc<Policy>>,
    /// Addresses that serve this account only.
    pub listen: Vec<Listen>,
    pub credential: CredentialConfig,
}

/// What kind of credential an account has, and where its secrets are.
#[derive(Debug)]
pub enum CredentialConfig {
    AccessToken { token: SecretRef },
    OAuth { client_id: String, client_secret: SecretRef, refresh_token: SecretRef },
    PersonalAccessKey { key: SecretRef },
    ClientCredentials { client_id: String, client_secret: SecretRef, scopes: Vec<String> },
    DeveloperApiKey { key: SecretRef },
}

/// Finds, reads, merges and checks the configuration.
pub fn load(sources: &Sources<'_>) -> Result<Loaded, ConfigError> {
    let Sources { config_flag, flags, env, folders } = sources;
    let mut file_used = None;
    let mut layer = Layer::default();
    for candidate in folders.candidates(*config_flag) {
        if let Some(found) = file::read(&candidate, folders.base_of(&candidate.path))? {
            layer.merge(found);
            file_used = Some(candidate.path);
            break;
        }
    }
    layer.merge(env::settings(env, folders.base())?);
    if !flags.sandbox {
        env::add_account(env, &mut layer)?;
    }
    layer.merge(from_flags(flags, folders));
    let config = build(layer, flags.sandbox)?;
    Ok(Loaded { config, file: file_used })
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

fn build(mut layer: Layer, sandbox: bool) -> Result<Config, ConfigError> {
    let server = server(&mut layer)?;
    let mut accounts = BTreeMap::new();
    let default_account;
    if sandbox {
        layer.forget_accounts();
        default_account = sandbox_account(&mut layer)?;
        // The emulator takes the place of both.
        layer.take("upstream.url");
        layer.take("oauth.token_url");
    } else {
        accounts = accounts::build(&mut layer, &server.listen)?;
        if accounts.is_empty() {
            return Err(ConfigError::NoAccount);
        }
        let chosen = layer.take_text("default_account");
        default_account = accounts::default_account(chosen, &accounts)?;
    }
    let (upstream, oauth) = upstream::build(&mut layer)?;
    let policy = Arc::new(policy::global(&mut layer)?);
    let log = LogConfig { requests: layer.take_switch("log.requests").unwrap_or(false) };
    debug_assert_eq!(layer.rest().next().map(|(path, _)| path), None, "a key that does nothing");
    Ok(Config { server, upstream, oauth, log, policy, default_account, accounts })
}

/// The sandbox has one account. A file's choice is about the accounts of that file; a flag is
/// about this run.
fn sandbox_account(layer: &mut Layer) -> Result<Option<AccountName>, ConfigError> {
    let name = AccountName::default_name();
    match layer.take_text("default_account") {
        Some((chosen, place @ Place::Flag(_))) if chosen != name.as_str() => {
            Err(ConfigError::at(&place, format!("the sandbox has one account, `{name}`")))
        }
        _ => Ok(Some(name)),
    }
}

fn server(layer: &mut Layer) -> Result<ServerConfig, ConfigError> {
    let listen = match layer.take_list("server.listen") {
        Some((entries, place)) => listen::parse(&entries)
            .map_err(|what| ConfigError::at(&place, listen_problem(&place, &what)))?,
        None => vec![Listen::Localhost(8787)],
    };
    let allowed_hosts = layer.parse_list("server.allowed_hosts", allowed::hosts)?;
    let allowed_origins = layer.parse_list("server.allowed_origins", allowed::origins)?;
    let allowed_users = match layer.take_list("server.allowed_users") {
        Some((entries, place)) => {
            users::parse(&entries).map_err(|problem| ConfigError::at(&place, problem))?
        }
        None => AllowedUsers::default(),
    };
    let cores = || std::thread::available_parallelism().map_or(1, usize::from);
    let seconds = Duration::from_secs;
    Ok(ServerConfig {
        listen,
        allowed_hosts: allowed_hosts.unwrap_or_default(),
        allowed_origins: allowed_origins.unwrap_or_default(),
        allowed_users,
        threads: layer.take_usize("server.threads").unwrap_or_else(cores),
        max_connections: layer.take_usize("server.max_connections").unwrap_or(4096),
        header_timeout: layer.take_time("server.header_timeout").unwrap_or(seconds(10)),
        idle_timeout: layer.take_time("server.idle_timeout").unwrap_or(seconds(75)),
        shutdown_grace: layer.take_time("server.shutdown_grace").unwrap_or(seconds(10)),
        max_header_size: layer.take_usize("server.max_header_size").unwrap_or(64 * 1024),
        max_headers: layer.take_usize("server.max_headers").unwrap_or(100),
        max_body_size: layer.take_number("server.max_body_size"),
        response_header: layer.take_switch("server.response_header").unwrap_or(true),
    })
}

/// A flag that has the name of what it sets says it once.
fn listen_problem(place: &Place, what: &str) -> String {
    match place {
        Place::Flag(_) => what.to_owned(),
        _ => format!("`server.listen`: {what}"),
    }
}
