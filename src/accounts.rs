//! The registry of accounts: which there are, and which one a name or a Hub ID means.
//!
//! Immutable once built; a change of accounts is a new registry.

pub mod open;

use std::sync::Arc;

use crate::credential::Credential;
use crate::types::account::AccountName;
use crate::types::policy::Policy;
use crate::types::secret::Secret;

/// One configured account.
pub struct Account {
    pub name: AccountName,
    /// The Hub ID, where it is configured.
    pub hub_id: Option<u64>,
    pub kind: Kind,
    pub credential: Arc<Credential>,
    /// What requests may do with it.
    pub policy: Arc<Policy>,
}

/// What an account's credential speaks for, and so which operations it serves.
pub enum Kind {
    /// A portal: all operations but the two kinds below.
    Portal,
    /// An app, by the client-credentials grant: the webhooks journal.
    App,
    /// A developer account, by a key in the query: the operations that take such a key.
    Developer { key: Secret },
}

/// All accounts of the process.
pub struct Accounts {
    accounts: Vec<Account>,
    default: Option<usize>,
}

/// Why a text names no account.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NotFound {
    /// It could be a name or Hub ID, but no account has it.
    Unknown(Option<AccountName>),
    /// Two accounts have this Hub ID.
    Ambiguous,
}

impl Accounts {
    /// `default` names the account of a request that names none; without it, the only account is.
    pub fn new(accounts: Vec<Account>, default: Option<&AccountName>) -> Self {
        let default = match default {
            Some(name) => accounts.iter().position(|account| account.name == *name),
            None => (accounts.len() == 1).then_some(0),
        };
        Self { accounts, default }
    }

    /// All of them; an account's place in it is its index.
    pub fn all(&self) -> &[Account] {
        &self.accounts
    }

    /// Waits until no account's token is being refreshed.
    pub async fn settled(&self) {
        for account in &self.accounts {
            account.credential.settled().await;
        }
    }

    /// The index of the default account.
    pub fn default_index(&self) -> Option<usize> {
        self.default
    }

    /// The index of the only account with a developer key, if there is just one.
    pub fn only_developer(&self) -> Option<usize> {
        let is_developer = |i: &usize| matches!(self.accounts[*i].kind, Kind::Developer { .. });
        let mut developers = (0..self.accounts.len()).filter(is_developer);
        developers.next().filter(|_| developers.next().is_none())
    }

    /// The index of the account that `text`, a name or a Hub ID, means.
    pub fn find(&self, text: &str) -> Result<usize, NotFound> {
        if !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit()) {
            return self.find_hub_id(text.parse().map_err(|_| NotFound::Unknown(None))?);
        }
        let name: AccountName = text.parse().map_err(|_| NotFound::Unknown(None))?;
        let found = self.accounts.iter().position(|account| account.name == name);
        found.ok_or(NotFound::Unknown(Some(name)))
    }

    fn find_hub_id(&self, hub_id: u64) -> Result<usize, NotFound> {
        let mut matching =
            (0..self.accounts.len()).filter(|i| self.accounts[*i].hub_id == Some(hub_id));
        let first = matching.next().ok_or(NotFound::Unknown(None))?;
        if matching.next().is_some() { Err(NotFound::Ambiguous) } else { Ok(first) }
    }
}
