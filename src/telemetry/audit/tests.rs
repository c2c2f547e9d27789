//! A log of several files, written by the real writer, and everything that can be done to it.

use std::fs::{self, OpenOptions};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use tempfile::TempDir;

use super::chain::{ChainKey, Position};
use super::event::{Change, What};
use super::files::Files;
use super::line::Line;
use super::verify::{Head, Known, Verdict, set_of, verify};
use super::{Audit, Chain, Limits, Progress, Settings};
use crate::types::clock::{Clock, SharedClock, SystemClock, WallTime};

/// A folder for a log, and what its store would know.
struct Place {
    folder: TempDir,
    head: Progress,
    limits: Limits,
    clock: SharedClock,
}

/// A clock that stands still.
struct At(WallTime);

impl Clock for At {
    fn now(&self) -> WallTime {
        self.0
    }

    fn steady(&self) -> Duration {
        Duration::ZERO
    }
}

fn key() -> ChainKey {
    ChainKey::new(&[1; 8], &[7; 32])
}

impl Place {
    fn new() -> Self {
        Self {
            folder: tempfile::tempdir().unwrap(),
            head: Progress { at: Position::beginning(), noted: 0 },
            limits: Limits { size: 1300, age: Duration::from_secs(3600), keep: 12 },
            clock: Arc::new(SystemClock::new()),
        }
    }

    fn path(&self) -> PathBuf {
        self.folder.path().join("audit.log")
    }

    fn open(&self) -> Result<(Audit, tokio::sync::watch::Receiver<Progress>), String> {
        let settings = Settings { path: self.path(), limits: self.limits.clone() };
        let chain = Chain { id: "c".to_owned(), saved: self.head, key: key(), keys: vec![key()] };
        Audit::open(settings, chain, "version x".to_owned(), Arc::clone(&self.clock))
    }

    /// A run that puts `count` changes on record, and how far it has come.
    fn run(&mut self, count: usize) {
        let (audit, mut progress) = self.open().unwrap();
        for _ in 0..count {
            audit.note(Change::new(What::Refresh).of(&"acme".parse().unwrap()));
        }
        audit.close();
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(async { while progress.changed().await.is_ok() {} });
        self.head = *progress.borrow();
        assert_eq!(audit.lost(), Some(0));
    }

    fn known(&self) -> Known {
        Known {
            keys: vec![key()],
            heads: vec![Head { chain: "c".to_owned(), at: Some(self.head.at) }],
        }
    }

    fn verdict(&self) -> Verdict {
        verify(&set_of(&self.path()).unwrap(), &self.known()).unwrap()
    }

    fn found(&self) -> String {
        let verdict = self.verdict();
        verdict.findings.iter().map(|finding| format!("{}\n", finding.what)).collect()
    }

    /// All lines, each with its file.
    fn lines(&self) -> Vec<(PathBuf, Vec<u8>)> {
        let mut lines = Vec::new();
        for file in set_of(&self.path()).unwrap() {
            let text = fs::read(&file).unwrap();
            let whole = text.split_inclusive(|b| *b == b'\n');
            lines.extend(whole.map(|line| (file.clone(), line.to_vec())));
        }
        lines
    }

    /// Puts these lines into the files, each in place of what was there.
    fn put(&self, lines: &[(PathBuf, Vec<u8>)]) {
        for file in set_of(&self.path()).unwrap() {
            let own = lines.iter().filter(|(of, _)| *of == file);
            let text: Vec<u8> = own.flat_map(|(_, line)| line.clone()).collect();
            fs::write(file, text).unwrap();
        }
    }
}

fn add(path: &Path, bytes: &[u8]) {
    OpenOptions::new().append(true).open(path).unwrap().write_all(bytes).unwrap();
}

/// A sound set of three files or more, with a torn line from a kill in it.
fn three_files() -> Place {
    let mut place = Place::new();
    place.run(6);
    add(&place.path(), b"{\"seq\":9,\"time\":\"2026-");
    place.run(10);
    let verdict = place.verdict();
    assert_eq!(verdict.findings, []);
    assert!(verdict.files >= 3, "{verdict:?}");
    assert_eq!((verdict.first, verdict.last), (1, place.head.at.seq));
    assert!(verdict.notes.iter().any(|note| note.contains("torn line of 22 bytes")), "{verdict:?}");
    place
}

