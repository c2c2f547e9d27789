//! The store in an SQLite file: write-ahead log, full synchronisation, each secret sealed by itself.
//!
//! Opening needs no key: names, origins and times can be listed without it. It is read when the first
//! secret is sealed or opened. What is damaged, or written by a newer version, is left as it is.

mod accounts;
mod audit;
mod events;
pub mod examine;
mod file;
mod grants;
mod keys;
mod rekey;
mod soundness;
#[cfg(test)]
mod tests;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use sqlx::sqlite::{
    SqliteConnectOptions, SqlitePool, SqlitePoolOptions, SqliteRow, SqliteSynchronous,
};
use sqlx::{ConnectOptions, Row, SqliteConnection};
use tokio::sync::Mutex;

use super::key::{DefaultPlace, KeyPlace, Keys};
use super::lock::FileLock;
use super::seal::{Cell, SealError};
use super::watch::Watch;
use super::{Origins, StoreError, private};
use crate::types::account::AccountName;
use crate::types::clock::WallTime;
use crate::types::secret::Secret;

/// Bytes of a store's id that name the default places of its key.
const NAME_LENGTH: usize = 4;
/// How long a write waits for that of another process.
const BUSY: Duration = Duration::from_secs(5);

type Connection = sqlx::pool::PoolConnection<sqlx::Sqlite>;

/// A store that is open.
pub struct SqliteStore(Arc<Inner>);

struct Inner {
    path: PathBuf,
    /// Of the file: lock files are beside it.
    folder: PathBuf,
    pool: SqlitePool,
    origins: Origins,
    /// See [`super::seal::Cell`].
    id: Vec<u8>,
    salt: Vec<u8>,
    place: KeyPlace,
    /// Read at the first use, and again when the store has got another.
    keys: Mutex<Option<Arc<Keys>>>,
}

impl SqliteStore {
    /// Opens the store at `path`, and makes it where there is none. Grants are handed out for
    /// `origins` alone. Fails where it is damaged, not for this user alone, or cannot be written.
    pub async fn open(
        path: &Path,
        place: KeyPlace,
        origins: Origins,
    ) -> Result<Arc<Self>, StoreError> {
        let unusable = |error| unusable(path, &error);
        file::prepare(path).await?;
        let is_behind = soundness::is_behind(path).await?;
        let options = options(path);
        let pool = SqlitePoolOptions::new()
            .max_connections(1)
            // Nothing wakes an idle process.
            .idle_timeout(None)
            .max_lifetime(None)
            // What was begun and not committed, for whatever reason, holds up nobody.
            .after_release(|connection, _| {
                Box::pin(async move {
                    let _ = sqlx::raw_sql("ROLLBACK").execute(connection).await;
                    Ok(true)
                })
            })
            .connect_with(options)
            .await
            .map_err(unusable)?;
        if is_behind {
            let mut connection = pool.acquire().await.map_err(unusable)?;
            file::migrate(path, &mut connection).await?;
        }
        let row = sqlx::query("SELECT id, salt FROM store").fetch_one(&pool).await;
        let row = row.map_err(unusable)?;
        let folder = path.parent().map(Path::to_owned).unwrap_or_default();
        let (id, salt): (Vec<u8>, _) = (row.get("id"), row.get("salt"));
        let name = id.iter().take(NAME_LENGTH).map(|byte| format!("{byte:02x}")).collect();
        let place = KeyPlace { store: name, ..place };
        let (path, keys) = (path.to_owned(), Mutex::default());
        Ok(Arc::new(Self(Arc::new(Inner { path, folder, pool, origins, id, salt, place, keys }))))
    }

    /// Tells of changes by other processes.
    pub fn watch(&self) -> Watch {
        Watch::new(&self.0.path)
    }

    /// Reads the store key, so that a wrong one shows at the start. Without a secret in the store there
    /// is nothing to read.
    pub async fn check_key(&self) -> Result<(), StoreError> {
        let mut connection = self.0.connection().await?;
        match self.0.key_id(&mut connection).await? {
            (Some(_), _) => self.0.keys(&mut connection).await.map(drop),
            (None, _) => Ok(()),
        }
    }
}

fn options(path: &Path) -> SqliteConnectOptions {
    SqliteConnectOptions::new()
        .filename(path)
        .create_if_missing(false)
        .synchronous(SqliteSynchronous::Full)
        .busy_timeout(BUSY)
        .foreign_keys(true)
        // What is wiped is overwritten, not only let go.
        .pragma("secure_delete", "ON")
        .disable_statement_logging()
}

impl Inner {
    async fn connection(&self) -> Result<Connection, StoreError> {
        self.pool.acquire().await.map_err(|error| self.unusable(&error))
    }

