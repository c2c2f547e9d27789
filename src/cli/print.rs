//! What a command prints: results on standard output, all else on standard error.
//!
//! A reader that has gone away is no reason to stop serving, so failures to write are passed over.

use std::fmt;
use std::io::{self, Write};
use std::time::Duration;

use crate::types::clock::WallTime;

/// A line of a result.
pub fn line(text: impl fmt::Display) {
    let mut out = io::stdout().lock();
    let _ = writeln!(out, "{text}");
    let _ = out.flush();
}

/// A word beside the result.
pub fn note(text: impl fmt::Display) {
    let _ = writeln!(io::stderr().lock(), "{text}");
}

/// The error that ends the command.
pub fn error(text: impl fmt::Display) {
    let _ = writeln!(io::stderr().lock(), "error: {text}");
}

/// A moment, as RFC 3339 has it.
pub fn time(time: WallTime) -> String {
    let millis = i64::try_from(time.0).unwrap_or(i64::MAX);
    let seconds = jiff::Timestamp::from_second(millis / 1000);
    seconds.map_or_else(|_| "the end of time".to_owned(), |time| time.to_string())
}

/// A span, to the minute or second.
pub fn span(span: Duration) -> String {
    match span.as_secs() {
        seconds @ 0..120 => format!("{seconds} s"),
        seconds => format!("{} min", seconds / 60),
    }
}
