//! From what is configured and stored to accounts that can serve: secrets are read, engines are made.
//!
//! No network is used here: a token is fetched when a request first needs it.

mod client_keys;

use std::sync::Arc;
use std::time::Duration;

use thiserror::Error;
use tokio::runtime::Handle;

use super::reload::{ReadSecret, Reload};
use super::{Account, Accounts, Kind};
use crate::config::{
    AccountConfig, Config, CredentialConfig, Environment, Roster, SecretError, SecretRef,
};
use crate::credential::source::TokenSource;
use crate::credential::source::access_key::AccessKeySource;
use crate::credential::source::client_credentials::ClientCredentialsSource;
use crate::credential::source::refresh_token::RefreshTokenSource;
use crate::credential::source::static_token::StaticTokenSource;
use crate::credential::{Credential, Engine, Grant, Unavailable};
use crate::oauth::{AccessKeyEndpoint, TokenEndpoint, TokenInfoEndpoint};
use crate::store::{
    AccountStore, GrantStore, StoreError, StoredAccount, StoredKind, StoredSecrets,
};
use crate::telemetry::audit::Audit;
use crate::types::account::AccountName;
use crate::types::clock::SharedClock;
use crate::types::origin::Origin;
use crate::types::secret::Secret;
use crate::upstream::tls::TlsConfigs;

const NEVER_LOGGED_IN: &str = "run `hubspot-proxy login NAME` or `hubspot-proxy accounts import NAME` (it has no credential yet)";
const LOGGED_OUT: &str = "run `hubspot-proxy login NAME` (it has been logged out)";
const NO_CLIENT_SECRET: &str =
    "run `hubspot-proxy login NAME` (its client secret is neither configured nor stored)";
/// Stands for the epoch of an account that could not be opened: no store gives it out.
pub(super) const NOT_OPENED: u64 = u64::MAX;
const NO_STORE: &str = "it needs the store, and there is none";

/// Why an account cannot be opened.
#[derive(Debug, Error)]
pub enum OpenError {
    /// A configured secret cannot be had.
    #[error("accounts.{account}.{key}: {source}")]
    Secret { account: AccountName, key: &'static str, source: SecretError },
    /// What is stored of it cannot be had.
    #[error("account {account}: {source}")]
    Store { account: AccountName, source: StoreError },
    /// The store as a whole cannot be read.
    #[error("{0}")]
    Unreadable(StoreError),
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
    pub audit: Audit,
    /// Where refreshes run.
    pub runtime: Handle,
}

/// An OAuth app and what a refresh presents.
pub struct OAuthGrant {
    pub client_id: String,
    pub client_secret: Secret,
    pub grant: Grant,
}

/// Opens accounts, at the start and whenever the store has changed.
pub struct Opener {
    pub config: Arc<Config>,
    pub env: Arc<Environment>,
    pub surroundings: Surroundings,
    /// `None` where no account needs one.
    pub store: Option<Arc<dyn AccountStore>>,
}

/// One account on its way.
struct Opening<'a> {
    opener: &'a Opener,
    name: &'a AccountName,
    account: &'a AccountConfig,
    stored: Option<&'a StoredAccount>,
}

/// What serves an account: its credential and what that speaks for.
type Opened = (Kind, Arc<Credential>);

impl Opener {
    /// Puts configured seeds into the store, once, at the start: later the engines do that by themselves.
    pub async fn sow(&self) -> Result<(), OpenError> {
        let Some(store) = &self.store else { return Ok(()) };
        for (name, account) in &self.config.accounts {
            if let CredentialConfig::OAuth { refresh_token: Some(seed), .. } = &account.credential {
                let seed = self.read(name, "refresh_token", seed)?;
                match store.seed(name, &seed).await {
                    // The account alone is at fault, and its requests are told.
                    Ok(()) | Err(StoreError::OtherOrigin(_)) => {}
                    Err(source) => return Err(OpenError::Store { account: name.clone(), source }),
                }
            }
        }
        Ok(())
    }

    /// What is stored of all accounts; nothing without a store.
    pub async fn stored(&self) -> Result<Vec<StoredAccount>, OpenError> {
        let Some(store) = &self.store else { return Ok(Vec::new()) };
        store.accounts().await.map_err(OpenError::Unreadable)
    }

