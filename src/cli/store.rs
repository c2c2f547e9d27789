//! What the commands beside `serve` begin with: the configuration, and the store that it names.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::Failure;
use crate::config::{self, Config, Environment, Flags, Folders, Sources};
use crate::store::Origins;
use crate::store::key::KeyPlace;
use crate::store::sqlite::SqliteStore;
use crate::types::origin::Origin;
use crate::upstream::tls::TlsConfigs;

/// The name of the store in the state folder.
const FILE_NAME: &str = "store.sqlite";

/// The configuration of a command, and where it comes from.
pub struct Context {
    pub config: Config,
    pub env: Arc<Environment>,
    pub folders: Folders,
}

impl Context {
    /// Loads the configuration as `serve` would.
    pub fn load(config_flag: Option<&Path>) -> Result<Self, Failure> {
        let (env, folders) = (Arc::new(Environment::of_process()), Folders::of_process());
        let flags = Flags::default();
        let sources = Sources { config_flag, flags, env: &env, folders: &folders };
        let config = config::load(&sources).map_err(Failure::usage)?.config;
        Ok(Self { config, env, folders })
    }

    /// What grants are for, as configured.
    pub fn origins(&self) -> Result<Origins, Failure> {
        origins(&self.config)
    }

    /// The store, made where there is none.
    pub async fn store(&self) -> Result<Arc<SqliteStore>, Failure> {
        open(&self.config, &self.env, &self.folders).await
    }

    /// How calls to HubSpot's endpoints go out: TLS where one of them is https, and `upstream.proxy`.
    pub fn way_out(&self) -> Result<(Option<TlsConfigs>, Option<Origin>), Failure> {
        let Config { upstream, oauth, .. } = &self.config;
        let urls = [&oauth.token_url, &oauth.introspect_url, &oauth.revoke_url];
        let needs_tls = upstream.url.is_https() || urls.iter().any(|url| url.starts_with("https:"));
        let load = || TlsConfigs::load(upstream.ca_file.as_deref());
        let tls = needs_tls.then(load).transpose().map_err(Failure::usage)?;
        Ok((tls, upstream.proxy.clone()))
    }

    /// The store, if there is one.
    pub async fn existing_store(&self) -> Result<Option<Arc<SqliteStore>>, Failure> {
        open_existing(&self.config, &self.env, &self.folders).await
    }
}

/// Opens the store of the configuration, and makes it where there is none.
pub async fn open(
    config: &Config,
    env: &Arc<Environment>,
    folders: &Folders,
) -> Result<Arc<SqliteStore>, Failure> {
    let path = path(config, folders)?;
    let place = KeyPlace {
        configured: config.store.key.clone(),
        folder: folders.config.clone(),
        store: String::new(),
        env: Arc::clone(env),
    };
    SqliteStore::open(&path, place, origins(config)?).await.map_err(Failure::failed)
}

/// Opens the store of the configuration, if there is one.
pub async fn open_existing(
    config: &Config,
    env: &Arc<Environment>,
    folders: &Folders,
) -> Result<Option<Arc<SqliteStore>>, Failure> {
    match path(config, folders) {
        Ok(path) if path.exists() => open(config, env, folders).await.map(Some),
        _ => Ok(None),
    }
}

/// Where the store of the configuration is, or would be.
pub fn path(config: &Config, folders: &Folders) -> Result<PathBuf, Failure> {
    let default = || folders.state.as_ref().map(|folder| folder.join(FILE_NAME));
    config.store.path.clone().or_else(default).ok_or_else(|| {
        Failure::usage(
            "there is no home folder to keep the store in: set store.url to `sqlite:PATH`",
        )
    })
}

/// What grants are for, as configured.
pub fn origins(config: &Config) -> Result<Origins, Failure> {
    let token = Origin::of_url(&config.oauth.token_url).map_err(Failure::usage)?;
    Ok(Origins { api: config.upstream.url.clone(), token })
}
