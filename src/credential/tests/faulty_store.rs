//! A store that keeps a journal, and fails or is written by somebody else when a test says so.

use std::collections::HashMap;
use std::sync::Arc;

use parking_lot::Mutex;

use super::bench::secret;
use crate::store::memory::MemoryStore;
use crate::store::{GrantStore, LockedGrant, Pending, StoreError, StoredGrant, StoredToken};
use crate::types::account::AccountName;
use crate::types::clock::WallTime;
use crate::types::secret::Secret;

/// What a login writes: a refresh token and an access token that was issued at this time.
pub struct Login {
    pub refresh_token: &'static str,
    pub access_token: &'static str,
    pub issued: WallTime,
    pub expires: WallTime,
}

#[derive(Default)]
struct Orders {
    failing: HashMap<&'static str, usize>,
    logins: HashMap<&'static str, Login>,
}

/// A [`MemoryStore`] with orders.
#[derive(Clone)]
pub struct FaultyStore {
    inner: Arc<MemoryStore>,
    orders: Arc<Mutex<Orders>>,
    journal: Arc<Mutex<Vec<String>>>,
}

struct Locked {
    grant: Box<dyn LockedGrant>,
    store: FaultyStore,
}

impl FaultyStore {
    pub fn new() -> Arc<Self> {
        let inner = MemoryStore::new();
        Arc::new(Self { inner, orders: Arc::default(), journal: Arc::default() })
    }

    /// Lets `operation` (`lock`, `read`, `begin`, `commit`, `abandon`) fail so many times.
    pub fn fail(&self, operation: &'static str, times: usize) {
        self.orders.lock().failing.insert(operation, times);
    }

    /// All works again.
    pub fn mend(&self) {
        self.orders.lock().failing.clear();
    }

    /// Has `login` written just before the next `operation`.
    pub fn login_before(&self, operation: &'static str, login: Login) {
        self.orders.lock().logins.insert(operation, login);
    }

    /// What was done, in order.
    pub fn journal(&self) -> Vec<String> {
        self.journal.lock().clone()
    }

    pub fn count(&self, operation: &str) -> usize {
        self.journal().iter().filter(|entry| entry.split(' ').next() == Some(operation)).count()
    }

    pub fn note(&self, what: impl Into<String>) {
        self.journal.lock().push(what.into());
    }

    /// The grant as it stands, read past the orders.
    pub async fn stored(&self) -> StoredGrant {
        let account = AccountName::default_name();
        let mut grant = self.inner.lock(&account).await.unwrap();
        grant.read().await.unwrap().unwrap()
    }

    fn check(&self, operation: &'static str) -> Result<(), StoreError> {
        let mut orders = self.orders.lock();
        match orders.failing.get_mut(operation) {
            Some(0) | None => Ok(()),
            Some(times) => {
                *times -= 1;
                Err(StoreError::Unavailable("no space left on device".to_owned()))
            }
        }
    }
}

impl GrantStore for FaultyStore {
    fn seed<'a>(&'a self, account: &'a AccountName, seed: &'a Secret) -> Pending<'a, ()> {
        Box::pin(async move {
            self.check("seed")?;
            self.inner.seed(account, seed).await
        })
    }

    fn lock<'a>(&'a self, account: &'a AccountName) -> Pending<'a, Box<dyn LockedGrant>> {
        Box::pin(async move {
            self.check("lock")?;
            let grant = self.inner.lock(account).await?;
            self.note("lock");
            Ok(Box::new(Locked { grant, store: self.clone() }) as Box<dyn LockedGrant>)
        })
    }
}

impl Locked {
    async fn before(&mut self, operation: &'static str) -> Result<(), StoreError> {
        let login = self.store.orders.lock().logins.remove(operation);
        if let Some(login) = login {
            let version = self.grant.read().await?.unwrap().version;
            let Login { access_token, issued, expires, .. } = login;
            let token = StoredToken { token: secret(access_token), issued, expires, hub_id: None };
            self.grant.commit(version, &secret(login.refresh_token), &token).await?;
        }
        self.store.check(operation).inspect_err(|_| self.store.note(format!("{operation} failed")))
    }
}

impl LockedGrant for Locked {
    fn read(&mut self) -> Pending<'_, Option<StoredGrant>> {
        Box::pin(async move {
            self.before("read").await?;
            self.store.note("read");
            self.grant.read().await
        })
    }

    fn begin(&mut self, version: u64, at: WallTime) -> Pending<'_, u64> {
        Box::pin(async move {
            self.before("begin").await?;
            let begun = self.grant.begin(version, at).await;
            self.store.note(if begun.is_ok() { "begin" } else { "begin conflict" });
            begun
        })
    }

    fn commit<'a>(
        &'a mut self,
        version: u64,
        refresh_token: &'a Secret,
        access_token: &'a StoredToken,
    ) -> Pending<'a, u64> {
        Box::pin(async move {
            self.before("commit").await?;
            let committed = self.grant.commit(version, refresh_token, access_token).await;
            self.store.note(if committed.is_ok() { "commit" } else { "commit conflict" });
            committed
        })
    }

    fn abandon(&mut self, version: u64) -> Pending<'_, u64> {
        Box::pin(async move {
            self.before("abandon").await?;
            self.store.note("abandon");
            self.grant.abandon(version).await
        })
    }
}

impl Drop for Locked {
    fn drop(&mut self) {
        self.store.note("unlock");
    }
}
