//! `serve`: builds the parts from the configuration, says where it listens, and runs.

mod audit;
pub mod flags;
mod listeners;
mod reload;
mod runtime_folder;

use std::io;
use std::path::Path;
use std::sync::Arc;

use arc_swap::ArcSwap;
use tokio::runtime::Builder;
use tokio::sync::Mutex;
use tracing::warn;

use super::addresses::curl;
use super::proxy::{Parts, in_step};
use super::shutdown::Signals;
use super::{Failure, app, print};
use crate::accounts::Shared;
use crate::accounts::login::here::Logins;
use crate::admin::Remote;
use crate::admin::access::AdminKey;
use crate::admin::status::About;
use crate::config::{
    self, Config, CredentialConfig, Environment, Flags, Folders, InUse, Listen, Loaded,
    ReloadState, Roster, SharedReloadState, Sources,
};
use crate::server::listener::Inherited;
use crate::server::service_manager::ServiceManager;
use crate::server::{AdminParts, Server, control_plane};
use crate::telemetry::{self, LogFormat};
use crate::upstream::tls::install_crypto_provider;
use audit::AuditLog;
use flags::ServeArgs;
use listeners::{Shown, open_listeners, warn_of_exposure};
use reload::{Reloading, Triggers};

/// What `--help` ends with.
pub const HELP: &str = "\
Examples:
  hubspot-proxy serve --listen localhost:9000
  hubspot-proxy serve --sandbox --log-requests
  curl 'http://localhost:8787/crm/v3/objects/contacts?limit=1'";

/// Runs the proxy until a signal.
pub fn run(config_flag: Option<&Path>, args: &ServeArgs) -> Result<(), Failure> {
    // Before there is a second thread or another program.
    let inherited = Inherited::of_process();
    let format = args.log_format.map_or(LogFormat::Text, LogFormat::from);
    telemetry::install(format, telemetry::level_of_process().as_deref());
    install_crypto_provider();
    let env = Arc::new(Environment::of_process());
    let folders = Folders::of_process();
    let Loaded { config, file, written, .. } = load(config_flag, args, &env, &folders)?;
    let runtime = Builder::new_current_thread().enable_all().build().map_err(Failure::failed)?;
    let mut parts = Parts::build(config, &env, &folders, args.sandbox, &runtime)?;
    let (listeners, shown) =
        open_listeners(&parts.opener.config, inherited.map_err(Failure::usage)?)?;
    warn_of_exposure(&listeners);
    for warning in app::retirements(&parts.opener.config.oauth) {
        warn!("{warning}");
    }
    let (store, config) = (parts.store.as_ref(), parts.opener.config.audit.as_ref());
    let log = runtime.block_on(AuditLog::open(config, store, &parts.roster, &parts.clock))?;
    parts.opener.surroundings.audit = log.audit.clone();
    let accounts = parts.accounts(&runtime)?;
    let Parts { opener, roster, clock, store, sandbox, .. } = parts;
    let tls = opener.surroundings.tls.clone();
    let key = AdminKey::generate().map_err(Failure::failed)?;
    let port = listeners.iter().find_map(|(listener, _)| Some(listener.address()?.port()));
    let folder = runtime_folder::open(&folders, port, &key);
    let now = clock.now();
    let state = ReloadState { loaded_at: now, file: file.clone(), last_error: None, generation: 1 };
    let state = Arc::new(ArcSwap::from_pointee(state));
    let about = about(&opener.config, &shown, args.sandbox, &state);
    let admin = Some(AdminParts { about, key, runtime: runtime.handle().clone() });
    let server = Server::new(
        &opener.config,
        Shared::clone(&accounts),
        listeners,
        tls,
        admin,
        log.audit.clone(),
        Arc::clone(&clock),
    );
    let server = server.map_err(Failure::usage)?;
    if let (Some(folder), Some(Remote { api, .. })) = (&folder, server.admin()) {
        let _entered = runtime.enter();
        control_plane::start(folder, api.clone()).map_err(Failure::failed)?;
    }
    let signals = {
        let _entered = runtime.enter();
        Signals::install().map_err(Failure::failed)?
    };
    let exposed = opener
        .config
        .server
        .listen
        .iter()
        .chain(opener.config.accounts.values().flat_map(|account| &account.listen));
    let exposed = exposed
        .into_iter()
        .any(|listen| matches!(listen, Listen::Address(address) if !address.ip().is_loopback()));
    let manager = ServiceManager::of_process();
    let reloading = Reloading {
        config_flag: config_flag.map(Path::to_owned),
        flags: flags_of(args),
        env,
        folders,
        in_use: file.as_deref().map(InUse::of),
        file: file.clone(),
        written,
        exposed,
        clock,
        manager: manager.clone(),
        audit: log.audit.clone(),
        state,
    };
    let triggers = {
        let _entered = runtime.enter();
        Triggers::install(&reloading).map_err(Failure::failed)?
    };
    let watch = store.as_ref().map(|store| store.watch());
    announce(&opener.config, &roster, file.as_deref(), &shown, args.sandbox);
    let opener = Arc::new(Mutex::new(opener));
    if let Some(Remote { api, .. }) = server.admin() {
        api.offer(Logins::new(Arc::clone(&opener)));
    }
    let serving = async {
        tokio::select! {
            outcome = server.run(stop_requested(signals, &manager)) => outcome,
            () = manager.keep_informed(&accounts) => {
                Err(io::Error::other("the service manager is no longer told"))
            }
            () = reloading.run(triggers, &opener, &accounts) => {
                Err(io::Error::other("the configuration is no longer watched"))
            }
        }
    };
    let outcome = runtime.block_on(async {
        let outcome = in_step(serving, watch, &opener, &accounts).await;
        log.close().await;
        outcome
    });
    drop((sandbox, folder));
    outcome.map_err(Failure::failed)
}

