//! `sandbox`: the emulator alone, and the emulator beside a proxy.

use std::io;
use std::net::TcpListener;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use clap::Args;
use tokio::runtime::Builder;
use tokio::sync::oneshot;

use super::addresses::shown_addresses;
use super::shutdown::Signals;
use super::{Failure, print};
use crate::config::{Listen, parse_duration};
use crate::sandbox::{Options, Rotation, Sandbox, demo};
use crate::server::listener::{self, Listener};
use crate::telemetry::{self, LogFormat};
use crate::types::clock::SystemClock;

/// What `--help` ends with.
pub const HELP: &str = "\
Examples:
  hubspot-proxy sandbox
  HUBSPOT_ACCESS_TOKEN=sandbox-access-token HUBSPOT_PROXY_UPSTREAM__URL=http://localhost:8788 hubspot-proxy
  curl http://localhost:8788/sandbox/requests";

/// Flags of `sandbox`.
#[derive(Debug, Args)]
pub struct SandboxArgs {
    /// Address to listen on; loopback only
    #[arg(long, value_name = "ADDR", default_value = "localhost:8788")]
    listen: String,

    /// How long an issued access token lives
    #[arg(long, value_name = "DURATION", default_value = "30m", value_parser = parse_duration)]
    token_ttl: Duration,

    /// What a refresh does to the refresh token: fixed, grace or strict
    #[arg(long, value_name = "MODE", default_value = "fixed")]
    rotation: Rotation,

    /// Seed of the objects that are there at the start
    #[arg(long, value_name = "N", default_value_t = 0)]
    seed: u64,
}

/// Runs the emulator until a signal.
pub fn run(flags: &SandboxArgs) -> Result<(), Failure> {
    telemetry::install(LogFormat::Text, telemetry::level_of_process().as_deref());
    let listen: Listen =
        flags.listen.parse().map_err(|error| Failure::usage(format!("--listen: {error}")))?;
    if matches!(listen, Listen::Unix(_)) {
        return Err(Failure::usage(
            "--listen: the sandbox listens on `localhost:PORT` or a loopback `IP:PORT` only",
        ));
    }
    let listeners = listener::open(std::slice::from_ref(&listen)).map_err(Failure::failed)?;
    let options =
        Options { token_ttl: flags.token_ttl, rotation: flags.rotation, seed: flags.seed };
    let address = shown_addresses(&[listen], &listeners).remove(0);
    let runtime = Builder::new_current_thread().enable_all().build().map_err(Failure::failed)?;
    let (signals, listeners) = {
        let _entered = runtime.enter();
        let signals = Signals::install().map_err(Failure::failed)?;
        (signals, into_tokio(sockets(listeners)).map_err(Failure::failed)?)
    };
    announce(&address);
    let sandbox = Sandbox::new(options, Arc::new(SystemClock::new()));
    runtime.block_on(sandbox.serve(listeners, signals.requested()));
    Ok(())
}

fn announce(address: &str) {
    print::line(format!("HubSpot emulator on {address} (Hub ID {})", demo::HUB_ID));
    print::line(format!("Static token:  {}", demo::ACCESS_TOKEN));
    print::line(format!(
        "OAuth app:     {} / {}, refresh token {}",
        demo::CLIENT_ID,
        demo::CLIENT_SECRET,
        demo::REFRESH_TOKEN
    ));
    print::line(format!("What arrived:  curl {address}/sandbox/requests"));
}

/// An emulator on a thread of its own, for as long as this lives.
pub struct Beside {
    stop: Option<oneshot::Sender<()>>,
    thread: Option<thread::JoinHandle<()>>,
}

impl Beside {
    /// Starts an emulator with the default options on `listeners`.
    pub fn start(listeners: Vec<Listener>) -> io::Result<Self> {
        let runtime = Builder::new_current_thread().enable_all().build()?;
        let listeners = {
            let _entered = runtime.enter();
            into_tokio(sockets(listeners))?
        };
        let (stop, stopped) = oneshot::channel::<()>();
        let thread = thread::Builder::new().name("sandbox".to_owned()).spawn(move || {
            let sandbox = Sandbox::new(Options::default(), Arc::new(SystemClock::new()));
            // The sender's end is as good as a message.
            runtime.block_on(sandbox.serve(listeners, async {
                let _ = stopped.await;
            }));
        })?;
        Ok(Self { stop: Some(stop), thread: Some(thread) })
    }
}

impl Drop for Beside {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            // A thread that panicked has been reported by then.
            let _ = thread.join();
        }
    }
}

fn sockets(listeners: Vec<Listener>) -> Vec<TcpListener> {
    let socket = |listener| match listener {
        Listener::Tcp(tcp) => Some(tcp.socket),
        #[cfg(unix)]
        Listener::Unix(_) => None,
    };
    listeners.into_iter().filter_map(socket).collect()
}

fn into_tokio(sockets: Vec<TcpListener>) -> io::Result<Vec<tokio::net::TcpListener>> {
    sockets.into_iter().map(tokio::net::TcpListener::from_std).collect()
}