    /// Opens the accounts of `roster`. One that is in `previous` and whose grant is still the same
    /// stays as it is, with its token. In a reload what cannot be opened fails the whole.
    pub async fn open(
        &self,
        roster: &Roster,
        stored: &[StoredAccount],
        previous: Option<&Accounts>,
        reload: Option<&Reload>,
    ) -> Result<Accounts, OpenError> {
        let mut accounts = Vec::with_capacity(roster.accounts.len());
        for (name, account) in &roster.accounts {
            let stored = stored.iter().find(|stored| stored.name == *name);
            let opening = Opening { opener: self, name, account, stored };
            let mut epoch = opening.epoch();
            let same = previous.and_then(|previous| previous.named(name));
            let policy = account.policy.as_ref().unwrap_or(&self.config.policy);
            let hub_id = account.hub_id.or(stored.and_then(|stored| stored.hub_id));
            if let Some(same) = same.filter(|account| account.epoch == epoch) {
                match reload {
                    None => {
                        accounts.push(Arc::clone(same));
                        continue;
                    }
                    Some(reload) if reload.keeps(self, same, account)? => {
                        accounts.push(Arc::new(same.under(Arc::clone(policy), hub_id)));
                        continue;
                    }
                    Some(_) => {}
                }
            }
            let mut secrets = Arc::default();
            let (kind, credential) = match opening.open(&mut secrets).await {
                Ok(opened) => opened,
                Err(error) if previous.is_none() || reload.is_some() => return Err(error),
                // The others go on, and this one is tried again.
                Err(error) => {
                    epoch = Some(NOT_OPENED);
                    opening.unavailable(Unavailable::Misconfigured(error.to_string()))
                }
            };
            let (name, policy) = (name.clone(), Arc::clone(policy));
            let about = stored.map(|stored| stored.about.clone()).unwrap_or_default();
            let account = Account { name, hub_id, kind, credential, policy, epoch, about, secrets };
            accounts.push(Arc::new(account));
        }
        Ok(Accounts::new(accounts, roster.default.as_ref())
            .with_keys(self.keys(previous).await?)
            .with_config(Arc::clone(&self.config)))
    }

    pub(super) fn read(
        &self,
        account: &AccountName,
        key: &'static str,
        secret: &SecretRef,
    ) -> Result<Secret, OpenError> {
        let wrong = |source| OpenError::Secret { account: account.clone(), key, source };
        secret.read(&self.env).map_err(wrong)
    }
}

