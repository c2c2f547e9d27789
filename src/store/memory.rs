//! A store that lives as long as the process: for grants whose seed is configured, and for tests
//! of the contract.

use std::collections::HashMap;
use std::future::ready;
use std::sync::Arc;

use parking_lot::Mutex;
use tokio::sync::OwnedMutexGuard;

use super::{GrantStore, LockedGrant, Pending, StoreError, StoredGrant, StoredToken};
use crate::types::account::AccountName;
use crate::types::clock::WallTime;
use crate::types::secret::Secret;

/// Grants in memory.
#[derive(Default)]
pub struct MemoryStore(Mutex<HashMap<AccountName, Arc<Entry>>>);

#[derive(Default)]
struct Entry {
    refreshing: Arc<tokio::sync::Mutex<()>>,
    row: Mutex<Row>,
}

#[derive(Default)]
struct Row {
    version: u64,
    seed: Option<Secret>,
    refresh_token: Option<Secret>,
    access_token: Option<StoredToken>,
    begun: Option<WallTime>,
}

struct Locked {
    entry: Arc<Entry>,
    _refreshing: OwnedMutexGuard<()>,
}

impl MemoryStore {
    /// An empty store.
    pub fn new() -> Arc<Self> {
        Arc::default()
    }

    fn entry(&self, account: &AccountName) -> Arc<Entry> {
        Arc::clone(self.0.lock().entry(account.clone()).or_default())
    }
}

impl GrantStore for MemoryStore {
    fn seed<'a>(&'a self, account: &'a AccountName, seed: &'a Secret) -> Pending<'a, ()> {
        let entry = self.entry(account);
        let mut row = entry.row.lock();
        if !row.seed.as_ref().is_some_and(|known| known.same_as(seed)) {
            let version = row.version + 1;
            *row = Row {
                version,
                seed: Some(seed.duplicate()),
                refresh_token: Some(seed.duplicate()),
                ..Row::default()
            };
        }
        Box::pin(ready(Ok(())))
    }

    fn lock<'a>(&'a self, account: &'a AccountName) -> Pending<'a, Box<dyn LockedGrant>> {
        let entry = self.entry(account);
        Box::pin(async move {
            let refreshing = Arc::clone(&entry.refreshing).lock_owned().await;
            Ok(Box::new(Locked { entry, _refreshing: refreshing }) as Box<dyn LockedGrant>)
        })
    }
}

impl Row {
    fn grant(&self) -> Option<StoredGrant> {
        Some(StoredGrant {
            version: self.version,
            refresh_token: self.refresh_token.as_ref()?.duplicate(),
            access_token: self.access_token.as_ref().map(StoredToken::duplicate),
            begun: self.begun,
        })
    }
}

impl Locked {
    /// Writes if the version is still `version`.
    fn write(&self, version: u64, change: impl FnOnce(&mut Row)) -> Result<u64, StoreError> {
        let mut row = self.entry.row.lock();
        if row.version != version {
            return Err(StoreError::Conflict);
        }
        change(&mut row);
        row.version += 1;
        Ok(row.version)
    }
}

impl LockedGrant for Locked {
    fn read(&mut self) -> Pending<'_, Option<StoredGrant>> {
        Box::pin(ready(Ok(self.entry.row.lock().grant())))
    }

    fn begin(&mut self, version: u64, at: WallTime) -> Pending<'_, u64> {
        Box::pin(ready(self.write(version, |row| row.begun = Some(at))))
    }

    fn commit<'a>(
        &'a mut self,
        version: u64,
        refresh_token: &'a Secret,
        access_token: &'a StoredToken,
    ) -> Pending<'a, u64> {
        Box::pin(ready(self.write(version, |row| {
            row.refresh_token = Some(refresh_token.duplicate());
            row.access_token = Some(access_token.duplicate());
            row.begun = None;
        })))
    }

    fn abandon(&mut self, version: u64) -> Pending<'_, u64> {
        Box::pin(ready(self.write(version, |row| row.begun = None)))
    }
}

impl StoredToken {
    fn duplicate(&self) -> Self {
        Self { token: self.token.duplicate(), ..*self }
    }
}

#[cfg(test)]
mod tests {
    use super::MemoryStore;
    use crate::store::{GrantStore, StoreError, StoredToken};
    use crate::types::account::AccountName;
    use crate::types::clock::WallTime;
    use crate::types::secret::Secret;

    fn secret(text: &str) -> Secret {
        Secret::new(text.to_owned())
    }

    fn token(text: &str) -> StoredToken {
        StoredToken { token: secret(text), issued: WallTime(1), expires: WallTime(2), hub_id: None }
    }

    #[tokio::test]
    async fn a_grant_outlives_the_same_seed_and_gives_way_to_another() {
        let (store, account) = (MemoryStore::new(), AccountName::default_name());
        assert!(store.lock(&account).await.unwrap().read().await.unwrap().is_none());
        store.seed(&account, &secret("one")).await.unwrap();
        let mut grant = store.lock(&account).await.unwrap();
        let seeded = grant.read().await.unwrap().unwrap();
        assert_eq!(seeded.refresh_token.expose(), "one");
        let version = grant.begin(seeded.version, WallTime(5)).await.unwrap();
        assert_eq!(grant.read().await.unwrap().unwrap().begun, Some(WallTime(5)));
        grant.commit(version, &secret("grown"), &token("a")).await.unwrap();
        drop(grant);
        for (seed, expected, has_token) in [("one", "grown", true), ("two", "two", false)] {
            store.seed(&account, &secret(seed)).await.unwrap();
            let grant = store.lock(&account).await.unwrap().read().await.unwrap().unwrap();
            assert_eq!(grant.refresh_token.expose(), expected);
            assert_eq!(grant.access_token.is_some(), has_token);
            assert_eq!(grant.begun, None);
        }
    }

    #[tokio::test]
    async fn a_write_under_an_old_version_changes_nothing() {
        let (store, account) = (MemoryStore::new(), AccountName::default_name());
        store.seed(&account, &secret("one")).await.unwrap();
        let mut grant = store.lock(&account).await.unwrap();
        let version = grant.read().await.unwrap().unwrap().version;
        store.seed(&account, &secret("from a login")).await.unwrap();
        let conflict = Err(StoreError::Conflict);
        assert_eq!(grant.begin(version, WallTime(1)).await, conflict);
        assert_eq!(grant.commit(version, &secret("x"), &token("y")).await, conflict);
        assert_eq!(grant.abandon(version).await, conflict);
        let now = grant.read().await.unwrap().unwrap();
        assert_eq!(now.refresh_token.expose(), "from a login");
    }

    #[tokio::test]
    async fn one_account_is_locked_by_one_at_a_time_and_others_are_not_held_up() {
        let (store, account) = (MemoryStore::new(), AccountName::default_name());
        let held = store.lock(&account).await.unwrap();
        let mut second = store.lock(&account);
        assert!(futures_poll(&mut second).is_none());
        assert!(store.lock(&"other".parse().unwrap()).await.is_ok());
        drop(held);
        assert!(second.await.is_ok());
    }

    fn futures_poll<T>(future: &mut (impl Future<Output = T> + Unpin)) -> Option<T> {
        let mut cx = std::task::Context::from_waker(std::task::Waker::noop());
        match std::pin::Pin::new(future).poll(&mut cx) {
            std::task::Poll::Ready(value) => Some(value),
            std::task::Poll::Pending => None,
        }
    }
}
