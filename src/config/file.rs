//! Reads a configuration file: who may write it, its TOML, and that each key is known and of its
//! kind. What the values mean is not looked at here.

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

use toml::de::{DeArray, DeTable, DeValue};

use super::error::{ConfigError, Place, shown};
use super::keys::{self, Kind};
use super::layers::{Layer, Value};
use super::paths::{Base, Candidate};
use super::secret_ref::SecretRef;
use super::{duration, listen, size};
use crate::types::account::AccountName;

/// Largest file that is read, in bytes.
pub(super) const MAX_FILE: u64 = 1024 * 1024;

/// The settings of the file; `None` when it was not named and does not exist.
pub(super) fn read(file: &Candidate, base: Base<'_>) -> Result<Option<Layer>, ConfigError> {
    let Some(bytes) = bytes_of(file)? else { return Ok(None) };
    if file.in_use.is_some() && bytes.trim_ascii().is_empty() {
        return Err(ConfigError::Blank { path: file.path.clone() });
    }
    let line_at = |offset: usize| {
        let before = bytes.get(..offset).unwrap_or(&bytes);
        let line = 1 + before.iter().filter(|byte| **byte == b'\n').count();
        Place::Line { file: file.shown.clone(), line }
    };
    let text = std::str::from_utf8(&bytes).map_err(|error| {
        let place = line_at(error.valid_up_to());
        ConfigError::at(&place, "this is not UTF-8 text: save the file as UTF-8")
    })?;
    // The error's own display quotes the line, which may hold a secret; its message does not.
    let document = DeTable::parse(text).map_err(|error| {
        let place = line_at(error.span().map_or(0, |span| span.start));
        let problem =
            format!("this is not TOML: {}; correct that line", error.message().replace('\n', ", "));
        ConfigError::at(&place, problem)
    })?;
    let mut walk = Walk { base, layer: Layer::default(), mistakes: Vec::new(), line_at: &line_at };
    walk.table(document.get_ref(), &mut Vec::new());
    // The table is sorted by name; a reader goes by line.
    match walk.mistakes.into_iter().min_by_key(|(offset, _)| *offset) {
        Some((offset, problem)) => Err(ConfigError::at(&line_at(offset), problem)),
        None => Ok(Some(walk.layer)),
    }
}

fn bytes_of(candidate: &Candidate) -> Result<Option<Vec<u8>>, ConfigError> {
    let path = &candidate.path;
    let unreadable = |source| ConfigError::Unreadable { path: path.clone(), source };
    let opened = match candidate.in_use {
        None => File::open(path),
        Some(_) => open_without_waiting(path),
    };
    let file = match opened {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound && !candidate.named => {
            return Ok(None);
        }
        Err(error) => return Err(unreadable(error)),
    };
    if candidate.in_use.is_some() && !file.metadata().is_ok_and(|metadata| metadata.is_file()) {
        return Err(ConfigError::NotAFile { path: path.clone() });
    }
    check_trust(candidate, &file)?;
    let mut bytes = Vec::new();
    file.take(MAX_FILE + 1).read_to_end(&mut bytes).map_err(unreadable)?;
    if bytes.len() as u64 > MAX_FILE {
        return Err(ConfigError::TooLarge { path: path.clone(), limit: MAX_FILE });
    }
    Ok(Some(bytes))
}

/// Opens what lies at a path; a pipe without a writer would be waited for otherwise, and with it all that
/// runs on the same thread.
pub(super) fn open_without_waiting(path: &Path) -> io::Result<File> {
    let mut options = File::options();
    options.read(true);
    #[cfg(unix)]
    {
        // The bits of a set of flags are a C int by definition.
        let flags = rustix::fs::OFlags::NONBLOCK.bits().cast_signed();
        std::os::unix::fs::OpenOptionsExt::custom_flags(&mut options, flags);
    }
    options.open(path)
}

/// Whoever writes the file decides where the credentials go. So nobody else may write it, and one
/// that merely lies in the current folder, which can be anybody's, is not taken from a stranger.
#[cfg(unix)]
fn check_trust(candidate: &Candidate, file: &File) -> Result<(), ConfigError> {
    use std::os::unix::fs::MetadataExt;

    let path = candidate.path.clone();
    let metadata = match file.metadata() {
        Ok(metadata) => metadata,
        Err(source) => return Err(ConfigError::Unreadable { path, source }),
    };
    let owners = [0, rustix::process::geteuid().as_raw()];
    let is_foreign = !owners.contains(&metadata.uid());
    if is_foreign && !candidate.named {
        return Err(ConfigError::ForeignOwner { path });
    }
    // That the user trusts whoever it belonged to says nothing of who has put another in its place.
    if is_foreign && candidate.in_use.is_some_and(|known| known.owner != Some(metadata.uid())) {
        return Err(ConfigError::OtherOwner { path });
    }
    if metadata.is_file() && metadata.mode() & 0o022 != 0 {
        return Err(ConfigError::WritableByOthers { path });
    }
    Ok(())
}

#[cfg(not(unix))]
fn check_trust(_: &Candidate, _: &File) -> Result<(), ConfigError> {
    Ok(())
}

/// A walk over the document that collects settings and mistakes.
struct Walk<'a> {
    base: Base<'a>,
    layer: Layer,
    /// Offset in the file, and what is wrong there.
    mistakes: Vec<(usize, String)>,
    line_at: &'a dyn Fn(usize) -> Place,
}

