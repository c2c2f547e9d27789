//! `serve`: builds the parts from the configuration, says where it listens, and runs.

pub mod flags;
mod reload;
mod runtime_folder;

use std::io;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use tokio::runtime::{Builder, Handle};
use tokio::sync::Mutex;
use tracing::warn;

use super::addresses::{curl, shown_addresses};
use super::sandbox::Beside;
use super::shutdown::Signals;
use super::{Failure, app, print, store};
use crate::accounts::follow::follow;
use crate::accounts::login::here::Logins;
use crate::accounts::open::{OAuthGrant, Opener, Surroundings};
use crate::accounts::{Account, Accounts, Kind, Shared};
use crate::admin::Remote;
use crate::admin::access::AdminKey;
use crate::admin::status::About;
use crate::config::{
    self, AccountConfig, Config, CredentialConfig, Environment, Flags, Folders, Listen, Loaded,
    ReloadState, Roster, Sources,
};
use crate::credential::Grant;
use crate::sandbox::demo;
use crate::server::listener::{self, Listener};
use crate::server::{AdminParts, Server, control_plane};
use crate::store::StoredAccount;
use crate::store::memory::MemoryStore;
use crate::store::sqlite::SqliteStore;
use crate::telemetry::{self, LogFormat};
use crate::types::account::{self, AccountName};
use crate::types::clock::{SharedClock, SystemClock, WallTime};
use crate::types::origin::Origin;
use crate::types::secret::Secret;
use crate::upstream::tls::{TlsConfigs, install_crypto_provider};
use flags::ServeArgs;
use reload::{Reloading, Triggers};

/// What `--help` ends with.
pub const HELP: &str = "\
Examples:
  hubspot-proxy serve --listen localhost:9000
  hubspot-proxy serve --sandbox --log-requests
  curl 'http://localhost:8787/crm/v3/objects/contacts?limit=1'";

/// How long the end waits for refreshes under way.
const LONGEST_REFRESH: Duration = Duration::from_secs(10);

