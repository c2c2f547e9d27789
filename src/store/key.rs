//! The store key: where it is kept, and how it gets there.
//!
//! A place holds one key in base64, or two with a comma between them: the one that is current and the
//! one before, while everything is encrypted anew. A key is made only where nothing has been
//! encrypted yet. A place that cannot be read is an error, never a reason to make another key.

use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::StoreError;
use super::private;
use super::seal::{Key, KeyId};
use crate::config::keyring::{self, KeyringError};
use crate::config::{Environment, STORE_KEY, SecretError, SecretRef};
use crate::types::secret::Secret;

/// Where the key of a store is.
#[derive(Clone)]
pub struct KeyPlace {
    /// As configured; `None` for the keyring, else a file in [`KeyPlace::folder`].
    pub configured: Option<SecretRef>,
    /// Where the file of the default is; never beside the store. `None` where there is no configuration
    /// folder.
    pub folder: Option<PathBuf>,
    /// Part of the default's names, so that each store has a key of its own: a change of one store's
    /// key must not lock another.
    pub store: String,
    pub env: Arc<Environment>,
}

/// The default's two places, as the store remembers which it was.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DefaultPlace {
    Keyring,
    File,
}

/// The keys at a place.
pub struct Keys {
    pub current: Key,
    /// Also their text, to be written back beside a new one.
    current_text: Secret,
    pub before: Option<Key>,
    pub place: SecretRef,
    /// Which of the default's places it is, if it is one.
    pub default: Option<DefaultPlace>,
}

impl DefaultPlace {
    /// As it is stored.
    pub fn name(self) -> &'static str {
        match self {
            Self::Keyring => "keyring",
            Self::File => "file",
        }
    }

    /// The one of this name.
    pub fn named(name: &str) -> Option<Self> {
        [Self::Keyring, Self::File].into_iter().find(|place| place.name() == name)
    }
}

impl Keys {
    fn parse(text: &Secret, place: SecretRef) -> Result<Self, StoreError> {
        let wrong = || {
            StoreError::Broken(format!(
                "{place} does not hold a store key: put 32 bytes in base64 there, such as `openssl rand -base64 32` prints"
            ))
        };
        let (current, before) = match text.expose().split_once(',') {
            Some((current, before)) => (current, Some(Key::parse(before).ok_or_else(wrong)?)),
            None => (text.expose(), None),
        };
        let key = Key::parse(current).ok_or_else(wrong)?;
        let current_text = Secret::new(current.trim().to_owned());
        Ok(Self { current: key, current_text, before, place, default: None })
    }

    /// The one with this id.
    pub fn with_id(&self, id: &[u8]) -> Option<&Key> {
        let all = [Some(&self.current), self.before.as_ref()];
        all.into_iter().flatten().find(|key| key.id().as_bytes() == id)
    }

    /// Whether `id` is the current one's.
    pub fn is_current(&self, id: &[u8]) -> bool {
        self.current.id().as_bytes() == id
    }
}

impl KeyPlace {
    /// Where the key is, as configured or `remembered`; `None` where neither says.
    pub fn known(&self, remembered: Option<DefaultPlace>) -> Result<Option<SecretRef>, StoreError> {
        match (&self.configured, remembered) {
            (Some(place), _) => Ok(Some(place.clone())),
            (None, Some(remembered)) => self.default_place(remembered).map(Some),
            (None, None) => Ok(None),
        }
    }

    /// Reads the keys. `remembered` is where the store says they are by default, if it does. May take
    /// some seconds, for a keyring or a program: not for a thread that serves.
    pub fn read(&self, remembered: Option<DefaultPlace>) -> Result<Keys, StoreError> {
        let place = self.known(remembered)?.ok_or_else(|| {
            StoreError::Broken("the store does not say where its key is: set store.key".to_owned())
        })?;
        let text = self.text(&place)?;
        Keys::parse(&text, place)
    }

    /// Reads the keys, or makes one: for a store in which nothing has been encrypted yet.
    pub fn read_or_make(&self) -> Result<Keys, StoreError> {
        if let Some(place) = &self.configured {
            return self.found_or_made(place);
        }
        let file = self.default_place(DefaultPlace::File);
        let of_default = |keys, default| Keys { default: Some(default), ..keys };
        if !matches!(&file, Ok(SecretRef::File(path)) if path.exists()) {
            match self.found_or_made(&self.default_place(DefaultPlace::Keyring)?) {
                Ok(keys) => return Ok(of_default(keys, DefaultPlace::Keyring)),
                Err(why) => tracing::info!("the store key is kept in a file: {why}"),
            }
        }
        Ok(of_default(self.found_or_made(&file?)?, DefaultPlace::File))
    }

