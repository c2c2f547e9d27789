//! A new configuration while the proxy runs: on SIGHUP, and when the file changes.

use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use tokio::sync::Mutex;
use tracing::{info, warn};

use crate::accounts::Shared;
use crate::accounts::open::Opener;
use crate::accounts::reload::{reload, reload_around};
use crate::config::watch::FileWatch;
use crate::config::{
    self, Environment, Flags, Folders, InUse, Loaded, ReloadState, SharedReloadState, Sources,
    Written,
};
use crate::server::service_manager::ServiceManager;
use crate::telemetry::audit::Audit;
use crate::telemetry::audit::event::{Change, What};
use crate::types::clock::SharedClock;

/// What a reload starts from.
pub struct Reloading {
    pub config_flag: Option<PathBuf>,
    pub flags: Flags,
    pub env: Arc<Environment>,
    pub folders: Folders,
    /// The file in use, and no other is looked at.
    pub file: Option<PathBuf>,
    pub in_use: Option<InUse>,
    pub written: Written,
    /// Whether a listener can be reached by other machines.
    pub exposed: bool,
    pub clock: SharedClock,
    /// Waits for the end of a reload.
    pub manager: ServiceManager,
    pub audit: Audit,
    pub state: SharedReloadState,
}

/// What asks for reloads: installed before the proxy says that it runs, so that none is lost.
pub struct Triggers {
    #[cfg(unix)]
    hangup: tokio::signal::unix::Signal,
    file: Option<FileWatch>,
}

impl Triggers {
    /// Must be called inside a runtime.
    pub fn install(reloading: &Reloading) -> io::Result<Self> {
        Ok(Self {
            #[cfg(unix)]
            hangup: tokio::signal::unix::signal(tokio::signal::unix::SignalKind::hangup())?,
            file: reloading.file.as_deref().map(FileWatch::new),
        })
    }

    /// Waits for the next; true when a person has asked.
    async fn next(&mut self) -> bool {
        let file = async {
            match &mut self.file {
                Some(file) => file.changed().await,
                None => std::future::pending().await,
            }
        };
        #[cfg(unix)]
        return tokio::select! {
            _ = self.hangup.recv() => true,
            () = file => false,
        };
        #[cfg(not(unix))]
        {
            file.await;
            false
        }
    }
}

impl Reloading {
    /// Reloads whenever it is asked for, for ever.
    pub async fn run(mut self, mut on: Triggers, opener: &Mutex<Opener>, accounts: &Shared) {
        loop {
            let asked = on.next().await;
            self.manager.reloading();
            let outcome = self.once(opener, accounts, asked).await;
            self.note(outcome);
            self.manager.reloaded(&accounts.load());
        }
    }

    /// The names of what has changed.
    async fn once(
        &mut self,
        opener: &Mutex<Opener>,
        accounts: &Shared,
        asked: bool,
    ) -> Result<Vec<String>, String> {
        let Self { folders, env, flags, .. } = self;
        let config_flag = self.config_flag.as_deref();
        let sources = Sources { config_flag, flags: flags.clone(), env, folders };
        let Loaded { config, written, .. } =
            config::load_again(&sources, self.file.as_deref().zip(self.in_use))
                .map_err(|error| error.to_string())?;
        if self.exposed && !config.server.keys_required {
            return Err("a listener can be reached by other machines, and `server.client_keys` is no longer \"required\": restart the proxy to close it".to_owned());
        }
        let mut changed = self.written.changed(&written);
        if changed.is_empty() && !asked {
            return Ok(changed);
        }
        if self.flags.sandbox {
            reload_around(accounts, config);
        } else {
            let renewed = reload(opener, accounts, config, asked).await?;
            let is_named = |name: &String| {
                let prefix = format!("accounts.{name}.");
                changed.iter().any(|key| key.starts_with(&prefix))
            };
            let unnamed: Vec<String> = renewed.into_iter().filter(|name| !is_named(name)).collect();
            changed.extend(unnamed.iter().map(|name| format!("the secret of account {name}")));
        }
        self.written = written;
        Ok(changed)
    }

    /// Says how it went, in the log and to whoever shows the state.
    fn note(&self, outcome: Result<Vec<String>, String>) {
        let mut state = ReloadState::clone(&self.state.load());
        match outcome {
            Ok(changed) => {
                let (later, now): (Vec<_>, Vec<_>) =
                    changed.into_iter().partition(|key| config::takes_a_start(key));
                match now.is_empty() {
                    true => info!("the configuration was read again: nothing to change"),
                    false => info!("the configuration was reloaded: changed {}", now.join(", ")),
                }
                if !now.is_empty() {
                    self.audit.note(on_record(&now));
                }
                if !later.is_empty() {
                    warn!("takes effect at the next start: {}", later.join(", "));
                }
                state.last_error = None;
                state.loaded_at = self.clock.now();
                state.generation += u64::from(!now.is_empty());
            }
            Err(problem) => {
                warn!(
                    "the configuration was not reloaded, and the one before stays in force: {problem}"
                );
                state.last_error = Some(problem);
            }
        }
        self.state.store(Arc::new(state));
    }
}

/// What an audit log says of a reload that has changed these keys.
fn on_record(changed: &[String]) -> Change {
    let is_policy = |key: &String| key.starts_with("policy.") || key.contains(".policy.");
    let what = match changed.iter().any(is_policy) {
        true => What::PolicyChanged,
        false => What::Reloaded,
    };
    Change::new(what).with_detail(changed.join(", "))
}
