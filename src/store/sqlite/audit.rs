//! Audit logs, as far as the store takes part: the key that their lines are chained with, and how far each
//! has come.
//!
//! The key is derived from the store key. When that is changed, the key of before is kept, sealed, so
//! that what was written under it can still be verified.

use std::path::Path;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ring::rand::{SecureRandom, SystemRandom};
use sqlx::sqlite::SqliteRow;
use sqlx::{Row, SqliteConnection};
use zeroize::Zeroizing;

use super::{Inner, SqliteStore, number};
use crate::store::StoreError;
use crate::store::key::Keys;
use crate::store::seal::{self, Cell, Key};
use crate::telemetry::audit::chain::{ChainKey, Mac, Position};
use crate::telemetry::audit::verify::{Head, Known};
use crate::telemetry::audit::{Chain, Progress};
use crate::types::account::AccountName;
use crate::types::secret::Secret;

/// The column of sealed audit keys.
const COLUMN: &str = "audit_key";

impl SqliteStore {
    /// The chain of the log at `path`, which must be absolute: as it was saved, or a new one.
    pub async fn audit_chain(&self, path: &Path) -> Result<Chain, StoreError> {
        let inner = &self.0;
        let mut transaction = inner.begin_sealing().await?;
        let keys = inner.keys(&mut transaction).await?;
        let (id, _) = inner.key_id(&mut transaction).await?;
        let current = id.as_deref().and_then(|id| keys.with_id(id)).unwrap_or(&keys.current);
        let key = inner.chain_key(current)?;
        let all = inner.chain_keys(&mut transaction, &keys).await?;
        let path = path.display().to_string();
        let row = sqlx::query("SELECT * FROM audit_heads WHERE path = ?").bind(&path);
        let row = row.fetch_optional(&mut *transaction).await;
        let row = row.map_err(|error| inner.unusable(&error))?;
        let saved = row.as_ref().and_then(|row| {
            let noted = number(row, "noted")?;
            Some((row.get::<String, _>("chain"), Progress { at: proven(row, &all)?, noted }))
        });
        let (id, saved) = match saved {
            Some(saved) => saved,
            // What is not as it was saved is no beginning to go on from: the log shows a second chain.
            None => {
                if row.is_some() {
                    tracing::warn!(
                        "what the store holds of the audit log {path} has been changed: a new chain is begun in it"
                    );
                }
                let begun = (new_id()?, Progress { at: Position::beginning(), noted: 0 });
                inner.save(&mut transaction, &begun.0, &path, begun.1, &key).await?;
                begun
            }
        };
        inner.commit(transaction).await?;
        Ok(Chain { id, saved, key, keys: all })
    }

    /// Saves how far the log at `path` has come, `key` being the one that it is written with.
    pub async fn save_audit_head(
        &self,
        chain: &str,
        path: &Path,
        progress: Progress,
        key: &ChainKey,
    ) -> Result<(), StoreError> {
        let mut transaction = self.0.begin().await?;
        let path = path.display().to_string();
        self.0.save(&mut transaction, chain, &path, progress, key).await?;
        self.0.commit(transaction).await
    }

    /// What is known of all logs, to verify them by.
    pub async fn audit_known(&self) -> Result<Known, StoreError> {
        let inner = &self.0;
        let mut connection = inner.connection().await?;
        if inner.key_id(&mut connection).await?.0.is_none() {
            return Ok(Known { keys: Vec::new(), heads: Vec::new() });
        }
        let keys = inner.keys(&mut connection).await?;
        let keys = inner.chain_keys(&mut connection, &keys).await?;
        let rows = sqlx::query("SELECT * FROM audit_heads").fetch_all(&mut *connection).await;
        let rows = rows.map_err(|error| inner.unusable(&error))?;
        let head = |row: &SqliteRow| Head { chain: row.get("chain"), at: proven(row, &keys) };
        let heads = rows.iter().map(head).collect();
        Ok(Known { keys, heads })
    }
}

impl Inner {
    async fn save(
        &self,
        connection: &mut SqliteConnection,
        chain: &str,
        path: &str,
        progress: Progress,
        key: &ChainKey,
    ) -> Result<(), StoreError> {
        let Progress { at, noted } = progress;
        let saved = sqlx::query(
            "INSERT OR REPLACE INTO audit_heads (chain, path, seq, mac, tag, noted) VALUES (?, ?, ?, ?, ?, ?)",
        )
        .bind(chain.to_owned())
        .bind(path.to_owned())
        .bind(at.seq.cast_signed())
        .bind(at.mac.as_bytes().to_vec())
        .bind(key.tag(chain, at))
        .bind(noted.cast_signed())
        .execute(connection)
        .await;
        saved.map(drop).map_err(|error| self.unusable(&error))
    }