/// Runs the proxy until a signal.
pub fn run(config_flag: Option<&Path>, args: &ServeArgs) -> Result<(), Failure> {
    let format = args.log_format.map_or(LogFormat::Text, LogFormat::from);
    telemetry::install(format, telemetry::level_of_process().as_deref());
    install_crypto_provider();
    let env = Arc::new(Environment::of_process());
    let folders = Folders::of_process();
    let Loaded { mut config, file, written } = load(config_flag, args, &env, &folders)?;
    let runtime = Builder::new_current_thread().enable_all().build().map_err(Failure::failed)?;
    let store = match args.sandbox {
        true => None,
        false => runtime.block_on(store_where_needed(&config, &env, &folders))?,
    };
    let sandbox = if args.sandbox { Some(start_sandbox(&mut config)?) } else { None };
    let clock: SharedClock = Arc::new(SystemClock::new());
    let surroundings = surroundings(&config, Arc::clone(&clock), runtime.handle().clone())?;
    let config = Arc::new(config);
    let opener = Opener {
        config,
        env: Arc::clone(&env),
        surroundings,
        store: store.clone().map(|s| s as _),
    };
    runtime.block_on(opener.sow()).map_err(Failure::usage)?;
    let stored = runtime.block_on(opener.stored()).map_err(Failure::usage)?;
    check_client_secrets(&opener.config, &stored)?;
    let names: Vec<AccountName> = stored.iter().map(|stored| stored.name.clone()).collect();
    let roster = opener.config.roster(&names);
    if !args.sandbox {
        opener.config.check(&roster).map_err(Failure::usage)?;
    }
    let (listeners, shown) = open_listeners(&opener.config)?;
    warn_of_exposure(&listeners);
    for warning in app::retirements(&opener.config.oauth) {
        warn!("{warning}");
    }
    let accounts = match args.sandbox {
        true => demo_accounts(&opener),
        false => {
            runtime.block_on(opener.open(&roster, &stored, None, None)).map_err(Failure::usage)?
        }
    };
    let accounts: Shared = Arc::new(ArcSwap::from_pointee(accounts));
    let tls = opener.surroundings.tls.clone();
    let key = AdminKey::generate().map_err(Failure::failed)?;
    let port = listeners.iter().find_map(|(listener, _)| Some(listener.address()?.port()));
    let folder = runtime_folder::open(&folders, port, &key);
    let now = clock.now();
    let about = about(&opener.config, file.as_deref(), &shown, args.sandbox, now);
    let admin = Some(AdminParts { about, key, runtime: runtime.handle().clone() });
    let server = Server::new(
        &opener.config,
        Shared::clone(&accounts),
        listeners,
        tls,
        admin,
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
    let state = ReloadState { loaded_at: now, file: file.clone(), last_error: None, generation: 1 };
    let reloading = Reloading {
        config_flag: config_flag.map(Path::to_owned),
        flags: flags_of(args),
        env,
        folders,
        file: file.clone(),
        written,
        exposed,
        clock,
        state: Arc::new(ArcSwap::from_pointee(state)),
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
    let outcome = runtime.block_on(async {
        let reloading = reloading.run(triggers, &opener, &accounts);
        let serving = server.run(signals.requested());
        let following = async {
            match watch {
                Some(mut watch) => follow(&opener, &accounts, async || watch.changed().await).await,
                None => std::future::pending().await,
            }
        };
        let outcome = tokio::select! {
            outcome = serving => outcome,
            () = following => Err(io::Error::other("the store is no longer watched")),
            () = reloading => Err(io::Error::other("the configuration is no longer watched")),
        };
        // At the end of the time a refresh is cut off all the same: it is bounded by itself, but
        // what writes to a store that is full is not.
        let _ = tokio::time::timeout(LONGEST_REFRESH, accounts.load_full().settled()).await;
        outcome
    });
    drop((sandbox, folder));
    outcome.map_err(Failure::failed)
}

fn about(
    config: &Config,
    file: Option<&Path>,
    shown: &[Shown],
    sandbox: bool,
    started: WallTime,
) -> About {
    About {
        started,
        config_file: file.map(|file| file.display().to_string()),
        listen: shown.iter().map(|shown| shown.address.clone()).collect(),
        upstream: config.upstream.url.to_string(),
        sandbox,
        threads: config.server.threads,
    }
}

/// The store, where an account needs one or there is one already: it may hold accounts and client keys.
async fn store_where_needed(
    config: &Config,
    env: &Arc<Environment>,
    folders: &Folders,
) -> Result<Option<Arc<SqliteStore>>, Failure> {
    let needs = |account: &AccountConfig| {
        matches!(account.credential, CredentialConfig::OAuth { .. } | CredentialConfig::Stored)
    };
    let existing = store::open_existing(config, env, folders).await;
    if !config.accounts.values().any(needs) {
        // What no account needs is no reason not to serve: only client keys are not known then.
        return existing.or_else(|failure| match config.accounts.is_empty() {
            true => Err(failure),
            false => {
                warn!("{failure}");
                Ok(None)
            }
        });
    }
    if let Some(store) = existing? {
        return Ok(Some(store));
    }
    check_client_secrets(config, &[])?;
    store::open(config, env, folders).await.map(Some)
}

/// An app's secret is configured, or a login has put it into the store.
fn check_client_secrets(config: &Config, stored: &[StoredAccount]) -> Result<(), Failure> {
    let has_one = |name: &AccountName| {
        stored.iter().any(|stored| stored.name == *name && stored.has_client_secret)
    };
    config.check_client_secrets(has_one).map_err(Failure::usage)
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

/// An address that is listened on, as a person would type it.
struct Shown {
    address: String,
    /// The only account that it serves.
    account: Option<AccountName>,
}

/// A listener and the only account that it serves.
type Reserved = (Listener, Option<AccountName>);

/// Opens the addresses for all accounts, then each account's own.
fn open_listeners(config: &Config) -> Result<(Vec<Reserved>, Vec<Shown>), Failure> {
    let own = config.accounts.iter().map(|(name, account)| (&account.listen, Some(name)));
    let (mut listeners, mut shown) = (Vec::new(), Vec::new());
    for (entries, account) in [(&config.server.listen, None)].into_iter().chain(own) {
        let opened = listener::open(entries).map_err(Failure::failed)?;
        let addresses = shown_addresses(entries, &opened).into_iter();
        shown.extend(addresses.map(|address| Shown { address, account: account.cloned() }));
        listeners.extend(opened.into_iter().map(|listener| (listener, account.cloned())));
    }
    Ok((listeners, shown))
}

/// Starts the emulator on a port of its own and makes it the upstream.
fn start_sandbox(config: &mut Config) -> Result<Beside, Failure> {
    let listen = [Listen::Localhost(0)];
    let listeners = listener::open(&listen).map_err(Failure::failed)?;
    let address = shown_addresses(&listen, &listeners).remove(0);
    let origin: Origin = address.parse().map_err(Failure::failed)?;
    config.oauth.token_url = format!("{origin}/oauth/2026-03/token");
    config.upstream.url = origin;
    Beside::start(listeners).map_err(Failure::failed)
}

fn surroundings(
    config: &Config,
    clock: SharedClock,
    runtime: Handle,
) -> Result<Surroundings, Failure> {
    let needs_tls = config.upstream.url.is_https() || config.oauth.token_url.starts_with("https:");
    let ca_file = config.upstream.ca_file.as_deref();
    let tls = needs_tls.then(|| TlsConfigs::load(ca_file)).transpose().map_err(Failure::usage)?;
    Ok(Surroundings {
        tls,
        outbound_proxy: config.upstream.proxy.clone(),
        api: config.upstream.url.clone(),
        token_url: config.oauth.token_url.clone(),
        refresh_ahead: config.oauth.refresh_ahead,
        clock,
        runtime,
    })
}

/// The one account of `--sandbox`: an OAuth grant, so that refreshes can be watched.
fn demo_accounts(opener: &Opener) -> Accounts {
    let name = AccountName::default_name();
    let seed = Some(Secret::new(demo::REFRESH_TOKEN.to_owned()));
    let grant = OAuthGrant {
        client_id: demo::CLIENT_ID.to_owned(),
        client_secret: Secret::new(demo::CLIENT_SECRET.to_owned()),
        grant: Grant { store: MemoryStore::new(), seed },
    };
    let hub_id = Some(demo::HUB_ID);
    let credential = opener.surroundings.oauth(&name, grant, hub_id);
    let policy = Arc::clone(&opener.config.policy);
    let kind = Kind::Portal;
    let account = Account {
        name,
        hub_id,
        kind,
        credential,
        policy,
        epoch: None,
        about: account::About::default(),
        secrets: Arc::default(),
    };
    Accounts::new(vec![Arc::new(account)], None)
}

/// Says what a listener that other machines can reach means.
fn warn_of_exposure(listeners: &[Reserved]) {
    let addresses = listeners.iter().filter_map(|(listener, _)| listener.address());
    for address in addresses.filter(|address| !address.ip().is_loopback()) {
        warn!(
            "other machines can reach {address}: client keys and answers travel in clear, unless TLS ends in front of the proxy"
        );
    }
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
