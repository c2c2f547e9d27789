//! Settings with the place of each, and the precedence of one source over another.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use super::error::{ConfigError, Place};
use super::secret_ref::SecretRef;

/// A value that has the kind and the bounds of its key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Value {
    Text(String),
    List(Vec<String>),
    Path(PathBuf),
    Switch(bool),
    /// A count, or a size in bytes.
    Number(u64),
    /// No limit.
    Off,
    Time(Duration),
    Secret(SecretRef),
}

/// A value and where it was written.
#[derive(Clone, Debug)]
pub(super) struct Setting {
    pub value: Value,
    pub place: Place,
}

/// The settings of one source, or of several merged.
#[derive(Debug, Default)]
pub(super) struct Layer {
    /// By full path, such as `accounts.acme.type`.
    settings: BTreeMap<String, Setting>,
    /// Where each account is first mentioned, also one without a single setting.
    accounts: BTreeMap<String, Place>,
}

impl Layer {
    /// Sets the key at `path`.
    pub(super) fn set(&mut self, path: &str, value: Value, place: Place) {
        if let Some((name, _)) =
            path.strip_prefix("accounts.").and_then(|rest| rest.split_once('.'))
        {
            self.mention(name, &place);
        }
        self.settings.insert(path.to_owned(), Setting { value, place });
    }

    /// Notes that there is an account called `name`.
    pub(super) fn mention(&mut self, name: &str, place: &Place) {
        self.accounts.entry(name.to_owned()).or_insert_with(|| place.clone());
    }

    /// Puts the settings of `stronger` in the place of those of the same keys here.
    pub(super) fn merge(&mut self, stronger: Layer) {
        self.settings.extend(stronger.settings);
        for (name, place) in stronger.accounts {
            self.accounts.entry(name).or_insert(place);
        }
    }

    /// The accounts that are mentioned, with their places.
    pub(super) fn take_accounts(&mut self) -> BTreeMap<String, Place> {
        std::mem::take(&mut self.accounts)
    }

    /// Drops the settings of all accounts.
    pub(super) fn forget_accounts(&mut self) {
        self.accounts.clear();
        self.settings.retain(|path, _| !path.starts_with("accounts."));
    }

    /// The environment variables that secrets are read from.
    pub(super) fn secret_variables(&self) -> Vec<String> {
        let name = |setting: &'_ Setting| match &setting.value {
            Value::Secret(SecretRef::Env(name)) => Some(name.clone()),
            _ => None,
        };
        self.settings.values().filter_map(name).collect()
    }

    /// Where the key at `path` was set, if it was.
    pub(super) fn place(&self, path: &str) -> Option<&Place> {
        self.settings.get(path).map(|setting| &setting.place)
    }

    /// Whether any key is set whose path starts with `prefix`.
    pub(super) fn has_any(&self, prefix: &str) -> bool {
        self.settings.keys().any(|path| path.starts_with(prefix))
    }

    /// Takes the setting out, so that what is left at the end is what nothing has used.
    pub(super) fn take(&mut self, path: &str) -> Option<Setting> {
        self.settings.remove(path)
    }

    /// What nothing has taken.
    pub(super) fn rest(&self) -> impl Iterator<Item = (&str, &Setting)> {
        self.settings.iter().map(|(path, setting)| (path.as_str(), setting))
    }

    pub(super) fn take_text(&mut self, path: &str) -> Option<(String, Place)> {
        let setting = self.take(path)?;
        match setting.value {
            Value::Text(text) => Some((text, setting.place)),
            _ => None,
        }
    }

    /// Takes a text as what `meaning` makes of it, or says what is wrong and where.
    pub(super) fn parse_text<T>(
        &mut self,
        path: &str,
        meaning: impl FnOnce(&str) -> Result<T, String>,
    ) -> Result<Option<T>, ConfigError> {
        let Some((text, place)) = self.take_text(path) else { return Ok(None) };
        meaning(&text).map(Some).map_err(|problem| ConfigError::at(&place, problem))
    }

    pub(super) fn take_list(&mut self, path: &str) -> Option<(Vec<String>, Place)> {
        let setting = self.take(path)?;
        match setting.value {
            Value::List(list) => Some((list, setting.place)),
            _ => None,
        }
    }

    /// Takes a list as what `meaning` makes of it, or says which key is wrong, how and where.
    pub(super) fn parse_list<T>(
        &mut self,
        path: &str,
        meaning: impl FnOnce(&[String]) -> Result<T, String>,
    ) -> Result<Option<T>, ConfigError> {
        let Some((entries, place)) = self.take_list(path) else { return Ok(None) };
        let problem = |what| ConfigError::at(&place, format!("`{path}`: {what}"));
        meaning(&entries).map(Some).map_err(problem)
    }

    pub(super) fn take_path(&mut self, path: &str) -> Option<PathBuf> {
        match self.take(path)?.value {
            Value::Path(path) => Some(path),
            _ => None,
        }
    }

    pub(super) fn take_switch(&mut self, path: &str) -> Option<bool> {
        match self.take(path)?.value {
            Value::Switch(on) => Some(on),
            _ => None,
        }
    }

    /// A count or a size; `None` also for a limit that is off.
    pub(super) fn take_number(&mut self, path: &str) -> Option<u64> {
        match self.take(path)?.value {
            Value::Number(number) => Some(number),
            _ => None,
        }
    }

    /// A count or a size that is kept in memory.
    pub(super) fn take_usize(&mut self, path: &str) -> Option<usize> {
        self.take_number(path).map(|number| usize::try_from(number).unwrap_or(usize::MAX))
    }

    pub(super) fn take_time(&mut self, path: &str) -> Option<Duration> {
        match self.take(path)?.value {
            Value::Time(time) => Some(time),
            _ => None,
        }
    }

    pub(super) fn take_secret(&mut self, path: &str) -> Option<SecretRef> {
        match self.take(path)?.value {
            Value::Secret(secret) => Some(secret),
            _ => None,
        }
    }
}
