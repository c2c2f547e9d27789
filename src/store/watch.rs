//! Tells when another process has changed the store, and costs nothing while none does.

use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use notify::{EventKind, RecommendedWatcher, RecursiveMode, Watcher};
use tokio::sync::mpsc;
use tokio::time::Instant;
use tracing::warn;

/// Changes that come this close together are told once.
const BURST: Duration = Duration::from_millis(50);
/// What has been told is looked at again after these times. SQLite writes a change into its log, waits for
/// the disk, and only then lets readers see it, by a file in shared memory of whose changes nobody is told.
const LOOK_AGAIN: [Duration; 2] = [Duration::from_secs(1), Duration::from_secs(10)];
/// How often files are looked at where the system does not tell of changes.
const POLL: Duration = Duration::from_secs(1);

/// Waits for changes of one store. Those that this process makes count as well.
pub struct Watch(Means);

enum Means {
    Told {
        receiver: mpsc::Receiver<()>,
        _watcher: RecommendedWatcher,
        /// Of the last change that was told, and how often it has been looked at again.
        told: Option<(Instant, usize)>,
    },
    Looking {
        files: [PathBuf; 2],
        seen: [Option<SystemTime>; 2],
    },
}

impl Watch {
    /// Watches the store at `path`.
    pub fn new(path: &Path) -> Self {
        Self(told(path).unwrap_or_else(|error| {
            warn!("changes of the store are looked for each second, since the system does not tell of them: {error}");
            let mut log = path.as_os_str().to_owned();
            log.push("-wal");
            let files = [path.to_owned(), log.into()];
            let seen = files.each_ref().map(|file| modified(file));
            Means::Looking { files, seen }
        }))
    }

    /// Waits for the next change; false when there is nobody left to tell of one.
    pub async fn changed(&mut self) -> bool {
        match &mut self.0 {
            Means::Told { receiver, told, .. } => {
                let next = told.and_then(|(at, looks)| Some(at + *LOOK_AGAIN.get(looks)?));
                let later = async {
                    match next {
                        Some(next) => tokio::time::sleep_until(next).await,
                        None => std::future::pending().await,
                    }
                };
                tokio::select! {
                    more = receiver.recv() => {
                        if more.is_none() {
                            return false;
                        }
                        tokio::time::sleep(BURST).await;
                        while receiver.try_recv().is_ok() {}
                        *told = Some((Instant::now(), 0));
                    }
                    () = later => *told = told.map(|(at, looks)| (at, looks + 1)),
                }
            }
            Means::Looking { files, seen } => loop {
                tokio::time::sleep(POLL).await;
                let now = files.each_ref().map(|file| modified(file));
                if now != *seen {
                    *seen = now;
                    break;
                }
            },
        }
        true
    }
}

fn told(path: &Path) -> notify::Result<Means> {
    let folder = path.parent().ok_or_else(notify::Error::path_not_found)?;
    let name = path.file_name().map(|name| name.to_string_lossy().into_owned());
    let name = name.unwrap_or_default();
    // One that is not yet taken tells of this change too.
    let (sender, receiver) = mpsc::channel(1);
    let mut watcher = notify::recommended_watcher(move |event: notify::Result<notify::Event>| {
        if event.is_ok_and(|event| is_change(&event, &name)) {
            let _ = sender.try_send(());
        }
    })?;
    watcher.watch(folder, RecursiveMode::NonRecursive)?;
    Ok(Means::Told { receiver, _watcher: watcher, told: None })
}

/// Whether it tells of a change of the store called `name`, or of changes that got lost.
fn is_change(event: &notify::Event, name: &str) -> bool {
    let is_write = matches!(event.kind, EventKind::Create(_) | EventKind::Modify(_));
    let is_ours = |path: &PathBuf| {
        let file = path.file_name().unwrap_or_default().to_string_lossy();
        file.strip_prefix(name).is_some_and(|rest| matches!(rest, "" | "-wal"))
    };
    event.need_rescan() || is_write && event.paths.iter().any(is_ours)
}

fn modified(file: &Path) -> Option<SystemTime> {
    let result: io::Result<SystemTime> = std::fs::metadata(file).and_then(|file| file.modified());
    result.ok()
}

#[cfg(test)]
mod tests {
    use notify::event::{AccessKind, CreateKind, EventKind, Flag, ModifyKind};

    use super::{LOOK_AGAIN, Watch, is_change};

    #[tokio::test]
    async fn a_change_is_looked_at_again_since_readers_may_see_it_later_than_it_is_told() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("store.sqlite");
        let mut watch = Watch::new(&path);
        std::fs::write(folder.path().join("store.sqlite-wal"), "begun").unwrap();
        let began = tokio::time::Instant::now();
        assert!(watch.changed().await);
        assert!(began.elapsed() < LOOK_AGAIN[0]);
        // Nothing is told of what follows.
        tokio::time::pause();
        for look in LOOK_AGAIN {
            assert!(watch.changed().await);
            assert!(began.elapsed() >= look, "{look:?}");
        }
        let none = tokio::time::timeout(100 * LOOK_AGAIN[1], watch.changed()).await;
        assert!(none.is_err(), "and then it is quiet");
    }

    #[test]
    fn writes_of_the_file_and_its_log_count_and_so_does_what_got_lost() {
        let (modify, create) =
            (EventKind::Modify(ModifyKind::Any), EventKind::Create(CreateKind::File));
        let cases = [
            (modify, "/state/store.sqlite", true),
            (modify, "/state/store.sqlite-wal", true),
            (create, "/state/store.sqlite", true),
            (modify, "/state/store.sqlite-shm", false),
            (modify, "/state/another", false),
            (EventKind::Access(AccessKind::Any), "/state/store.sqlite", false),
        ];
        for (kind, path, expected) in cases {
            let event = notify::Event::new(kind).add_path(path.into());
            assert_eq!(is_change(&event, "store.sqlite"), expected, "{kind:?} {path}");
        }
        let lost = notify::Event::new(EventKind::Other).set_flag(Flag::Rescan);
        assert!(is_change(&lost, "store.sqlite"));
    }
}