#[test]
fn every_change_of_every_line_up_to_the_head_is_found() {
    let place = three_files();
    let lines = place.lines();
    let tampered = |what: &str, changed: &[(PathBuf, Vec<u8>)]| {
        place.put(changed);
        assert_ne!(place.found(), "", "{what}");
    };
    for at in 0..lines.len() {
        let mut changed = lines.clone();
        changed.remove(at);
        tampered(&format!("line {at} is removed"), &changed);
        let mut changed = lines.clone();
        changed.insert(at, lines[at].clone());
        tampered(&format!("line {at} is repeated"), &changed);
        for other in at + 1..lines.len() {
            let mut changed = lines.clone();
            (changed[at].1, changed[other].1) = (lines[other].1.clone(), lines[at].1.clone());
            tampered(&format!("lines {at} and {other} are swapped"), &changed);
            let mut moved = lines.clone();
            let line = moved.remove(at);
            moved.insert(other, line);
            // Each file keeps its number of lines.
            for (moved, (file, _)) in moved.iter_mut().zip(&lines) {
                moved.0.clone_from(file);
            }
            tampered(&format!("line {at} is moved to {other}"), &moved);
        }
        // Some bytes of each line, others in each, and the end of the line; of a byte, one bit.
        let last = lines[at].1.len() - 1;
        for byte in (at % 31..last).step_by(31).chain([last]) {
            let mut changed = lines.clone();
            changed[at].1[byte] ^= 1;
            tampered(&format!("byte {byte} of line {at} is changed"), &changed);
        }
        let cut: Vec<_> = lines[..at].to_vec();
        tampered(&format!("all from line {at} on is cut off"), &cut);
    }
    place.put(&lines);
    assert_eq!(place.found(), "");
}

#[test]
fn a_chain_that_was_computed_anew_without_the_key_is_found() {
    let place = three_files();
    let (lines, forger) = (place.lines(), ChainKey::new(&[1; 8], &[8; 32]));
    for from in 0..lines.len() {
        let Some(first) = Line::parse(lines[from].1.trim_ascii_end()) else { continue };
        let before = from
            .checked_sub(1)
            .and_then(|at| super::chain::split(lines[at].1.trim_ascii_end()).map(|(_, mac)| mac));
        let mac = before.unwrap_or(Position::beginning().mac);
        let mut at = Position { seq: first.seq - 1, mac };
        let mut changed = lines.clone();
        for (_, bytes) in &mut changed[from..] {
            let Some(mut line) = Line::parse(bytes.trim_ascii_end()) else { continue };
            line.account = Some("forged".into());
            if let Some(place) = &mut line.chain {
                place.previous = at.mac.to_string();
            }
            bytes.clear();
            at = forger.append(at, &line.to_json(), bytes);
        }
        place.put(&changed);
        assert!(place.found().contains("not as it was written"), "from {from}");
    }
}

#[test]
fn a_missing_file_is_told_from_one_that_was_not_to_be_kept() {
    let place = three_files();
    let files = set_of(&place.path()).unwrap();
    for file in &files {
        let aside = place.folder.path().join("aside");
        fs::rename(file, &aside).unwrap();
        let rest: Vec<PathBuf> = files.iter().filter(|other| *other != file).cloned().collect();
        assert_ne!(verify(&rest, &place.known()).unwrap().findings, [], "{}", file.display());
        fs::rename(&aside, file).unwrap();
    }
    // The names count for nothing.
    let shuffled: Vec<PathBuf> = files.iter().rev().cloned().collect();
    assert_eq!(verify(&shuffled, &place.known()).unwrap().findings, []);

    let mut place = Place::new();
    place.limits.keep = 1;
    place.run(40);
    let verdict = place.verdict();
    assert_eq!((verdict.findings, verdict.files), (vec![], 2));
    assert!(verdict.first > 1);
    assert!(verdict.notes.iter().any(|note| note.contains("removed by audit.keep")));
    fs::remove_file(&set_of(&place.path()).unwrap()[0]).unwrap();
    assert!(place.found().contains("that audit.keep has not taken away"), "{}", place.found());
}

#[test]
fn a_log_goes_on_where_it_was_whatever_was_done_to_it_meanwhile() {
    let mut place = Place::new();
    place.limits.size = 1 << 20;
    place.run(3);
    let whole = fs::read(place.path()).unwrap();
    let early = place.head;
    place.run(3);
    let (later, late) = (fs::read(place.path()).unwrap(), place.head);

    // What came after the head was saved counts, and is anchored by what follows.
    place.head = early;
    let verdict = place.verdict();
    assert_eq!(verdict.findings, []);
    let unanchored = format!("The last {} lines are unanchored", late.at.seq - early.at.seq);
    assert!(verdict.notes[0].starts_with(&unanchored), "{verdict:?}");
    place.run(1);
    assert_eq!((place.found().as_str(), place.head.at.seq), ("", late.at.seq + 3));

    // What was cut off stays missing, also when lines have followed.
    fs::write(place.path(), &whole).unwrap();
    place.head = late;
    assert!(place.found().contains("truncated: at the end lines 6 to 10 are missing"));
    place.run(1);
    assert!(
        place.found().contains("follows a gap: lines 6 to 10 are missing"),
        "{}",
        place.found()
    );

    // Nor does the chain go on behind what it has not made.
    fs::write(place.path(), &later).unwrap();
    add(&place.path(), b"{\"seq\":18446744073709551615}\nnot a line\n");
    place.head = late;
    place.run(1);
    let found = place.found();
    assert_eq!(found.matches("is not a line of an audit log").count(), 2, "{found}");
    assert_eq!(place.head.at.seq, late.at.seq + 3);

    // A file that is gone.
    fs::remove_file(place.path()).unwrap();
    place.run(1);
    assert!(place.found().contains("are missing that audit.keep has not taken away"));
}

