//! The store and its key: looked at without making, mending or moving anything.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::files::can_write;
use super::finding::{Finding, Fix};
use super::given::Given;
use super::subject::{LIMIT, Subject};
use crate::cli::store as opening;
use crate::config::keyring::{self, KeyringError};
use crate::config::{CredentialConfig, SecretRef};
use crate::store::sqlite::{SqliteStore, examine};
use crate::store::{AccountStore, KeyStore, StoreError, StoredAccount, StoredKey, private};

/// Folders that are copied to other machines.
const SYNCED: [&str; 6] =
    ["Dropbox", "OneDrive", "Google Drive", "iCloud Drive", "Nextcloud", "Mobile Documents"];
/// A backup of so little free space is none: bytes.
const LEAST_SPACE: u64 = 16 * 1024 * 1024;

/// What was found of the store.
pub struct Kept {
    /// Where it is, or would be; `None` where that is not known.
    pub path: Option<PathBuf>,
    pub state: State,
    /// How long the keyring took and what it said, where it is used or would be.
    pub keyring: Option<(Duration, Result<(), KeyringError>)>,
}

/// How the store stands.
pub enum State {
    /// The configuration does not load, or there is no folder for it.
    Unknown,
    NotThere,
    /// The next start brings it up to date; until then nothing opens it.
    Behind,
    Refused(StoreError),
    Open(Box<Open>),
}

/// A store that opens.
pub struct Open {
    pub store: Arc<SqliteStore>,
    pub writable: Result<(), StoreError>,
    /// `None` while nothing has been encrypted.
    pub key_place: Option<SecretRef>,
    pub key: Result<(), StoreError>,
    pub accounts: Vec<StoredAccount>,
    pub client_keys: Vec<StoredKey>,
}

/// Looks at the store of the configuration.
pub async fn look(given: &Given) -> Kept {
    let Some(config) = given.config() else {
        return Kept { path: None, state: State::Unknown, keyring: None };
    };
    let path = opening::path(config, &given.folders).ok();
    let state = match &path {
        None => State::Unknown,
        Some(path) if !path.exists() => State::NotThere,
        Some(path) => match tokio::time::timeout(LIMIT, open(given, path)).await {
            Ok(Ok(state)) => state,
            Ok(Err(error)) => State::Refused(error),
            Err(_) => State::Refused(StoreError::Unavailable(format!(
                "{} did not open within {} s: check the disk that it is on, or stop what holds it",
                path.display(),
                LIMIT.as_secs()
            ))),
        },
    };
    let keyring = match entry_in_use(given, &state) {
        Some(name) => Some(time_keyring(name).await),
        None => None,
    };
    Kept { path, state, keyring }
}

async fn open(given: &Given, path: &Path) -> Result<State, StoreError> {
    if examine::look(path).await? {
        return Ok(State::Behind);
    }
    // It is there, so that this makes nothing.
    let Some(config) = given.config() else { return Ok(State::Unknown) };
    let opened = opening::open(config, &given.env, &given.folders).await;
    let store = opened.map_err(|failure| StoreError::Unavailable(failure.to_string()))?;
    let writable = store.check_writable().await;
    let key_place = store.key_place().await.unwrap_or_default();
    let key = match tokio::time::timeout(LIMIT / 2, store.check_key()).await {
        Ok(key) => key,
        Err(_) => Err(StoreError::Unavailable(
            "the store key did not come in time: unlock the keyring, or run the program of store.key by itself".to_owned(),
        )),
    };
    let (accounts, client_keys) = (store.accounts().await?, store.keys().await?);
    Ok(State::Open(Box::new(Open { store, writable, key_place, key, accounts, client_keys })))
}

/// The keyring's entry that matters: of the store key, or of a configured secret.
fn entry_in_use(given: &Given, state: &State) -> Option<String> {
    let config = given.config()?;
    let of_store = match (state, &config.store.key) {
        (State::Open(open), _) => open.key_place.clone(),
        (_, configured) => configured.clone(),
    };
    let secrets = given.secrets();
    let mut all = of_store.iter().chain(secrets.iter().map(|secret| secret.place));
    all.find_map(|place| match place {
        SecretRef::Keyring(name) => Some(name.clone()),
        _ => None,
    })
}

async fn time_keyring(name: String) -> (Duration, Result<(), KeyringError>) {
    let began = Instant::now();
    let read = tokio::task::spawn_blocking(move || keyring::read(&name).map(drop)).await;
    let read = read.unwrap_or_else(|_| Err(KeyringError::Unusable("it failed".to_owned())));
    (began.elapsed(), read)
}

