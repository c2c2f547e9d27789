//! Accounts: what logging in and the commands read and write.

use std::time::Duration;

use sqlx::sqlite::SqliteRow;
use sqlx::{Row, SqliteConnection};

use super::events::AccountEvent;
use super::{Inner, SqliteStore, millis, number, time};
use crate::store::lock::FileLock;
use crate::store::{
    AccountStore, NewAccount, Obtained, Origins, Pending, StoreError, StoredAccount, StoredKind,
    StoredSecrets,
};
use crate::telemetry::audit::event::What;
use crate::types::account::{About, AccountName};

impl AccountStore for SqliteStore {
    fn accounts(&self) -> Pending<'_, Vec<StoredAccount>> {
        Box::pin(self.0.all_accounts())
    }

    fn secrets<'a>(&'a self, account: &'a AccountName) -> Pending<'a, Option<StoredSecrets>> {
        Box::pin(self.0.secrets(account))
    }

    fn replace<'a>(&'a self, account: &'a AccountName, new: &'a NewAccount) -> Pending<'a, ()> {
        Box::pin(self.0.replace(account, new))
    }

    fn log_out<'a>(&'a self, account: &'a AccountName) -> Pending<'a, bool> {
        Box::pin(self.0.log_out(account))
    }

    fn remove<'a>(&'a self, account: &'a AccountName) -> Pending<'a, bool> {
        Box::pin(self.0.remove(account))
    }
}

/// Longer than any refresh takes, but for one whose process has been stopped.
const LONGEST_REFRESH: Duration = Duration::from_secs(45);

impl Inner {
    /// The account's lock, for a person who waits.
    async fn lock_soon(&self, account: &AccountName) -> Result<FileLock, StoreError> {
        let lock = tokio::time::timeout(LONGEST_REFRESH, self.lock_of(account)).await;
        lock.unwrap_or_else(|_| {
            Err(StoreError::Unavailable(format!(
                "a refresh of account {account} by another process does not end: look for a hubspot-proxy that is stopped"
            )))
        })
    }

    async fn all_accounts(&self) -> Result<Vec<StoredAccount>, StoreError> {
        let rows = sqlx::query("SELECT * FROM accounts ORDER BY name").fetch_all(&self.pool).await;
        let rows = rows.map_err(|error| self.unusable(&error))?;
        let damaged =
            || super::soundness::damaged(&self.path, "a row of an account makes no sense");
        rows.iter().map(|row| account(row).ok_or_else(damaged)).collect()
    }

    async fn secrets(&self, account: &AccountName) -> Result<Option<StoredSecrets>, StoreError> {
        let mut connection = self.connection().await?;
        loop {
            let (id, _) = self.key_id(&mut connection).await?;
            match self.secrets_on(&mut connection, account).await {
                // Sealed anew since the row was read.
                Err(StoreError::Broken(_)) if self.key_id(&mut connection).await?.0 != id => {}
                outcome => return outcome,
            }
        }
    }

    async fn secrets_on(
        &self,
        connection: &mut SqliteConnection,
        account: &AccountName,
    ) -> Result<Option<StoredSecrets>, StoreError> {
        let Some(row) = self.row(connection, account).await? else { return Ok(None) };
        self.check_origins(account, &row)?;
        let secret = self.opened(connection, &row, account, "secret").await?;
        let client_secret = self.opened(connection, &row, account, "client_secret").await?;
        Ok(Some(StoredSecrets { secret, client_secret }))
    }

