//! The file of a store: made whole or not at all, and looked at before anything is written to it.

use std::fs::{self, File};
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use sqlx::migrate::{Migration, MigrationType, Migrator};
use sqlx::sqlite::{SqliteConnectOptions, SqliteConnection, SqliteJournalMode, SqlitePool};
use sqlx::{ConnectOptions, Connection, Row};

use super::super::lock::FileLock;
use super::{StoreError, options, private, unusable};

/// What a header says in bytes (sqlite.org/fileformat2.html, section 1.3).
const HEADER: usize = 100;
const MAGIC: &[u8] = b"SQLite format 3\0";

/// The schema, step by step; none of these is ever changed.
const MIGRATIONS: [(i64, &str, &str); 1] =
    [(1, "accounts", include_str!("../../../migrations/sqlite/0001_accounts.sql"))];

/// What to say of a file that cannot be trusted.
pub(super) fn damaged(path: &Path, what: &str) -> StoreError {
    StoreError::Broken(format!(
        "the store {path} is damaged ({what}) and is left as it is: put a copy back, or move it away and log in again",
        path = path.display()
    ))
}

/// Makes the store where there is none, and looks at the outside of one that is there.
pub(super) async fn prepare(path: &Path) -> Result<(), StoreError> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
    let folder = folder.unwrap_or(Path::new("."));
    let failed = |error: io::Error| StoreError::Unavailable(format!("{}: {error}", path.display()));
    private::create_folder(folder).map_err(failed)?;
    refuse_exposed(folder)?;
    if fs::symlink_metadata(path).is_err() {
        let _creating = FileLock::of_creation(path).await.map_err(failed)?;
        // Another process may have made it meanwhile.
        if fs::symlink_metadata(path).is_err() {
            create(path, folder).await?;
        }
    }
    refuse_exposed(path)?;
    check_header(path)
}

fn refuse_exposed(path: &Path) -> Result<(), StoreError> {
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

fn beside(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    name.into()
}

/// What can be seen without SQLite, which takes an empty file for a new database, and one that was cut
/// off between two pages for a sound one.
fn check_header(path: &Path) -> Result<(), StoreError> {
    let failed = |error: io::Error| StoreError::Unavailable(format!("{}: {error}", path.display()));
    let file = File::open(path).map_err(failed)?;
    let size = file.metadata().map_err(failed)?.len();
    let mut header = Vec::with_capacity(HEADER);
    file.take(HEADER as u64).read_to_end(&mut header).map_err(failed)?;
    if header.len() < HEADER {
        return Err(damaged(path, "it is empty or cut off"));
    }
    if !header.starts_with(MAGIC) {
        return Err(damaged(path, "it is no SQLite file"));
    }
    let number = |at: usize| {
        u32::from_be_bytes([header[at], header[at + 1], header[at + 2], header[at + 3]])
    };
    let page = match u16::from_be_bytes([header[16], header[17]]) {
        1 => 65_536,
        page => u64::from(page),
    };
    // With a log beside it, the newest pages may be there alone.
    let has_log = fs::metadata(beside(path, "-wal")).is_ok_and(|log| log.len() > 0);
    let counts_pages = number(24) == number(92);
    if !has_log && counts_pages && size < page * u64::from(number(28)) {
        return Err(damaged(path, "it is cut off"));
    }
    Ok(())
}

/// Has SQLite look through the whole file, which is small, and brings the schema up to date.
pub(super) async fn check_content(path: &Path, pool: &SqlitePool) -> Result<(), StoreError> {
    let mut connection = pool.acquire().await.map_err(|error| unusable(path, &error))?;
    let verdict = sqlx::query("PRAGMA quick_check(1)").fetch_one(&mut *connection).await;
    let verdict = verdict.map_err(|error| unusable(path, &error))?;
    if verdict.get::<String, _>(0) != "ok" {
        return Err(damaged(path, "it is not a sound SQLite file"));
    }
    let version = "SELECT max(version) FROM _sqlx_migrations";
    let version = sqlx::query(version).fetch_one(&mut *connection).await;
    let version = version.map_err(|_| damaged(path, "it is another program's"))?;
    let version: Option<i64> = version.get(0);
    match version {
        Some(version) if version == latest() => Ok(()),
        Some(version) if version > latest() => Err(StoreError::Broken(format!(
            "the store {} was written by a newer version of hubspot-proxy: run that one, or set store.url to another place",
            path.display()
        ))),
        _ => migrate(path, &mut connection).await,
    }
}

fn latest() -> i64 {
    MIGRATIONS.iter().map(|(version, ..)| *version).max().unwrap_or(0)
}

async fn migrate(path: &Path, connection: &mut SqliteConnection) -> Result<(), StoreError> {
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
