//! What `serve` and `exec` have in common: the parts of a proxy, from its configuration to accounts
//! that serve, and what goes on beside it while it runs.
//!
//! Where it listens, and what ends it, is the command's business.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use tokio::runtime::{Handle, Runtime};
use tokio::sync::Mutex;
use tracing::warn;

use super::addresses::shown_addresses;
use super::sandbox::Beside;
use super::{Failure, store};
use crate::accounts::follow::follow;
use crate::accounts::open::{OAuthGrant, Opener, Surroundings};
use crate::accounts::{Account, Accounts, Kind, Shared, login};
use crate::config::{
    AccountConfig, Config, CredentialConfig, Environment, Folders, Listen, Roster,
};
use crate::credential::Grant;
use crate::sandbox::demo;
use crate::server::listener;
use crate::store::StoredAccount;
use crate::store::memory::MemoryStore;
use crate::store::sqlite::SqliteStore;
use crate::store::watch::Watch;
use crate::telemetry::audit::Audit;
use crate::types::account::{About, AccountName};
use crate::types::client_key::ClientKeys;
use crate::types::clock::{SharedClock, SystemClock};
use crate::types::origin::Origin;
use crate::types::secret::Secret;
use crate::upstream::tls::TlsConfigs;

/// How long the end waits for refreshes under way.
const LONGEST_REFRESH: Duration = Duration::from_secs(10);

/// A proxy that has its accounts and no listeners yet.
pub struct Parts {
    pub opener: Opener,
    pub roster: Roster,
    pub clock: SharedClock,
    pub store: Option<Arc<SqliteStore>>,
    /// The emulator of `--sandbox`, for as long as this lives.
    pub sandbox: Option<Beside>,
    stored: Vec<StoredAccount>,
}

impl Parts {
    /// Opens what the configuration needs, and checks it against what is stored. `in_sandbox`: the
    /// emulator takes the place of the upstream.
    pub fn build(
        mut config: Config,
        env: &Arc<Environment>,
        folders: &Folders,
        in_sandbox: bool,
        runtime: &Runtime,
    ) -> Result<Self, Failure> {
        let (store, sandbox) = match in_sandbox {
            true => (None, Some(start_sandbox(&mut config)?)),
            false => (runtime.block_on(store_where_needed(&config, env, folders))?, None),
        };
        let clock: SharedClock = Arc::new(SystemClock::new());
        let surroundings = surroundings(&config, Arc::clone(&clock), runtime.handle().clone())?;
        let opener = Opener {
            config: Arc::new(config),
            env: Arc::clone(env),
            surroundings,
            store: store.clone().map(|s| s as _),
            child_key: None,
        };
        runtime.block_on(opener.sow()).map_err(Failure::usage)?;
        let stored = runtime.block_on(opener.stored()).map_err(Failure::usage)?;
        check_client_secrets(&opener.config, &stored)?;
        let names: Vec<AccountName> = stored.iter().map(|stored| stored.name.clone()).collect();
        let roster = opener.config.roster(&names);
        if !in_sandbox {
            opener.config.check(&roster).map_err(Failure::usage)?;
        }
        Ok(Self { opener, roster, clock, store, sandbox, stored })
    }

    /// The accounts, their secrets read. After the listeners: a port that is taken is found out before
    /// a password manager asks a person.
    pub fn accounts(&self, runtime: &Runtime) -> Result<Shared, Failure> {
        let Self { opener, roster, stored, .. } = self;
        let accounts = match self.sandbox {
            Some(_) => demo_accounts(opener),
            None => {
                runtime.block_on(opener.open(roster, stored, None, None)).map_err(Failure::usage)?
            }
        };
        Ok(Arc::new(ArcSwap::from_pointee(accounts)))
    }
}

/// Runs `serving` to its end, its accounts in step with the store, and then waits for the refreshes
/// under way.
pub async fn in_step(
    serving: impl Future<Output = io::Result<()>>,
    watch: Option<Watch>,
    opener: &Mutex<Opener>,
    accounts: &Shared,
) -> io::Result<()> {
    let following = async {
        match watch {
            Some(mut watch) => follow(opener, accounts, async || watch.changed().await).await,
            None => std::future::pending().await,
        }
    };
    let outcome = tokio::select! {
        outcome = serving => outcome,
        () = following => Err(io::Error::other("the store is no longer watched")),
    };
    // At the end of the time a refresh is cut off all the same: it is bounded by itself, but what
    // writes to a store that is full is not.
    let _ = tokio::time::timeout(LONGEST_REFRESH, accounts.load_full().settled()).await;
    outcome
}

/// The store, where an account or the audit log needs one or there is one already: it may hold accounts
/// and client keys.
async fn store_where_needed(
    config: &Config,
    env: &Arc<Environment>,
    folders: &Folders,
) -> Result<Option<Arc<SqliteStore>>, Failure> {
    let needs = |account: &AccountConfig| {
        matches!(account.credential, CredentialConfig::OAuth { .. } | CredentialConfig::Stored)
    };
    let existing = store::open_existing(config, env, folders).await;
    if !config.accounts.values().any(needs) && config.audit.is_none() {
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

/// Starts the emulator on a port of its own and makes it the upstream.
fn start_sandbox(config: &mut Config) -> Result<Beside, Failure> {
    let listen = [Listen::Localhost(0)];
    let listeners = listener::open(&listen).map_err(Failure::failed)?;
    let address = shown_addresses(&listen, &listeners).remove(0);
    let origin: Origin = address.parse().map_err(Failure::failed)?;
    let token_url = format!("{origin}/oauth/2026-03/token");
    config.oauth.authorize_url = format!("{origin}/oauth/authorize");
    config.oauth.introspect_url = format!("{token_url}/introspect");
    config.oauth.revoke_url = format!("{token_url}/revoke");
    config.oauth.token_url = token_url;
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
    let introspect_url = &config.oauth.introspect_url;
    let may_ask = login::check_origin(config, "oauth.introspect_url", introspect_url).is_ok();
    Ok(Surroundings {
        tls,
        outbound_proxy: config.upstream.proxy.clone(),
        api: config.upstream.url.clone(),
        token_url: config.oauth.token_url.clone(),
        introspect_url: may_ask.then(|| introspect_url.clone()),
        refresh_ahead: config.oauth.refresh_ahead,
        clock,
        // The command that keeps a log opens it when the accounts are known.
        audit: Audit::default(),
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
        about: About::default(),
        secrets: Arc::default(),
    };
    let keys = ClientKeys::new(opener.child_key.iter().cloned().collect());
    Accounts::new(vec![Arc::new(account)], None).with_keys(keys)
}