impl Walk<'_> {
    fn table<'t>(&mut self, table: &'t DeTable<'_>, path: &mut Vec<&'t str>) {
        for (name, value) in table {
            path.push(name.get_ref());
            self.entry(name.span().start, value.get_ref(), value.span().start, path);
            path.pop();
        }
    }

    /// One key and its value, at their offsets in the file.
    fn entry<'t>(
        &mut self,
        at: usize,
        value: &'t DeValue<'_>,
        value_at: usize,
        path: &mut Vec<&'t str>,
    ) {
        if let ["accounts", name] = path.as_slice() {
            if let Err(rule) = name.parse::<AccountName>() {
                let name = shown(name, "this");
                return self.mistakes.push((at, format!("{name} is no account name: {rule}")));
            }
            self.layer.mention(name, &(self.line_at)(at));
        }
        if let Some(key) = keys::find(path) {
            let full = path.join(".");
            match typed(key.kind, value, self.base) {
                Ok(value) => self.layer.set(&full, value, (self.line_at)(at)),
                Err(Wrong::Kind) => {
                    self.mistakes.push((value_at, key.expected_in_file(&full)));
                }
                Err(Wrong::Secret(problem)) => {
                    self.mistakes.push((value_at, format!("`{full}` {problem}")));
                }
            }
        } else if !keys::is_table(path) {
            let problem = match shown(path.last().unwrap_or(&""), "") {
                hidden if hidden.is_empty() => "this key is unknown".to_owned(),
                _ => format!("unknown key `{}`", path.join(".")),
            };
            self.mistakes.push((at, problem + &keys::advice(path)));
        } else if let DeValue::Table(table) = value {
            // Nothing is set by it, so that what it looks like it replaces would stay.
            if table.is_empty() && matches!(path.as_slice(), ["accounts", _, "policy"]) {
                let full = path.join(".");
                let problem = format!(
                    "`{full}` is empty: write `mode = \"read-write\"` into it to lift the policy of all accounts, or leave it out"
                );
                return self.mistakes.push((value_at, problem));
            }
            self.table(table, path);
        } else {
            let full = path.join(".");
            let header = if full == "accounts" { "accounts.NAME" } else { full.as_str() };
            let problem =
                format!("`{full}` is a table of keys: write `[{header}]` and they follow");
            self.mistakes.push((value_at, problem));
        }
    }
}

/// Why a value is not accepted.
enum Wrong {
    /// It has not the kind or the bounds of its key.
    Kind,
    /// It is not the place of a secret, for this reason.
    Secret(String),
}

fn typed(kind: Kind, value: &DeValue<'_>, base: Base<'_>) -> Result<Value, Wrong> {
    if kind.is_secret() {
        let secret = match kind {
            Kind::StoreKey => SecretRef::of_store_key(value, base),
            _ => SecretRef::from_toml(value, base),
        };
        return secret.map(Value::Secret).map_err(Wrong::Secret);
    }
    let typed = match (kind, value) {
        (Kind::List, DeValue::Array(array)) => texts(array).map(Value::List),
        (Kind::Addresses, DeValue::Array(array)) => {
            texts(array).map(|entries| Value::List(listen::resolved(entries, base)))
        }
        (Kind::Switch, DeValue::Boolean(on)) => Some(Value::Switch(*on)),
        (Kind::Count { .. } | Kind::Size { .. } | Kind::Limit { .. }, DeValue::Integer(number)) => {
            let number = u64::from_str_radix(number.as_str(), number.radix()).ok();
            number.and_then(|number| bounded(kind, number))
        }
        // A number or a switch in quotes is a mistake in the file, where the environment knows
        // nothing but text.
        (Kind::Count { .. } | Kind::Switch | Kind::List | Kind::Addresses, DeValue::String(_)) => {
            None
        }
        (_, DeValue::String(text)) => from_text(kind, text, base),
        _ => None,
    };
    typed.ok_or(Wrong::Kind)
}

/// The strings of an array; `None` when it holds anything else.
pub(super) fn texts(array: &DeArray<'_>) -> Option<Vec<String>> {
    let text = |value: &DeValue<'_>| match value {
        DeValue::String(text) => Some(text.clone().into_owned()),
        _ => None,
    };
    array.iter().map(|value| text(value.get_ref())).collect()
}

/// A value written as text; `None` when it has not the kind or the bounds.
pub(super) fn from_text(kind: Kind, text: &str, base: Base<'_>) -> Option<Value> {
    if text.is_empty() {
        return None;
    }
    match kind {
        Kind::Text => Some(Value::Text(text.to_owned())),
        Kind::Path => Some(Value::Path(base.resolve(text))),
        Kind::List => Some(Value::List(items(text))),
        Kind::Addresses => Some(Value::List(listen::resolved(items(text), base))),
        Kind::Switch => text.parse().ok().map(Value::Switch),
        // Digits only: the standard parser would accept a sign.
        Kind::Count { .. } if text.bytes().all(|byte| byte.is_ascii_digit()) => {
            bounded(kind, text.parse().ok()?)
        }
        Kind::Count { .. } => None,
        Kind::Limit { .. } if text == "off" => Some(Value::Off),
        Kind::Size { .. } | Kind::Limit { .. } => bounded(kind, size::parse(text)?),
        Kind::Time { min, max } => {
            let time = duration::parse(text)?;
            (min..=max).contains(&time).then_some(Value::Time(time))
        }
        Kind::Database => {
            let path = text.strip_prefix("sqlite:").filter(|path| !path.is_empty())?;
            Some(Value::Path(base.resolve(path)))
        }
        Kind::Secret | Kind::StoreKey => None,
    }
}

fn items(text: &str) -> Vec<String> {
    text.split(',').map(|item| item.trim().to_owned()).collect()
}

fn bounded(kind: Kind, number: u64) -> Option<Value> {
    match kind {
        Kind::Count { min, max } | Kind::Size { min, max } | Kind::Limit { min, max } => {
            (min..=max).contains(&number).then_some(Value::Number(number))
        }
        _ => None,
    }
}
