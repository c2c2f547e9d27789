//! Whether the files of a log are as they were written: each line is what it was, none is missing, none
//! came in, and the end is where the store saw it.
//!
//! What it cannot tell: lines behind the saved end, which are at most those of a second, may be missing;
//! and whoever has the store and its key can write what they like.

use std::fs::File;
use std::io::{self, BufRead, BufReader};
use std::path::{Path, PathBuf};

use super::chain::{ChainKey, Mac, Position, split};
use super::files::{Files, current_of, first_line};
use super::line::{Line, Place, Torn};

/// What stands in a line that speaks of a torn one.
const TORN: &[u8] = b"\"torn\":";

/// What the store knows of logs.
pub struct Known {
    pub keys: Vec<ChainKey>,
    pub heads: Vec<Head>,
}

/// What the store has saved of a chain.
pub struct Head {
    pub chain: String,
    /// How far it had come; `None` where that is not as it was saved.
    pub at: Option<Position>,
}

/// Something that is not as it was written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    pub file: PathBuf,
    /// From 1.
    pub line: u64,
    pub what: String,
}

/// What came of it.
#[derive(Debug, Default)]
pub struct Verdict {
    /// What is wrong; the log is sound where there is nothing.
    pub findings: Vec<Finding>,
    /// What is worth knowing all the same.
    pub notes: Vec<String>,
    pub files: usize,
    pub lines: u64,
    /// Numbers of the first line and the last.
    pub first: u64,
    pub last: u64,
}

/// The files of the set that `path` belongs to, the oldest first.
pub fn set_of(path: &Path) -> io::Result<Vec<PathBuf>> {
    let files = Files::of(&current_of(path));
    let mut set = files.rotated()?;
    // One that was archived has none beside it.
    if files.current().exists() {
        set.push(files.current().to_owned());
    }
    Ok(set)
}

/// Goes through `files`, which are put into the order of their first lines.
pub fn verify(files: &[PathBuf], known: &Known) -> io::Result<Verdict> {
    let mut files: Vec<&PathBuf> = files.iter().collect();
    // One that says nothing of its place is looked at last.
    files.sort_by_key(|path| first_line(path).map_or(u64::MAX, |line| line.seq));
    let mut walk = Walk::new(known);
    for path in files {
        walk.file(path)?;
    }
    Ok(walk.end())
}

struct Walk<'a> {
    known: &'a Known,
    verdict: Verdict,
    file: PathBuf,
    number: u64,
    /// What the lines before this one have said.
    chain: Option<String>,
    key: Option<&'a ChainKey>,
    at: Option<Position>,
    head: Option<Position>,
    kept_from: u64,
    /// The torn line just before this one.
    torn: Option<Torn>,
}

impl<'a> Walk<'a> {
    fn new(known: &'a Known) -> Self {
        Self {
            known,
            verdict: Verdict::default(),
            file: PathBuf::new(),
            number: 0,
            chain: None,
            key: None,
            at: None,
            head: None,
            kept_from: 1,
            torn: None,
        }
    }

    fn file(&mut self, path: &Path) -> io::Result<()> {
        (self.file, self.number) = (path.to_owned(), 0);
        self.verdict.files += 1;
        let mut reader = BufReader::new(File::open(path)?);
        let mut line = next(&mut reader)?;
        while let Some((bytes, is_whole)) = line {
            line = next(&mut reader)?;
            self.number += 1;
            let told = line.as_ref().and_then(|(after, _)| torn_before(after));
            let torn = told.as_ref().and_then(|_| Torn::of(&bytes));
            if !is_whole {
                self.notes(format!(
                    "it ends in a torn line of {} bytes: the proxy was killed while it wrote that, or is writing it now",
                    bytes.len()
                ));
            } else if torn.is_some() && told == torn {
                self.torn = torn;
                self.notes(format!(
                    "a torn line of {} bytes: the proxy was killed while it wrote that, as the start after it says",
                    bytes.len()
                ));
            } else {
                self.line(&bytes);
                self.torn = None;
            }
        }
        Ok(())
    }

    fn line(&mut self, bytes: &[u8]) {
        let (Some(line), Some((fields, mac))) = (Line::parse(bytes), split(bytes)) else {
            return self.finds("is not a line of an audit log".to_owned());
        };
        self.verdict.lines += 1;
        if let Some(place) = &line.chain {
            self.begins(place);
        } else if self.at.is_none() {
            self.finds("is the first one, and does not say where it stands".to_owned());
        }
        let Some(before) = self.at else {
            // There is nothing before it but what it says itself.
            let previous = line.chain.as_ref().and_then(|place| Mac::parse(&place.previous));
            let previous = previous.unwrap_or(Position::beginning().mac);
            self.verdict.first = line.seq;
            if line.seq == 1 && previous != Position::beginning().mac {
                self.finds("says that it is the first, and that there is one before".to_owned());
            }
            return self.follows(previous, &line, fields, mac);
        };
        let expected = before.seq + 1;
        if line.seq < expected {
            return self.finds(format!(
                "is number {} after number {}: it is repeated, or not in its place",
                line.seq, before.seq
            ));
        }
        if line.seq > expected {
            self.finds(format!("follows a gap: {} before it", missing(expected, line.seq - 1)));
            // Only a line that repeats the MAC of the one before can be judged by itself.
            let Some(place) = &line.chain else { return self.goes_on(&line, mac) };
            let previous = Mac::parse(&place.previous).unwrap_or(before.mac);
            return self.follows(previous, &line, fields, mac);
        }
        self.follows(before.mac, &line, fields, mac);
    }

