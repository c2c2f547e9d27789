//! The configuration, typed and validated.
//!
//! Keys come from a file, from the environment and from flags; `layers` merges them, this module
//! gives them meaning. It opens no socket and reads no secret: a [`SecretRef`] says where one is.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use crate::types::account::AccountName;
use crate::types::origin::Origin;

/// All that `serve` needs to know.
#[derive(Debug)]
pub struct Config {
    pub server: ServerConfig,
    pub upstream: UpstreamConfig,
    pub oauth: OAuthConfig,
    pub log: LogConfig,
    /// The account of a request that names none; `None` when there are several and no choice.
    pub default_account: Option<AccountName>,
    pub accounts: BTreeMap<AccountName, AccountConfig>,
}

/// One entry of `server.listen`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Listen {
    /// `localhost:PORT`: 127.0.0.1 and ::1 on the same port.
    Localhost(u16),
    /// `IP:PORT`; loopback only.
    Address(SocketAddr),
}

/// `[server]`.
#[derive(Clone, Debug)]
pub struct ServerConfig {
    pub listen: Vec<Listen>,
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
    pub credential: CredentialConfig,
}

/// What kind of credential an account has, and where its secrets are.
#[derive(Debug)]
pub enum CredentialConfig {
    AccessToken { token: SecretRef },
    OAuth { client_id: String, client_secret: SecretRef, refresh_token: SecretRef },
}

/// Where a secret is kept; never the secret.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SecretRef {
    Env(String),
    File(PathBuf),
    Command(Vec<String>),
}