    fn default_place(&self, place: DefaultPlace) -> Result<SecretRef, StoreError> {
        match (place, &self.folder) {
            (DefaultPlace::Keyring, _) => {
                Ok(SecretRef::Keyring(format!("{STORE_KEY}-{}", self.store)))
            }
            (DefaultPlace::File, Some(folder)) => {
                Ok(SecretRef::File(folder.join(format!("store-{}.key", self.store))))
            }
            (DefaultPlace::File, None) => Err(StoreError::Broken(
                "there is no configuration folder for the store key: set store.key".to_owned(),
            )),
        }
    }

    fn text(&self, place: &SecretRef) -> Result<Secret, StoreError> {
        self.refuse_foreign(place)?;
        place.read(&self.env).map_err(|error| unreadable(&error))
    }

    /// A key that another user has put there is as good as none.
    fn refuse_foreign(&self, place: &SecretRef) -> Result<(), StoreError> {
        let SecretRef::File(path) = place else { return Ok(()) };
        // One that is missing or cannot be looked at is for whoever reads it to report.
        match private::objection(path) {
            Ok(Some(objection)) => {
                Err(StoreError::Broken(format!("the store key is not safe: {objection}")))
            }
            Ok(None) | Err(_) => Ok(()),
        }
    }

    fn found_or_made(&self, place: &SecretRef) -> Result<Keys, StoreError> {
        self.refuse_foreign(place)?;
        match place.read(&self.env) {
            Ok(text) => return Keys::parse(&text, place.clone()),
            Err(SecretError::NoEntry(_)) => {}
            Err(SecretError::Unreadable { place: SecretRef::File(_), source })
                if source.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(unreadable(&error)),
        }
        let (_, text) = Key::generate().map_err(StoreError::Unavailable)?;
        write(place, &text)?;
        // What is read back is what will be there next time.
        Keys::parse(&self.text(place)?, place.clone())
    }

    /// Puts a new key there, the current one behind it, and returns both. The key alone is for
    /// [`KeyPlace::settle`], once nothing needs the one before.
    pub fn renew(&self, keys: &Keys, in_use: KeyId) -> Result<(Keys, Secret), StoreError> {
        if !can_be_written(&keys.place) {
            return Err(StoreError::Broken(format!(
                "the store key is {place}, which this program cannot change: put `NEW,OLD` there (a new one is what `openssl rand -base64 32` prints), run this again, and then take OLD away",
                place = keys.place
            )));
        }
        let old = match keys.is_current(in_use.as_bytes()) {
            true => keys.current_text.duplicate(),
            // A renewal before this one was cut off: the key in use is the one before.
            false => {
                let text = self.text(&keys.place)?;
                let before = text.expose().split_once(',').map_or("", |(_, before)| before);
                Secret::new(before.trim().to_owned())
            }
        };
        let (_, new) = Key::generate().map_err(StoreError::Unavailable)?;
        let both = Secret::new([new.expose(), ",", old.expose()].concat());
        write(&keys.place, &both)?;
        Ok((Keys::parse(&both, keys.place.clone())?, new))
    }

    /// Leaves `key` alone at the place of `keys`.
    pub fn settle(&self, keys: &Keys, key: &Secret) -> Result<(), StoreError> {
        write(&keys.place, key)
    }
}

fn unreadable(error: &SecretError) -> StoreError {
    StoreError::Broken(format!("the store key cannot be read: {error}"))
}

fn can_be_written(place: &SecretRef) -> bool {
    matches!(place, SecretRef::Keyring(_) | SecretRef::File(_))
}

fn write(place: &SecretRef, text: &Secret) -> Result<(), StoreError> {
    let failed = |what: &dyn std::fmt::Display| {
        StoreError::Unavailable(format!("the store key cannot be kept: {what}"))
    };
    match place {
        SecretRef::Keyring(name) => {
            keyring::write(name, text.expose()).map_err(|error| match error {
                KeyringError::NoEntry => failed(&"the keyring has no such entry"),
                KeyringError::Unusable(why) => failed(&why),
            })
        }
        SecretRef::File(path) => {
            write_file(path, text).map_err(|error| failed(&format!("{}: {error}", path.display())))
        }
        place => Err(failed(&format!("{place} cannot be written: put one there"))),
    }
}

/// Whole or not at all, and for this user alone.
fn write_file(path: &Path, text: &Secret) -> io::Result<()> {
    let folder = path.parent().ok_or(io::ErrorKind::InvalidInput)?;
    private::create_folder(folder)?;
    let mut new = path.as_os_str().to_owned();
    new.push(format!(".new-{}", std::process::id()));
    let new = PathBuf::from(new);
    let written = private::create_file(&new).and_then(|mut file| {
        file.write_all(text.expose().as_bytes())?;
        file.write_all(b"\n")?;
        file.sync_all()
    });
    let placed = written.and_then(|()| fs::rename(&new, path));
    if placed.is_err() {
        let _ = fs::remove_file(&new);
    }
    placed?;
    private::sync_folder(folder)
}

#[cfg(test)]
mod tests;