impl Kept {
    pub fn opened(&self) -> Option<&Open> {
        match &self.state {
            State::Open(open) => Some(open),
            _ => None,
        }
    }

    /// What is stored of all accounts, as far as that is known.
    pub fn accounts(&self) -> &[StoredAccount] {
        self.opened().map_or(&[], |open| open.accounts.as_slice())
    }

    fn unopened(&self) -> Finding {
        Finding::skipped(match self.state {
            State::NotThere => "there is no store yet",
            State::Behind => "the store waits for the next start",
            State::Unknown => "where the store is, is not known",
            _ => "the store does not open",
        })
    }
}

/// `store`
pub fn sound(subject: &Subject) -> Finding {
    let Some(config) = subject.config() else { return subject.unloaded() };
    let Some(path) = &subject.store.path else {
        return Finding::failed(
            "there is no home folder to keep the store in",
            "set store.url to `sqlite:PATH`",
        );
    };
    let shown = path.display();
    match &subject.store.state {
        State::NotThere => {
            let is_oauth = |account: &crate::config::AccountConfig| {
                matches!(account.credential, CredentialConfig::OAuth { .. })
            };
            match config.accounts.values().any(is_oauth) {
                true => Finding::ok(format!("{shown} is made by the first login or start")),
                false => Finding::ok(format!("no account needs one ({shown} is not there)")),
            }
        }
        State::Behind => Finding::ok(format!("{shown} is sound; the next start updates it")),
        State::Open(open) => {
            let count = open.accounts.len();
            Finding::ok(format!("{shown} opens and is sound; accounts in it: {count}"))
        }
        State::Unknown => subject.store.unopened(),
        State::Refused(error) => {
            let told = Finding::told(
                error,
                "mend what the message names; to begin anew, move the store away and log in again",
            );
            exposed(path)
                .into_iter()
                .fold(told, |told, (path, mode)| told.fixed_by(Fix::Mode { path, mode }))
        }
    }
}

/// What others could have written of the store, and the mode that it should have.
fn exposed(path: &Path) -> Option<(PathBuf, u32)> {
    let folder = path.parent()?;
    [(folder, 0o700), (path, 0o600)].into_iter().find_map(|(path, mode)| {
        let objection = private::objection(path).ok()??;
        objection.contains("chmod").then(|| (path.to_owned(), mode))
    })
}

/// `store-writable`
pub fn writable(subject: &Subject) -> Finding {
    let Some(open) = subject.store.opened() else { return would_be_writable(subject) };
    match &open.writable {
        Ok(()) => Finding::ok("a write can begin"),
        Err(error) => Finding::told(
            format!("{error}, so that no token can be refreshed"),
            "make its file and folder writable for you, and free space on its disk",
        ),
    }
}

/// Of a store that is not there yet, the folder counts.
fn would_be_writable(subject: &Subject) -> Finding {
    let (State::NotThere, Some(path)) = (&subject.store.state, &subject.store.path) else {
        return subject.store.unopened();
    };
    let Some(folder) = path.ancestors().skip(1).find(|folder| folder.exists()) else {
        return subject.store.unopened();
    };
    if !folder.is_dir() {
        return Finding::failed(
            format!("{} is no folder, and the store is to be in it", folder.display()),
            "move it away, or set store.url to another place",
        );
    }
    match can_write(folder) {
        true => Finding::ok(format!("{} can be written", folder.display())),
        false => Finding::failed(
            format!("{} cannot be written, and the store is to be in it", folder.display()),
            format!("run `chmod u+rwx {}`, or set store.url to another place", folder.display()),
        ),
    }
}

/// `store-space`
#[cfg(unix)]
pub fn space(subject: &Subject) -> Finding {
    let Some(path) = &subject.store.path else { return subject.store.unopened() };
    let Some(folder) = path.ancestors().find(|folder| folder.is_dir()) else {
        return subject.store.unopened();
    };
    let Ok(found) = rustix::fs::statvfs(folder) else { return subject.store.unopened() };
    let free = found.f_bavail.saturating_mul(found.f_frsize);
    let shown = folder.display();
    if free < LEAST_SPACE {
        return Finding::failed(
            format!("{} KiB are free at {shown}: a refreshed token may not be kept", free / 1024),
            "free space on that disk, or set store.url to another place",
        );
    }
    Finding::ok(format!("{} MiB are free at {shown}", free / (1024 * 1024)))
}

/// `store-space`
#[cfg(not(unix))]
pub fn space(_: &Subject) -> Finding {
    Finding::skipped("not looked at on this platform")
}