#[test]
fn a_kill_at_the_first_line_of_a_file_is_told_as_any_other() {
    let mut place = Place::new();
    place.limits.size = 1 << 20;
    place.run(3);
    let current = place.path();
    fs::rename(&current, current.with_extension("log.20260101T000000.000Z")).unwrap();
    fs::write(&current, "{\"seq\":6,").unwrap();
    private_mode(&current);
    place.limits.size = 1300;
    place.run(20);
    let verdict = place.verdict();
    assert_eq!((verdict.findings, verdict.first), (vec![], 1));
    assert!(verdict.notes.iter().any(|note| note.contains("torn line of 9 bytes")));
}

/// As the proxy makes its files.
fn private_mode(path: &Path) {
    #[cfg(unix)]
    fs::set_permissions(path, std::os::unix::fs::PermissionsExt::from_mode(0o600)).unwrap();
}

#[test]
fn a_kill_just_after_new_files_were_begun_costs_no_line() {
    let mut place = Place::new();
    place.run(3);
    let early = place.head;
    place.run(20);
    let (late, files) = (place.head, set_of(&place.path()).unwrap().len());
    assert!(files > 3, "{files}");
    // The store had not been told of them.
    place.head = early;
    place.run(1);
    assert_eq!(place.found(), "");
    assert!(place.head.at.seq >= late.at.seq + 3, "{:?} after {late:?}", place.head);
}

#[test]
fn a_file_is_full_by_size_or_by_age() {
    let mut place = Place::new();
    place.run(40);
    let files = set_of(&place.path()).unwrap();
    assert!(files.len() > 4, "{files:?}");
    for file in &files {
        assert!(fs::metadata(file).unwrap().len() <= 1300);
    }
    let mut place = Place::new();
    place.limits.size = 1 << 20;
    let now = SystemClock::new().now();
    for (hours, expected) in [(0, 1), (0, 1), (1, 2), (1, 2), (3, 3)] {
        place.clock = Arc::new(At(now.after(Duration::from_secs(hours * 3600))));
        place.run(1);
        assert_eq!(set_of(&place.path()).unwrap().len(), expected);
    }
    assert_eq!(place.found(), "");
}

#[test]
fn two_writers_have_no_log_in_common() {
    let place = Place::new();
    let (audit, _progress) = place.open().unwrap();
    let problem = place.open().map(drop).unwrap_err();
    assert!(problem.contains("being written by another proxy"), "{problem}");
    audit.close();
}

#[test]
fn what_finds_no_room_is_counted_and_put_on_record() {
    let place = Place::new();
    let intake = Arc::default();
    let queue = super::queue::Queue::new(&intake);
    let offered = super::queue::CAPACITY + 5;
    for _ in 0..offered {
        queue.offer(super::Event::Change(Box::new(Change::new(What::Refresh))));
    }
    assert_eq!(intake.lost(), 5);
    intake.end();
    let files = Files::of(&place.path());
    let (progress, told) =
        tokio::sync::watch::channel(Progress { at: Position::beginning(), noted: 0 });
    let from = super::Beginning {
        _lock: files.lock().unwrap(),
        file: files.open().unwrap(),
        limits: Limits { size: 1 << 30, ..place.limits.clone() },
        files,
        chain: "c".to_owned(),
        key: key(),
        reached: Progress { at: Position::beginning(), noted: 0 },
        length: 0,
        since: None,
        torn: None,
        detail: String::new(),
        clock: Arc::clone(&place.clock),
        intake,
        progress,
    };
    super::Writer::new(from).run();
    let lines = place.lines();
    let lost = lines.iter().filter_map(|(_, line)| Line::parse(line.trim_ascii_end())?.lost);
    assert_eq!(lost.sum::<u64>(), 5);
    // A start, a stop, and the loss.
    assert_eq!(lines.len(), super::queue::CAPACITY + 3);
    assert_eq!(told.borrow().at.seq, lines.len() as u64);
}
