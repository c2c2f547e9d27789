//! The audit log: who called what with which credential, and what became of the credentials, in lines
//! that prove that none of them was changed, added or taken away afterwards.
//!
//! Cores and control plane hand in small owned events ([`Queue`]) and never wait; a thread of its own
//! makes lines of them ([`line`]), chains them ([`chain`]) and writes them. It knows no store: whoever
//! opens it brings the key and the [`Progress`] that was saved, and saves what it tells of that.
//! No secret, body or query is ever in an event, and paths are redacted before they are written.

pub mod chain;
pub mod event;
pub mod files;
pub mod line;
mod queue;
pub mod read;
mod resume;
pub mod summary;
#[cfg(test)]
mod tests;
pub mod verify;
mod writer;

use std::path::PathBuf;
use std::sync::Arc;
use std::thread;

use tokio::sync::watch;

use super::record::Record;
use crate::types::clock::SharedClock;
use chain::ChainKey;
use event::{Change, Event, Request};
use files::Files;
use queue::{Intake, Queue};
use writer::{Beginning, Writer};

pub use writer::{Limits, Progress};

/// Where events are told; does nothing where there is no log.
#[derive(Clone, Default)]
pub struct Audit(Option<Arc<Log>>);

struct Log {
    intake: Arc<Intake>,
    /// For all that is not a core.
    control: Queue,
}

/// The way of one core's requests to the log.
pub struct Requests(Queue);

/// Where the log is, and how long a file of it may grow.
#[derive(Clone, Debug)]
pub struct Settings {
    pub path: PathBuf,
    pub limits: Limits,
}

/// A chain as it was saved.
pub struct Chain {
    pub id: String,
    pub saved: Progress,
    /// For new lines.
    pub key: ChainKey,
    /// All that earlier lines may have been made with.
    pub keys: Vec<ChainKey>,
}

impl Audit {
    /// Goes on with a log, or begins it, on a thread of its own. `detail` goes into the line that says
    /// so. What comes back beside tells the last line that is on the disk, and ends with the log.
    pub fn open(
        settings: Settings,
        chain: Chain,
        detail: String,
        clock: SharedClock,
    ) -> Result<(Self, watch::Receiver<Progress>), String> {
        let files = Files::of(&settings.path);
        let lock = files.lock()?;
        let file = files.open()?;
        let found = resume::look(&files, chain.saved.at, &chain.keys)
            .map_err(|error| format!("audit.file {}: {error}", settings.path.display()))?;
        let (progress, told) = watch::channel(chain.saved);
        let intake = Arc::<Intake>::default();
        let control = Queue::new(&intake);
        let writer = Writer::new(Beginning {
            files,
            limits: settings.limits,
            chain: chain.id,
            key: chain.key,
            reached: Progress { at: found.at, ..chain.saved },
            file,
            length: found.length,
            since: found.since,
            torn: found.torn,
            detail,
            clock,
            intake: Arc::clone(&intake),
            _lock: lock,
            progress,
        });
        let spawned = thread::Builder::new().name("audit".to_owned()).spawn(|| writer.run());
        spawned.map_err(|error| format!("the audit log cannot be started: {error}"))?;
        Ok((Self(Some(Arc::new(Log { intake, control }))), told))
    }

    /// A core's own way in; `None` where there is no log.
    pub fn requests(&self) -> Option<Requests> {
        self.0.as_ref().map(|log| Requests(Queue::new(&log.intake)))
    }

    /// Puts something other than a request on record.
    pub fn note(&self, change: Change) {
        if let Some(log) = &self.0 {
            log.control.offer(Event::Change(Box::new(change)));
        }
    }

    /// Lines that are lost so far; `None` where there is no log.
    pub fn lost(&self) -> Option<u64> {
        self.0.as_ref().map(|log| log.intake.lost())
    }

    /// Ends the log once what was told is written.
    pub fn close(&self) {
        if let Some(log) = &self.0 {
            log.intake.end();
        }
    }
}

impl Requests {
    /// Puts a request that has ended on record.
    pub fn note(&self, record: &Record) {
        self.0.offer(Event::Request(Box::new(Request::of(record))));
    }
}
