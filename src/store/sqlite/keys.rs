//! Client keys: their hashes, and nothing that lets anybody in.

use sqlx::Row;
use sqlx::sqlite::SqliteRow;

use super::{SqliteStore, millis, time};
use crate::store::{KeyStore, Pending, StoredKey};
use crate::types::account::AccountName;
use crate::types::client_key::{KeyHash, KeyName};
use crate::types::policy::Mode;

impl KeyStore for SqliteStore {
    fn keys(&self) -> Pending<'_, Vec<StoredKey>> {
        Box::pin(async move {
            let all = sqlx::query("SELECT * FROM client_keys ORDER BY name");
            let rows = all.fetch_all(&self.0.pool).await.map_err(|e| self.0.unusable(&e))?;
            let damaged = || super::soundness::damaged(&self.0.path, "a client key makes no sense");
            rows.iter().map(|row| key(row).ok_or_else(damaged)).collect()
        })
    }

    fn add_key<'a>(&'a self, key: &'a StoredKey) -> Pending<'a, bool> {
        Box::pin(async move {
            let StoredKey { name, hash, account, mode, created, expires } = key;
            let added = sqlx::query(
                "INSERT OR IGNORE INTO client_keys (name, hash, account, mode, created, expires) VALUES (?, ?, ?, ?, ?, ?)",
            )
            .bind(name.as_str())
            .bind(hash.as_bytes().as_slice())
            .bind(account.as_ref().map(AccountName::as_str))
            .bind(mode.map(Mode::name))
            .bind(millis(*created))
            .bind(expires.map(millis))
            .execute(&self.0.pool)
            .await;
            Ok(added.map_err(|error| self.0.unusable(&error))?.rows_affected() > 0)
        })
    }

    fn revoke_key<'a>(&'a self, name: &'a KeyName) -> Pending<'a, bool> {
        Box::pin(async move {
            let delete = sqlx::query("DELETE FROM client_keys WHERE name = ?").bind(name.as_str());
            let deleted = delete.execute(&self.0.pool).await;
            Ok(deleted.map_err(|error| self.0.unusable(&error))?.rows_affected() > 0)
        })
    }
}

/// `None` where a value is one that this program does not write: a policy that cannot be read must not
/// be passed over.
fn key(row: &SqliteRow) -> Option<StoredKey> {
    let (account, mode): (Option<&str>, Option<&str>) = (row.get("account"), row.get("mode"));
    let mode_named = |name: &str| Mode::ALL.into_iter().find(|mode| mode.name() == name);
    Some(StoredKey {
        name: row.get::<&str, _>("name").parse().ok()?,
        hash: KeyHash::kept(row.get::<&[u8], _>("hash").try_into().ok()?),
        account: account.map(str::parse).transpose().ok()?,
        mode: match mode {
            None => None,
            Some(name) => Some(mode_named(name)?),
        },
        created: time(row, "created")?,
        expires: time(row, "expires"),
    })
}
