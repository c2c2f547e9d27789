//! Where accounts and their grants are kept: the contract of a store.
//!
//! [`GrantStore`] is what the credential engine needs, [`AccountStore`] what logging in and the
//! commands need. A refresh holds the account's lock from its first read to its last write, across all processes
//! that share the store, so that no refresh token is ever presented by two of them:
//!
//! 1. [`GrantStore::lock`];
//! 2. [`LockedGrant::read`]: another process may have refreshed already;
//! 3. [`LockedGrant::begin`]: commits that a refresh is under way, which also proves that the
//!    store can be written;
//! 4. the call to the token endpoint;
//! 5. [`LockedGrant::commit`]: from here on the new refresh token survives the process;
//! 6. the token is published, the lock dropped.
//!
//! Every write is conditional on the version that was read under the lock: a refresh that ends
//! after a login or a removal changes nothing. A grant is bound to the [`Origins`] that it was
//! obtained for, and a store hands it out for no other. A store knows no HTTP and decides nothing.

pub mod key;
mod lock;
pub mod memory;
mod seal;
pub mod sqlite;
pub mod watch;

use std::pin::Pin;

use thiserror::Error;

pub use crate::private;
use crate::types::account::{About, AccountName};
use crate::types::client_key::{KeyHash, KeyName};
use crate::types::clock::WallTime;
use crate::types::origin::Origin;
use crate::types::policy::Mode;
use crate::types::secret::Secret;

/// Where a grant may be presented.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Origins {
    /// Of `upstream.url`: access tokens, static tokens and personal access keys go there.
    pub api: Origin,
    /// Of `oauth.token_url`: refresh tokens and client secrets go there.
    pub token: Origin,
}

/// A grant as it is stored.
#[derive(Debug)]
pub struct StoredGrant {
    /// Changes with every write.
    pub version: u64,
    /// What to present at the next refresh. Kept when it has been refused, until a login or another
    /// seed replaces it.
    pub refresh_token: Secret,
    /// What the last refresh brought, if there was one.
    pub access_token: Option<StoredToken>,
    /// When a refresh began of which no end has been committed.
    pub begun: Option<WallTime>,
}

/// An access token as it is stored.
#[derive(Debug)]
pub struct StoredToken {
    pub token: Secret,
    pub issued: WallTime,
    pub expires: WallTime,
    /// The portal that it is for, where that is known.
    pub hub_id: Option<u64>,
}

/// Why a store did not do what it was asked to.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum StoreError {
    /// The version is another by now: somebody else has written.
    #[error("the grant has been changed meanwhile")]
    Conflict,
    /// It cannot be read or written at the moment.
    #[error("the store cannot be used: {0}")]
    Unavailable(String),
    /// The grant was obtained for other origins than the configured ones. Holds what to mend.
    #[error("{0}")]
    OtherOrigin(String),
    /// It is damaged, or its key is wrong or missing: only a person can mend that. Says what and how.
    #[error("{0}")]
    Broken(String),
}

/// What kind of credential a stored account has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StoredKind {
    OAuth,
    AccessToken,
    PersonalAccessKey,
}

impl StoredKind {
    /// As it is stored, and as the configuration calls it.
    pub fn name(self) -> &'static str {
        match self {
            Self::OAuth => "oauth",
            Self::AccessToken => "access_token",
            Self::PersonalAccessKey => "personal_access_key",
        }
    }

    /// The one of this name.
    pub fn named(name: &str) -> Option<Self> {
        let all = [Self::OAuth, Self::AccessToken, Self::PersonalAccessKey];
        all.into_iter().find(|kind| kind.name() == name)
    }
}

/// What is known of a stored account, without its secrets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredAccount {
    pub name: AccountName,
    pub kind: StoredKind,
    /// See [`StoredGrant::version`].
    pub version: u64,
    /// Changes with every login, logout, import and new seed, and not with a refresh: what another epoch
    /// has brought belongs to another grant.
    pub epoch: u64,
    /// When it was logged in, imported or seeded.
    pub since: WallTime,
    pub origins: Origins,
    /// Of the app, for OAuth.
    pub client_id: Option<String>,
    /// Whether the client secret is in the store as well.
    pub has_client_secret: bool,
    /// Whether there is a refresh token, static token or key; a logout takes it away.
    pub has_secret: bool,
    pub hub_id: Option<u64>,
    pub about: About,
    /// End of the stored access token, where there is one.
    pub expires: Option<WallTime>,
    /// See [`StoredGrant::begun`].
    pub begun: Option<WallTime>,
}

