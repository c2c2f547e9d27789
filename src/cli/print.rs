//! What a command prints: results on standard output, all else on standard error.
//!
//! A reader that has gone away is no reason to stop serving, so failures to write are passed over.

use std::fmt;
use std::io::{self, Write};

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
