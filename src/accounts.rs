//! The registry of accounts: which there are, and which one a name or a Hub ID means.
//!
//! Immutable once built; a change of accounts is a new one, published as a whole.

pub mod follow;
pub mod login;
pub mod open;
pub mod reload;

use std::sync::Arc;

use arc_swap::ArcSwap;
use rustc_hash::FxHashMap;

use crate::config::Config;
use crate::credential::Credential;
use crate::types::account::{About, AccountName, Identity};
use crate::types::client_key::ClientKeys;
use crate::types::policy::Policy;
use crate::types::secret::Secret;

/// The accounts of the process as they are at the moment.
pub type Shared = Arc<ArcSwap<Accounts>>;

/// One account.
pub struct Account {
    pub name: AccountName,
    /// The Hub ID, where it is configured or a login has found it out.
    pub hub_id: Option<u64>,
    pub kind: Kind,
    pub credential: Arc<Credential>,
    /// What requests may do with it.
    pub policy: Arc<Policy>,
    /// Of the stored grant that it depends on, if there is one.
    pub epoch: Option<u64>,
    /// As stored.
    pub about: About,
    /// What was read where its secrets are configured, so that a new value is noticed.
    pub secrets: Arc<[reload::ReadSecret]>,
}

impl Account {
    /// What is known of it: as configured, as HubSpot has said since, else as stored.
    pub fn identity(&self) -> Identity {
        self.with(self.credential.identity())
    }

    /// The same, after HubSpot has been asked, where that was not done yet. Waits at most 2 s.
    pub async fn identified(&self) -> Identity {
        self.with(self.credential.identified().await)
    }

    fn with(&self, said: Identity) -> Identity {
        let stored = Identity { hub_id: None, about: self.about.clone() };
        Identity { hub_id: self.hub_id.or(said.hub_id), ..said.or(&stored) }
    }

    /// The same, with the token that it holds.
    fn under(&self, policy: Arc<Policy>, hub_id: Option<u64>) -> Self {
        let kind = match &self.kind {
            Kind::Portal => Kind::Portal,
            Kind::App => Kind::App,
            Kind::Developer { key } => Kind::Developer { key: key.duplicate() },
        };
        Self {
            name: self.name.clone(),
            hub_id,
            kind,
            credential: Arc::clone(&self.credential),
            policy,
            epoch: self.epoch,
            about: self.about.clone(),
            secrets: Arc::clone(&self.secrets),
        }
    }
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

/// All accounts of the process, and the keys that clients may show.
pub struct Accounts {
    accounts: Vec<Arc<Account>>,
    /// Where each stands. Only what is configured or stored gets in, so that a hash which can be
    /// foreseen does no harm.
    by_name: FxHashMap<AccountName, usize>,
    by_hub_id: FxHashMap<u64, Held>,
    default: Option<usize>,
    keys: ClientKeys,
    /// The only account with a developer key, if there is just one.
    only_developer: Option<usize>,
    config: Option<Arc<Config>>,
}

/// Who has a Hub ID.
#[derive(Clone, Copy)]
enum Held {
    ByOne(usize),
    ByMore,
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
    pub fn new(accounts: Vec<Arc<Account>>, default: Option<&AccountName>) -> Self {
        let (mut by_name, mut by_hub_id) = (FxHashMap::default(), FxHashMap::default());
        for (index, account) in accounts.iter().enumerate() {
            by_name.entry(account.name.clone()).or_insert(index);
            if let Some(hub_id) = account.hub_id {
                let held = by_hub_id.entry(hub_id);
                held.and_modify(|held| *held = Held::ByMore).or_insert(Held::ByOne(index));
            }
        }
        let default = match default {
            Some(name) => by_name.get(name).copied(),
            None => (accounts.len() == 1).then_some(0),
        };
        let is_developer = |i: &usize| matches!(accounts[*i].kind, Kind::Developer { .. });
        let mut developers = (0..accounts.len()).filter(is_developer);
        let only_developer = developers.next().filter(|_| developers.next().is_none());
        let keys = ClientKeys::default();
        Self { accounts, by_name, by_hub_id, default, keys, only_developer, config: None }
    }

    /// The same with these client keys.
    pub fn with_keys(self, keys: ClientKeys) -> Self {
        Self { keys, ..self }
    }

    /// The same under `config`.
    pub fn with_config(self, config: Arc<Config>) -> Self {
        Self { config: Some(config), ..self }
    }

    /// The configuration that came with them; `None` is that of the start.
    pub fn config(&self) -> Option<&Arc<Config>> {
        self.config.as_ref()
    }

    /// The client keys.
    pub fn keys(&self) -> &ClientKeys {
        &self.keys
    }

    /// All of them; an account's place in it is its index.
    pub fn all(&self) -> &[Arc<Account>] {
        &self.accounts
    }

    /// The account called `name`.
    pub fn named(&self, name: &AccountName) -> Option<&Arc<Account>> {
        self.position(name).map(|index| &self.accounts[index])
    }

    /// Whether an account could not be opened, for a reason that may pass.
    pub fn is_incomplete(&self) -> bool {
        self.accounts.iter().any(|account| account.epoch == Some(open::NOT_OPENED))
    }

    /// Waits until no account's token is being refreshed.
    pub async fn settled(&self) {
        for account in &self.accounts {
            account.credential.settled().await;
        }
    }

    /// The index of the account called `name`.
    pub fn position(&self, name: &AccountName) -> Option<usize> {
        self.by_name.get(name).copied()
    }

    /// The index of the default account.
    pub fn default_index(&self) -> Option<usize> {
        self.default
    }

    /// The index of the only account with a developer key, if there is just one.
    pub fn only_developer(&self) -> Option<usize> {
        self.only_developer
    }

    /// The index of the account that `text`, a name or a Hub ID, means.
    pub fn find(&self, text: &str) -> Result<usize, NotFound> {
        if !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit()) {
            return self.find_hub_id(text.parse().map_err(|_| NotFound::Unknown(None))?);
        }
        let name: AccountName = text.parse().map_err(|_| NotFound::Unknown(None))?;
        self.position(&name).ok_or(NotFound::Unknown(Some(name)))
    }

    fn find_hub_id(&self, hub_id: u64) -> Result<usize, NotFound> {
        match self.by_hub_id.get(&hub_id) {
            Some(Held::ByOne(index)) => Ok(*index),
            Some(Held::ByMore) => Err(NotFound::Ambiguous),
            None => Err(NotFound::Unknown(None)),
        }
    }
}
