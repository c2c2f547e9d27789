//! What a service manager such as systemd is told: that the proxy is ready, is reloading, is stopping,
//! and in a line of words how its accounts are.
//!
//! The protocol is that of sd_notify(3): a datagram to the socket that `NOTIFY_SOCKET` names. Without
//! that variable nothing is sent. A manager that does not take a message is no reason not to serve.

use std::ffi::OsString;
use std::time::Duration;

use tracing::warn;

use crate::accounts::{Account, Accounts, Shared};
use crate::pipeline::authorize;

/// Names the manager's socket; no program that the proxy starts has a use for it.
pub const NOTIFY_SOCKET: &str = "NOTIFY_SOCKET";
/// How long the first tokens are waited for before the manager is told what is missing. Less than
/// systemd's `DefaultTimeoutStartSec`, 90 s.
const FIRST_TOKENS: Duration = Duration::from_secs(20);
/// How often it is looked whether the line of words still holds.
const LOOK: Duration = Duration::from_secs(30);

/// The way to the manager.
#[derive(Clone, Debug)]
pub struct ServiceManager {
    socket: Option<OsString>,
}

impl ServiceManager {
    /// The one that has started this process, if one has.
    pub fn of_process() -> Self {
        Self::at(std::env::var_os(NOTIFY_SOCKET).filter(|name| !name.is_empty()))
    }

    /// One at `socket`: a path, or a name of Linux's abstract sockets after an `@`.
    pub fn at(socket: Option<OsString>) -> Self {
        Self { socket }
    }

    /// Says that the proxy is ready once each account has a token, or it is clear which have none and
    /// why; from then on keeps that line of words right. Never ends. The sockets must be open by now.
    pub async fn keep_informed(&self, accounts: &Shared) {
        if self.socket.is_none() {
            std::future::pending::<()>().await;
        }
        let _ = tokio::time::timeout(FIRST_TOKENS, first_tokens(&accounts.load_full())).await;
        let mut said = standing(&accounts.load());
        self.send(&format!("READY=1\nSTATUS={said}\n"));
        loop {
            tokio::time::sleep(LOOK).await;
            let now = standing(&accounts.load());
            if now != said {
                self.send(&format!("STATUS={now}\n"));
                said = now;
            }
        }
    }

    /// Says that the configuration is being read again. [`Self::reloaded`] must follow, whatever comes
    /// of it: until then the manager waits.
    pub fn reloading(&self) {
        self.send(&format!("RELOADING=1\nMONOTONIC_USEC={}\n", monotonic_micros()));
    }

    /// Says that a reload has ended, with these accounts.
    pub fn reloaded(&self, accounts: &Accounts) {
        self.send(&format!("READY=1\nSTATUS={}\n", standing(accounts)));
    }

    /// Says that the proxy is about to end.
    pub fn stopping(&self) {
        self.send("STOPPING=1\nSTATUS=Stopping: requests under way may end\n");
    }

    fn send(&self, message: &str) {
        let Some(socket) = &self.socket else { return };
        if let Err(error) = deliver(socket, message) {
            warn!("cannot tell the service manager at {}: {error}", socket.display());
        }
    }
}

/// Fetches what is fetched on demand otherwise: a service that says it is ready should be.
async fn first_tokens(accounts: &Accounts) {
    for account in accounts.all() {
        account.credential.refresh_soon();
    }
    for account in accounts.all() {
        // Why one has none is in its standing.
        let _ = account.credential.newer_than(0).await;
    }
}

/// One line on all accounts, such as `acme: needs-login; globex: ready`.
fn standing(accounts: &Accounts) -> String {
    let states: Vec<(&Account, String)> =
        accounts.all().iter().map(|account| (&**account, state(account))).collect();
    if states.iter().all(|(_, state)| state == READY) {
        return format!("Serving, {} ready", counted(states.len()));
    }
    let each = states.iter().map(|(account, state)| format!("{}: {state}", account.name));
    format!("Degraded, {}", each.collect::<Vec<_>>().join("; "))
}

/// The state of an account that lacks nothing.
const READY: &str = "ready";

fn state(account: &Account) -> String {
    match account.credential.readiness() {
        Ok(()) if account.credential.is_degraded() => "store cannot be written".to_owned(),
        Ok(()) => READY.to_owned(),
        Err(why) => authorize::refusal(&account.name, why).code().to_owned(),
    }
}

fn counted(accounts: usize) -> String {
    if accounts == 1 { "1 account".to_owned() } else { format!("{accounts} accounts") }
}