    /// A connection on which a transaction has begun that nobody else's write can come between.
    // SQLite ends some failed transactions by itself, which sqlx's own do not notice.
    async fn begin(&self) -> Result<Connection, StoreError> {
        self.begin_on(self.connection().await?).await
    }

    /// The same for what seals: the key that is in use is read before, since a program or keyring may
    /// take its time, and a transaction holds up all others.
    async fn begin_sealing(&self) -> Result<Connection, StoreError> {
        let mut connection = self.connection().await?;
        if self.key_id(&mut connection).await?.0.is_some() {
            self.keys(&mut connection).await?;
        }
        self.begin_on(connection).await
    }

    async fn begin_on(&self, mut connection: Connection) -> Result<Connection, StoreError> {
        let begun = sqlx::raw_sql("BEGIN IMMEDIATE").execute(&mut *connection).await;
        begun.map_err(|error| self.unusable(&error))?;
        Ok(connection)
    }

    /// Commits what was written on a connection since [`Self::begin`].
    async fn commit(&self, mut connection: Connection) -> Result<(), StoreError> {
        let committed = sqlx::raw_sql("COMMIT").execute(&mut *connection).await;
        committed.map(drop).map_err(|error| self.unusable(&error))
    }

    fn unusable(&self, error: &sqlx::Error) -> StoreError {
        unusable(&self.path, error)
    }

    /// A number that this store has never given out.
    async fn next(&self, connection: &mut SqliteConnection) -> Result<i64, StoreError> {
        let next = "UPDATE store SET counter = counter + 1 RETURNING counter";
        let row = sqlx::query(next).fetch_one(connection).await;
        row.map(|row| row.get(0)).map_err(|error| self.unusable(&error))
    }

    async fn row(
        &self,
        connection: &mut SqliteConnection,
        account: &AccountName,
    ) -> Result<Option<SqliteRow>, StoreError> {
        let row = sqlx::query("SELECT * FROM accounts WHERE name = ?").bind(account.as_str());
        row.fetch_optional(connection).await.map_err(|error| self.unusable(&error))
    }

    /// The key that the store is sealed with, if it is, and where that is by default.
    async fn key_id(
        &self,
        connection: &mut SqliteConnection,
    ) -> Result<(Option<Vec<u8>>, Option<DefaultPlace>), StoreError> {
        let row = sqlx::query("SELECT key_id, key_place FROM store").fetch_one(connection).await;
        let row = row.map_err(|error| self.unusable(&error))?;
        let place: Option<&str> = row.get("key_place");
        Ok((row.get("key_id"), place.and_then(DefaultPlace::named)))
    }

    /// The keys, that of the store among them. Read again when that is another by now.
    async fn keys(&self, connection: &mut SqliteConnection) -> Result<Arc<Keys>, StoreError> {
        loop {
            let (id, remembered) = self.key_id(connection).await?;
            let mut known = self.keys.lock().await;
            let fits = |keys: &&Arc<Keys>| id.as_ref().is_none_or(|id| keys.with_id(id).is_some());
            let keys = match known.as_ref().filter(fits) {
                Some(keys) => Arc::clone(keys),
                None => match self.read_keys(id.as_deref(), remembered).await {
                    Ok(keys) => Arc::new(keys),
                    // Another process has changed the key meanwhile.
                    Err(StoreError::Broken(_)) if self.key_id(connection).await?.0 != id => {
                        continue;
                    }
                    Err(error) => return Err(error),
                },
            };
            if id.is_none() {
                self.remember_key(connection, &keys).await?;
            }
            *known = Some(Arc::clone(&keys));
            return Ok(keys);
        }
    }

    /// `id` is that of the key which the store is sealed with; without one, a key may be made.
    async fn read_keys(
        &self,
        id: Option<&[u8]>,
        remembered: Option<DefaultPlace>,
    ) -> Result<Keys, StoreError> {
        let place = self.place.clone();
        let Some(id) = id else { return in_background(move || place.read_or_make()).await };
        let keys = in_background(move || place.read(remembered)).await?;
        match keys.with_id(id) {
            Some(_) => Ok(keys),
            None => Err(StoreError::Broken(format!(
                "the store {} is encrypted with another key than that at {}: put the right one there, or move the store away and log in again",
                self.path.display(),
                keys.place
            ))),
        }
    }

