//! The keys that clients may show, as the store has them.

use std::sync::Arc;

use super::{OpenError, Opener};
use crate::accounts::Accounts;
use crate::store::StoredKey;
use crate::types::client_key::{ClientKey, ClientKeys};
use crate::types::policy::{Part, Policy};

impl Opener {
    /// The client keys: those in the store, if there is one, and the child's. Those that are in `previous` keep their connections.
    pub(super) async fn keys(&self, previous: Option<&Accounts>) -> Result<ClientKeys, OpenError> {
        let (stored, revoked) = match &self.store {
            Some(store) => {
                let stored = store.keys().await.map_err(OpenError::Unreadable)?;
                (stored, store.revoked_keys().await.map_err(OpenError::Unreadable)?)
            }
            None => Default::default(),
        };
        let keys = stored.into_iter().map(client_key).chain(self.child_key.clone());
        let keys = ClientKeys::new(keys.collect()).without(revoked);
        Ok(match previous {
            Some(previous) => keys.carrying_on(previous.keys()),
            None => keys,
        })
    }
}

fn client_key(stored: StoredKey) -> ClientKey {
    let StoredKey { name, hash, account, mode, expires, .. } = stored;
    let policy = mode.map(|value| {
        let set_in = "a new key (`hubspot-proxy keys create`)";
        let mode = Part { value, key: "--policy".into(), set_in: set_in.into() };
        Arc::new(Policy { mode, ..Policy::default() })
    });
    ClientKey::new(name, hash, account, policy, expires)
}
