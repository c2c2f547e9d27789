//! The thread that writes: it alone waits for the disk.
//!
//! What could not be written is kept and tried again every second; meanwhile nothing more is taken out
//! of the queues, which are bounded. So a disk that is slow or full costs lines, which are counted, and
//! never a request's time.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::watch;
use tracing::{info, warn};

use super::chain::{ChainKey, Position};
use super::event::{Event, What};
use super::files::{Files, first_line};
use super::line::{Line, Place, Torn, VERSION};
use super::queue::Intake;
use crate::types::clock::{SharedClock, WallTime};

/// How long lines gather while they come in a row.
const GATHER: Duration = Duration::from_millis(20);
/// From a line to the moment at which it is on the disk and the chain's head is saved.
const SYNC: Duration = Duration::from_secs(1);
/// Between two tries to write what could not be written.
const AGAIN: Duration = Duration::from_secs(1);
/// Between two tries to begin a new file.
const ROTATE_AGAIN: Duration = Duration::from_secs(60);
/// Bytes that are written at once.
const AT_ONCE: usize = 64 << 10;

/// When a file is full, and how many full ones are kept.
#[derive(Clone, Debug)]
pub struct Limits {
    /// Bytes.
    pub size: u64,
    pub age: Duration,
    pub keep: usize,
}

/// How far a log has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Progress {
    pub at: Position,
    /// Number of the last of the store's events that is in it.
    pub noted: u64,
}

/// What a writer begins with.
pub struct Beginning {
    pub files: Files,
    pub limits: Limits,
    pub chain: String,
    pub key: ChainKey,
    pub reached: Progress,
    pub file: File,
    /// Of the file.
    pub length: u64,
    pub since: Option<WallTime>,
    pub torn: Option<Torn>,
    /// What the start line says beside where it stands.
    pub detail: String,
    pub clock: SharedClock,
    pub intake: Arc<Intake>,
    /// The lock, held as long as the writer runs.
    pub _lock: File,
    /// Tells what is on the disk.
    pub progress: watch::Sender<Progress>,
}

pub struct Writer {
    from: Beginning,
    /// With the last line that is put together.
    reached: Progress,
    /// With the last line of which all is written.
    whole: Progress,
    /// With the last line that is on the disk.
    synced: Progress,
    last_sync: Instant,
    /// Lines that are to be written, and how much of them is.
    pending: Vec<u8>,
    written: usize,
    length: u64,
    since: WallTime,
    /// Losses that are on record.
    told: u64,
    failing: bool,
    rotate_after: Option<Instant>,
}

impl Writer {
    pub fn new(from: Beginning) -> Self {
        let (reached, length, now) = (from.reached, from.length, from.clock.now());
        let since = from.since.unwrap_or(now);
        Self {
            reached,
            whole: reached,
            synced: reached,
            last_sync: Instant::now(),
            pending: Vec::new(),
            written: 0,
            length,
            since,
            told: 0,
            failing: false,
            rotate_after: None,
            from,
        }
    }

    /// Writes until the intake has ended and is empty.
    pub fn run(mut self) {
        self.from.intake.attend();
        self.start();
        let mut events = Vec::new();
        loop {
            let is_ending = self.from.intake.has_ended();
            if self.flush() {
                self.from.intake.drain(&mut events);
            }
            let any = !events.is_empty();
            for event in events.drain(..) {
                self.write(&event);
            }
            self.tell_losses();
            let is_well = self.flush();
            if is_ending && (!any || !is_well) {
                return self.stop();
            }
            if self.last_sync.elapsed() >= SYNC {
                self.sync();
            }
            match (is_well, any) {
                (false, _) => self.from.intake.pause(AGAIN),
                (true, true) => self.from.intake.pause(GATHER),
                (true, false) => {
                    let is_behind = self.whole != self.synced;
                    let wait = is_behind.then(|| SYNC.saturating_sub(self.last_sync.elapsed()));
                    self.from.intake.sleep(wait, &mut events);
                }
            }
        }
    }

    fn start(&mut self) {
        let torn = self.from.torn.take();
        if let Some(torn) = &torn {
            warn!(
                "the last line of the audit log is torn ({} bytes): it goes on after line {}",
                torn.bytes, self.reached.at.seq
            );
            self.pending.push(b'\n');
            self.length += 1;
        }
        let detail = std::mem::take(&mut self.from.detail);
        let line = Line {
            detail: Some(detail.into()),
            chain: Some(Place { torn, ..self.place() }),
            ..Line::about(What::Start.name(), self.now())
        };
        self.put(line);
    }

    fn stop(mut self) {
        self.append(Line::about(What::Stop.name(), self.now()));
        if !self.flush() {
            warn!("the last lines of the audit log could not be written and are lost");
        }
        self.sync();
    }

    fn write(&mut self, event: &Event) {
        let now = self.now();
        self.append(match event {
            Event::Request(request) => Line::of_request(request, now),
            Event::Change(change) => Line::of_change(change, now),
        });
        if let Event::Change(change) = event {
            self.reached.noted = change.noted.unwrap_or(self.reached.noted);
        }
        if self.pending.len() >= AT_ONCE {
            self.flush();
        }
    }