    async fn remember_key(
        &self,
        connection: &mut SqliteConnection,
        keys: &Keys,
    ) -> Result<(), StoreError> {
        let id = keys.current.id();
        let remember = "UPDATE store SET key_id = ?, key_place = ? WHERE key_id IS NULL";
        let remembered = sqlx::query(remember)
            .bind(id.as_bytes().to_vec())
            .bind(keys.default.map(DefaultPlace::name))
            .execute(connection)
            .await;
        remembered.map(drop).map_err(|error| self.unusable(&error))
    }

    /// Seals a secret with the key that the store has within this transaction.
    async fn sealed(
        &self,
        connection: &mut SqliteConnection,
        account: &AccountName,
        column: &'static str,
        secret: &Secret,
    ) -> Result<Vec<u8>, StoreError> {
        let keys = self.keys(connection).await?;
        let (id, _) = self.key_id(connection).await?;
        let key = id.as_deref().and_then(|id| keys.with_id(id)).unwrap_or(&keys.current);
        key.seal(self.cell(account, column), secret).map_err(StoreError::Unavailable)
    }

    /// Opens a column of a row; `None` where there is nothing in it.
    async fn opened(
        &self,
        connection: &mut SqliteConnection,
        row: &SqliteRow,
        account: &AccountName,
        column: &'static str,
    ) -> Result<Option<Secret>, StoreError> {
        let Some(sealed) = row.get::<Option<Vec<u8>>, _>(column) else { return Ok(None) };
        let keys = self.keys(connection).await?;
        let id = super::seal::key_id(&sealed);
        let key = id.ok().and_then(|id| keys.with_id(id.as_bytes()));
        let key = key.ok_or(SealError::OtherKey);
        let opened = key.and_then(|key| key.open(self.cell(account, column), &sealed));
        opened.map(Some).map_err(|error| {
            let what = match error {
                SealError::OtherKey => "is encrypted with another key",
                SealError::Damaged => "is not what was stored there",
            };
            StoreError::Broken(format!(
                "what the store {} holds of account {account} {what}: run `hubspot-proxy accounts remove {account}` and log in again",
                self.path.display()
            ))
        })
    }

    fn cell<'a>(&'a self, account: &'a AccountName, column: &'static str) -> Cell<'a> {
        Cell { store: &self.id, account, column }
    }

    /// Moves what is committed out of the log, so that nothing of what was wiped stays in it.
    async fn empty_log(&self) -> Result<(), StoreError> {
        let emptied = sqlx::query("PRAGMA wal_checkpoint(TRUNCATE)").fetch_one(&self.pool).await;
        let is_held_up: bool = emptied.map_err(|error| self.unusable(&error))?.get(0);
        match is_held_up {
            false => Ok(()),
            true => Err(StoreError::Unavailable(format!(
                "what was wiped from {} is still in its log, encrypted, since another process reads there: run this again",
                self.path.display()
            ))),
        }
    }

    async fn lock_of(&self, account: &AccountName) -> Result<FileLock, StoreError> {
        FileLock::of_account(&self.folder, account).await.map_err(|error| {
            let folder = self.folder.display();
            StoreError::Unavailable(format!("no lock can be had in {folder}: {error}"))
        })
    }
}

/// What may wait for a keyring, a program or a disk.
async fn in_background<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, StoreError> + Send + 'static,
) -> Result<T, StoreError> {
    let done = tokio::task::spawn_blocking(work).await;
    done.map_err(|_| StoreError::Unavailable("reading the store key failed".to_owned()))?
}

/// What an error of the database means: damage is for a person, all else may pass.
fn unusable(path: &Path, error: &sqlx::Error) -> StoreError {
    let shown = path.display();
    match code_of(error) {
        Some(11 | 26) => soundness::damaged(path, "it is not a sound SQLite file"),
        Some(13) => StoreError::Unavailable(format!("{shown}: the disk is full")),
        Some(8) => StoreError::Unavailable(format!("{shown} is read-only")),
        Some(5 | 6) => StoreError::Unavailable(format!("{shown} is in use by another process")),
        _ => StoreError::Unavailable(format!("{shown}: {error}")),
    }
}

/// The low byte of an extended code (sqlite.org/rescode.html).
fn code_of(error: &sqlx::Error) -> Option<u32> {
    let code = error.as_database_error()?.code()?.parse::<u32>().ok()?;
    Some(code & 0xff)
}

fn time(row: &SqliteRow, column: &str) -> Option<WallTime> {
    let millis: Option<i64> = row.get(column);
    millis.map(|millis| WallTime(u64::try_from(millis).unwrap_or(0)))
}

fn number(row: &SqliteRow, column: &str) -> Option<u64> {
    row.get::<Option<i64>, _>(column).map(i64::cast_unsigned)
}

fn millis(time: WallTime) -> i64 {
    i64::try_from(time.0).unwrap_or(i64::MAX)
}
