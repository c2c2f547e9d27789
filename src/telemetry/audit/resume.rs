//! Where a chain goes on: behind what was saved of it, or behind what was written since then and is
//! sound. What is found torn, cut off or changed stays as it is, for `audit verify` to tell.

use std::fs::{self, File};
use std::io::{self, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};

use super::chain::{ChainKey, Position, split};
use super::files::{Files, first_line};
use super::line::{Line, Torn};
use crate::types::clock::WallTime;

/// So much of the end of a file is read at first.
const FIRST_LOOK: u64 = 256 << 10;

/// How a file was found.
#[derive(Debug)]
pub struct Found {
    pub at: Position,
    pub torn: Option<Torn>,
    /// Bytes in it.
    pub length: u64,
    /// When its first line was written; `None` where there is none.
    pub since: Option<WallTime>,
}

/// Looks at the log, whose chain had come to `saved`. Lines behind that count where one of `keys` has made
/// them.
pub fn look(files: &Files, saved: Position, keys: &[ChainKey]) -> io::Result<Found> {
    let path = files.current();
    let first = first_line(path);
    let mut at = saved;
    if first.as_ref().is_none_or(|line| line.seq > saved.seq + 1) {
        // A file was begun since then.
        let full = files.rotated()?;
        let holds_next =
            |path: &PathBuf| first_line(path).is_some_and(|line| line.seq <= saved.seq + 1);
        for path in full.iter().skip(full.iter().rposition(holds_next).unwrap_or(0)) {
            (at, _) = advanced(path, at, keys)?;
        }
    }
    let (at, torn) = advanced(path, at, keys)?;
    let since = first.and_then(|line| {
        let time: jiff::Timestamp = line.time.parse().ok()?;
        u64::try_from(time.as_millisecond()).ok().map(WallTime)
    });
    Ok(Found { at, torn: Torn::of(&torn), length: fs::metadata(path)?.len(), since })
}

/// How far the lines of a file lead from `at`, and what follows the last whole one.
fn advanced(path: &Path, at: Position, keys: &[ChainKey]) -> io::Result<(Position, Vec<u8>)> {
    let mut file = File::open(path)?;
    let length = file.metadata()?.len();
    let mut reach = FIRST_LOOK;
    let (lines, torn) = loop {
        let (lines, torn, is_all) = end_of(&mut file, length, reach)?;
        let first = lines.split(|b| *b == b'\n').next().and_then(seq_of);
        if is_all || first.is_some_and(|first| first <= at.seq) {
            break (lines, torn);
        }
        reach *= 4;
    };
    let mut at = at;
    for line in lines.split(|b| *b == b'\n') {
        if seq_of(line) != Some(at.seq + 1) {
            continue;
        }
        match split(line) {
            Some((fields, mac)) if keys.iter().any(|key| key.mac(at.mac, fields) == mac) => {
                at = Position { seq: at.seq + 1, mac };
            }
            _ => {}
        }
    }
    Ok((at, torn))
}

fn seq_of(line: &[u8]) -> Option<u64> {
    Line::parse(line).map(|line| line.seq)
}

/// The whole lines among the last `reach` bytes, what follows them, and whether that is all there is.
fn end_of(file: &mut File, length: u64, reach: u64) -> io::Result<(Vec<u8>, Vec<u8>, bool)> {
    let from = length.saturating_sub(reach);
    file.seek(SeekFrom::Start(from))?;
    let mut lines = Vec::new();
    file.take(reach).read_to_end(&mut lines)?;
    let end = lines.iter().rposition(|b| *b == b'\n').map_or(0, |at| at + 1);
    let torn = lines.split_off(end);
    if from > 0 {
        let start = lines.iter().position(|b| *b == b'\n').map_or(lines.len(), |at| at + 1);
        lines.drain(..start);
    }
    Ok((lines, torn, from == 0))
}
