//! Questions to a person: on a terminal only, and secrets without an echo.

use std::io::{self, BufRead, IsTerminal, Read, Write};

use zeroize::Zeroizing;

use super::Failure;
use crate::types::secret::Secret;

/// Most that is read from a pipe, in bytes.
const LARGEST_INPUT: u64 = 64 * 1024;

/// Whether there is somebody to ask.
pub fn is_interactive() -> bool {
    io::stdin().is_terminal() && io::stderr().is_terminal()
}

/// Asks for a line; `default` is what Enter alone means, if it means anything.
pub fn ask(question: &str, default: Option<&str>) -> Result<String, Failure> {
    let hint = default.map(|default| format!(" [{default}]")).unwrap_or_default();
    let mut out = io::stderr().lock();
    let _ = write!(out, "{question}{hint}: ");
    let _ = out.flush();
    let mut line = String::new();
    io::stdin().lock().read_line(&mut line).map_err(Failure::failed)?;
    match (line.trim(), default) {
        ("", Some(default)) => Ok(default.to_owned()),
        ("", None) => Err(Failure::failed("nothing was entered")),
        (line, _) => Ok(line.to_owned()),
    }
}

/// Asks for a secret, which is not shown.
pub fn ask_secret(question: &str) -> Result<Secret, Failure> {
    let text = rpassword::prompt_password(format!("{question} (not shown): "));
    let text = Zeroizing::new(text.map_err(Failure::failed)?);
    as_secret(&text)
}

/// A secret from standard input: asked for on a terminal, read to its end otherwise.
pub fn secret_from_input(question: &str) -> Result<Secret, Failure> {
    if io::stdin().is_terminal() {
        return ask_secret(question);
    }
    let mut text = Zeroizing::new(String::with_capacity(LARGEST_INPUT as usize + 1));
    let read = io::stdin().lock().take(LARGEST_INPUT + 1).read_to_string(&mut text);
    read.map_err(|error| Failure::failed(format!("standard input cannot be read: {error}")))?;
    if text.len() as u64 > LARGEST_INPUT {
        return Err(Failure::failed("standard input holds more than 64 KiB, which is no secret"));
    }
    as_secret(&text)
}

fn as_secret(text: &str) -> Result<Secret, Failure> {
    let text = text.trim();
    if text.is_empty() {
        return Err(Failure::failed("there is nothing in it: give the secret on standard input"));
    }
    if !text.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Err(Failure::failed(
            "a secret is one word without blanks or letters beyond ASCII: check what was given on standard input",
        ));
    }
    Ok(Secret::new(text.to_owned()))
}
