//! Grants: what the credential engine reads and writes.

use std::sync::Arc;

use ring::hmac;
use sqlx::Row;
use sqlx::sqlite::{SqliteArguments, SqliteRow};
use sqlx::{AssertSqlSafe, Sqlite, SqliteConnection};
use subtle::ConstantTimeEq;

use super::events::AccountEvent;
use super::{Inner, SqliteStore, millis, number, time};
use crate::store::lock::FileLock;
use crate::store::{
    GrantStore, LockedGrant, Origins, Pending, StoreError, StoredGrant, StoredToken,
};
use crate::telemetry::audit::event::What;
use crate::types::account::AccountName;
use crate::types::clock::WallTime;
use crate::types::secret::Secret;

type Query<'q> = sqlx::query::Query<'q, Sqlite, SqliteArguments>;

/// A grant whose account's lock is held.
struct Locked {
    store: Arc<Inner>,
    account: AccountName,
    _lock: FileLock,
}

impl GrantStore for SqliteStore {
    fn seed<'a>(&'a self, account: &'a AccountName, seed: &'a Secret) -> Pending<'a, ()> {
        Box::pin(self.0.seed(account, seed))
    }

    fn lock<'a>(&'a self, account: &'a AccountName) -> Pending<'a, Box<dyn LockedGrant>> {
        Box::pin(async move {
            let lock = self.0.lock_of(account).await?;
            let (store, account) = (Arc::clone(&self.0), account.clone());
            Ok(Box::new(Locked { store, account, _lock: lock }) as Box<dyn LockedGrant>)
        })
    }
}

impl Inner {
    async fn seed(&self, account: &AccountName, seed: &Secret) -> Result<(), StoreError> {
        let hash = self.hash_of(account, seed);
        let is_known = |row: &SqliteRow| {
            let known: Option<Vec<u8>> = row.get("seed_hash");
            known.is_some_and(|known| known.as_slice().ct_eq(hash.as_ref()).into())
        };
        let mut connection = self.connection().await?;
        match self.row(&mut connection, account).await? {
            Some(row) if is_known(&row) => return self.check_origins(account, &row),
            _ => drop(connection),
        }
        let mut transaction = self.begin_sealing().await?;
        // Another process may have been faster.
        if let Some(row) = self.row(&mut transaction, account).await?
            && is_known(&row)
        {
            return self.check_origins(account, &row);
        }
        let epoch = self.next(&mut transaction).await?;
        let secret = self.sealed(&mut transaction, account, "secret", seed).await?;
        let Origins { api, token } = &self.origins;
        let seeded = sqlx::query(
            "INSERT OR REPLACE INTO accounts (name, kind, version, epoch, since, api_origin, token_origin, secret, seed_hash) \
             VALUES (?, 'oauth', ?, ?, CAST(unixepoch('subsec') * 1000 AS INTEGER), ?, ?, ?, ?)",
        )
        .bind(account.as_str())
        .bind(epoch)
        .bind(epoch)
        .bind(api.serialized())
        .bind(token.serialized())
        .bind(secret)
        .bind(hash.as_ref().to_vec())
        .execute(&mut *transaction)
        .await;
        seeded.map_err(|error| self.unusable(&error))?;
        let event = AccountEvent { account: Some(account), ..AccountEvent::of(What::Seeded) };
        self.note(&mut transaction, event).await?;
        self.commit(transaction).await
    }

    fn hash_of(&self, account: &AccountName, seed: &Secret) -> hmac::Tag {
        let key = hmac::Key::new(hmac::HMAC_SHA256, &self.salt);
        let mut context = hmac::Context::with_key(&key);
        context.update(account.as_str().as_bytes());
        context.update(b"\0");
        context.update(seed.expose().as_bytes());
        context.sign()
    }

    async fn grant(&self, account: &AccountName) -> Result<Option<StoredGrant>, StoreError> {
        let mut connection = self.connection().await?;
        loop {
            let (id, _) = self.key_id(&mut connection).await?;
            match self.grant_on(&mut connection, account).await {
                // Sealed anew since the row was read.
                Err(StoreError::Broken(_)) if self.key_id(&mut connection).await?.0 != id => {}
                outcome => return outcome,
            }
        }
    }

    async fn grant_on(
        &self,
        connection: &mut SqliteConnection,
        account: &AccountName,
    ) -> Result<Option<StoredGrant>, StoreError> {
        let Some(row) = self.row(connection, account).await? else { return Ok(None) };
        self.check_origins(account, &row)?;
        let refresh_token = self.opened(connection, &row, account, "secret").await?;
        let Some(refresh_token) = refresh_token else { return Ok(None) };
        let access_token = self.token(connection, &row, account).await?;
        Ok(Some(StoredGrant {
            version: row.get::<i64, _>("version").cast_unsigned(),
            refresh_token,
            access_token,
            begun: time(&row, "begun"),
        }))
    }

