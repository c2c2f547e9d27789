//! Tells when the configuration file has another content, however it came there: written in place,
//! renamed over, or behind a symbolic link that points elsewhere now.

use std::io::Read;
use std::path::{Path, PathBuf};
use std::time::Duration;

use notify::{EventKind, RecommendedWatcher, RecursiveMode, Watcher};
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep, timeout};
use tracing::warn;

use super::file;

/// A file that has not changed for this long has been written to its end.
const QUIET: Duration = Duration::from_millis(200);
/// What changes all the time is looked at after this time all the same.
const LONGEST_BURST: Duration = Duration::from_secs(2);
/// A file that is gone or empty gets this long to come back.
const ABSENCE: Duration = Duration::from_secs(2);
/// How often the file is looked at where the system does not tell of changes.
const POLL: Duration = Duration::from_secs(1);

/// Waits for changes of one file.
pub struct FileWatch {
    path: PathBuf,
    seen: Option<Vec<u8>>,
    told: Option<(mpsc::Receiver<()>, RecommendedWatcher)>,
}

impl FileWatch {
    /// Watches the file at `path`.
    pub fn new(path: &Path) -> Self {
        let told = told(path).map_err(|error| {
            warn!("changes of the configuration file are looked for each second, since the system does not tell of them: {error}");
        });
        Self { path: path.to_owned(), seen: content(path), told: told.ok() }
    }

    /// Waits until the file has another content than the last time, and has had it for a moment.
    pub async fn changed(&mut self) {
        loop {
            self.something().await;
            self.quiet().await;
            let mut found = content(&self.path);
            if found == self.seen {
                continue;
            }
            let since = Instant::now();
            while found.as_ref().is_none_or(Vec::is_empty) && since.elapsed() < ABSENCE {
                sleep(QUIET).await;
                found = content(&self.path);
                if found.as_ref().is_some_and(|bytes| !bytes.is_empty()) {
                    self.quiet().await;
                    found = content(&self.path);
                }
            }
            if found != self.seen {
                self.seen = found;
                return;
            }
        }
    }

    /// Waits for a sign of a change.
    async fn something(&mut self) {
        if let Some((receiver, _)) = &mut self.told {
            if receiver.recv().await.is_some() {
                return;
            }
            self.told = None;
        }
        sleep(POLL).await;
    }

    /// Waits until there is no further sign of one.
    async fn quiet(&mut self) {
        let since = Instant::now();
        match &mut self.told {
            Some((receiver, _)) => {
                while since.elapsed() < LONGEST_BURST
                    && matches!(timeout(QUIET, receiver.recv()).await, Ok(Some(())))
                {
                }
            }
            None => sleep(QUIET).await,
        }
    }
}

fn told(path: &Path) -> notify::Result<(mpsc::Receiver<()>, RecommendedWatcher)> {
    let folder = path.parent().ok_or_else(notify::Error::path_not_found)?;
    let (sender, receiver) = mpsc::channel(1);
    let mut watcher = notify::recommended_watcher(move |event: notify::Result<notify::Event>| {
        // Reading it is no change: it would answer itself for ever.
        if event.is_ok_and(|event| !matches!(event.kind, EventKind::Access(_))) {
            let _ = sender.try_send(());
        }
    })?;
    watcher.watch(folder, RecursiveMode::NonRecursive)?;
    // Where the file is a link, what it points to may be written in place.
    if let Some(target) = path.canonicalize().ok().as_deref().and_then(Path::parent)
        && folder.canonicalize().is_ok_and(|folder| folder != target)
    {
        watcher.watch(target, RecursiveMode::NonRecursive)?;
    }
    Ok((receiver, watcher))
}

/// `None` where there is no file that can be read. Of one without an end as much as is ever used.
fn content(path: &Path) -> Option<Vec<u8>> {
    let file = file::open_without_waiting(path).ok()?;
    if !file.metadata().is_ok_and(|metadata| metadata.is_file()) {
        return None;
    }
    let mut content = Vec::new();
    file.take(file::MAX_FILE + 1).read_to_end(&mut content).ok()?;
    Some(content)
}