    fn tell_losses(&mut self) {
        let lost = self.from.intake.lost();
        if lost > self.told {
            let lines = lost - std::mem::replace(&mut self.told, lost);
            warn!("{lines} lines of the audit log are lost: the disk is too slow for them");
            self.append(Line { lost: Some(lines), ..Line::about(What::Lost.name(), self.now()) });
        }
    }

    /// Puts a line behind the others, in a new file where this one is full.
    fn append(&mut self, line: Line<'_>) {
        let age = self.since.until(self.now());
        let room = self.from.limits.size.saturating_sub(self.length);
        // With the number and the MAC, which are not in it yet.
        let is_full = line.to_json().len() as u64 + 100 > room;
        if (is_full || age >= self.from.limits.age) && self.may_rotate() {
            self.rotate();
        }
        self.put(line);
    }

    fn put(&mut self, mut line: Line<'_>) {
        let before = self.pending.len();
        line.seq = self.reached.at.seq + 1;
        self.reached.at = self.from.key.append(self.reached.at, &line.to_json(), &mut self.pending);
        self.length += (self.pending.len() - before) as u64;
    }

    /// Writes what there is to write; false where that cannot be done now.
    fn flush(&mut self) -> bool {
        while self.written < self.pending.len() {
            match self.from.file.write(&self.pending[self.written..]) {
                Ok(count @ 1..) => self.written += count,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Ok(0) => return self.fails(&io::ErrorKind::WriteZero.into()),
                Err(error) => return self.fails(&error),
            }
        }
        self.pending.clear();
        self.written = 0;
        self.whole = self.reached;
        if std::mem::take(&mut self.failing) {
            info!("the audit log is written again");
        }
        true
    }

    fn fails(&mut self, error: &io::Error) -> bool {
        if !std::mem::replace(&mut self.failing, true) {
            let path = self.from.files.current().display();
            warn!("the audit log {path} cannot be written and is tried again: {error}");
        }
        false
    }

    /// Puts on the disk what is written, and tells how far that is.
    fn sync(&mut self) {
        self.last_sync = Instant::now();
        if self.whole == self.synced {
            return;
        }
        match self.from.file.sync_data() {
            Ok(()) => {
                self.synced = self.whole;
                self.from.progress.send_replace(self.synced);
            }
            Err(error) => {
                self.fails(&error);
            }
        }
        if !self.from.files.is_current(&self.from.file) && self.may_rotate() {
            warn!("somebody has moved the audit log away: a new file is begun");
            self.rotate();
        }
    }

    fn may_rotate(&self) -> bool {
        // The lines before the first of a file are none.
        self.length > 0 && self.rotate_after.is_none_or(|after| Instant::now() >= after)
    }

    /// Begins a new file. Where that cannot be done, this one grows on.
    fn rotate(&mut self) {
        if !self.flush() {
            return;
        }
        let now = self.now();
        let moved = match self.from.files.is_current(&self.from.file) {
            true => self.from.file.sync_data().and_then(|()| self.from.files.set_aside(now)),
            false => Ok(()),
        };
        match moved.map_err(|error| error.to_string()).and_then(|()| self.from.files.open()) {
            Ok(file) => self.from.file = file,
            Err(error) => {
                warn!("no new file can be begun for the audit log: {error}");
                self.rotate_after = Some(Instant::now() + ROTATE_AGAIN);
                return;
            }
        }
        (self.length, self.since) = (0, now);
        let (old, kept_from) = self.rotated();
        let line = Line {
            chain: Some(Place { kept_from, ..self.place() }),
            ..Line::about(What::Rotated.name(), now)
        };
        self.put(line);
        // What is taken away has to be on record before.
        if self.flush() && self.from.file.sync_data().is_ok() {
            for path in old {
                if let Err(error) = fs::remove_file(&path) {
                    warn!("{} cannot be removed: {error}", path.display());
                }
            }
        }
    }

    /// The files that are too old to be kept, and the first line of those that are.
    fn rotated(&self) -> (Vec<PathBuf>, Option<u64>) {
        let Ok(mut old) = self.from.files.rotated() else { return (Vec::new(), None) };
        let kept = old.split_off(old.len().saturating_sub(self.from.limits.keep));
        let first = match kept.first() {
            Some(first) => first_line(first).map(|line| line.seq),
            None => Some(self.reached.at.seq + 1),
        };
        match first {
            Some(_) => (old, first),
            // One that says nothing of its place is a reason to keep what there is.
            None => (Vec::new(), None),
        }
    }

    fn place(&self) -> Place {
        Place {
            id: self.from.chain.clone(),
            format: VERSION,
            key: self.from.key.id.clone(),
            previous: self.reached.at.mac.to_string(),
            kept_from: None,
            torn: None,
        }
    }

    fn now(&self) -> WallTime {
        self.from.clock.now()
    }
}
