//! Where a secret is kept, and reading it from there.
//!
//! The configuration holds only the place. Nothing here puts a secret, or what was written where
//! the place of one belongs, into an error.

mod command;
pub mod keyring;
#[cfg(test)]
mod tests;

use std::fmt;
use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use thiserror::Error;
use toml::de::DeValue;
use zeroize::{Zeroize, Zeroizing};

use super::env::Environment;
use super::error::{is_uuid, looks_like_credential};
use super::file::texts;
use super::paths::Base;
use crate::types::secret::Secret;
use keyring::KeyringError;

/// Largest secret that is read, in bytes.
const MAX_SECRET: usize = 64 * 1024;
/// How long a command may take; long enough for a person to unlock a password manager.
const COMMAND_LIMIT: Duration = Duration::from_secs(30);

/// How long any place may take; a program is told to end before.
const READING_LIMIT: Duration = Duration::from_secs(40);

const FORMS: &str = "`{ env = \"NAME\" }`, `{ file = \"PATH\" }`, `{ command = [\"PROGRAM\", \"ARGUMENT\"] }` or `{ keyring = \"NAME\" }`";
/// The name under which the keyring keeps the key of the store.
pub const STORE_KEY: &str = "store-key";

/// Where a secret is kept; never the secret.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SecretRef {
    /// An environment variable.
    Env(String),
    /// A file that only its owner may read.
    File(PathBuf),
    /// The standard output of a program and its arguments, run without a shell.
    Command(Vec<String>),
    /// The entry of this name that the system's keyring keeps for this program.
    Keyring(String),
}

/// Why a secret could not be read; says where it should be, and holds nothing of it.
#[derive(Debug, Error)]
pub enum SecretError {
    #[error("{0} is not set: set it to the secret")]
    NotSet(SecretRef),
    #[error("{0} is empty: put the secret there")]
    Empty(SecretRef),
    #[error(
        "{0} holds more than {limit} KiB, which is no secret: put the secret alone there",
        limit = MAX_SECRET / 1024
    )]
    TooLarge(SecretRef),
    #[error(
        "{0} holds characters that cannot be in a header: a secret has no spaces, control characters or letters beyond ASCII"
    )]
    IllegalCharacters(SecretRef),
    #[error("cannot read {place}: {source}; put the secret there, for you alone to read")]
    Unreadable { place: SecretRef, source: io::Error },
    #[error("others can read {path}: run `chmod 600 {path}`", path = .0.display())]
    Exposed(PathBuf),
    #[error("cannot run `{program}`: {source}; install it, or write another place of the secret")]
    NotRun { program: String, source: io::Error },
    #[error(
        "`{program}` failed ({status}), so the secret that it should print is missing: run it by itself to see why"
    )]
    Failed { program: String, status: std::process::ExitStatus },
    #[error("the keyring has no entry {0} of the service hubspot-proxy: put the secret there")]
    NoEntry(String),
    #[error("{0}")]
    Keyring(String),
    #[error(
        "`{program}` did not end within {} s: run it by itself, and unlock what it waits for",
        limit.as_secs_f32()
    )]
    TimedOut { program: String, limit: Duration },
}

impl SecretRef {
    /// Reads the secret. It may wait for a file or, up to 30 s, for a program: not for a thread
    /// that serves requests.
    pub fn read(&self, env: &Environment) -> Result<Secret, SecretError> {
        self.read_within(env, COMMAND_LIMIT)
    }

    /// The same, with another limit for a program.
    pub fn read_within(&self, env: &Environment, limit: Duration) -> Result<Secret, SecretError> {
        let bytes = match self {
            Self::Env(name) => {
                let value = env.get(name).ok_or_else(|| SecretError::NotSet(self.clone()))?;
                Zeroizing::new(value.into_encoded_bytes())
            }
            Self::File(path) => self.read_file(path)?,
            Self::Command(words) => command::output(words, limit)?,
            Self::Keyring(name) => keyring::read(name).map_err(|error| match error {
                KeyringError::NoEntry => SecretError::NoEntry(name.clone()),
                KeyringError::Unusable(why) => SecretError::Keyring(why),
            })?,
        };
        if bytes.len() > MAX_SECRET {
            return Err(SecretError::TooLarge(self.clone()));
        }
        let end = bytes.iter().rposition(|byte| !matches!(byte, b'\r' | b'\n'));
        let bytes = end.map_or(&[][..], |end| &bytes[..=end]);
        if bytes.is_empty() {
            return Err(SecretError::Empty(self.clone()));
        }
        match std::str::from_utf8(bytes) {
            Ok(text) if bytes.iter().all(u8::is_ascii_graphic) => Ok(Secret::new(text.to_owned())),
            _ => Err(SecretError::IllegalCharacters(self.clone())),
        }
    }

    /// The same on a thread of its own, for who has others to serve meanwhile; given up after a time, the
    /// thread with it.
    pub async fn read_aside(&self, env: &Arc<Environment>) -> Result<Secret, SecretError> {
        let unreadable = |source| SecretError::Unreadable { place: self.clone(), source };
        let (place, env) = (self.clone(), Arc::clone(env));
        let (sender, read) = tokio::sync::oneshot::channel();
        let reading = std::thread::Builder::new().name("secret".to_owned());
        let spawned = reading.spawn(move || {
            // Nobody waits any more.
            let _ = sender.send(place.read(&env));
        });
        spawned.map_err(unreadable)?;
        match tokio::time::timeout(READING_LIMIT, read).await {
            Ok(Ok(read)) => read,
            Ok(Err(_)) => Err(unreadable(io::Error::other("the reader failed"))),
            Err(_) => Err(unreadable(io::ErrorKind::TimedOut.into())),
        }
    }

