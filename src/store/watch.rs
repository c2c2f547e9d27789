//! Tells when another process has changed the store, and costs nothing while none does.

use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use notify::{EventKind, RecommendedWatcher, RecursiveMode, Watcher};
use tokio::sync::mpsc;
use tracing::warn;

/// Changes that come this close together are told once.
const BURST: Duration = Duration::from_millis(50);
/// How often files are looked at where the system does not tell of changes.
const POLL: Duration = Duration::from_secs(1);

/// Waits for changes of one store. Those that this process makes count as well.
pub struct Watch(Means);

enum Means {
    Told { receiver: mpsc::Receiver<()>, _watcher: RecommendedWatcher },
    Looking { files: [PathBuf; 2], seen: [Option<SystemTime>; 2] },
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
            Means::Told { receiver, .. } => {
                if receiver.recv().await.is_none() {
                    return false;
                }
                tokio::time::sleep(BURST).await;
                while receiver.try_recv().is_ok() {}
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
    Ok(Means::Told { receiver, _watcher: watcher })
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

    use super::is_change;

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