/// `store-key`
pub fn key(subject: &Subject) -> Finding {
    let Some(config) = subject.config() else { return subject.unloaded() };
    let Some(open) = subject.store.opened() else { return subject.store.unopened() };
    match (&open.key, &open.key_place) {
        (Err(error), _) => Finding::told(
            error,
            "put the key of this store there; without it, move the store away and log in again",
        ),
        (Ok(()), Some(place)) => {
            let by = match config.store.key {
                Some(_) => "as store.key says",
                None => "the default",
            };
            Finding::ok(format!("it is the right one: {place} ({by})"))
        }
        (Ok(()), None) => Finding::ok("nothing is encrypted yet, so that there is no key"),
    }
}

/// `key-apart`
pub fn apart(subject: &Subject) -> Finding {
    let place = match subject.store.opened() {
        Some(open) => open.key_place.clone(),
        None => subject.config().and_then(|config| config.store.key.clone()),
    };
    let (Some(store), Some(SecretRef::File(key))) = (&subject.store.path, place) else {
        return Finding::ok("the key is in no file that a backup of the store could hold");
    };
    let (store, key) = (real(store), real(&key));
    const MEND: &str = "move the key file to a place that is backed up elsewhere or not at all, and set store.key = { file = \"PATH\" }, or keep it in the keyring";
    if let Some(root) = shared_root(&store, &key, subject.given.folders.home.as_deref()) {
        return Finding::warning(
            format!(
                "the key {} and the store are both in {root}: whoever has a copy of that can read your tokens",
                key.display()
            ),
            MEND,
        );
    }
    Finding::ok(format!("{} is not in the store's folder", key.display()))
}

fn real(path: &Path) -> PathBuf {
    path.canonicalize().unwrap_or_else(|_| path.to_owned())
}

/// What holds both and is likely to be copied as a whole: the store's folder, the key's, a synchronised
/// folder or a working copy. A home folder is not, since the defaults are in it.
fn shared_root(store: &Path, key: &Path, home: Option<&Path>) -> Option<String> {
    let (store_folder, key_folder) = (store.parent()?, key.parent()?);
    let is_home = |folder: &Path| Some(folder) == home || folder.parent().is_none();
    for (outer, inner) in [(store_folder, key), (key_folder, store)] {
        if !is_home(outer) && inner.starts_with(outer) {
            return Some(format!("the folder {}", outer.display()));
        }
    }
    let shared = store.ancestors().find(|folder| key.starts_with(folder))?;
    let copied = |folder: &&Path| {
        let name = folder.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        SYNCED.iter().any(|synced| name.starts_with(synced)) || folder.join(".git").exists()
    };
    let found = shared.ancestors().take_while(|folder| !is_home(folder)).find(copied)?;
    Some(format!("{}, which is copied as a whole", found.display()))
}

/// `keyring`
pub fn keyring(subject: &Subject) -> Finding {
    if subject.config().is_none() {
        return subject.unloaded();
    }
    match &subject.store.keyring {
        None => Finding::skipped("nothing is kept there"),
        Some((took, Ok(()))) => Finding::ok(format!("it answered within {} ms", took.as_millis())),
        Some((_, Err(KeyringError::NoEntry))) => Finding::failed(
            "the keyring answers, and has no entry where one is expected",
            "put the secret there (service hubspot-proxy), or correct the place in proxy.toml",
        ),
        Some((_, Err(KeyringError::Unusable(why)))) => Finding::told(
            why,
            "start or unlock the keyring, or keep the secret in a file that only you can read: { file = \"PATH\" }",
        ),
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::shared_root;

    #[test]
    fn what_is_copied_together_is_told_from_what_only_lies_in_one_home() {
        let home = Path::new("/home/ann");
        for (store, key, shared) in [
            ("/home/ann/.local/state/p/store.sqlite", "/home/ann/.config/p/store.key", false),
            ("/home/ann/vault/store.sqlite", "/home/ann/vault/store.key", true),
            ("/home/ann/vault/store.sqlite", "/home/ann/vault/keys/store.key", true),
            ("/home/ann/vault/deep/store.sqlite", "/home/ann/vault/store.key", true),
            ("/home/ann/Dropbox/a/store.sqlite", "/home/ann/Dropbox/b/store.key", true),
            ("/home/ann/store.sqlite", "/home/ann/.config/p/store.key", false),
            ("/srv/a/store.sqlite", "/srv/b/store.key", false),
        ] {
            let found = shared_root(Path::new(store), Path::new(key), Some(home));
            assert_eq!(found.is_some(), shared, "{store} {key}: {found:?}");
        }
    }
}