    fn read_file(&self, path: &Path) -> Result<Zeroizing<Vec<u8>>, SecretError> {
        let unreadable = |source| SecretError::Unreadable { place: self.clone(), source };
        let file = File::open(path).map_err(unreadable)?;
        if is_exposed(&file).map_err(unreadable)? {
            return Err(SecretError::Exposed(path.to_owned()));
        }
        read_bounded(file).map_err(unreadable)
    }

    /// The same for the key of the store, which needs no name in the keyring.
    pub(super) fn of_store_key(value: &DeValue<'_>, base: Base<'_>) -> Result<Self, String> {
        let is_keyring = |table: &toml::de::DeTable<'_>| {
            let mut entries = table.iter();
            matches!(
                (
                    entries.next().map(|(form, on)| (form.get_ref().as_ref(), on.get_ref())),
                    entries.next()
                ),
                (Some(("keyring", DeValue::Boolean(true))), None)
            )
        };
        match value {
            DeValue::Table(table) if is_keyring(table) => Ok(Self::Keyring(STORE_KEY.to_owned())),
            _ => Self::from_toml(value, base),
        }
    }

    /// The place that a TOML value names; the error is what to write instead.
    pub(super) fn from_toml(value: &DeValue<'_>, base: Base<'_>) -> Result<Self, String> {
        let DeValue::Table(table) = value else {
            return Err(format!(
                "is a secret, and a secret is never written here: write where it is, as {FORMS}"
            ));
        };
        let mut entries = table.iter();
        let (Some((form, value)), None) = (entries.next(), entries.next()) else {
            return Err(format!("must name exactly one place: {FORMS}"));
        };
        let secret = match (form.get_ref().as_ref(), value.get_ref()) {
            ("env", DeValue::String(name)) => {
                let legal = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
                if name.is_empty() || name.len() > 64 || !name.bytes().all(legal) {
                    return Err("must name an environment variable, such as `{ env = \"ACME_TOKEN\" }`: its name has letters, digits and `_`".to_owned());
                }
                Self::Env(name.clone().into_owned())
            }
            ("file", DeValue::String(path)) if !path.is_empty() => {
                refuse_pasted(path, is_uuid(path))?;
                Self::File(base.resolve(path))
            }
            ("command", DeValue::Array(words)) => match texts(words).as_deref() {
                Some([program, arguments @ ..]) if !program.is_empty() => {
                    refuse_pasted(program, is_uuid(program))?;
                    // Password managers name their entries by UUID.
                    arguments.iter().try_for_each(|word| refuse_pasted(word, false))?;
                    let program = resolve_program(program, base);
                    Self::Command([&[program], arguments].concat())
                }
                _ => return Err(format!("must name a place that is not empty: {FORMS}")),
            },
            ("keyring", DeValue::String(name)) => {
                let legal = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
                if name.is_empty() || name.len() > 64 || !name.bytes().all(legal) {
                    return Err("must name an entry of the keyring, such as `{ keyring = \"acme-secret\" }`: its name has letters, digits, `-`, `_` and `.`".to_owned());
                }
                refuse_pasted(name, is_uuid(name))?;
                Self::Keyring(name.clone().into_owned())
            }
            ("env" | "file" | "command" | "keyring", _) => {
                return Err(format!("must name its place in one of these forms: {FORMS}"));
            }
            _ => return Err(format!("names no known place of a secret: write {FORMS}")),
        };
        Ok(secret)
    }
}

/// A credential in the place of its place would appear in errors, and in a process list.
fn refuse_pasted(text: &str, suspect: bool) -> Result<(), String> {
    if suspect || looks_like_credential(text) {
        return Err("seems to hold the secret itself: put it into a file that only you can read, and write `{ file = \"PATH\" }`".to_owned());
    }
    Ok(())
}

/// A program named by a path is found like any other path; one named alone is looked up by the
/// system.
fn resolve_program(program: &str, base: Base<'_>) -> String {
    match program.contains('/').then(|| base.resolve(program).into_os_string().into_string()) {
        Some(Ok(path)) => path,
        _ => program.to_owned(),
    }
}

/// At most one byte more than [`MAX_SECRET`], in a buffer that never moves, so that wiping it
/// wipes all there was.
fn read_bounded(source: impl Read) -> io::Result<Zeroizing<Vec<u8>>> {
    let mut bytes = Zeroizing::new(Vec::with_capacity(MAX_SECRET + 64));
    match source.take(MAX_SECRET as u64 + 1).read_to_end(&mut bytes) {
        Ok(_) => Ok(bytes),
        Err(error) => {
            bytes.zeroize();
            Err(error)
        }
    }
}

#[cfg(unix)]
fn is_exposed(file: &File) -> io::Result<bool> {
    use std::os::unix::fs::MetadataExt;
    Ok(file.metadata()?.mode() & 0o077 != 0)
}

/// Elsewhere a file in the user's own folder is the user's by default.
#[cfg(not(unix))]
fn is_exposed(_: &File) -> io::Result<bool> {
    Ok(false)
}

impl fmt::Display for SecretRef {
    /// The place in words. Of a command only the program: an argument may be private.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Env(name) => write!(f, "the environment variable {name}"),
            Self::File(path) => write!(f, "the file {}", path.display()),
            Self::Command(words) => {
                write!(f, "the output of `{}`", words.first().map_or("", String::as_str))
            }
            Self::Keyring(name) => write!(f, "the keyring's entry {name}"),
        }
    }
}
