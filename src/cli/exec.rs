//! `exec`: a command with a proxy of its own, and with the environment in which the usual clients find
//! it.
//!
//! The proxy is in this process, on a port of its own, and leaves no trace: no file of the runtime
//! folder, and the store is opened as by `serve`, only when an account needs it. It ends when the
//! command does.

mod child;
mod environment;
#[cfg(unix)]
mod signals;
#[cfg(not(unix))]
#[path = "exec/signals/absent.rs"]
mod signals;

use std::ffi::OsString;
use std::io;
use std::net::{IpAddr, Ipv4Addr};
use std::path::Path;
use std::process::{ExitCode, ExitStatus};
use std::sync::Arc;

use clap::{Args, ValueHint};
use tokio::runtime::Builder;
use tokio::sync::Mutex;
use tracing::info;

use super::Failure;
use super::addresses::shown_addresses;
use super::hygiene::Before;
use super::proxy::{Parts, in_step};
use crate::accounts::Shared;
use crate::config::{self, AllowedUsers, Config, Environment, Flags, Folders, Loaded, Sources};
use crate::server::{Server, can_tell_users, listener};
use crate::telemetry::audit::Audit;
use crate::telemetry::{self, LogFormat};
use crate::types::account::AccountName;
use crate::types::client_key::{ClientKey, KeyHash, generate};
use crate::types::secret::Secret;
use crate::upstream::tls::install_crypto_provider;
use child::Child;
use environment::ChildEnvironment;
use signals::Signals;

/// What `--help` ends with.
pub const HELP: &str = "\
CMD finds the proxy in HUBSPOT_BASE_URL and BASE_URL_OVERRIDE, and no credential in its environment.
The exit status is that of CMD: 128 and the signal's number when a signal has ended it, 127 when there
is no such command, 126 when it cannot be run.

Examples:
  hubspot-proxy exec -- sh -c 'curl \"$HUBSPOT_BASE_URL/crm/v3/objects/contacts?limit=1\"'
  hubspot-proxy exec --account acme -- npx @hubspot/mcp-server
  hubspot-proxy exec --sandbox -- npm test";

/// Where the child's key may be from and what it is called in logs.
const CHILD: &str = "exec";

/// Flags of `exec`.
#[derive(Debug, Args)]
pub(super) struct ExecArgs {
    /// The only account that CMD is served with [default: all, as by `serve`]
    #[arg(long, value_name = "NAME")]
    account: Option<AccountName>,

    /// Use the built-in HubSpot emulator as the upstream: needs no HubSpot account
    #[arg(long)]
    sandbox: bool,

    /// The command and its arguments
    #[arg(
        value_name = "CMD",
        required = true,
        trailing_var_arg = true,
        allow_hyphen_values = true,
        value_hint = ValueHint::CommandWithArguments
    )]
    command: Vec<OsString>,
}

/// Runs the command, and returns its status.
pub(super) fn run(
    config_flag: Option<&Path>,
    args: &ExecArgs,
    before: &Before,
) -> Result<ExitCode, Failure> {
    let level = telemetry::level_of_process();
    telemetry::install(LogFormat::Text, Some(level.as_deref().unwrap_or("warn")));
    install_crypto_provider();
    let (env, folders) = (Arc::new(Environment::of_process()), Folders::of_process());
    let sources = Sources { config_flag, flags: flags(args), env: &env, folders: &folders };
    let loaded = config::load(&sources).map_err(Failure::usage)?;
    let Loaded { mut config, secret_variables, .. } = loaded;
    config.token_information = true;
    // A log has one writer: the proxy that `serve` runs.
    config.audit = None;
    if let Some(account) = args.account.as_ref().filter(|_| !args.sandbox) {
        config.restrict_to(account);
    }
    let key = needs_key(&mut config)?.then(generate).transpose().map_err(Failure::failed)?;
    let runtime = Builder::new_current_thread().enable_all().build().map_err(Failure::failed)?;
    let mut parts = Parts::build(config, &env, &folders, args.sandbox, &runtime)?;
    parts.opener.child_key = key.as_ref().map(client_key).transpose()?;
    let listen = &parts.opener.config.server.listen;
    let listeners = listener::open(listen).map_err(Failure::failed)?;
    let address = shown_addresses(listen, &listeners).remove(0);
    let accounts = parts.accounts(&runtime)?;
    // What else is in the parts lives to the end.
    let Parts { opener, clock, store, sandbox: _sandbox, .. } = parts;
    let listeners = listeners.into_iter().map(|listener| (listener, None)).collect();
    let tls = opener.surroundings.tls.clone();
    let server = Server::new(
        &opener.config,
        Shared::clone(&accounts),
        listeners,
        tls,
        None,
        Audit::default(),
        clock,
    );
    let server = server.map_err(Failure::usage)?;
    info!("listening on {address}, for the command alone");
    let environment = ChildEnvironment::new(&address, key.as_ref(), &secret_variables);
    let watch = store.as_ref().map(|store| store.watch());
    let opener = Mutex::new(opener);
    runtime.block_on(async {
        // Before the child, so that none is lost; and the child before the server, which changes
        // limits that the child would inherit. Until then its connections wait.
        let signals = Signals::install().map_err(Failure::failed)?;
        let mut child = Child::start(&args.command, &environment, before)?;
        let mut status = None;
        let serving = server.run(async { status = Some(child.attend(signals).await) });
        let served = in_step(serving, watch, &opener, &accounts).await;
        finish(child, status, served).await
    })
}

/// The proxy's own failure is told when the child has ended, which it is asked to at once.
async fn finish(
    mut child: Child,
    status: Option<io::Result<ExitStatus>>,
    served: io::Result<()>,
) -> Result<ExitCode, Failure> {
    let status = match status {
        Some(status) => status,
        None => child.stop().await,
    };
    served.map_err(|error| Failure::failed(format!("the proxy of the command failed: {error}")))?;
    status.map(child::exit_code).map_err(Failure::failed)
}

fn flags(args: &ExecArgs) -> Flags {
    Flags {
        listen: vec!["localhost:0".to_owned()],
        account: args.account.as_ref().map(AccountName::to_string),
        sandbox: args.sandbox,
        log_requests: false,
    }
}

/// Whether the child has to show a key: where that is configured, and where others of this machine
/// could not be told from it. There the key is required of everybody.
fn needs_key(config: &mut Config) -> Result<bool, Failure> {
    let server = &mut config.server;
    let tells = match server.allowed_users {
        AllowedUsers::Any => false,
        AllowedUsers::Listed(_) => {
            can_tell_users(IpAddr::V4(Ipv4Addr::LOCALHOST)).map_err(Failure::failed)?
        }
    };
    if !tells {
        // The key takes the place of the question, and of the warning that nobody is asked.
        server.allowed_users = AllowedUsers::Any;
        server.keys_required = true;
    }
    Ok(server.keys_required)
}

fn client_key(key: &Secret) -> Result<ClientKey, Failure> {
    let name = CHILD.parse().map_err(Failure::failed)?;
    Ok(ClientKey::new(name, KeyHash::of(key.expose().as_bytes()), None, None, None))
}
