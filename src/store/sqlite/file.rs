//! The file of a store: made whole or not at all, for this user alone, and brought up to date.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

use sqlx::migrate::{Migration, MigrationType, Migrator};
use sqlx::sqlite::{SqliteConnectOptions, SqliteConnection, SqliteJournalMode};
use sqlx::{ConnectOptions, Connection};

use super::super::lock::FileLock;
use super::{StoreError, options, private, unusable};

/// The schema, step by step; none of these is ever changed.
const MIGRATIONS: [(i64, &str, &str); 2] = [
    (1, "accounts", include_str!("../../../migrations/sqlite/0001_accounts.sql")),
    (2, "audit", include_str!("../../../migrations/sqlite/0002_audit.sql")),
];

/// Makes the store where there is none, and refuses one that others could have written.
pub(super) async fn prepare(path: &Path) -> Result<(), StoreError> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
    let folder = folder.unwrap_or(Path::new("."));
    let failed = |error: io::Error| {
        StoreError::Unavailable(format!(
            "{}: {error}; move away what stands in its place, or set store.url to another",
            path.display()
        ))
    };
    private::create_folder(folder).map_err(failed)?;
    refuse_exposed(folder)?;
    if fs::symlink_metadata(path).is_err() {
        let _creating = FileLock::of_store(path).await.map_err(failed)?;
        // Another process may have made it meanwhile.
        if fs::symlink_metadata(path).is_err() {
            create(path, folder).await?;
        }
    }
    refuse_exposed(path)
}

pub(super) fn refuse_exposed(path: &Path) -> Result<(), StoreError> {
    match private::objection(path) {
        Ok(None) => Ok(()),
        Ok(Some(objection)) => {
            Err(StoreError::Broken(format!("the store is not safe: {objection}")))
        }
        Err(error) => Err(StoreError::Unavailable(format!("{}: {error}", path.display()))),
    }
}

/// Under another name first: what has the store's name is whole.
async fn create(path: &Path, folder: &Path) -> Result<(), StoreError> {
    let failed = |error: io::Error| StoreError::Unavailable(format!("{}: {error}", path.display()));
    let new = beside(path, ".new");
    for leftover in ["", "-journal", "-wal", "-shm"] {
        match fs::remove_file(beside(&new, leftover)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(failed(error)),
            _ => {}
        }
    }
    private::create_file(&new).map_err(failed)?;
    let options: SqliteConnectOptions = options(&new).journal_mode(SqliteJournalMode::Wal);
    let mut connection = options.connect().await.map_err(|error| unusable(path, &error))?;
    migrate(path, &mut connection).await?;
    connection.close().await.map_err(|error| unusable(path, &error))?;
    File::open(&new).and_then(|file| file.sync_all()).map_err(failed)?;
    fs::rename(&new, path).map_err(failed)?;
    private::sync_folder(folder).map_err(failed)
}

pub(super) fn beside(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    name.into()
}

/// The newest version of the schema.
pub(super) fn latest() -> i64 {
    MIGRATIONS.iter().map(|(version, ..)| *version).max().unwrap_or(0)
}

/// Brings the schema up to date.
pub(super) async fn migrate(
    path: &Path,
    connection: &mut SqliteConnection,
) -> Result<(), StoreError> {
    let migrations = MIGRATIONS.map(|(version, description, sql)| {
        let kind = MigrationType::Simple;
        Migration::new(
            version,
            description.into(),
            kind,
            sqlx::SqlSafeStr::into_sql_str(sql),
            false,
        )
    });
    let migrator = Migrator { migrations: migrations.to_vec().into(), ..Migrator::DEFAULT };
    migrator.run(connection).await.map_err(|error| {
        StoreError::Unavailable(format!(
            "the store {} cannot be brought up to date: {error}",
            path.display()
        ))
    })
}
