//! From what is configured to accounts that can serve: secrets are read, engines are made.
//!
//! No network is used here: a token is fetched when a request first needs it.

use std::sync::Arc;
use std::time::Duration;

use thiserror::Error;
use tokio::runtime::Handle;

use super::{Account, Accounts};
use crate::config::{AccountConfig, Config, CredentialConfig, Environment, SecretError, SecretRef};
use crate::credential::Credential;
use crate::credential::source::refresh_token::RefreshTokenSource;
use crate::oauth::TokenEndpoint;
use crate::types::account::AccountName;
use crate::types::clock::SharedClock;
use crate::types::origin::Origin;
use crate::types::secret::Secret;
use crate::upstream::tls::TlsConfigs;

/// A secret of an account that cannot be had.
#[derive(Debug, Error)]
#[error("accounts.{account}.{key}: {source}")]
pub struct OpenError {
    account: AccountName,
    key: &'static str,
    source: SecretError,
}

/// What all accounts use.
pub struct Surroundings {
    /// May be missing where nothing configured needs it.
    pub tls: Option<TlsConfigs>,
    pub outbound_proxy: Option<Origin>,
    pub refresh_ahead: Duration,
    pub clock: SharedClock,
    /// Where refreshes run.
    pub runtime: Handle,
}

/// A grant of an OAuth app: what a refresh presents.
pub struct Grant {
    pub client_id: String,
    pub client_secret: Secret,
    pub refresh_token: Secret,
}

impl Accounts {
    /// Opens all configured accounts.
    pub fn open(
        config: &Config,
        env: &Environment,
        surroundings: &Surroundings,
    ) -> Result<Self, OpenError> {
        let open = |(name, account): (&AccountName, &AccountConfig)| {
            open_one(name, account, &config.oauth.token_url, env, surroundings)
        };
        let accounts = config.accounts.iter().map(open).collect::<Result<Vec<_>, _>>()?;
        Ok(Self::new(accounts, config.default_account.as_ref()))
    }
}

fn open_one(
    name: &AccountName,
    account: &AccountConfig,
    token_url: &str,
    env: &Environment,
    surroundings: &Surroundings,
) -> Result<Account, OpenError> {
    let read = |key, secret: &SecretRef| {
        secret.read(env).map_err(|source| OpenError { account: name.clone(), key, source })
    };
    let credential = match &account.credential {
        CredentialConfig::AccessToken { token } => {
            Credential::fixed(name.clone(), &read("token", token)?)
        }
        CredentialConfig::OAuth { client_id, client_secret, refresh_token } => {
            let grant = Grant {
                client_id: client_id.clone(),
                client_secret: read("client_secret", client_secret)?,
                refresh_token: read("refresh_token", refresh_token)?,
            };
            refreshing(name, grant, token_url, surroundings)
        }
    };
    Ok(Account { name: name.clone(), hub_id: account.hub_id, credential })
}

/// A credential that is refreshed at `token_url`.
pub fn refreshing(
    name: &AccountName,
    grant: Grant,
    token_url: &str,
    surroundings: &Surroundings,
) -> Arc<Credential> {
    let tls = surroundings.tls.clone();
    let endpoint =
        TokenEndpoint::new(token_url.to_owned(), tls, surroundings.outbound_proxy.clone());
    let Grant { client_id, client_secret, refresh_token } = grant;
    let source = RefreshTokenSource::new(endpoint, client_id, client_secret, refresh_token);
    Credential::refreshing(
        name.clone(),
        Box::new(source),
        surroundings.refresh_ahead,
        Arc::clone(&surroundings.clock),
        surroundings.runtime.clone(),
    )
}
