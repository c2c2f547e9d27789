//! `serve`: builds the parts from the configuration, says where it listens, and runs.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use tokio::runtime::{Builder, Handle};

use super::addresses::{curl, shown_addresses};
use super::sandbox::Beside;
use super::shutdown::Signals;
use super::{Failure, ServeArgs, print};
use crate::accounts::open::{Grant, Surroundings};
use crate::accounts::{Account, Accounts, Kind};
use crate::config::{
    self, Config, CredentialConfig, Environment, Flags, Folders, Listen, Loaded, Sources,
};
use crate::sandbox::demo;
use crate::server::Server;
use crate::server::listener::{self, Listener};
use crate::store::memory::MemoryStore;
use crate::telemetry::{self, LogFormat};
use crate::types::account::AccountName;
use crate::types::clock::{SharedClock, SystemClock};
use crate::types::origin::Origin;
use crate::types::secret::Secret;
use crate::upstream::tls::{TlsConfigs, install_crypto_provider};

/// How long the end waits for refreshes under way.
const LONGEST_REFRESH: Duration = Duration::from_secs(10);

/// Runs the proxy until a signal.
pub fn run(config_flag: Option<&Path>, args: &ServeArgs) -> Result<(), Failure> {
    let format = args.log_format.map_or(LogFormat::Text, LogFormat::from);
    telemetry::install(format, telemetry::level_of_process().as_deref());
    install_crypto_provider();
    let env = Environment::of_process();
    let Loaded { mut config, file } = load(config_flag, args, &env)?;
    let (listeners, shown) = open_listeners(&config)?;
    let sandbox = if args.sandbox { Some(start_sandbox(&mut config)?) } else { None };

    let runtime = Builder::new_current_thread().enable_all().build().map_err(Failure::failed)?;
    let clock: SharedClock = Arc::new(SystemClock::new());
    let surroundings = surroundings(&config, Arc::clone(&clock), runtime.handle().clone())?;
    let accounts = match args.sandbox {
        true => demo_accounts(&config, &surroundings),
        false => Accounts::open(&config, &env, &surroundings).map_err(Failure::usage)?,
    };
    let tls = surroundings.tls.clone();
    let accounts = Arc::new(accounts);
    let server = Server::new(&config, Arc::clone(&accounts), listeners, tls, clock);
    let server = server.map_err(Failure::usage)?;
    let signals = {
        let _entered = runtime.enter();
        Signals::install().map_err(Failure::failed)?
    };
    announce(&config, file.as_deref(), &shown, args.sandbox);
    let outcome = runtime.block_on(async {
        let outcome = server.run(signals.requested()).await;
        // At the end of the time a refresh is cut off all the same: it is bounded by itself, but
        // what writes to a store that is full is not.
        let _ = tokio::time::timeout(LONGEST_REFRESH, accounts.settled()).await;
        outcome
    });
    drop(sandbox);
    outcome.map_err(Failure::failed)
}

fn load(
    config_flag: Option<&Path>,
    args: &ServeArgs,
    env: &Environment,
) -> Result<Loaded, Failure> {
    let flags = Flags {
        listen: args.listen.clone(),
        account: args.account.clone(),
        sandbox: args.sandbox,
        log_requests: args.log_requests,
    };
    let folders = Folders::of_process();
    let sources = Sources { config_flag, flags, env, folders: &folders };
    config::load(&sources).map_err(Failure::usage)
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
        store: MemoryStore::new(),
        runtime,
    })
}

/// The one account of `--sandbox`: an OAuth grant, so that refreshes can be watched.
fn demo_accounts(config: &Config, surroundings: &Surroundings) -> Accounts {
    let name = AccountName::default_name();
    let grant = Grant {
        client_id: demo::CLIENT_ID.to_owned(),
        client_secret: Secret::new(demo::CLIENT_SECRET.to_owned()),
        refresh_token: Secret::new(demo::REFRESH_TOKEN.to_owned()),
    };
    let hub_id = Some(demo::HUB_ID);
    let credential = surroundings.oauth(&name, grant, hub_id);
    let policy = Arc::clone(&config.policy);
    Accounts::new(vec![Account { name, hub_id, kind: Kind::Portal, credential, policy }], None)
}

fn announce(config: &Config, file: Option<&Path>, shown: &[Shown], sandbox: bool) {
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
    print::line(format!("Accounts: {}", account_list(config, sandbox)));
    if let Some(Shown { address, .. }) = shown.first() {
        let account = account_prefix(config, sandbox);
        let target = format!("{account}/crm/v3/objects/contacts?limit=1");
        print::line(format!("Try: {}", curl(address, &target)));
    }
    if sandbox {
        print::line(format!("What the sandbox saw: curl {upstream}/sandbox/requests"));
    }
}

/// Where no account is the default, a request has to name one.
fn account_prefix(config: &Config, sandbox: bool) -> String {
    if sandbox || config.default_account.is_some() {
        return String::new();
    }
    config.accounts.keys().next().map(|name| format!("/@{name}")).unwrap_or_default()
}

fn account_list(config: &Config, sandbox: bool) -> String {
    if sandbox {
        return "default (OAuth, demo)".to_owned();
    }
    let described = config.accounts.iter().map(|(name, account)| {
        let kind = match account.credential {
            CredentialConfig::AccessToken { .. } => "access token",
            CredentialConfig::OAuth { .. } => "OAuth",
            CredentialConfig::PersonalAccessKey { .. } => "personal access key",
            CredentialConfig::ClientCredentials { .. } => "client credentials",
            CredentialConfig::DeveloperApiKey { .. } => "developer key",
        };
        let is_default = config.accounts.len() > 1 && config.default_account.as_ref() == Some(name);
        format!("{name} ({kind}{})", if is_default { ", default" } else { "" })
    });
    described.collect::<Vec<_>>().join(", ")
}