fn about(config: &Config, shown: &[Shown], sandbox: bool, state: &SharedReloadState) -> About {
    let at_start = state.load();
    About {
        started: at_start.loaded_at,
        config_file: at_start.file.as_ref().map(|file| file.display().to_string()),
        listen: shown.iter().map(|shown| shown.address.clone()).collect(),
        upstream: config.upstream.url.to_string(),
        sandbox,
        threads: config.server.threads,
        reload: Arc::clone(state),
    }
}

fn load(
    config_flag: Option<&Path>,
    args: &ServeArgs,
    env: &Environment,
    folders: &Folders,
) -> Result<Loaded, Failure> {
    let sources = Sources { config_flag, flags: flags_of(args), env, folders };
    config::load(&sources).map_err(Failure::usage)
}

fn flags_of(args: &ServeArgs) -> Flags {
    Flags {
        listen: args.listen.clone(),
        account: args.account.clone(),
        sandbox: args.sandbox,
        log_requests: args.log_requests,
    }
}

/// Waits for the signal that ends the process, and tells the service manager.
async fn stop_requested(signals: Signals, manager: &ServiceManager) {
    signals.requested().await;
    manager.stopping();
}

fn announce(config: &Config, roster: &Roster, file: Option<&Path>, shown: &[Shown], sandbox: bool) {
    let version = env!("CARGO_PKG_VERSION");
    let source = match file {
        Some(file) => format!("configured by {}", file.display()),
        None => "no configuration file".to_owned(),
    };
    print::line(format!("hubspot-proxy {version}, {source}"));
    for Shown { address, account } in shown {
        let only = account.as_ref().map(|name| format!(" for account {name}")).unwrap_or_default();
        print::line(format!("Listening on {address}{only}"));
    }
    let upstream = &config.upstream.url;
    let kind = if sandbox { "sandbox " } else { "" };
    print::line(format!("Upstream: {kind}{upstream}"));
    print::line(format!("Accounts: {}", account_list(roster, sandbox)));
    if let Some(Shown { address, .. }) = shown.first() {
        let account = account_prefix(roster, sandbox);
        let target = format!("{account}/crm/v3/objects/contacts?limit=1");
        print::line(format!("Try: {}", curl(address, &target)));
    }
    if sandbox {
        print::line(format!("What the sandbox saw: curl {upstream}/sandbox/requests"));
    }
}

/// Where no account is the default, a request has to name one.
fn account_prefix(roster: &Roster, sandbox: bool) -> String {
    if sandbox || roster.default.is_some() {
        return String::new();
    }
    roster.accounts.keys().next().map(|name| format!("/@{name}")).unwrap_or_default()
}

fn account_list(roster: &Roster, sandbox: bool) -> String {
    if sandbox {
        return "default (OAuth, demo)".to_owned();
    }
    let described = roster.accounts.iter().map(|(name, account)| {
        let kind = match account.credential {
            CredentialConfig::AccessToken { .. } => "access token",
            CredentialConfig::OAuth { .. } => "OAuth",
            CredentialConfig::PersonalAccessKey { .. } => "personal access key",
            CredentialConfig::ClientCredentials { .. } => "client credentials",
            CredentialConfig::DeveloperApiKey { .. } => "developer key",
            CredentialConfig::Stored => "stored",
        };
        let is_default = roster.accounts.len() > 1 && roster.default.as_ref() == Some(name);
        format!("{name} ({kind}{})", if is_default { ", default" } else { "" })
    });
    described.collect::<Vec<_>>().join(", ")
}
