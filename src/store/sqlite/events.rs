//! What becomes of accounts and client keys, noted in the transaction that does it, for the audit logs to
//! take over: whoever did it need not be the proxy, and none need be running.

use sqlx::sqlite::SqliteRow;
use sqlx::{Row, SqliteConnection};

use super::{Inner, SqliteStore, time};
use crate::store::StoreError;
use crate::telemetry::audit::event::{Change, What};
use crate::types::account::AccountName;
use crate::types::client_key::KeyName;

/// One event to be noted.
pub(super) struct AccountEvent<'a> {
    pub what: What,
    pub account: Option<&'a AccountName>,
    pub key: Option<&'a KeyName>,
    /// Holds no secret.
    pub detail: Option<String>,
}

impl AccountEvent<'_> {
    pub(super) fn of(what: What) -> Self {
        Self { what, account: None, key: None, detail: None }
    }
}

impl SqliteStore {
    /// What has been noted after the event of this number; the store keeps the last thousand.
    pub async fn events_after(&self, number: u64) -> Result<Vec<Change>, StoreError> {
        let events = sqlx::query("SELECT * FROM account_events WHERE number > ? ORDER BY number");
        let rows = events.bind(number.cast_signed()).fetch_all(&self.0.pool).await;
        let rows = rows.map_err(|error| self.0.unusable(&error))?;
        Ok(rows.iter().filter_map(change).collect())
    }
}

impl Inner {
    pub(super) async fn note(
        &self,
        connection: &mut SqliteConnection,
        event: AccountEvent<'_>,
    ) -> Result<(), StoreError> {
        let AccountEvent { what, account, key, detail } = event;
        let noted = sqlx::query(
            "INSERT INTO account_events (time, event, account, key, detail) \
             VALUES (CAST(unixepoch('subsec') * 1000 AS INTEGER), ?, ?, ?, ?)",
        )
        .bind(what.name())
        .bind(account.map(AccountName::as_str))
        .bind(key.map(KeyName::as_str))
        .bind(detail)
        .execute(connection)
        .await;
        noted.map(drop).map_err(|error| self.unusable(&error))
    }
}

/// `None` where it is one that this program does not note.
fn change(row: &SqliteRow) -> Option<Change> {
    let name: &str = row.get("event");
    let what = What::OF_ACCOUNTS.into_iter().find(|what| what.name() == name)?;
    let number = row.get::<i64, _>("number").cast_unsigned();
    let mut change = Change::new(what).noted(time(row, "time")?, number);
    if let Some(account) = row.get::<Option<&str>, _>("account") {
        change = change.of(&account.parse().ok()?);
    }
    if let Some(key) = row.get::<Option<&str>, _>("key") {
        change = change.of_key(&key.parse().ok()?);
    }
    Some(match row.get::<Option<&str>, _>("detail") {
        Some(detail) => change.with_detail(detail),
        None => change,
    })
}
