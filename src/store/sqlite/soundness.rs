//! A look at the file of a store before anything is written to it.
//!
//! It is read over a connection that cannot write: one that can moves the log over into the file when
//! it closes, also into a file that has just been refused.

use std::fs::{self, File};
use std::io::{self, Read};
use std::path::Path;

use sqlx::sqlite::SqliteConnection;
use sqlx::{ConnectOptions, Connection, Row};

use super::file::{beside, latest};
use super::{StoreError, code_of, options, unusable};

/// What a header says in bytes (sqlite.org/fileformat2.html, section 1.3).
const HEADER: usize = 100;
const MAGIC: &[u8] = b"SQLite format 3\0";
/// Of the log, and of each page in it (section 4.1).
const LOG_HEADER: usize = 32;
const FRAME_HEADER: usize = 24;
/// A plain error, as of a table that is not there (sqlite.org/rescode.html).
const PLAIN_ERROR: u32 = 1;

/// What to say of a file that cannot be trusted.
pub(super) fn damaged(path: &Path, what: &str) -> StoreError {
    StoreError::Broken(format!(
        "the store {path} is damaged ({what}) and is left as it is: put a copy back, or move it away and log in again",
        path = path.display()
    ))
}

/// Refuses a file that is damaged, another program's or of a newer version. True when its schema is
/// older than that of this program.
pub(super) async fn is_behind(path: &Path) -> Result<bool, StoreError> {
    check_header(path)?;
    let options = options(path).read_only(true);
    let mut connection = options.connect().await.map_err(|error| unusable(path, &error))?;
    let looked = look(path, &mut connection).await;
    // What could fail here is only the closing of what was read.
    let _ = connection.close().await;
    looked
}

/// What can be seen without SQLite, which takes an empty file for a new database, and one that was cut
/// off between two pages for a sound one.
fn check_header(path: &Path) -> Result<(), StoreError> {
    let failed = |error: io::Error| StoreError::Unavailable(format!("{}: {error}", path.display()));
    let mut file = File::open(path).map_err(failed)?;
    let mut header = Vec::with_capacity(HEADER);
    file.by_ref().take(HEADER as u64).read_to_end(&mut header).map_err(failed)?;
    if header.len() < HEADER {
        return Err(damaged(path, "it is empty or cut off"));
    }
    if !header.starts_with(MAGIC) {
        return Err(damaged(path, "it is no SQLite file"));
    }
    let page = match u16::from_be_bytes([header[16], header[17]]) {
        1 => 65_536,
        page => u64::from(page),
    };
    // With a log beside it, the newest pages may be there alone.
    let has_log = fs::metadata(beside(path, "-wal")).is_ok_and(|log| log.len() > 0);
    let counts_pages = number(&header, 24) == number(&header, 92);
    // Read last: another process may be making the file longer.
    let size = file.metadata().map_err(failed)?.len();
    if !has_log && counts_pages && size < page * u64::from(number(&header, 28)) {
        return Err(damaged(path, "it is cut off"));
    }
    Ok(())
}

/// Has SQLite look through the whole file, which is small.
async fn look(path: &Path, connection: &mut SqliteConnection) -> Result<bool, StoreError> {
    let failed = |error: sqlx::Error| unusable(path, &error);
    let verdict = sqlx::query("PRAGMA quick_check(1)").fetch_one(&mut *connection).await;
    if verdict.map_err(failed)?.get::<String, _>(0) != "ok" {
        return Err(damaged(path, "it is not a sound SQLite file"));
    }
    let sizes = "SELECT page_count, page_size FROM pragma_page_count, pragma_page_size";
    let sizes = sqlx::query(sizes).fetch_one(&mut *connection).await.map_err(failed)?;
    check_pages(path, sizes.get(0), sizes.get(1))?;
    let version = "SELECT (SELECT max(version) FROM _sqlx_migrations) FROM store";
    let version = sqlx::query(version).fetch_one(connection).await.map_err(|error| {
        match error {
            // Neither the table of another program nor one without its only row.
            sqlx::Error::RowNotFound => damaged(path, "it is another program's"),
            error if code_of(&error) == Some(PLAIN_ERROR) => {
                damaged(path, "it is another program's")
            }
            error => unusable(path, &error),
        }
    })?;
    match version.get::<Option<i64>, _>(0) {
        Some(version) if version > latest() => Err(StoreError::Broken(format!(
            "the store {} was written by a newer version of hubspot-proxy: run that one, or set store.url to another place",
            path.display()
        ))),
        version => Ok(version != Some(latest())),
    }
}

/// SQLite reads a page that is in neither file as zeros, and finds nothing wrong where it holds but the
/// end of a long value.
fn check_pages(path: &Path, pages: u32, page_size: u32) -> Result<(), StoreError> {
    let failed = |error: io::Error| StoreError::Unavailable(format!("{}: {error}", path.display()));
    let logged = match fs::read(beside(path, "-wal")) {
        Ok(log) => pages_in(&log, page_size),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Vec::new(),
        Err(error) => return Err(failed(error)),
    };
    // After the log, which another process may be moving over into the file.
    let whole = fs::metadata(path).map_err(failed)?.len() / u64::from(page_size.max(1));
    let is_there = |page: u32| u64::from(page) <= whole || logged.contains(&page);
    match (1..=pages).all(is_there) {
        true => Ok(()),
        false => Err(damaged(path, "it is cut off")),
    }
}

/// The pages that a log holds, up to its last commit. Frames of an earlier round have another salt.
fn pages_in(log: &[u8], page_size: u32) -> Vec<u32> {
    let Some((header, frames)) = log.split_at_checked(LOG_HEADER) else { return Vec::new() };
    let salt = &header[16..24];
    let (mut pages, mut committed) = (Vec::new(), 0);
    for frame in frames.chunks_exact(FRAME_HEADER + page_size as usize) {
        if &frame[8..16] != salt {
            break;
        }
        pages.push(number(frame, 0));
        if number(frame, 4) != 0 {
            committed = pages.len();
        }
    }
    pages.truncate(committed);
    pages
}

fn number(bytes: &[u8], at: usize) -> u32 {
    u32::from_be_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]])
}

#[cfg(test)]
mod tests {
    use super::pages_in;

    #[test]
    fn only_what_a_log_has_committed_in_this_round_counts() {
        let frame = |page: u32, after: u32, salt: [u8; 8]| {
            [&page.to_be_bytes()[..], &after.to_be_bytes(), &salt, &[0; 8], &[0; 512]].concat()
        };
        let (now, before) = ([7; 8], [6; 8]);
        let log = [
            [&[0; 16][..], &now, &[0; 8]].concat(),
            frame(2, 0, now),
            frame(5, 5, now),
            frame(3, 0, now),
            frame(4, 4, before),
        ]
        .concat();
        assert_eq!(pages_in(&log, 512), [2, 5]);
        assert_eq!(pages_in(&log[..log.len() - 1], 512), [2, 5]);
        assert!(pages_in(&log[..32 + 600], 512).is_empty());
        assert!(pages_in(&log[..31], 512).is_empty() && pages_in(b"", 512).is_empty());
    }
}
