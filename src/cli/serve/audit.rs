//! The audit log of `serve`: opened with what the store knows of it, and its progress brought back there
//! every second.

use std::fmt::Write as _;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{oneshot, watch};
use tokio::task::JoinHandle;
use tracing::warn;

use crate::cli::Failure;
use crate::config::{AuditConfig, Roster};
use crate::private;
use crate::store::StoreError;
use crate::store::sqlite::SqliteStore;
use crate::store::watch::Watch;
use crate::telemetry::audit::chain::ChainKey;
use crate::telemetry::audit::{self, Audit, Limits, Progress};
use crate::types::clock::SharedClock;

/// How long the end waits for a disk that takes no lines.
const LONGEST_END: Duration = Duration::from_secs(5);
/// Between two tries to save what the store did not take.
const AGAIN: Duration = Duration::from_secs(1);

/// The log, if there is one.
pub struct AuditLog {
    pub audit: Audit,
    keeping: Option<(oneshot::Sender<()>, JoinHandle<()>)>,
}

/// What keeps the store in step with the log, and the log with the store.
struct Keeping {
    store: Arc<SqliteStore>,
    audit: Audit,
    path: PathBuf,
    chain: String,
    key: ChainKey,
    told: watch::Receiver<Progress>,
    changes: Watch,
    /// Number of the last of the store's events that the log was told.
    noted: u64,
    failing: bool,
}

impl AuditLog {
    /// Opens the log of a proxy that serves `roster`; where none is configured, or there is no store, this
    /// does nothing. Must be called inside the control plane's runtime.
    pub async fn open(
        config: Option<&AuditConfig>,
        store: Option<&Arc<SqliteStore>>,
        roster: &Roster,
        clock: &SharedClock,
    ) -> Result<Self, Failure> {
        let none = Self { audit: Audit::default(), keeping: None };
        let Some(config) = config else { return Ok(none) };
        let Some(store) = store.map(Arc::clone) else {
            warn!("audit.file is not written: the sandbox has no store to prove it by");
            return Ok(none);
        };
        let path = located(config).map_err(|error| {
            Failure::failed(format!("audit.file {}: {error}", config.file.display()))
        })?;
        let opened = store.audit_chain(&path).await;
        let opened = opened.map_err(|error| Failure::failed(format!("audit.file: {error}")))?;
        let (chain, key, noted) = (opened.id.clone(), opened.key.clone(), opened.saved.noted);
        let AuditConfig { max_size, max_age, keep, .. } = *config;
        let limits = Limits { size: max_size, age: max_age, keep };
        let settings = audit::Settings { path: path.clone(), limits };
        let (audit, told) = Audit::open(settings, opened, about(roster), Arc::clone(clock))
            .map_err(Failure::failed)?;
        let (changes, failing) = (store.watch(), false);
        let own = audit.clone();
        let keeping =
            Keeping { store, audit: own, path, chain, key, told, changes, noted, failing };
        let (end, ended) = oneshot::channel();
        Ok(Self { audit, keeping: Some((end, tokio::spawn(keeping.run(ended)))) })
    }

    /// Ends the log, and waits until it is on the disk and its head in the store, but not for ever.
    pub async fn close(self) {
        let Some((end, keeping)) = self.keeping else { return };
        // Without a receiver it has ended already.
        let _ = end.send(());
        if tokio::time::timeout(LONGEST_END, keeping).await.is_err() {
            warn!("the last lines of the audit log could not be written within 5 s and are lost");
        }
    }
}

impl Keeping {
    async fn run(mut self, mut ended: oneshot::Receiver<()>) {
        self.take_events().await;
        loop {
            tokio::select! {
                told = self.told.changed() => match told {
                    Ok(()) => self.save().await,
                    // The writer has gone, and says why itself.
                    Err(_) => return,
                },
                is_there = self.changes.changed() => match is_there {
                    true => self.take_events().await,
                    false => return,
                },
                () = tokio::time::sleep(AGAIN), if self.failing => self.save().await,
                _ = &mut ended => break,
            }
        }
        self.take_events().await;
        self.audit.close();
        while self.told.changed().await.is_ok() {
            self.save().await;
        }
    }

    /// Puts on record what has become of accounts and keys, whoever did it.
    async fn take_events(&mut self) {
        match self.store.events_after(self.noted).await {
            Ok(events) => {
                for event in events {
                    self.noted = event.number().unwrap_or(self.noted);
                    self.audit.note(event);
                }
            }
            Err(error) => self.fails(&error),
        }
    }

    async fn save(&mut self) {
        let progress = *self.told.borrow_and_update();
        let saved = self.store.save_audit_head(&self.chain, &self.path, progress, &self.key).await;
        match saved {
            Ok(()) => self.failing = false,
            Err(error) => self.fails(&error),
        }
    }

    fn fails(&mut self, error: &StoreError) {
        if !std::mem::replace(&mut self.failing, true) {
            warn!("the head of the audit log cannot be saved, which is tried again: {error}");
        }
    }
}

/// The file by one name, however it is written: the store knows its chain by it.
fn located(config: &AuditConfig) -> std::io::Result<PathBuf> {
    let path = std::path::absolute(&config.file)?;
    let (Some(folder), Some(name)) = (path.parent(), path.file_name()) else { return Ok(path) };
    private::create_folder(folder)?;
    Ok(folder.canonicalize()?.join(name))
}

fn about(roster: &Roster) -> String {
    let mut about =
        format!("hubspot-proxy {}, process {}", env!("CARGO_PKG_VERSION"), std::process::id());
    let names: Vec<&str> = roster.accounts.keys().map(|name| name.as_str()).collect();
    // Writing to a text does not fail.
    let _ = write!(about, ", accounts {}", names.join(", "));
    about
}
