//! What is given: the configuration of this folder, user and environment, also one that does not load.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::config::{
    self, Config, ConfigError, CredentialConfig, Environment, Flags, Folders, Loaded, SecretRef,
    Sources,
};
use crate::types::account::AccountName;

/// What a command of this folder, user and environment would begin with.
pub struct Given {
    pub env: Arc<Environment>,
    pub folders: Folders,
    /// The file that is read, whether it can be or not.
    pub file: Option<PathBuf>,
    pub loaded: Result<Loaded, ConfigError>,
    /// The file without the environment, to see what that changes; `None` where it does not load.
    pub file_alone: Option<Loaded>,
}

/// A place of a secret, and what is kept there.
pub struct Secret<'a> {
    /// What names it, such as `accounts.acme.token`.
    pub key: String,
    pub account: Option<&'a AccountName>,
    pub place: &'a SecretRef,
}

impl Given {
    /// Loads the configuration as `serve` would.
    pub fn load(config_flag: Option<&Path>) -> Self {
        let (env, folders) = (Arc::new(Environment::of_process()), Folders::of_process());
        let load = |env| {
            config::load(&Sources { config_flag, flags: Flags::default(), env, folders: &folders })
        };
        let nothing = Environment::from_iter::<[(&str, &str); 0]>([]);
        let file_alone = load(&nothing).ok().filter(|loaded| loaded.file.is_some());
        let loaded = load(&env);
        let file = folders.config_file(config_flag);
        Self { env, folders, file, loaded, file_alone }
    }

    pub fn config(&self) -> Option<&Config> {
        self.loaded.as_ref().ok().map(|loaded| &loaded.config)
    }

    /// The places of the accounts' secrets. Not that of the store key, which the store reads.
    pub fn secrets(&self) -> Vec<Secret<'_>> {
        let accounts = self.config().into_iter().flat_map(|config| &config.accounts);
        let of_account = |(name, account)| {
            let credential: &CredentialConfig = &{ account as &config::AccountConfig }.credential;
            let secrets = credential.secrets().into_iter();
            secrets.map(move |(key, place)| Secret {
                key: format!("accounts.{name}.{key}"),
                account: Some(name),
                place,
            })
        };
        accounts.flat_map(of_account).collect()
    }

    /// Where `key` is set, in words; `None` where it is not.
    pub fn place(&self, key: &str) -> Option<String> {
        let written = &self.loaded.as_ref().ok()?.written;
        written.place(key).map(ToString::to_string)
    }

    /// What a line of the configuration is to be written into.
    pub fn file_shown(&self) -> String {
        match &self.file {
            Some(file) => file.display().to_string(),
            None => "proxy.toml".to_owned(),
        }
    }
}