#[cfg(unix)]
fn deliver(socket: &std::ffi::OsStr, message: &str) -> std::io::Result<()> {
    use std::os::unix::net::UnixDatagram;

    let sender = UnixDatagram::unbound()?;
    // A manager that hangs must not hang the proxy.
    sender.set_write_timeout(Some(Duration::from_secs(1)))?;
    #[cfg(target_os = "linux")]
    {
        use std::os::linux::net::SocketAddrExt;
        use std::os::unix::ffi::OsStrExt;
        use std::os::unix::net::SocketAddr;

        if let Some(name) = socket.as_bytes().strip_prefix(b"@") {
            let address = SocketAddr::from_abstract_name(name)?;
            return sender.send_to_addr(message.as_bytes(), &address).map(drop);
        }
    }
    sender.send_to(message.as_bytes(), socket).map(drop)
}

#[cfg(not(unix))]
fn deliver(_: &std::ffi::OsStr, _: &str) -> std::io::Result<()> {
    Ok(())
}

/// What `CLOCK_MONOTONIC` says, which systemd compares with its own.
#[cfg(unix)]
fn monotonic_micros() -> i64 {
    let now = rustix::time::clock_gettime(rustix::time::ClockId::Monotonic);
    now.tv_sec * 1_000_000 + now.tv_nsec / 1000
}

#[cfg(not(unix))]
fn monotonic_micros() -> i64 {
    0
}

#[cfg(test)]
#[cfg(unix)]
mod tests {
    use std::os::unix::net::UnixDatagram;
    use std::sync::Arc;
    use std::time::Duration;

    use arc_swap::ArcSwap;

    use super::ServiceManager;
    use crate::accounts::{Account, Accounts, Kind};
    use crate::credential::{Credential, Unavailable};
    use crate::types::account::{About, AccountName};
    use crate::types::policy::Policy;
    use crate::types::secret::Secret;

    fn account(name: &str, lacks: Option<Unavailable>) -> Arc<Account> {
        let name: AccountName = name.parse().unwrap();
        let token = Secret::new("pat-na1-of-a-test".to_owned());
        let credential = match lacks {
            None => Credential::fixed(name.clone(), &token, None),
            Some(why) => Credential::unavailable(name.clone(), why),
        };
        Arc::new(Account {
            name,
            hub_id: None,
            kind: Kind::Portal,
            credential,
            policy: Arc::new(Policy::default()),
            epoch: None,
            about: About::default(),
            secrets: Arc::default(),
        })
    }

    fn listening() -> (tempfile::TempDir, UnixDatagram, ServiceManager) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("notify");
        let socket = UnixDatagram::bind(&path).unwrap();
        socket.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
        (folder, socket, ServiceManager::at(Some(path.into())))
    }

    fn next(socket: &UnixDatagram) -> String {
        let mut message = [0; 4096];
        let length = socket.recv(&mut message).unwrap();
        String::from_utf8(message[..length].to_vec()).unwrap()
    }

    #[test]
    fn ready_comes_with_the_accounts_that_need_a_login() {
        let cases = [
            (vec![account("acme", None)], "Serving, 1 account ready"),
            (
                vec![account("acme", None), account("globex", Some(Unavailable::NeedsLogin("")))],
                "Degraded, acme: ready; globex: needs-login",
            ),
        ];
        for (accounts, expected) in cases {
            let (_folder, socket, manager) = listening();
            let accounts = Arc::new(ArcSwap::from_pointee(Accounts::new(accounts, None)));
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
            runtime.unwrap().block_on(async {
                let moment = Duration::from_millis(1);
                let _ = tokio::time::timeout(moment, manager.keep_informed(&accounts)).await;
            });
            assert_eq!(next(&socket), format!("READY=1\nSTATUS={expected}\n"));
        }
    }

    #[test]
    fn a_reload_carries_the_managers_clock_and_ends_with_ready() {
        let (_folder, socket, manager) = listening();
        let before = super::monotonic_micros();
        manager.reloading();
        manager.reloaded(&Accounts::new(vec![account("acme", None)], None));
        let message = next(&socket);
        let time = message.strip_prefix("RELOADING=1\nMONOTONIC_USEC=").unwrap();
        let time: i64 = time.trim_end().parse().unwrap();
        assert!(before > 0 && (before..=super::monotonic_micros()).contains(&time));
        assert_eq!(next(&socket), "READY=1\nSTATUS=Serving, 1 account ready\n");
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn an_abstract_socket_is_reached() {
        use std::os::linux::net::SocketAddrExt;
        use std::os::unix::net::SocketAddr;

        let name = format!("hubspot-proxy-test-{}", std::process::id());
        let address = SocketAddr::from_abstract_name(name.as_bytes()).unwrap();
        let socket = UnixDatagram::bind_addr(&address).unwrap();
        socket.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
        ServiceManager::at(Some(format!("@{name}").into())).stopping();
        assert!(next(&socket).starts_with("STOPPING=1\n"));
    }

    #[test]
    fn nobody_at_the_socket_is_no_failure() {
        ServiceManager::at(Some("/nonexistent/notify".into())).stopping();
        ServiceManager::at(None).stopping();
    }
}
