//! Where grants are kept: the contract between the credential engine and a store.
//!
//! A refresh holds the account's lock from its first read to its last write, across all processes
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
//! after a login or a removal changes nothing. A store knows no HTTP and decides nothing.

pub mod memory;

use std::pin::Pin;

use thiserror::Error;

use crate::types::account::AccountName;
use crate::types::clock::WallTime;
use crate::types::secret::Secret;

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
