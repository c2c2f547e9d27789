//! A new configuration for accounts that are being served: it replaces the old one as a whole or not
//! at all, and an account whose credential is still the same keeps its token.

use std::sync::Arc;

use tokio::sync::Mutex;

use super::open::{OpenError, Opener};
use super::{Account, Accounts, Shared};
use crate::config::{AccountConfig, Config, CredentialConfig};
use crate::types::account::AccountName;
use crate::types::secret::Secret;

/// One reload.
pub struct Reload {
    /// What has been served so far.
    pub before: Arc<Config>,
    /// Whether the secrets of accounts that are configured as before are read again.
    pub reread: bool,
}

/// Serves under `config` from the next request on; on an error everything is as before.
pub async fn reload(
    opener: &Mutex<Opener>,
    accounts: &Shared,
    config: Config,
    reread: bool,
) -> Result<Vec<String>, String> {
    let mut opener = opener.lock().await;
    let config = Arc::new(config);
    let before = std::mem::replace(&mut opener.config, config);
    let reload = Reload { before, reread };
    match reopened(&opener, &accounts.load(), &reload).await {
        Ok((newest, changed)) => {
            accounts.store(Arc::new(newest));
            Ok(changed)
        }
        Err(problem) => {
            opener.config = reload.before;
            Err(problem)
        }
    }
}

/// The same for the one account of `--sandbox`, which no configuration mentions.
pub fn reload_around(accounts: &Shared, config: Config) {
    let before = accounts.load();
    let under = |account: &Arc<Account>| {
        Arc::new(account.under(Arc::clone(&config.policy), account.hub_id))
    };
    let all = before.all().iter().map(under).collect();
    accounts.store(Arc::new(Accounts::new(all, None).with_config(Arc::new(config))));
}

/// The accounts, and the names of those that have another credential now.
async fn reopened(
    opener: &Opener,
    before: &Accounts,
    reload: &Reload,
) -> Result<(Accounts, Vec<String>), String> {
    let config = &opener.config;
    let stored = opener.stored().await.map_err(|error| error.to_string())?;
    let names: Vec<_> = stored.iter().map(|stored| stored.name.clone()).collect();
    let roster = config.roster(&names);
    config.check(&roster).map_err(|error| error.to_string())?;
    let has_secret = |name: &AccountName| {
        stored.iter().any(|stored| stored.name == *name && stored.has_client_secret)
    };
    config.check_client_secrets(has_secret).map_err(|error| error.to_string())?;
    for (name, account) in &config.accounts {
        let kept =
            matches!(account.credential, CredentialConfig::OAuth { .. } | CredentialConfig::Stored);
        if kept && opener.store.is_none() {
            return Err(format!(
                "account {name} needs the store, which this process has not opened: restart it"
            ));
        }
    }
    let opened = opener.open(&roster, &stored, Some(before), Some(reload)).await;
    let newest = opened.map_err(|error| error.to_string())?;
    let is_new = |account: &&Arc<Account>| {
        let old = before.named(&account.name);
        old.is_some_and(|old| !Arc::ptr_eq(&old.credential, &account.credential))
    };
    let changed = newest.all().iter().filter(is_new).map(|account| account.name.to_string());
    let changed = changed.collect();
    Ok((newest, changed))
}

/// A configured secret as it was read.
pub struct ReadSecret {
    /// Within the account's table.
    pub key: &'static str,
    pub value: Secret,
}

impl Reload {
    /// Whether `served` goes on with its credential when it is configured as `account`.
    pub(super) async fn keeps(
        &self,
        opener: &Opener,
        served: &Account,
        account: &AccountConfig,
    ) -> Result<bool, OpenError> {
        let before = self.before.accounts.get(&served.name);
        let is_same = match before {
            Some(before) => {
                before.credential == account.credential && before.hub_id == account.hub_id
            }
            None => account.credential == CredentialConfig::Stored && account.hub_id.is_none(),
        };
        if !is_same || !self.reread {
            return Ok(is_same);
        }
        let read = opener.secrets_of(&served.name, &account.credential).await?;
        let pairs = read.iter().zip(served.secrets.iter());
        Ok(read.len() == served.secrets.len()
            && pairs.into_iter().all(|(a, b)| a.key == b.key && a.value.same_as(&b.value)))
    }
}

impl Opener {
    /// The configured secrets of an account, read now.
    pub(super) async fn secrets_of(
        &self,
        name: &AccountName,
        credential: &CredentialConfig,
    ) -> Result<Arc<[ReadSecret]>, OpenError> {
        let places = match credential {
            CredentialConfig::AccessToken { token } => vec![("token", token)],
            CredentialConfig::PersonalAccessKey { key }
            | CredentialConfig::DeveloperApiKey { key } => vec![("key", key)],
            CredentialConfig::ClientCredentials { client_secret, .. } => {
                vec![("client_secret", client_secret)]
            }
            CredentialConfig::OAuth { client_secret, refresh_token, .. } => {
                let secret = client_secret.iter().map(|place| ("client_secret", place));
                secret.chain(refresh_token.iter().map(|place| ("refresh_token", place))).collect()
            }
            CredentialConfig::Stored => Vec::new(),
        };
        let mut read = Vec::with_capacity(places.len());
        for (key, place) in places {
            read.push(ReadSecret { key, value: self.read(name, key, place).await? });
        }
        Ok(read.into())
    }
}
