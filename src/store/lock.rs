//! One refresher an account, across all processes that share the store: a lock of the operating
//! system on a file, which the kernel frees when its holder dies and nothing frees by time.
//!
//! A lock file is never removed: another process may be about to lock the one that is there.

use std::fs::{File, OpenOptions, TryLockError};
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::types::account::AccountName;

/// The folder of the lock files, beside the store.
const FOLDER: &str = "locks";
/// Between two tries, growing from the first to the second.
const FIRST_PAUSE: Duration = Duration::from_millis(2);
const LONGEST_PAUSE: Duration = Duration::from_millis(50);

/// The lock, as long as this exists. Two in one process exclude each other as well.
#[derive(Debug)]
pub struct FileLock {
    _file: File,
}

impl FileLock {
    /// Waits for the lock of an account in the store in `folder`. May be given up at any time.
    pub async fn of_account(folder: &Path, account: &AccountName) -> io::Result<Self> {
        let locks = folder.join(FOLDER);
        match std::fs::create_dir(&locks) {
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error),
            _ => {}
        }
        Self::wait(locks.join(format!("{account}.lock"))).await
    }

    /// Waits for the lock that guards the making of the store at `path`.
    pub async fn of_creation(path: &Path) -> io::Result<Self> {
        Self::wait(path.with_extension("lock")).await
    }

    // The thread that waited inside the system could not be told to stop.
    async fn wait(path: PathBuf) -> io::Result<Self> {
        let file = OpenOptions::new().create(true).truncate(false).write(true).open(path)?;
        let mut pause = FIRST_PAUSE;
        loop {
            match file.try_lock() {
                Ok(()) => return Ok(Self { _file: file }),
                Err(TryLockError::Error(error)) => return Err(error),
                Err(TryLockError::WouldBlock) => tokio::time::sleep(pause).await,
            }
            pause = (pause * 2).min(LONGEST_PAUSE);
        }
    }
}
