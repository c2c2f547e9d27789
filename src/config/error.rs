//! What can be wrong with a configuration, and where.

use std::fmt;
use std::io;
use std::path::PathBuf;

use thiserror::Error;

/// Where a setting was written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Place {
    /// A line of a file, counted from 1.
    Line { file: String, line: usize },
    /// An environment variable.
    Variable(String),
    /// A flag of the command line.
    Flag(&'static str),
}

/// Why there is no usable configuration: one sentence that names the place and the mend. It holds
/// no secret, also where one was written into a place that is not for secrets.
#[derive(Debug, Error)]
pub enum ConfigError {
    #[error("{place}: {problem}")]
    Setting { place: Place, problem: String },
    #[error("cannot read the configuration file {}: {source}; check its path and permissions", path.display())]
    Unreadable { path: PathBuf, source: io::Error },
    #[error("the configuration file {} is gone; put it back, or start anew without it", path.display())]
    Gone { path: PathBuf },
    #[error("{} is no file any more: put the configuration back, or start anew with it", path.display())]
    NotAFile { path: PathBuf },
    #[error(
        "{path} belongs to another user now, who could send your credentials elsewhere: start anew with it if you trust it",
        path = path.display()
    )]
    OtherOwner { path: PathBuf },
    #[error("the configuration file {} is empty; write the settings back, or start anew with it", path.display())]
    Blank { path: PathBuf },
    #[error("{} is larger than a configuration file can be ({} KiB)", path.display(), limit / 1024)]
    TooLarge { path: PathBuf, limit: u64 },
    #[error(
        "{path} can be written by others, who could then send your credentials elsewhere: run `chmod go-w {path}`",
        path = path.display()
    )]
    WritableByOthers { path: PathBuf },
    #[error(
        "{path} belongs to another user, who could send your credentials elsewhere: name it with `--config {path}` if you trust it",
        path = path.display()
    )]
    ForeignOwner { path: PathBuf },
    #[error(
        "no account is configured: run `hubspot-proxy login`, or set HUBSPOT_ACCESS_TOKEN, or write an account into proxy.toml, or try `hubspot-proxy --sandbox`"
    )]
    NoAccount,
}

impl ConfigError {
    /// A mistake in what stands at `place`.
    pub(super) fn at(place: &Place, problem: impl Into<String>) -> Self {
        Self::Setting { place: place.clone(), problem: problem.into() }
    }

    /// A mistake in the environment variable `name`.
    pub(super) fn variable(name: &str, problem: impl Into<String>) -> Self {
        Self::Setting { place: Place::Variable(name.to_owned()), problem: problem.into() }
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Line { file, line } => write!(f, "{file} line {line}"),
            Self::Variable(name) => f.write_str(name),
            Self::Flag(name) => f.write_str(name),
        }
    }
}

/// `text` in backticks when it is short, else `what` in its place: a long word where a name
/// belongs can be a credential that was pasted there.
pub(super) fn shown(text: &str, what: &str) -> String {
    let plain = text.chars().all(|c| c.is_ascii_graphic() && c != '`');
    if plain && !text.is_empty() && text.len() <= 30 && !looks_like_credential(text) {
        format!("`{text}`")
    } else {
        what.to_owned()
    }
}

/// Whether `text` has the form of a token: one was pasted where its place belongs. A miss costs
/// nothing but a less helpful error.
pub(super) fn looks_like_credential(text: &str) -> bool {
    let access_token =
        text.starts_with("pat-") && text.get(text.len().saturating_sub(36)..).is_some_and(is_uuid);
    access_token || (text.starts_with("hsp_") && text.len() > 20)
}

/// The form of client secrets and developer keys, but also of much that is none.
pub(super) fn is_uuid(text: &str) -> bool {
    let fits = |(at, byte): (usize, u8)| match at {
        8 | 13 | 18 | 23 => byte == b'-',
        _ => byte.is_ascii_hexdigit(),
    };
    text.len() == 36 && text.bytes().enumerate().all(fits)
}
