//! What a person at a terminal sees while a command waits for more than half a second: a line that moves
//! and goes away. Elsewhere there is none, so that no log and no other program gets it.
//!
//! Nothing else may be printed while one is there, and nothing asked.

use std::io::{self, IsTerminal, Write};
use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

/// What takes less is over before it could be read.
const DELAY: Duration = Duration::from_millis(500);
const STEP: Duration = Duration::from_millis(120);
const FRAMES: [char; 4] = ['|', '/', '-', '\\'];
/// Of a terminal that does not say how wide it is.
const USUAL_WIDTH: usize = 80;

/// A line on standard error, for as long as this lives.
pub struct Spinner(Option<Running>);

struct Running {
    stop: Sender<()>,
    thread: JoinHandle<()>,
}

impl Spinner {
    /// Says `what` is waited for, without punctuation; with a `limit`, also how much is left of it.
    pub fn start(what: &str, limit: Option<Duration>) -> Self {
        if !is_shown() {
            return Self(None);
        }
        let (stop, stopped) = channel();
        let what = what.to_owned();
        let spin = move || {
            let begun = Instant::now();
            let mut wait = DELAY;
            let mut drawn = 0;
            for frame in FRAMES.into_iter().cycle() {
                if stopped.recv_timeout(wait) != Err(RecvTimeoutError::Timeout) {
                    break;
                }
                wait = STEP;
                let left = limit.map(|limit| limit.saturating_sub(begun.elapsed()));
                let line = line(frame, &what, left, width());
                draw(&line, drawn);
                drawn = line.chars().count();
            }
            if drawn > 0 {
                draw("", drawn);
                draw("", 0);
            }
        };
        // Without a thread it is done without.
        let thread = thread::Builder::new().name("spinner".to_owned()).spawn(spin);
        Self(thread.ok().map(|thread| Running { stop, thread }))
    }
}

impl Drop for Spinner {
    /// Takes the line away before anything else can be printed.
    fn drop(&mut self) {
        if let Some(Running { stop, thread }) = self.0.take() {
            drop(stop);
            let _ = thread.join();
        }
    }
}

/// Whether there is somebody to look at it, on a terminal that can go back to the start of a line.
pub fn is_shown() -> bool {
    io::stderr().is_terminal() && std::env::var_os("TERM").is_none_or(|term| term != "dumb")
}

fn width() -> usize {
    let size = terminal_size::terminal_size_of(io::stderr());
    size.map_or(USUAL_WIDTH, |(width, _)| usize::from(width.0))
}

/// One line that no terminal of `width` columns breaks: of a broken one, a part would stay.
fn line(frame: char, what: &str, left: Option<Duration>, width: usize) -> String {
    let left = left.map(|left| format!(" ({} left)", super::print::span(left))).unwrap_or_default();
    let line = format!("{frame} {what} ...{left}");
    line.chars().take(width.saturating_sub(1)).collect()
}

/// Writes over the `before` characters that stand there, without escape sequences.
fn draw(line: &str, before: usize) {
    let mut out = io::stderr().lock();
    let _ = write!(out, "\r{line:<before$}");
    let _ = out.flush();
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::line;

    #[test]
    fn a_line_fits_the_terminal() {
        let left = Some(Duration::from_secs(299));
        assert_eq!(line('|', "Waiting", left, 80), "| Waiting ... (4 min left)");
        assert_eq!(line('|', "Waiting", left, 12), "| Waiting .");
        assert_eq!(line('|', "Waiting", None, 0), "");
    }
}