    fn chain_key(&self, key: &Key) -> Result<ChainKey, StoreError> {
        let bytes = key.audit_key(&self.id).ok_or_else(|| no_key("it cannot be derived"))?;
        Ok(ChainKey::new(key.id().as_bytes(), bytes.as_ref()))
    }

    /// Those of all store keys that there are and were.
    async fn chain_keys(
        &self,
        connection: &mut SqliteConnection,
        keys: &Keys,
    ) -> Result<Vec<ChainKey>, StoreError> {
        let here = [Some(&keys.current), keys.before.as_ref()];
        let mut all: Vec<ChainKey> =
            here.into_iter().flatten().map(|key| self.chain_key(key)).collect::<Result<_, _>>()?;
        for (id, bytes) in self.former_keys(connection, keys).await? {
            all.push(ChainKey::new(&id, &bytes));
        }
        Ok(all)
    }

    /// What [`Self::seal_audit_keys`] has kept.
    async fn former_keys(
        &self,
        connection: &mut SqliteConnection,
        keys: &Keys,
    ) -> Result<Vec<(Vec<u8>, Zeroizing<Vec<u8>>)>, StoreError> {
        let rows = sqlx::query("SELECT * FROM audit_keys").fetch_all(connection).await;
        let rows = rows.map_err(|error| self.unusable(&error))?;
        let open = |row: &SqliteRow| {
            let (name, sealed): (&str, &[u8]) = (row.get("id"), row.get("key"));
            let (id, place) = (id_of(name)?, place_of(name)?);
            let key = keys.with_id(seal::key_id(sealed).ok()?.as_bytes())?;
            let text = key.open(self.audit_cell(&place), sealed).ok()?;
            Some((id, Zeroizing::new(STANDARD.decode(text.expose()).ok()?)))
        };
        let damaged = || super::soundness::damaged(&self.path, "an audit key in it does not open");
        rows.iter().map(|row| open(row).ok_or_else(damaged)).collect()
    }

    /// Keeps the audit keys of all store keys but the current one, sealed with that.
    pub(super) async fn seal_audit_keys(
        &self,
        connection: &mut SqliteConnection,
        keys: &Keys,
    ) -> Result<(), StoreError> {
        let mut former = self.former_keys(connection, keys).await?;
        if let Some(before) = &keys.before {
            let bytes = before.audit_key(&self.id).ok_or_else(|| no_key("it cannot be derived"))?;
            former.push((before.id().as_bytes().to_vec(), Zeroizing::new(bytes.to_vec())));
        }
        for (id, bytes) in former {
            let name: String = id.iter().map(|byte| format!("{byte:02x}")).collect();
            let place = place_of(&name).ok_or_else(|| no_key("its id is none"))?;
            let text = Secret::new(STANDARD.encode(&bytes));
            let sealed = keys.current.seal(self.audit_cell(&place), &text);
            let sealed = sealed.map_err(StoreError::Unavailable)?;
            let keep = sqlx::query("INSERT OR REPLACE INTO audit_keys (id, key) VALUES (?, ?)");
            let kept = keep.bind(name).bind(sealed).execute(&mut *connection).await;
            kept.map_err(|error| self.unusable(&error))?;
        }
        Ok(())
    }

    fn audit_cell<'a>(&'a self, place: &'a AccountName) -> Cell<'a> {
        self.cell(place, COLUMN)
    }
}

/// The place that a row tells, where a key proves that it was saved like this.
fn proven(row: &SqliteRow, keys: &[ChainKey]) -> Option<Position> {
    let at = Position { seq: number(row, "seq")?, mac: Mac::kept(row.get("mac"))? };
    let (chain, tag): (&str, &[u8]) = (row.get("chain"), row.get("tag"));
    keys.iter().any(|key| key.proves(tag, chain, at)).then_some(at)
}

/// What a sealed audit key is bound to, which no account's secret is, their columns being others.
fn place_of(id: &str) -> Option<AccountName> {
    format!("key-{id}").parse().ok()
}

fn id_of(name: &str) -> Option<Vec<u8>> {
    let (pairs, rest) = name.as_bytes().as_chunks::<2>();
    let byte = |pair: &[u8; 2]| u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok();
    rest.is_empty().then(|| pairs.iter().map(byte).collect()).flatten()
}

fn new_id() -> Result<String, StoreError> {
    let mut bytes = [0; 8];
    SystemRandom::new()
        .fill(&mut bytes)
        .map_err(|_| no_key("the system gives no random numbers"))?;
    Ok(bytes.iter().map(|byte| format!("{byte:02x}")).collect())
}

fn no_key(why: &str) -> StoreError {
    StoreError::Unavailable(format!("there is no key for audit logs: {why}"))
}
