//! Opening the listening sockets.
//!
//! Each is opened once and shared by all cores: with one socket a core (`SO_REUSEPORT`) the kernel
//! would let a second program of the same user in on the port and hand it a part of the requests.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener};

use socket2::{Domain, Protocol, Socket, Type};
use thiserror::Error;
use tracing::info;

use crate::config::Listen;
use crate::types::account::AccountName;

/// Connections that may wait to be accepted.
const BACKLOG: i32 = 1024;
/// Ports tried for `localhost:0`, where one port has to be free in both families.
const TRIES: usize = 16;

/// Why an address could not be listened on.
#[derive(Debug, Error)]
pub enum ListenError {
    #[error(
        "port {port} on {address} is in use by another program, perhaps another hubspot-proxy: stop it, or choose another port with --listen localhost:PORT (for an account's own address, in its `listen`)",
        port = .0.port(),
        address = .0.ip()
    )]
    InUse(SocketAddr),
    #[error(
        "cannot listen on {address}: {source}; choose another address with --listen (for an account's own, in its `listen`)"
    )]
    Other { address: SocketAddr, source: io::Error },
}

/// A bound socket that is listening.
#[derive(Debug)]
pub struct Listener {
    pub socket: TcpListener,
    pub address: SocketAddr,
    /// The only account that it serves.
    pub account: Option<AccountName>,
}

/// Opens all of them, or none.
pub fn open(entries: &[Listen]) -> Result<Vec<Listener>, ListenError> {
    let mut listeners = Vec::new();
    for entry in entries {
        match entry {
            Listen::Address(address) => listeners.push(bind(*address)?),
            Listen::Localhost(port) => listeners.extend(bind_localhost(*port)?),
        }
    }
    Ok(listeners)
}

/// The same, for requests of one account.
pub fn open_for(account: &AccountName, entries: &[Listen]) -> Result<Vec<Listener>, ListenError> {
    let listeners = open(entries)?.into_iter();
    Ok(listeners.map(|l| Listener { account: Some(account.clone()), ..l }).collect())
}

/// 127.0.0.1 and ::1 on the same port. A family that the machine lacks is left out.
fn bind_localhost(port: u16) -> Result<Vec<Listener>, ListenError> {
    let mut tries = 0;
    loop {
        tries += 1;
        match bind_both(port) {
            // Port 0: free in one family and taken in the other.
            Err(ListenError::InUse(_)) if port == 0 && tries < TRIES => {}
            outcome => return outcome,
        }
    }
}

fn bind_both(port: u16) -> Result<Vec<Listener>, ListenError> {
    let first = present(bind(SocketAddr::new(Ipv4Addr::LOCALHOST.into(), port)))?;
    let port = first.as_ref().map_or(port, |listener| listener.address.port());
    let second = bind(SocketAddr::new(Ipv6Addr::LOCALHOST.into(), port));
    let second = if first.is_some() { present(second)? } else { Some(second?) };
    Ok(first.into_iter().chain(second).collect())
}

/// `None` where the machine lacks the family.
fn present(outcome: Result<Listener, ListenError>) -> Result<Option<Listener>, ListenError> {
    match outcome {
        Ok(listener) => Ok(Some(listener)),
        Err(ListenError::Other { address, source }) if is_absent_family(&source) => {
            info!("this machine has no {}: not listening there", address.ip());
            Ok(None)
        }
        Err(error) => Err(error),
    }
}

fn is_absent_family(error: &io::Error) -> bool {
    // EAFNOSUPPORT has no kind of its own.
    error.kind() == io::ErrorKind::AddrNotAvailable
        || error.kind() == io::ErrorKind::Unsupported
        || matches!(error.raw_os_error(), Some(97 | 47 | 10047))
}

fn bind(address: SocketAddr) -> Result<Listener, ListenError> {
    match try_bind(address) {
        Ok(socket) => {
            let address = socket.local_addr().unwrap_or(address);
            Ok(Listener { socket, address, account: None })
        }
        Err(error) if error.kind() == io::ErrorKind::AddrInUse => Err(ListenError::InUse(address)),
        Err(source) => Err(ListenError::Other { address, source }),
    }
}

fn try_bind(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    // Connections of an instance before this one, still winding down, do not hold the port. On
    // Windows the option would let two programs share it.
    #[cfg(unix)]
    socket.set_reuse_address(true)?;
    if matches!(address.ip(), IpAddr::V6(_)) {
        socket.set_only_v6(true)?;
    }
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    Ok(socket.into())
}

#[cfg(test)]
mod tests {
    use super::{ListenError, open};
    use crate::config::Listen;

    #[test]
    fn localhost_with_port_0_has_the_same_port_in_both_families() {
        let listeners = open(&[Listen::Localhost(0)]).unwrap();
        let port = listeners[0].address.port();
        assert!(listeners.iter().all(|listener| listener.address.port() == port));
        assert!(listeners.iter().all(|listener| listener.address.ip().is_loopback()));
    }

    #[test]
    fn a_port_that_is_taken_on_either_family_fails_the_start() {
        for taken in ["127.0.0.1:0", "[::1]:0"] {
            let Ok(holder) = std::net::TcpListener::bind(taken) else { continue };
            let port = holder.local_addr().unwrap().port();
            let error = open(&[Listen::Localhost(port)]).unwrap_err();
            assert!(matches!(error, ListenError::InUse(_)), "{taken}: {error}");
            assert!(error.to_string().contains(&port.to_string()));
        }
    }
}
