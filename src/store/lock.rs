//! One refresher an account, across all processes that share the store: a lock of the operating
//! system on a file, which the kernel frees when its holder dies and nothing frees by time.
//!
//! A lock file is never removed: another process may be about to lock the one that is there. It is for
//! this user alone: whoever can read a file can lock it, and keep it locked.

use std::fs::{File, TryLockError};
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::private;
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
        private::create_folder(&locks)?;
        Self::wait(locks.join(format!("{account}.lock"))).await
    }

    /// Waits for the lock that guards the making of the store at `path`, and the change of its key.
    pub async fn of_store(path: &Path) -> io::Result<Self> {
        let mut lock = path.as_os_str().to_owned();
        lock.push(".lock");
        Self::wait(lock.into()).await
    }

    // The thread that waited inside the system could not be told to stop.
    async fn wait(path: PathBuf) -> io::Result<Self> {
        let file = private::open_file(&path)?;
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
