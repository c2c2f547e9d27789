//! Which accounts are served, and the one of a request that names none.

use std::collections::BTreeMap;

use super::error::Place;
use super::{AccountConfig, Config, ConfigError, CredentialConfig, accounts};
use crate::types::account::AccountName;

/// A choice of the default account. Whether there is such an account is known once the stored ones
/// are.
#[derive(Clone, Debug)]
pub struct DefaultAccount {
    pub(super) text: String,
    pub(super) place: Place,
}

/// All accounts that are served, and the one of a request that names none.
#[derive(Debug)]
pub struct Roster {
    pub accounts: BTreeMap<AccountName, AccountConfig>,
    /// As chosen, else the only configured account, else the only one; `None` when there are several.
    pub default: Option<AccountName>,
}

impl Config {
    /// All accounts, `stored` being the names in the store.
    pub fn roster(&self, stored: &[AccountName]) -> Roster {
        // One that is added to the store later does not take the default away from the only one here.
        let configured = accounts::default_account(self.default_account.as_ref(), &self.accounts);
        let mut accounts = self.accounts.clone();
        if !self.made_by_environment {
            for name in stored {
                accounts.entry(name.clone()).or_insert_with(AccountConfig::stored);
            }
        }
        let chosen = || accounts::default_account(self.default_account.as_ref(), &accounts);
        // That it is missing is an error at the start alone: later it may have been removed.
        let default = configured.ok().flatten().or_else(|| chosen().unwrap_or_default());
        // Whether there is such an account is checked with all of them, so that the error names them.
        if let Some(only) = self.only.as_ref().filter(|only| accounts.contains_key(only)) {
            accounts.retain(|name, _| name == only);
        }
        Roster { default, accounts }
    }

    /// Serves `account` alone: the secrets of others are not read, nor can a request name them.
    pub fn restrict_to(&mut self, account: &AccountName) {
        if self.accounts.contains_key(account) {
            self.accounts.retain(|name, _| name == account);
        }
        self.only = Some(account.clone());
    }

    /// Whether each app has its client secret, configured or, as `is_stored` tells, in the store.
    pub fn check_client_secrets(
        &self,
        is_stored: impl Fn(&AccountName) -> bool,
    ) -> Result<(), ConfigError> {
        let lacks_one = self.accounts.iter().find(|(name, account)| {
            let app = &account.credential;
            matches!(app, CredentialConfig::OAuth { client_secret: None, .. }) && !is_stored(name)
        });
        match lacks_one {
            Some((name, AccountConfig { place: Some(place), .. })) => {
                Err(ConfigError::at(place, accounts::no_client_secret(name)))
            }
            _ => Ok(()),
        }
    }

    /// Whether there is an account at all, and the chosen default is one.
    pub fn check(&self, roster: &Roster) -> Result<(), ConfigError> {
        if roster.accounts.is_empty() {
            return Err(ConfigError::NoAccount);
        }
        accounts::default_account(self.default_account.as_ref(), &roster.accounts).map(drop)
    }
}
