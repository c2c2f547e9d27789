//! The store on a real disk: its contract, and what becomes of it when files are not as they were.

mod audit;
mod contract;
mod damage;
mod rekeying;
mod traces;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use tempfile::TempDir;

use super::SqliteStore;
use crate::config::{Environment, SecretRef};
use crate::store::key::KeyPlace;
use crate::store::{
    AccountStore, GrantStore, NewAccount, Obtained, Origins, StoreError, StoredGrant, StoredKind,
    StoredToken,
};
use crate::types::account::{About, AccountName};
use crate::types::clock::WallTime;
use crate::types::secret::Secret;

/// A folder with a store in it.
struct Place(TempDir);

impl Place {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn store(&self) -> PathBuf {
        self.0.path().join("state/store.sqlite")
    }

    fn key(&self) -> PathBuf {
        self.0.path().join("config/store.key")
    }

    async fn open(&self) -> Result<Arc<SqliteStore>, StoreError> {
        self.open_for("https://api.example").await
    }

    async fn open_for(&self, origin: &str) -> Result<Arc<SqliteStore>, StoreError> {
        SqliteStore::open(&self.store(), self.key_place(), origins(origin)).await
    }

    fn key_place(&self) -> KeyPlace {
        let env = Arc::new(Environment::from_iter::<[(&str, &str); 0]>([]));
        let configured = Some(SecretRef::File(self.key()));
        KeyPlace { configured, folder: None, store: String::new(), env }
    }

    /// A store with an account of each kind, closed again.
    async fn filled() -> Self {
        let place = Self::new();
        let store = place.open().await.unwrap();
        fill(&store).await;
        store.0.pool.close().await;
        place
    }
}

async fn fill(store: &SqliteStore) {
    for (name, kind) in [
        ("acme", StoredKind::OAuth),
        ("shop", StoredKind::AccessToken),
        ("cli", StoredKind::PersonalAccessKey),
    ] {
        store.replace(&account(name), &login(kind, &format!("{name}-credential"))).await.unwrap();
    }
}

impl SqliteStore {
    /// The grant as it is now.
    async fn look(&self, account: &AccountName) -> Result<Option<StoredGrant>, StoreError> {
        self.lock(account).await?.read().await
    }

    /// The epoch of an account's grant.
    async fn epoch(&self, account: &AccountName) -> u64 {
        let all = self.accounts().await.unwrap();
        all.iter().find(|stored| stored.name == *account).unwrap().epoch
    }
}

fn origins(origin: &str) -> Origins {
    Origins { api: origin.parse().unwrap(), token: origin.parse().unwrap() }
}

fn account(name: &str) -> AccountName {
    name.parse().unwrap()
}

fn secret(text: &str) -> Secret {
    Secret::new(text.to_owned())
}

fn token(text: &str) -> StoredToken {
    let hub_id = Some(u64::MAX);
    StoredToken { token: secret(text), issued: WallTime(1), expires: WallTime(2), hub_id }
}

fn login(kind: StoredKind, credential: &str) -> NewAccount {
    NewAccount {
        obtained: Obtained::Login,
        kind,
        secret: secret(credential),
        access_token: (kind == StoredKind::OAuth).then(|| token("access-of-the-login")),
        client_id: Some("client".to_owned()),
        client_secret: (kind == StoredKind::OAuth).then(|| secret("client-secret-4711")),
        hub_id: Some(1_234_567),
        about: About {
            user: Some("ada@example.com".to_owned()),
            user_id: Some(501),
            app_id: Some(42),
            scopes: vec!["oauth".to_owned(), "crm.objects.contacts.read".to_owned()],
        },
        at: WallTime(5),
    }
}

/// All bytes of all files below a folder.
fn bytes_below(folder: &Path) -> Vec<u8> {
    let mut bytes = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        match path.is_dir() {
            true => bytes.extend(bytes_below(&path)),
            false => bytes.extend(std::fs::read(&path).unwrap()),
        }
    }
    bytes
}

fn holds(bytes: &[u8], part: &[u8]) -> bool {
    bytes.windows(part.len()).any(|window| window == part)
}
