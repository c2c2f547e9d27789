//! What a service file says, as the configuration has it.
//!
//! The configuration is read as the service will read it: without the variables of the shell in which
//! it is installed.

use std::path::{Path, PathBuf};
use std::time::Duration;

use super::super::{Failure, store};
use crate::config::{
    self, AllowedUser, AllowedUsers, Config, Environment, Flags, Folders, Listen, Sources,
};

/// Folders that a shell may have moved; the service looks for the same ones.
const MOVED_FOLDERS: [&str; 2] = ["XDG_CONFIG_HOME", "XDG_STATE_HOME"];
/// What a refresh under way may take beyond `server.shutdown_grace`, and some room.
const END: Duration = Duration::from_secs(15);

/// All that the text of a service file depends on.
#[derive(Clone, Debug)]
pub struct Plan {
    /// This program.
    pub binary: PathBuf,
    /// The configuration file, absolute; `None` where there is none.
    pub config: Option<PathBuf>,
    /// Every address that is listened on, accounts' own ones as well.
    pub listen: Vec<Listen>,
    /// Where the proxy writes.
    pub writable: Vec<PathBuf>,
    /// Variables that it is to have, none of them secret.
    pub environment: Vec<(String, String)>,
    /// Optional: variables that only the user writes, perhaps secret ones.
    pub environment_file: PathBuf,
    /// Whether it runs in a user namespace, from inside which all other users look the same.
    pub user_namespace: bool,
    /// How long it may take to end.
    pub stop_within: Duration,
    /// Whether the machine has ::1.
    pub has_ipv6: bool,
}

/// A plan, and what it was made from.
pub struct Planned {
    pub plan: Plan,
    pub config: Config,
    /// Whether there is an account to serve.
    pub has_account: bool,
}

/// Reads the configuration that `config_flag`, else the usual places, have.
pub fn plan(config_flag: Option<&Path>) -> Result<Planned, Failure> {
    let folders = Folders::of_process();
    let env: Environment = std::iter::empty::<(String, String)>().collect();
    let sources = Sources { config_flag, flags: Flags::default(), env: &env, folders: &folders };
    let loaded = config::load(&sources).map_err(Failure::usage)?;
    let config = loaded.config;
    let own = config.accounts.values().flat_map(|account| &account.listen);
    let listen: Vec<Listen> = config.server.listen.iter().chain(own).cloned().collect();
    if let Some(entry) = listen.iter().find(|entry| is_any_port(entry)) {
        return Err(Failure::usage(format!(
            "`{entry}` stands for any free port, and a service needs one that clients know: set a port in `listen`"
        )));
    }
    let folder = folders.config.clone().ok_or_else(|| {
        Failure::failed("there is no home folder to install a service in: set HOME")
    })?;
    let store = store::path(&config, &folders)?;
    let binary = std::env::current_exe().map_err(|error| {
        Failure::failed(format!("cannot find out where this program is: {error}"))
    })?;
    let config_file = loaded.file.map(std::path::absolute).transpose().map_err(Failure::failed)?;
    let mut writable: Vec<PathBuf> = folders.state.clone().into_iter().collect();
    writable.extend(store.parent().map(Path::to_owned));
    // The key of a new store is made there.
    writable.push(folder.clone());
    writable.dedup();
    let environment_file = folder.join("environment");
    let has_account = !config.accounts.is_empty() || store.exists() || environment_file.exists();
    let plan = Plan {
        binary,
        config: config_file,
        listen,
        writable,
        environment: moved_folders(),
        environment_file,
        // Users who are let in have to be told apart.
        user_namespace: !serves_other_users(&config.server.allowed_users),
        stop_within: config.server.shutdown_grace + END,
        has_ipv6: std::net::TcpListener::bind("[::1]:0").is_ok(),
    };
    if let Some(path) = plan.paths().find(|path| !is_plain(path)) {
        return Err(Failure::failed(format!(
            "{path:?} cannot be written into a service file: choose a path without control characters that is UTF-8 text"
        )));
    }
    Ok(Planned { plan, config, has_account })
}

impl Plan {
    /// The command line of the service.
    pub fn command(&self) -> Vec<String> {
        let mut words = vec![self.binary.display().to_string(), "serve".to_owned()];
        if let Some(config) = &self.config {
            words.extend(["--config".to_owned(), config.display().to_string()]);
        }
        words
    }

    fn paths(&self) -> impl Iterator<Item = &Path> {
        let sockets = self.listen.iter().filter_map(|entry| match entry {
            Listen::Unix(path) => Some(path),
            _ => None,
        });
        let files = [&self.binary, &self.environment_file];
        let all = files.into_iter().chain(&self.config).chain(&self.writable).chain(sockets);
        all.map(PathBuf::as_path)
    }
}

fn is_any_port(entry: &Listen) -> bool {
    match entry {
        Listen::Localhost(port) => *port == 0,
        Listen::Address(address) => address.port() == 0,
        Listen::Unix(_) => false,
    }
}

fn is_plain(path: &Path) -> bool {
    path.to_str().is_some_and(|path| !path.chars().any(char::is_control))
}

fn moved_folders() -> Vec<(String, String)> {
    let set = MOVED_FOLDERS.into_iter().filter_map(|name| {
        let value = std::env::var(name).ok().filter(|value| Path::new(value).is_absolute());
        value.filter(|value| is_plain(Path::new(value))).map(|value| (name.to_owned(), value))
    });
    set.collect()
}

fn serves_other_users(allowed: &AllowedUsers) -> bool {
    match allowed {
        AllowedUsers::Any => false,
        AllowedUsers::Listed(users) => {
            users.iter().any(|user| matches!(user, AllowedUser::Id(_) | AllowedUser::Name(_)))
        }
    }
}