impl Opening<'_> {
    /// Of the stored grant that the account depends on; `None` where it depends on none.
    fn epoch(&self) -> Option<u64> {
        match self.account.credential {
            CredentialConfig::OAuth { .. } | CredentialConfig::Stored => {
                self.stored.map(|stored| stored.epoch)
            }
            _ => None,
        }
    }

    /// Leaves the configured secrets in `kept`.
    async fn open(&self, kept: &mut Arc<[ReadSecret]>) -> Result<Opened, OpenError> {
        let surroundings = &self.opener.surroundings;
        let hub_id = self.account.hub_id;
        *kept = self.opener.secrets_of(self.name, &self.account.credential)?;
        let read = |key, place| match kept.iter().find(|secret| secret.key == key) {
            Some(secret) => Ok(secret.value.duplicate()),
            None => self.opener.read(self.name, key, place),
        };
        Ok(match &self.account.credential {
            CredentialConfig::AccessToken { token } => {
                let token = read("token", token)?;
                (Kind::Portal, surroundings.static_token(self.name, token, hub_id))
            }
            CredentialConfig::PersonalAccessKey { key } => {
                let key = read("key", key)?;
                (Kind::Portal, surroundings.access_key(self.name, key, hub_id))
            }
            CredentialConfig::ClientCredentials { client_id, client_secret, scopes } => {
                let source = ClientCredentialsSource::new(
                    surroundings.token_endpoint(),
                    client_id.clone(),
                    read("client_secret", client_secret)?,
                    scopes.clone(),
                );
                (Kind::App, surroundings.refreshing(self.name, Box::new(source), None, None))
            }
            CredentialConfig::DeveloperApiKey { key } => {
                let key = read("key", key)?;
                (Kind::Developer { key }, Credential::none(self.name.clone()))
            }
            CredentialConfig::OAuth { client_id, client_secret, refresh_token, .. } => {
                let configured = client_secret.as_ref().map(|secret| read("client_secret", secret));
                let seed = refresh_token.as_ref().map(|seed| read("refresh_token", seed));
                return self
                    .open_oauth(client_id, configured.transpose()?, seed.transpose()?)
                    .await;
            }
            CredentialConfig::Stored => return self.open_stored().await,
        })
    }

    /// An app that is configured, its grant being in the store.
    async fn open_oauth(
        &self,
        client_id: &str,
        client_secret: Option<Secret>,
        seed: Option<Secret>,
    ) -> Result<Opened, OpenError> {
        let Some(store) = &self.opener.store else {
            return Ok(self.unavailable(Unavailable::Misconfigured(NO_STORE.to_owned())));
        };
        let of_another_app = |stored: &&StoredAccount| {
            seed.is_none() && stored.client_id.as_deref().is_some_and(|stored| stored != client_id)
        };
        if let Some(stored) = self.stored.filter(of_another_app) {
            let of = stored.client_id.as_deref().unwrap_or_default();
            return Ok(self.unavailable(Unavailable::Misconfigured(format!(
                "its login was for the app with the client id {of}, and client_id is another: set it back, or run `hubspot-proxy login {}`",
                self.name
            ))));
        }
        let client_secret = match client_secret {
            Some(secret) => secret,
            None => match self.secrets(store.as_ref()).await? {
                Ok(StoredSecrets { client_secret: Some(secret), .. }) => secret,
                Ok(_) => return Ok(self.needs_login(NO_CLIENT_SECRET)),
                Err(unavailable) => return Ok(unavailable),
            },
        };
        let store: Arc<dyn GrantStore> = Arc::clone(store) as _;
        let grant = OAuthGrant {
            client_id: client_id.to_owned(),
            client_secret,
            grant: Grant { store, seed },
        };
        let surroundings = &self.opener.surroundings;
        Ok((Kind::Portal, surroundings.oauth(self.name, grant, self.account.hub_id)))
    }

    /// An account of which nothing but its surroundings is configured.
    async fn open_stored(&self) -> Result<Opened, OpenError> {
        let (Some(store), Some(stored)) = (&self.opener.store, self.stored) else {
            return Ok(self.needs_login(NEVER_LOGGED_IN));
        };
        let StoredSecrets { secret, client_secret } = match self.secrets(store.as_ref()).await? {
            Ok(secrets) => secrets,
            Err(unavailable) => return Ok(unavailable),
        };
        let Some(secret) = secret else { return Ok(self.needs_login(LOGGED_OUT)) };
        let (surroundings, hub_id) = (&self.opener.surroundings, self.account.hub_id);
        let credential = match stored.kind {
            StoredKind::AccessToken => surroundings.static_token(self.name, secret, hub_id),
            StoredKind::PersonalAccessKey => surroundings.access_key(self.name, secret, hub_id),
            StoredKind::OAuth => {
                let (Some(client_id), Some(client_secret)) = (&stored.client_id, client_secret)
                else {
                    return Ok(self.needs_login(NO_CLIENT_SECRET));
                };
                let store: Arc<dyn GrantStore> = Arc::clone(store) as _;
                let grant = Grant { store, seed: None };
                let grant = OAuthGrant { client_id: client_id.clone(), client_secret, grant };
                surroundings.oauth(self.name, grant, hub_id)
            }
        };
        Ok((Kind::Portal, credential))
    }

    /// The stored secrets, or what serves the account where they cannot be used.
    async fn secrets(
        &self,
        store: &dyn AccountStore,
    ) -> Result<Result<StoredSecrets, Opened>, OpenError> {
        match store.secrets(self.name).await {
            Ok(Some(secrets)) => Ok(Ok(secrets)),
            Ok(None) => Ok(Err(self.needs_login(NEVER_LOGGED_IN))),
            Err(StoreError::OtherOrigin(what)) => {
                Ok(Err(self.unavailable(Unavailable::Misconfigured(what))))
            }
            Err(source) => Err(OpenError::Store { account: self.name.clone(), source }),
        }
    }

    fn needs_login(&self, what: &'static str) -> Opened {
        self.unavailable(Unavailable::NeedsLogin(what))
    }

    fn unavailable(&self, why: Unavailable) -> Opened {
        (Kind::Portal, Credential::unavailable(self.name.clone(), why))
    }
}

impl Surroundings {
    /// An OAuth grant, refreshed at the token endpoint.
    pub fn oauth(
        &self,
        name: &AccountName,
        grant: OAuthGrant,
        hub_id: Option<u64>,
    ) -> Arc<Credential> {
        let OAuthGrant { client_id, client_secret, grant } = grant;
        let source = RefreshTokenSource::new(self.token_endpoint(), client_id, client_secret);
        self.refreshing(name, Box::new(source), Some(grant), hub_id)
    }

    fn access_key(&self, name: &AccountName, key: Secret, hub_id: Option<u64>) -> Arc<Credential> {
        let (tls, proxy) = (self.tls.clone(), self.outbound_proxy.clone());
        let endpoint = AccessKeyEndpoint::new(&self.api, tls, proxy, Arc::clone(&self.clock));
        let source = AccessKeySource::new(endpoint, key);
        self.refreshing(name, Box::new(source), None, hub_id)
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
        grant: Option<Grant>,
        hub_id: Option<u64>,
    ) -> Arc<Credential> {
        Credential::refreshing(name.clone(), source, self.engine(grant, hub_id))
    }

    fn engine(&self, grant: Option<Grant>, hub_id: Option<u64>) -> Engine {
        Engine {
            ahead: self.refresh_ahead,
            clock: Arc::clone(&self.clock),
            audit: self.audit.clone(),
            runtime: self.runtime.clone(),
            grant,
            hub_id,
            jitter: || fastrand::f64(),
        }
    }

    fn token_endpoint(&self) -> TokenEndpoint {
        let (tls, proxy) = (self.tls.clone(), self.outbound_proxy.clone());
        TokenEndpoint::new(self.token_url.clone(), tls, proxy)
    }
}
