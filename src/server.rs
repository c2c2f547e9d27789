//! Puts the parts together and runs them: a runtime for each core, told to stop by the one that
//! called.
//!
//! It is handed its listeners and the future that ends it, so that a test can use port 0 and stop
//! it at will.

mod balance;
mod connection;
pub mod control_plane;
mod data_plane;
mod drain;
mod file_limit;
pub mod listener;
pub mod service_manager;
#[cfg(target_os = "linux")]
mod start_code;
mod stream;
pub mod users;

use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, OnceLock};
use std::thread;

use thiserror::Error;
use tokio::runtime::Handle;
use tokio::sync::{mpsc, watch};

use crate::accounts::Shared;
use crate::admin::Remote;
use crate::admin::access::AdminKey;
use crate::admin::api::{Api, Connections, Knowledge};
use crate::admin::status::About;
use crate::admin::sunset;
use crate::config::Config;
use crate::pipeline::Settings;
use crate::telemetry::audit::Audit;
use crate::telemetry::cores::{Cores, Questions};
use crate::types::account::AccountName;
use crate::types::clock::SharedClock;
use crate::upstream::connect::Connector;
use crate::upstream::outbound_proxy::OutboundProxy;
use crate::upstream::tls::{TlsConfigs, TlsSetupError};
use balance::Balance;
use connection::Limits;
use data_plane::{Core, Plan, Reserved};
use listener::Listener;
pub use users::can_tell_users;
use users::{Users, UsersError};

/// What the parser reads beyond the gate's limit, which counts no more than names and values.
const PARSER_RESERVE: usize = 64 * 1024;

/// Why the server could not be started.
#[derive(Debug, Error)]
pub enum StartError {
    #[error("{0}")]
    Tls(#[from] TlsSetupError),
    #[error("cannot reach the upstream as configured: {0}")]
    Upstream(io::Error),
    #[error("{0}")]
    Users(#[from] UsersError),
    #[error("cannot start: {0}")]
    Io(#[from] io::Error),
}

/// A proxy that is ready to run.
pub struct Server {
    plan: Arc<Plan>,
    cores: Vec<(Balance, Questions)>,
    doors: Vec<Door>,
}

/// What the admin API is made of; `None` where there is none.
pub struct AdminParts {
    pub about: About,
    pub key: AdminKey,
    /// The control plane.
    pub runtime: Handle,
}

impl Server {
    /// Prepares a server for `accounts` on `listeners`, each with the only account that it serves.
    /// `tls` must be given when the upstream is https.
    pub fn new(
        config: &Config,
        accounts: Shared,
        listeners: Vec<(Listener, Option<AccountName>)>,
        tls: Option<TlsConfigs>,
        admin: Option<AdminParts>,
        audit: Audit,
        clock: SharedClock,
    ) -> Result<Self, StartError> {
        let origin = Arc::new(config.upstream.url.clone());
        let through = OutboundProxy::on_the_way_to(&origin, config.upstream.proxy.as_ref());
        let through = through.map_err(StartError::Upstream)?;
        let timeout = config.upstream.connect_timeout;
        let connector = Connector::new(Arc::clone(&origin), tls, through, timeout);
        let addresses = listeners.iter().filter_map(|(listener, _)| listener.address());
        let tcp = addresses.map(|address| address.ip()).next();
        let doors = listeners
            .into_iter()
            .map(|(listener, account)| Door { listener, account: account.map(Arc::new) });
        let doors = doors.collect();
        let (cores, questions) = Cores::new(config.server.threads);
        let balances = Balance::among(config.server.threads);
        let counted = balances.first().cloned().unwrap_or_else(Balance::alone);
        let connections = Connections {
            open: Box::new(move || counted.total()),
            most: config.server.max_connections,
        };
        let admin = admin.map(|AdminParts { about, key, runtime }| Remote {
            api: Api::new(Knowledge {
                about,
                accounts: Shared::clone(&accounts),
                cores,
                audit: audit.clone(),
                connections,
                clock: Arc::clone(&clock),
                logins: OnceLock::new(),
            }),
            key: Arc::new(key),
            runtime,
        });
        let plan = Plan {
            cores: config.server.threads,
            admin,
            settings: Settings::of(config),
            limits: limits(config),
            users: Users::resolve(&config.server.allowed_users, tcp)?,
            accounts,
            audit,
            origin,
            connector: connector.map_err(StartError::Upstream)?,
            response_timeout: config.upstream.response_timeout,
            shutdown_grace: config.server.shutdown_grace,
            clock,
        };
        let cores = balances.into_iter().zip(questions).collect();
        Ok(Self { plan: Arc::new(plan), cores, doors })
    }

    /// The admin API, to be served at the control socket too.
    pub fn admin(&self) -> Option<&Remote> {
        self.plan.admin.as_ref()
    }

    /// Serves until `shutdown` is ready, then lets what is under way end within
    /// `server.shutdown_grace`. Fails when a core fails.
    pub async fn run(self, shutdown: impl Future<Output = ()>) -> io::Result<()> {
        file_limit::raise();
        if let Some(Remote { api, runtime, .. }) = self.admin() {
            runtime.spawn(sunset::remind(api.clone()));
        }
        #[cfg(target_os = "linux")]
        start_code::release();
        let (stop, stopped) = watch::channel(false);
        let (sender, mut ended) = mpsc::unbounded_channel();
        for (balance, questions) in self.cores {
            let sockets: io::Result<Vec<_>> = self.doors.iter().map(Door::for_a_core).collect();
            let core = Core { balance, questions, sockets: sockets? };
            start_core(&self.plan, core, stopped.clone(), sender.clone())?;
        }
        drop(sender);
        tokio::select! {
            outcome = ended.recv() => {
                outcome.unwrap_or(Ok(()))?;
                return Err(io::Error::other("a core has ended by itself"));
            }
            () = shutdown => {}
        }
        // The cores hold the sockets as well: when the last lets go, connections are refused. The
        // file of a Unix socket goes now, so that a successor can have its place at once.
        drop(self.doors);
        if let Some(admin) = &self.plan.admin {
            admin.api.end_streams();
        }
        // Without a receiver no core is left to be told.
        let _ = stop.send(true);
        while let Some(outcome) = ended.recv().await {
            outcome?;
        }
        Ok(())
    }
}

fn start_core(
    plan: &Arc<Plan>,
    core: Core,
    stop: watch::Receiver<bool>,
    ended: mpsc::UnboundedSender<io::Result<()>>,
) -> io::Result<()> {
    let plan = Arc::clone(plan);
    thread::Builder::new().name("data-plane".to_owned()).spawn(move || {
        let running = AssertUnwindSafe(|| data_plane::run(&plan, core, stop));
        let outcome = catch_unwind(running);
        // Nobody listens any more when the process is about to end.
        let _ = ended.send(outcome.unwrap_or_else(|_| Err(io::Error::other("a core panicked"))));
    })?;
    Ok(())
}

/// A listener, and the index of the account that it is reserved for.
struct Door {
    listener: Listener,
    account: Option<Arc<AccountName>>,
}

impl Door {
    /// The same socket for one more core.
    fn for_a_core(&self) -> io::Result<Reserved> {
        Ok((self.listener.for_a_core()?, self.account.clone()))
    }
}

fn limits(config: &Config) -> Limits {
    let server = &config.server;
    Limits {
        header_timeout: server.header_timeout,
        idle_timeout: server.idle_timeout,
        parser_buffer: server.max_header_size + PARSER_RESERVE,
        parser_headers: server.max_headers,
        max_connections: server.max_connections,
    }
}