    async fn replace(&self, account: &AccountName, new: &NewAccount) -> Result<(), StoreError> {
        let _lock = self.lock_soon(account).await?;
        let mut transaction = self.begin_sealing().await?;
        let before = self.row(&mut transaction, account).await?;
        let seed_hash = before.as_ref().and_then(|row| row.get::<Option<Vec<u8>>, _>("seed_hash"));
        let client_secret = match &new.client_secret {
            Some(secret) => {
                Some(self.sealed(&mut transaction, account, "client_secret", secret).await?)
            }
            // That of the same app stays.
            None => before
                .as_ref()
                .filter(|row| keeps_client_secret(row, new))
                .and_then(|row| row.get::<Option<Vec<u8>>, _>("client_secret")),
        };
        let secret = self.sealed(&mut transaction, account, "secret", &new.secret).await?;
        let access_token = match &new.access_token {
            Some(token) => {
                Some(self.sealed(&mut transaction, account, "access_token", &token.token).await?)
            }
            None => None,
        };
        let token = new.access_token.as_ref();
        let epoch = self.next(&mut transaction).await?;
        let Origins { api, token: token_origin } = &self.origins;
        let About { user, user_id, app_id, scopes } = &new.about;
        let replaced = sqlx::query(
            "INSERT OR REPLACE INTO accounts (name, kind, version, epoch, since, api_origin, token_origin, \
             client_id, client_secret, secret, access_token, issued, expires, token_hub_id, seed_hash, \
             hub_id, user, user_id, app_id, scopes) \
             VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        )
        .bind(account.as_str())
        .bind(new.kind.name())
        .bind(epoch)
        .bind(epoch)
        .bind(millis(new.at))
        .bind(api.serialized())
        .bind(token_origin.serialized())
        .bind(new.client_id.as_deref())
        .bind(client_secret)
        .bind(secret)
        .bind(access_token)
        .bind(token.map(|token| millis(token.issued)))
        .bind(token.map(|token| millis(token.expires)))
        .bind(token.and_then(|token| token.hub_id).map(u64::cast_signed))
        .bind(seed_hash)
        .bind(new.hub_id.map(u64::cast_signed))
        .bind(user.as_deref())
        .bind(user_id.map(u64::cast_signed))
        .bind(app_id.map(u64::cast_signed))
        .bind(scopes.join(" "))
        .execute(&mut *transaction)
        .await;
        replaced.map_err(|error| self.unusable(&error))?;
        let what = match new.obtained {
            Obtained::Login => What::Login,
            Obtained::Import => What::Import,
        };
        let hub_id = new.hub_id.map(|id| format!(", Hub ID {id}")).unwrap_or_default();
        let detail = Some(format!("{}{hub_id}", new.kind.name()));
        let event = AccountEvent { account: Some(account), detail, ..AccountEvent::of(what) };
        self.note(&mut transaction, event).await?;
        self.commit(transaction).await
    }

    async fn log_out(&self, account: &AccountName) -> Result<bool, StoreError> {
        let _lock = self.lock_soon(account).await?;
        let mut transaction = self.begin().await?;
        let next = self.next(&mut transaction).await?;
        let wiped = sqlx::query(
            "UPDATE accounts SET version = ?, epoch = ?, secret = NULL, access_token = NULL, issued = NULL, \
             expires = NULL, token_hub_id = NULL, begun = NULL WHERE name = ? AND secret IS NOT NULL",
        )
        .bind(next)
        .bind(next)
        .bind(account.as_str())
        .execute(&mut *transaction)
        .await;
        let wiped = wiped.map_err(|error| self.unusable(&error))?.rows_affected() > 0;
        if wiped {
            let event = AccountEvent { account: Some(account), ..AccountEvent::of(What::Logout) };
            self.note(&mut transaction, event).await?;
        }
        self.commit(transaction).await?;
        self.empty_log().await?;
        Ok(wiped)
    }

    async fn remove(&self, account: &AccountName) -> Result<bool, StoreError> {
        let _lock = self.lock_soon(account).await?;
        let mut transaction = self.begin().await?;
        let delete = sqlx::query("DELETE FROM accounts WHERE name = ?").bind(account.as_str());
        let removed = delete.execute(&mut *transaction).await;
        let removed = removed.map_err(|error| self.unusable(&error))?.rows_affected() > 0;
        if removed {
            let event = AccountEvent::of(What::AccountRemoved);
            let event = AccountEvent { account: Some(account), ..event };
            self.note(&mut transaction, event).await?;
        }
        self.commit(transaction).await?;
        self.empty_log().await?;
        Ok(removed)
    }
}

fn keeps_client_secret(row: &SqliteRow, new: &NewAccount) -> bool {
    let known: Option<&str> = row.get("client_id");
    new.kind == StoredKind::OAuth && known.is_some() && known == new.client_id.as_deref()
}

/// `None` where a value is one that this program does not write.
fn account(row: &SqliteRow) -> Option<StoredAccount> {
    let scopes: &str = row.get("scopes");
    Some(StoredAccount {
        name: row.get::<&str, _>("name").parse().ok()?,
        kind: StoredKind::named(row.get("kind"))?,
        version: row.get::<i64, _>("version").cast_unsigned(),
        epoch: row.get::<i64, _>("epoch").cast_unsigned(),
        since: time(row, "since")?,
        origins: Origins {
            api: row.get::<&str, _>("api_origin").parse().ok()?,
            token: row.get::<&str, _>("token_origin").parse().ok()?,
        },
        client_id: row.get("client_id"),
        has_client_secret: row.get::<Option<&[u8]>, _>("client_secret").is_some(),
        has_secret: row.get::<Option<&[u8]>, _>("secret").is_some(),
        hub_id: number(row, "hub_id"),
        about: About {
            user: row.get("user"),
            user_id: number(row, "user_id"),
            app_id: number(row, "app_id"),
            scopes: scopes.split_whitespace().map(str::to_owned).collect(),
        },
        expires: time(row, "expires"),
        begun: time(row, "begun"),
    })
}