/// The secrets of a stored account.
#[derive(Debug)]
pub struct StoredSecrets {
    /// The refresh token, static token or personal access key; `None` after a logout.
    pub secret: Option<Secret>,
    pub client_secret: Option<Secret>,
}

/// How an account came by its credential.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Obtained {
    Login,
    Import,
}

/// What a login or an import brings.
#[derive(Debug)]
pub struct NewAccount {
    pub obtained: Obtained,
    pub kind: StoredKind,
    /// The refresh token, static token or personal access key.
    pub secret: Secret,
    pub access_token: Option<StoredToken>,
    pub client_id: Option<String>,
    /// Where the store is to keep it; it replaces the one that is there.
    pub client_secret: Option<Secret>,
    pub hub_id: Option<u64>,
    pub about: About,
    pub at: WallTime,
}

/// What a store's calls return.
pub type Pending<'a, T> = Pin<Box<dyn Future<Output = Result<T, StoreError>> + Send + 'a>>;

/// Keeps one grant for each account.
pub trait GrantStore: Send + Sync {
    /// Makes `seed` the account's grant, unless the grant that is there has grown from the same
    /// seed: then that one is newer.
    fn seed<'a>(&'a self, account: &'a AccountName, seed: &'a Secret) -> Pending<'a, ()>;

    /// Waits until nobody else refreshes this account. The lock ends with what is returned, and
    /// with the process, never by time.
    fn lock<'a>(&'a self, account: &'a AccountName) -> Pending<'a, Box<dyn LockedGrant>>;
}

/// A client key as it is stored.
#[derive(Clone, Debug)]
pub struct StoredKey {
    pub name: KeyName,
    pub hash: KeyHash,
    /// The only account that it is for.
    pub account: Option<AccountName>,
    /// What it may do beside what the account may.
    pub mode: Option<Mode>,
    pub created: WallTime,
    pub expires: Option<WallTime>,
}

/// Keeps client keys, none of which can be had back from it.
pub trait KeyStore: Send + Sync {
    /// All of them, by name.
    fn keys(&self) -> Pending<'_, Vec<StoredKey>>;

    /// Adds a key. False when there is one of that name.
    fn add_key<'a>(&'a self, key: &'a StoredKey) -> Pending<'a, bool>;

    /// The hashes of keys that have been taken away.
    fn revoked_keys(&self) -> Pending<'_, Vec<KeyHash>>;

    /// Takes a key away. False when there is none of that name.
    fn revoke_key<'a>(&'a self, name: &'a KeyName) -> Pending<'a, bool>;
}

/// Keeps the accounts themselves: for logging in, the commands, and accounts that no configuration
/// file mentions.
pub trait AccountStore: GrantStore + KeyStore {
    /// All stored accounts by name, whatever origins they are for.
    fn accounts(&self) -> Pending<'_, Vec<StoredAccount>>;

    /// The secrets of an account; `None` when it is not stored.
    fn secrets<'a>(&'a self, account: &'a AccountName) -> Pending<'a, Option<StoredSecrets>>;

    /// Makes `new` the account's credential, for the store's origins, in one step: what was there
    /// before stays until this succeeds. Takes the account's lock.
    fn replace<'a>(&'a self, account: &'a AccountName, new: &'a NewAccount) -> Pending<'a, ()>;

    /// Wipes the account's tokens, but remembers the seed that its grant grew from, so that the
    /// same seed does not bring it back. False when there was nothing to wipe.
    fn log_out<'a>(&'a self, account: &'a AccountName) -> Pending<'a, bool>;

    /// Wipes all there is of the account. False when it was not stored.
    fn remove<'a>(&'a self, account: &'a AccountName) -> Pending<'a, bool>;
}

/// An account's grant while nobody else refreshes it.
pub trait LockedGrant: Send {
    /// The grant as it is now; `None` when the account has none.
    fn read(&mut self) -> Pending<'_, Option<StoredGrant>>;

    /// Commits that a refresh begins. Returns the new version.
    fn begin(&mut self, version: u64, at: WallTime) -> Pending<'_, u64>;

    /// Commits the outcome of a refresh, and that it has ended. Returns the new version.
    fn commit<'a>(
        &'a mut self,
        version: u64,
        refresh_token: &'a Secret,
        access_token: &'a StoredToken,
    ) -> Pending<'a, u64>;

    /// Commits that a refresh has ended without a new token. Returns the new version.
    fn abandon(&mut self, version: u64) -> Pending<'_, u64>;
}