    async fn token(
        &self,
        connection: &mut SqliteConnection,
        row: &SqliteRow,
        account: &AccountName,
    ) -> Result<Option<StoredToken>, StoreError> {
        let (Some(issued), Some(expires)) = (time(row, "issued"), time(row, "expires")) else {
            return Ok(None);
        };
        let token = self.opened(connection, row, account, "access_token").await?;
        let hub_id = number(row, "token_hub_id");
        Ok(token.map(|token| StoredToken { token, issued, expires, hub_id }))
    }

    /// A static token and a personal access key never go to the token endpoint.
    pub(super) fn check_origins(
        &self,
        account: &AccountName,
        row: &SqliteRow,
    ) -> Result<(), StoreError> {
        let Origins { api, token } = &self.origins;
        let (for_api, for_token): (&str, &str) = (row.get("api_origin"), row.get("token_origin"));
        let presents_token = row.get::<&str, _>("kind") == "oauth";
        if for_api != api.serialized() {
            return Err(StoreError::OtherOrigin(format!(
                "its stored grant was obtained for {for_api}, and upstream.url is {api}: set it back, or run `hubspot-proxy login {account}` for the new one"
            )));
        }
        if presents_token && for_token != token.serialized() {
            return Err(StoreError::OtherOrigin(format!(
                "its stored grant was obtained from {for_token}, and oauth.token_url is at {token}: set it back, or run `hubspot-proxy login {account}` for the new one"
            )));
        }
        Ok(())
    }

    /// Sets columns of an account, if its version is still `version`; returns the new one.
    async fn update(
        &self,
        connection: &mut SqliteConnection,
        account: &AccountName,
        version: u64,
        columns: &'static str,
        bind: impl FnOnce(Query<'_>) -> Query<'_>,
    ) -> Result<u64, StoreError> {
        let next = self.next(connection).await?;
        let update =
            format!("UPDATE accounts SET version = ?, {columns} WHERE name = ? AND version = ?");
        // The columns are written in this file.
        let query = bind(sqlx::query(AssertSqlSafe(update)).bind(next));
        let query = query.bind(account.as_str().to_owned()).bind(version.cast_signed());
        let updated = query.execute(connection).await.map_err(|error| self.unusable(&error))?;
        match updated.rows_affected() {
            0 => Err(StoreError::Conflict),
            _ => Ok(next.cast_unsigned()),
        }
    }
}

impl Locked {
    async fn write(
        &self,
        version: u64,
        columns: &'static str,
        bind: impl FnOnce(Query<'_>) -> Query<'_>,
    ) -> Result<u64, StoreError> {
        let store = &self.store;
        let mut transaction = store.begin().await?;
        let next = store.update(&mut transaction, &self.account, version, columns, bind).await?;
        store.commit(transaction).await?;
        Ok(next)
    }

    async fn write_outcome(
        &self,
        version: u64,
        refresh_token: &Secret,
        access_token: &StoredToken,
    ) -> Result<u64, StoreError> {
        let (store, account) = (&self.store, &self.account);
        let mut transaction = store.begin_sealing().await?;
        let secret = store.sealed(&mut transaction, account, "secret", refresh_token).await?;
        let StoredToken { token, issued, expires, hub_id } = access_token;
        let token = store.sealed(&mut transaction, account, "access_token", token).await?;
        let columns =
            "secret = ?, access_token = ?, issued = ?, expires = ?, token_hub_id = ?, begun = NULL";
        let next = store
            .update(&mut transaction, account, version, columns, |query| {
                let query = query.bind(secret).bind(token).bind(millis(*issued));
                query.bind(millis(*expires)).bind(hub_id.map(u64::cast_signed))
            })
            .await?;
        store.commit(transaction).await?;
        Ok(next)
    }
}

impl LockedGrant for Locked {
    fn read(&mut self) -> Pending<'_, Option<StoredGrant>> {
        Box::pin(self.store.grant(&self.account))
    }

    fn begin(&mut self, version: u64, at: WallTime) -> Pending<'_, u64> {
        Box::pin(self.write(version, "begun = ?", move |query| query.bind(millis(at))))
    }

    fn commit<'a>(
        &'a mut self,
        version: u64,
        refresh_token: &'a Secret,
        access_token: &'a StoredToken,
    ) -> Pending<'a, u64> {
        Box::pin(self.write_outcome(version, refresh_token, access_token))
    }

    fn abandon(&mut self, version: u64) -> Pending<'_, u64> {
        Box::pin(self.write(version, "begun = NULL", |query| query))
    }
}
