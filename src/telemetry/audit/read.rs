//! Reads the lines of a log for people. Whether they are as they were written is for
//! [`super::verify`] to say.

use std::fs::File;
use std::io::{self, BufRead, BufReader};
use std::path::Path;

use super::line::Line;

/// A file, line by line as they come.
pub struct Lines {
    reader: BufReader<File>,
    /// The beginning of a line whose end is not there yet.
    part: Vec<u8>,
}

impl Lines {
    /// From the file's beginning.
    pub fn of(path: &Path) -> io::Result<Self> {
        Ok(Self { reader: BufReader::new(File::open(path)?), part: Vec::new() })
    }

    /// The next whole line without its end; `None` where there is none yet.
    pub fn next_whole(&mut self) -> io::Result<Option<Vec<u8>>> {
        self.reader.read_until(b'\n', &mut self.part)?;
        Ok(self.part.pop_if(|byte| *byte == b'\n').map(|_| std::mem::take(&mut self.part)))
    }

    /// The file that is read.
    pub fn file(&self) -> &File {
        self.reader.get_ref()
    }
}

/// A line in a form for people: when, what, whose, how it ended.
pub fn shown(line: &Line<'_>) -> String {
    let mut parts = vec![line.time.to_string()];
    match line.status {
        Some(status) => {
            parts.push(status.to_string());
            parts.extend(line.error.as_deref().map(str::to_owned));
            let word = |word: &Option<_>| String::from(Option::as_deref(word).unwrap_or("-"));
            parts.push(format!("{} {}", word(&line.method), word(&line.path)));
        }
        None => {
            parts.push(line.event.to_string());
            parts.extend(line.error.as_deref().map(str::to_owned));
        }
    }
    parts.extend(line.account.as_deref().map(|name| format!("account {name}")));
    parts.extend(line.key.as_deref().map(|name| format!("key {name}")));
    parts.extend(line.ms.map(|ms| format!("{ms} ms")));
    parts.extend(line.replay.as_deref().map(str::to_owned));
    parts.extend(line.ending.as_deref().map(str::to_owned));
    parts.extend(line.detail.as_deref().map(str::to_owned));
    parts.extend(line.lost.map(|count| format!("{count} lines lost")));
    // What was tampered with could move the cursor of a terminal.
    parts.join("  ").replace(char::is_control, "\u{fffd}")
}