    /// A line that says where it stands.
    fn begins(&mut self, place: &Place) {
        match &self.chain {
            None => {
                self.chain = Some(place.id.clone());
                let head = self.known.heads.iter().find(|head| head.chain == place.id);
                self.head = head.and_then(|head| head.at);
                if head.is_some_and(|head| head.at.is_none()) {
                    self.finds("is of a log whose end the store has not saved like this: that has been changed".to_owned());
                }
            }
            Some(chain) if *chain != place.id => self.finds("is of another log".to_owned()),
            Some(_) => {}
        }
        if place.torn != self.torn {
            self.finds("says that a torn line stands before it, and there is none".to_owned());
        }
        self.key = self.known.keys.iter().find(|key| key.id == place.key);
    }

    /// A line in its place, `previous` being the MAC of the one before.
    fn follows(&mut self, previous: Mac, line: &Line<'_>, fields: &[u8], mac: Mac) {
        match self.key {
            None => self.finds("is under a key that the store does not know".to_owned()),
            Some(key) if key.mac(previous, fields) != mac => self.finds(format!(
                "number {}: it, or the MAC of the one before, is not as it was written",
                line.seq
            )),
            Some(_) => {
                let kept_from = line.chain.as_ref().and_then(|place| place.kept_from);
                self.kept_from = kept_from.unwrap_or(self.kept_from);
            }
        }
        self.goes_on(line, mac);
    }

    fn goes_on(&mut self, line: &Line<'_>, mac: Mac) {
        if self.head.is_some_and(|head| head.seq == line.seq && head.mac != mac) {
            self.finds(format!("number {} is another one than the store has saved", line.seq));
        }
        self.at = Some(Position { seq: line.seq, mac });
    }

    fn end(mut self) -> Verdict {
        let Some(at) = self.at else {
            if self.verdict.findings.is_empty() {
                self.finds("there is no line in it".to_owned());
            }
            return self.verdict;
        };
        self.verdict.last = at.seq;
        let first = self.verdict.first;
        if first > self.kept_from {
            self.finds(format!(
                "at the beginning {} that audit.keep has not taken away: give their files as well",
                missing(self.kept_from, first - 1)
            ));
        } else if first > 1 {
            self.verdict.notes.push(format!(
                "It begins in mid-chain, with line {first}: the files before were removed by audit.keep."
            ));
        }
        match self.head {
            None => self.finds(
                "the store has saved nothing of this log: whether its end is cut off cannot be told"
                    .to_owned(),
            ),
            Some(head) if head.seq > at.seq => self.finds(format!(
                "truncated: at the end {}, which had been written",
                missing(at.seq + 1, head.seq)
            )),
            Some(head) if head.seq < at.seq => self.verdict.notes.push(format!(
                "The last {} lines are unanchored: they came after the store last saved the end, and whether more of them are missing cannot be told.",
                at.seq - head.seq
            )),
            Some(_) => {}
        }
        self.verdict
    }

    fn finds(&mut self, what: String) {
        let (file, line) = (self.file.clone(), self.number);
        self.verdict.findings.push(Finding { file, line, what });
    }

    fn notes(&mut self, what: String) {
        let place = format!("{}:{}", self.file.display(), self.number);
        self.verdict.notes.push(format!("{place}: {what}."));
    }
}

/// What a line says of a torn one before it.
fn torn_before(line: &[u8]) -> Option<Torn> {
    let says_so = line.windows(TORN.len()).any(|part| part == TORN);
    says_so.then(|| Line::parse(line)?.chain?.torn).flatten()
}

fn missing(from: u64, to: u64) -> String {
    if from == to {
        format!("line {from} is missing")
    } else {
        format!("lines {from} to {to} are missing")
    }
}

/// The next line without its end, and whether it has one.
fn next(reader: &mut impl BufRead) -> io::Result<Option<(Vec<u8>, bool)>> {
    let mut line = Vec::new();
    if reader.read_until(b'\n', &mut line)? == 0 {
        return Ok(None);
    }
    let is_whole = line.pop_if(|b| *b == b'\n').is_some();
    Ok(Some((line, is_whole)))
}
