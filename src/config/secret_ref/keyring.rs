//! The entries that the system's keyring keeps for this program: Secret Service, macOS Keychain or
//! Windows Credential Manager.
//!
//! A keyring's daemon can hang for ever, such as when nobody is there to unlock it: each call runs on
//! a thread of its own that is given up after a while.

use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use zeroize::Zeroizing;

/// How long the keyring may take.
const LIMIT: Duration = Duration::from_secs(3);

/// Why there is no entry to be had.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum KeyringError {
    /// There is none of that name.
    NoEntry,
    /// There is no keyring, or it does not do what it is asked to; why, and what to do.
    Unusable(String),
}

/// The entry called `name`.
pub fn read(name: &str) -> Result<Zeroizing<Vec<u8>>, KeyringError> {
    let name = name.to_owned();
    within_limit(move || native::read(&name))
}

/// Sets the entry called `name`.
pub fn write(name: &str, value: &str) -> Result<(), KeyringError> {
    let (name, value) = (name.to_owned(), Zeroizing::new(value.to_owned()));
    within_limit(move || native::write(&name, &value))
}

fn within_limit<T: Send + 'static>(
    call: impl FnOnce() -> Result<T, KeyringError> + Send + 'static,
) -> Result<T, KeyringError> {
    let (sender, receiver) = mpsc::channel();
    let spawned = thread::Builder::new().name("keyring".to_owned()).spawn(move || {
        // Nobody waits any more when the time is over.
        let _ = sender.send(call());
    });
    spawned.map_err(|error| KeyringError::Unusable(error.to_string()))?;
    receiver.recv_timeout(LIMIT).unwrap_or_else(|_| {
        Err(KeyringError::Unusable(format!(
            "the keyring did not answer within {} s: unlock it and try again",
            LIMIT.as_secs()
        )))
    })
}

#[cfg(feature = "keyring")]
mod native {
    use std::sync::Arc;

    use keyring_core::{CredentialStore, Entry, Error};
    use zeroize::Zeroizing;

    use super::KeyringError;

    const SERVICE: &str = "hubspot-proxy";

    pub(super) fn read(name: &str) -> Result<Zeroizing<Vec<u8>>, KeyringError> {
        entry(name)?.get_secret().map(Zeroizing::new).map_err(unusable)
    }

    pub(super) fn write(name: &str, value: &str) -> Result<(), KeyringError> {
        entry(name)?.set_secret(value.as_bytes()).map_err(unusable)
    }

    fn entry(name: &str) -> Result<Entry, KeyringError> {
        let keyring = keyring().map_err(unusable)?;
        Entry::new_in_store(&keyring, SERVICE, name).map_err(unusable)
    }

    #[cfg(all(unix, not(target_os = "macos")))]
    fn keyring() -> Result<Arc<CredentialStore>, Error> {
        zbus_secret_service_keyring_store::Store::new().map(|store| store as _)
    }

    #[cfg(target_os = "macos")]
    fn keyring() -> Result<Arc<CredentialStore>, Error> {
        apple_native_keyring_store::keychain::Store::new().map(|store| store as _)
    }

    #[cfg(windows)]
    fn keyring() -> Result<Arc<CredentialStore>, Error> {
        windows_native_keyring_store::Store::new().map(|store| store as _)
    }

    /// Some of these errors hold what was stored.
    fn unusable(error: Error) -> KeyringError {
        match error {
            Error::NoEntry => KeyringError::NoEntry,
            Error::PlatformFailure(cause) | Error::NoStorageAccess(cause) => {
                KeyringError::Unusable(format!(
                    "the keyring cannot be used ({cause}): start or unlock it, or keep the secret in a file that only you can read"
                ))
            }
            _ => KeyringError::Unusable("the keyring does not keep such an entry".to_owned()),
        }
    }
}

#[cfg(not(feature = "keyring"))]
mod native {
    use zeroize::Zeroizing;

    use super::KeyringError;

    pub(super) fn read(_: &str) -> Result<Zeroizing<Vec<u8>>, KeyringError> {
        Err(missing())
    }

    pub(super) fn write(_: &str, _: &str) -> Result<(), KeyringError> {
        Err(missing())
    }

    fn missing() -> KeyringError {
        KeyringError::Unusable("this program was built without support for keyrings".to_owned())
    }
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant};

    use super::{KeyringError, within_limit};

    #[test]
    fn a_keyring_that_hangs_is_given_up() {
        let began = Instant::now();
        let hung = within_limit(|| {
            std::thread::sleep(Duration::from_secs(20));
            Ok(())
        });
        assert!(matches!(hung, Err(KeyringError::Unusable(why)) if why.contains("unlock it")));
        assert!(began.elapsed() < Duration::from_secs(6));
    }
}
