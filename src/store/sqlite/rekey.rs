//! A new store key: everything is sealed anew in one transaction, and until that is committed the
//! place of the key holds both.

use std::sync::Arc;

use sqlx::sqlite::SqliteRow;
use sqlx::{AssertSqlSafe, Row, SqliteConnection};

use super::{Inner, SqliteStore, in_background};
use crate::store::StoreError;
use crate::store::key::Keys;
use crate::store::lock::FileLock;
use crate::store::seal;
use crate::types::account::AccountName;

/// The columns that hold sealed values.
const SEALED: [&str; 3] = ["client_secret", "secret", "access_token"];

impl SqliteStore {
    /// Seals everything with a new key, which is made and put in the place of the old one; where the
    /// program cannot write that place, with the first of the two keys that are there. Can be cut off
    /// anywhere: the store opens, and a further call ends it. False where nothing is sealed yet.
    pub async fn rekey(&self) -> Result<bool, StoreError> {
        let inner = &self.0;
        // One that begins while another is under way would put its keys in the place of that one's.
        let _changing = FileLock::of_store(&inner.path).await.map_err(|error| {
            StoreError::Unavailable(format!(
                "no lock can be had on {}: {error}",
                inner.path.display()
            ))
        })?;
        let mut connection = inner.connection().await?;
        let (id, _) = inner.key_id(&mut connection).await?;
        let Some(id) = id else { return Ok(false) };
        // What another process has put there meanwhile counts.
        *inner.keys.lock().await = None;
        let keys = inner.keys(&mut connection).await?;
        drop(connection);
        if !keys.is_current(&id) && !is_writable(&keys) {
            return inner.seal_anew(&keys).await.map(|()| true);
        }
        let in_use = keys.with_id(&id).map_or(keys.current.id(), seal::Key::id);
        let (place, before) = (inner.place.clone(), Arc::clone(&keys));
        let (renewed, text) = in_background(move || place.renew(&before, in_use)).await?;
        inner.seal_anew(&renewed).await?;
        let place = inner.place.clone();
        let settled = in_background(move || {
            place.settle(&renewed, &text)?;
            Ok(renewed)
        });
        *inner.keys.lock().await = Some(Arc::new(settled.await?));
        inner.empty_log().await?;
        Ok(true)
    }
}

fn is_writable(keys: &Keys) -> bool {
    use crate::config::SecretRef;
    matches!(keys.place, SecretRef::File(_) | SecretRef::Keyring(_))
}

impl Inner {
    pub(super) async fn seal_anew(&self, keys: &Keys) -> Result<(), StoreError> {
        let failed = |error: sqlx::Error| self.unusable(&error);
        let mut transaction = self.begin().await?;
        let rows = sqlx::query("SELECT * FROM accounts").fetch_all(&mut *transaction).await;
        for row in rows.map_err(failed)? {
            self.seal_row(&mut transaction, keys, &row).await?;
        }
        self.seal_audit_keys(&mut transaction, keys).await?;
        let id = keys.current.id().as_bytes().to_vec();
        let set = sqlx::query("UPDATE store SET key_id = ?").bind(id);
        set.execute(&mut *transaction).await.map_err(failed)?;
        self.commit(transaction).await
    }

    async fn seal_row(
        &self,
        connection: &mut SqliteConnection,
        keys: &Keys,
        row: &SqliteRow,
    ) -> Result<(), StoreError> {
        let name: &str = row.get("name");
        let damaged = || super::soundness::damaged(&self.path, "a secret in it does not open");
        let account: AccountName = name.parse().map_err(|_| damaged())?;
        for column in SEALED {
            let Some(sealed) = row.get::<Option<Vec<u8>>, _>(column) else { continue };
            let cell = self.cell(&account, column);
            let id = seal::key_id(&sealed).map_err(|_| damaged())?;
            let key = keys.with_id(id.as_bytes()).ok_or_else(damaged)?;
            let secret = key.open(cell, &sealed).map_err(|_| damaged())?;
            let sealed = keys.current.seal(cell, &secret).map_err(StoreError::Unavailable)?;
            let update = format!("UPDATE accounts SET {column} = ? WHERE name = ?");
            // The columns are those above.
            let update = sqlx::query(AssertSqlSafe(update)).bind(sealed).bind(name.to_owned());
            update.execute(&mut *connection).await.map_err(|error| self.unusable(&error))?;
        }
        Ok(())
    }
}
