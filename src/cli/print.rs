//! What a command prints: results on standard output, all else on standard error.
//!
//! Whatever is printed may hold text of others, and commands no terminal.
//!
//! A reader that has gone away is no reason to stop serving, so failures to write are passed over, but
//! for a result that is written to be kept.

use std::fmt;
use std::io::{self, ErrorKind, IsTerminal, Write};
use std::time::Duration;

use super::Failure;
use crate::types::visible::visible;

/// A line of a result.
pub fn line(text: impl fmt::Display) {
    let mut out = io::stdout().lock();
    let _ = writeln!(out, "{}", visible(&text.to_string()));
    let _ = out.flush();
}

/// A colour of the eight that every terminal with colours has (ECMA-48, SGR).
#[derive(Clone, Copy, Debug)]
pub enum Colour {
    Red = 31,
    Green = 32,
    Yellow = 33,
    Grey = 90,
}

/// A line of a result whose first word is in a colour, where standard output is a terminal and `NO_COLOR`
/// is not set.
pub fn marked(colour: Colour, word: &str, rest: impl fmt::Display) {
    let mut out = io::stdout().lock();
    let shown = rest.to_string();
    let (word, rest) = (visible(word), visible(&shown));
    let _ = match out.is_terminal() && std::env::var_os("NO_COLOR").is_none() {
        true => writeln!(out, "\x1b[{}m{word}\x1b[0m{rest}", colour as u8),
        false => writeln!(out, "{word}{rest}"),
    };
    let _ = out.flush();
}

/// A result that is of use only as a whole, such as a file for another program.
pub fn bytes(result: &[u8]) -> Result<(), Failure> {
    let mut out = io::stdout().lock();
    match out.write_all(result).and_then(|()| out.flush()) {
        // A reader that has seen enough.
        Err(error) if error.kind() == ErrorKind::BrokenPipe => Ok(()),
        written => written.map_err(|error| {
            Failure::failed(format!("standard output cannot be written: {error}"))
        }),
    }
}

/// A word beside the result.
pub fn note(text: impl fmt::Display) {
    let _ = writeln!(io::stderr().lock(), "{}", visible(&text.to_string()));
}

/// The error that ends the command.
pub fn error(text: impl fmt::Display) {
    let _ = writeln!(io::stderr().lock(), "error: {}", visible(&text.to_string()));
}

/// A span, to the second, minute or hour.
pub fn span(span: Duration) -> String {
    match span.as_secs() {
        seconds @ 0..120 => format!("{seconds} s"),
        seconds @ 0..7200 => format!("{} min", seconds / 60),
        seconds => format!("{} h {} min", seconds / 3600, seconds % 3600 / 60),
    }
}

/// Rows in columns as wide as they need to be; the first is the titles.
pub fn table(rows: &[Vec<String>]) -> String {
    let columns = rows.iter().map(Vec::len).max().unwrap_or(0);
    let width = |column: usize| {
        let cells = rows.iter().filter_map(|row| row.get(column));
        cells.map(|cell| cell.chars().count()).max().unwrap_or(0)
    };
    let widths: Vec<usize> = (0..columns).map(width).collect();
    let line = |row: &Vec<String>| {
        let cells = row.iter().zip(&widths).map(|(cell, width)| format!("{cell:<width$}"));
        cells.collect::<Vec<_>>().join("  ").trim_end().to_owned()
    };
    rows.iter().map(line).collect::<Vec<_>>().join("\n")
}
