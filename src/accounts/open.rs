//! From what is configured to accounts that can serve: secrets are read, engines are made.
//!
//! No network is used here: a token is fetched when a request first needs it.

use std::sync::Arc;
use std::time::Duration;

use thiserror::Error;
use tokio::runtime::Handle;

use super::{Account, Accounts, Kind};
use crate::config::{AccountConfig, Config, CredentialConfig, Environment, SecretError, SecretRef};
use crate::credential::source::TokenSource;
use crate::credential::source::access_key::AccessKeySource;
use crate::credential::source::client_credentials::ClientCredentialsSource;
use crate::credential::source::refresh_token::RefreshTokenSource;
use crate::credential::source::static_token::StaticTokenSource;
use crate::credential::{Credential, Engine};
use crate::oauth::{AccessKeyEndpoint, TokenEndpoint, TokenInfoEndpoint};
use crate::store::GrantStore;
use crate::types::account::AccountName;
use crate::types::clock::SharedClock;
use crate::types::origin::Origin;
use crate::types::policy::Policy;
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
    /// Where API calls go, and with them personal access keys and the look at static tokens.
    pub api: Origin,
    pub token_url: String,
    pub refresh_ahead: Duration,
    pub clock: SharedClock,
    pub store: Arc<dyn GrantStore>,
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
            let policy = account.policy.as_ref().unwrap_or(&config.policy);
            open_one(name, account, Arc::clone(policy), env, surroundings)
        };
        let accounts = config.accounts.iter().map(open).collect::<Result<Vec<_>, _>>()?;
        Ok(Self::new(accounts, config.default_account.as_ref()))
    }
}

fn open_one(
    name: &AccountName,
    account: &AccountConfig,
    policy: Arc<Policy>,
    env: &Environment,
    surroundings: &Surroundings,
) -> Result<Account, OpenError> {
    let read = |key, secret: &SecretRef| {
        secret.read(env).map_err(|source| OpenError { account: name.clone(), key, source })
    };
    let hub_id = account.hub_id;
    let (name, kind) = (name.clone(), Kind::Portal);
    Ok(match &account.credential {
        CredentialConfig::AccessToken { token } => {
            let credential = surroundings.static_token(&name, read("token", token)?, hub_id);
            Account { name, hub_id, kind, credential, policy }
        }
        CredentialConfig::OAuth { client_id, client_secret, refresh_token } => {
            let grant = Grant {
                client_id: client_id.clone(),
                client_secret: read("client_secret", client_secret)?,
                refresh_token: read("refresh_token", refresh_token)?,
            };
            let credential = surroundings.oauth(&name, grant, hub_id);
            Account { name, hub_id, kind, credential, policy }
        }
        CredentialConfig::PersonalAccessKey { key } => {
            let endpoint = AccessKeyEndpoint::new(
                &surroundings.api,
                surroundings.tls.clone(),
                surroundings.outbound_proxy.clone(),
                Arc::clone(&surroundings.clock),
            );
            let source = AccessKeySource::new(endpoint, read("key", key)?);
            let credential = surroundings.refreshing(&name, Box::new(source), None, hub_id);
            Account { name, hub_id, kind, credential, policy }
        }
        CredentialConfig::ClientCredentials { client_id, client_secret, scopes } => {
            let source = ClientCredentialsSource::new(
                surroundings.token_endpoint(),
                client_id.clone(),
                read("client_secret", client_secret)?,
                scopes.clone(),
            );
            let credential = surroundings.refreshing(&name, Box::new(source), None, None);
            Account { name, hub_id, kind: Kind::App, credential, policy }
        }
        CredentialConfig::DeveloperApiKey { key } => {
            let kind = Kind::Developer { key: read("key", key)? };
            let credential = Credential::none(name.clone());
            Account { name, hub_id, kind, credential, policy }
        }
    })
}

impl Surroundings {
    /// An OAuth grant, refreshed at the token endpoint.
    pub fn oauth(&self, name: &AccountName, grant: Grant, hub_id: Option<u64>) -> Arc<Credential> {
        let Grant { client_id, client_secret, refresh_token } = grant;
        let source = RefreshTokenSource::new(self.token_endpoint(), client_id, client_secret);
        self.refreshing(name, Box::new(source), Some(refresh_token), hub_id)
    }

    fn static_token(
        &self,
        name: &AccountName,
        token: Secret,
        hub_id: Option<u64>,
    ) -> Arc<Credential> {
        if hub_id.is_none() {
            return Credential::fixed(name.clone(), &token);
        }
        let (tls, proxy) = (self.tls.clone(), self.outbound_proxy.clone());
        let endpoint = TokenInfoEndpoint::new(&self.api, tls, proxy);
        let source = Box::new(StaticTokenSource::new(endpoint, token));
        let credential = Credential::checked(name.clone(), source, self.engine(None, hub_id));
        // The start does not wait for it; a request does.
        credential.refresh_soon();
        credential
    }

    fn refreshing(
        &self,
        name: &AccountName,
        source: Box<dyn TokenSource>,
        seed: Option<Secret>,
        hub_id: Option<u64>,
    ) -> Arc<Credential> {
        Credential::refreshing(name.clone(), source, self.engine(seed, hub_id))
    }

    fn engine(&self, seed: Option<Secret>, hub_id: Option<u64>) -> Engine {
        Engine {
            ahead: self.refresh_ahead,
            clock: Arc::clone(&self.clock),
            runtime: self.runtime.clone(),
            grant: seed.map(|seed| (Arc::clone(&self.store), seed)),
            hub_id,
            jitter: || fastrand::f64(),
        }
    }

    fn token_endpoint(&self) -> TokenEndpoint {
        let (tls, proxy) = (self.tls.clone(), self.outbound_proxy.clone());
        TokenEndpoint::new(self.token_url.clone(), tls, proxy)
    }
}
