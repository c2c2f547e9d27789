//! Client keys: their hashes, and nothing that lets anybody in.

use sqlx::Row;
use sqlx::sqlite::SqliteRow;

use super::events::AccountEvent;
use super::{SqliteStore, millis, time};
use crate::store::{KeyStore, Pending, StoredKey};
use crate::telemetry::audit::event::What;
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
            let mut transaction = self.0.begin().await?;
            let added = sqlx::query(
                "INSERT OR IGNORE INTO client_keys (name, hash, account, mode, created, expires) VALUES (?, ?, ?, ?, ?, ?)",
            )
            .bind(name.as_str())
            .bind(hash.as_bytes().as_slice())
            .bind(account.as_ref().map(AccountName::as_str))
            .bind(mode.map(Mode::name))
            .bind(millis(*created))
            .bind(expires.map(millis))
            .execute(&mut *transaction)
            .await;
            if added.map_err(|error| self.0.unusable(&error))?.rows_affected() == 0 {
                return Ok(false);
            }
            let noted = AccountEvent { account: account.as_ref(), ..created_event(key) };
            self.0.note(&mut transaction, noted).await?;
            self.0.commit(transaction).await?;
            Ok(true)
        })
    }

    fn revoke_key<'a>(&'a self, name: &'a KeyName) -> Pending<'a, bool> {
        Box::pin(async move {
            let failed = |error| self.0.unusable(&error);
            let mut transaction = self.0.begin().await?;
            let kept = sqlx::query(
                "INSERT OR REPLACE INTO revoked_keys (hash, name, revoked) \
                 SELECT hash, name, CAST(unixepoch('subsec') * 1000 AS INTEGER) FROM client_keys WHERE name = ?",
            );
            kept.bind(name.as_str()).execute(&mut *transaction).await.map_err(failed)?;
            let delete = sqlx::query("DELETE FROM client_keys WHERE name = ?").bind(name.as_str());
            let deleted = delete.execute(&mut *transaction).await.map_err(failed)?;
            if deleted.rows_affected() == 0 {
                return Ok(false);
            }
            let event = AccountEvent { key: Some(name), ..AccountEvent::of(What::KeyRevoked) };
            self.0.note(&mut transaction, event).await?;
            self.0.commit(transaction).await?;
            Ok(true)
        })
    }

    fn revoked_keys(&self) -> Pending<'_, Vec<KeyHash>> {
        Box::pin(async move {
            let all = sqlx::query("SELECT hash FROM revoked_keys ORDER BY revoked DESC LIMIT 1000");
            let rows = all.fetch_all(&self.0.pool).await.map_err(|e| self.0.unusable(&e))?;
            let hash = |row: &SqliteRow| row.get::<&[u8], _>("hash").try_into().ok();
            Ok(rows.iter().filter_map(hash).map(KeyHash::kept).collect())
        })
    }
}

fn created_event(key: &StoredKey) -> AccountEvent<'_> {
    let mode = key.mode.map(|mode| format!("policy {mode}"));
    let end = key.expires.map(|end| format!("until {end}"));
    let detail = [mode, end].into_iter().flatten().collect::<Vec<_>>().join(", ");
    let detail = Some(detail).filter(|detail| !detail.is_empty());
    AccountEvent { key: Some(&key.name), detail, ..AccountEvent::of(What::KeyCreated) }
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
