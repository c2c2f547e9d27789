//! From what is configured and stored to accounts that can serve: secrets are read, engines are made.
//!
//! No network is used here: a token is fetched when a request first needs it.

mod client_keys;
mod surroundings;

use std::sync::Arc;

use thiserror::Error;

use super::reload::{ReadSecret, Reload};
use super::{Account, Accounts, Kind};
use crate::config::{
    AccountConfig, Config, CredentialConfig, Environment, Roster, SecretError, SecretRef,
};
use crate::credential::source::client_credentials::ClientCredentialsSource;
use crate::credential::{Credential, Grant, Unavailable};
use crate::store::{
    AccountStore, GrantStore, StoreError, StoredAccount, StoredKind, StoredSecrets,
};
use crate::types::account::AccountName;
use crate::types::client_key::ClientKey;
use crate::types::secret::Secret;
pub use surroundings::{OAuthGrant, Surroundings};

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

/// Opens accounts, at the start and whenever the store has changed.
pub struct Opener {
    pub config: Arc<Config>,
    pub env: Arc<Environment>,
    pub surroundings: Surroundings,
    /// `None` where no account needs one.
    pub store: Option<Arc<dyn AccountStore>>,
    /// The key of the command that the proxy runs for, which no store knows.
    pub child_key: Option<ClientKey>,
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
                let seed = self.read(name, "refresh_token", seed).await?;
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
                    Some(reload) if reload.keeps(self, same, account).await? => {
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

    pub(super) async fn read(
        &self,
        account: &AccountName,
        key: &'static str,
        secret: &SecretRef,
    ) -> Result<Secret, OpenError> {
        let wrong = |source| OpenError::Secret { account: account.clone(), key, source };
        secret.read_aside(&self.env).await.map_err(wrong)
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
        *kept = self.opener.secrets_of(self.name, &self.account.credential).await?;
        let read = async |key, place| match kept.iter().find(|secret| secret.key == key) {
            Some(secret) => Ok(secret.value.duplicate()),
            None => self.opener.read(self.name, key, place).await,
        };
        Ok(match &self.account.credential {
            CredentialConfig::AccessToken { token } => {
                let token = read("token", token).await?;
                (Kind::Portal, surroundings.static_token(self.name, token, hub_id))
            }
            CredentialConfig::PersonalAccessKey { key } => {
                let key = read("key", key).await?;
                (Kind::Portal, surroundings.access_key(self.name, key, hub_id))
            }
            CredentialConfig::ClientCredentials { client_id, client_secret, scopes } => {
                let source = ClientCredentialsSource::new(
                    surroundings.token_endpoint(),
                    client_id.clone(),
                    read("client_secret", client_secret).await?,
                    scopes.clone(),
                );
                (Kind::App, surroundings.refreshing(self.name, Box::new(source), None))
            }
            CredentialConfig::DeveloperApiKey { key } => {
                let key = read("key", key).await?;
                (Kind::Developer { key }, Credential::none(self.name.clone()))
            }
            CredentialConfig::OAuth { client_id, client_secret, refresh_token, .. } => {
                let configured = match client_secret {
                    Some(place) => Some(read("client_secret", place).await?),
                    None => None,
                };
                let seed = match refresh_token {
                    Some(place) => Some(read("refresh_token", place).await?),
                    None => None,
                };
                return self.open_oauth(client_id, configured, seed).await;
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
