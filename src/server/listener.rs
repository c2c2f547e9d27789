//! Opening the listening sockets.
//!
//! Each is opened once and shared by all cores: with one socket a core (`SO_REUSEPORT`) the kernel
//! would let a second program of the same user in on the port and hand it a part of the requests.
//! What a service manager has opened already is taken from it instead.

#[cfg_attr(not(unix), path = "listener/inherited/absent.rs")]
mod inherited;
#[cfg(unix)]
pub mod socket_file;

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener};
#[cfg(unix)]
use std::path::PathBuf;

use socket2::{Domain, Protocol, Socket, Type};
use thiserror::Error;
use tracing::info;

use super::stream;
use crate::config::Listen;
pub use inherited::Inherited;
#[cfg(unix)]
pub use socket_file::SocketFile;

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
    #[cfg(unix)]
    #[error(
        "the socket {path} is in use by another program, perhaps another hubspot-proxy: stop it, or choose another path with --listen unix:PATH",
        path = .0.display()
    )]
    SocketInUse(PathBuf),
    #[cfg(unix)]
    #[error(
        "{path} is not a socket and is left as it is: choose another path with --listen unix:PATH",
        path = .0.display()
    )]
    NotASocket(PathBuf),
    #[cfg(unix)]
    #[error("cannot put a socket there: the folder {folder} {problem}", folder = folder.display())]
    Folder { folder: PathBuf, problem: String },
    #[cfg(unix)]
    #[error(
        "cannot listen on {path}: {source}; choose another path with --listen unix:PATH",
        path = path.display()
    )]
    Socket { path: PathBuf, source: io::Error },
    #[cfg(unix)]
    #[error(
        "the service manager has passed {passed}, and nothing listens there as configured ({configured}): run `hubspot-proxy service install` again, or set `listen` and the socket unit to the same"
    )]
    NotConfigured { passed: String, configured: String },
    #[cfg(unix)]
    #[error("socket {number} of those that the service manager has passed {problem}")]
    NotUsable { number: usize, problem: String },
}

/// A socket that is listening.
#[derive(Debug)]
pub enum Listener {
    Tcp(TcpSocket),
    #[cfg(unix)]
    Unix(SocketFile),
}

/// A TCP socket and the address that it has got.
#[derive(Debug)]
pub struct TcpSocket {
    pub socket: TcpListener,
    pub address: SocketAddr,
}

impl Listener {
    /// The address, where it is one of TCP.
    pub fn address(&self) -> Option<SocketAddr> {
        match self {
            Self::Tcp(socket) => Some(socket.address),
            #[cfg(unix)]
            Self::Unix(_) => None,
        }
    }

    /// The same socket for one more core.
    pub fn for_a_core(&self) -> io::Result<stream::Socket> {
        match self {
            Self::Tcp(tcp) => tcp.socket.try_clone().map(stream::Socket::Tcp),
            #[cfg(unix)]
            Self::Unix(file) => file.socket.try_clone().map(stream::Socket::Unix),
        }
    }
}

/// Opens all of them, or none.
pub fn open(entries: &[Listen]) -> Result<Vec<Listener>, ListenError> {
    open_beside(&mut Inherited::none(), entries)
}

/// The same, where `inherited` has none for an address.
pub fn open_beside(
    inherited: &mut Inherited,
    entries: &[Listen],
) -> Result<Vec<Listener>, ListenError> {
    let mut listeners = Vec::new();
    for entry in entries {
        match entry {
            #[cfg(unix)]
            Listen::Unix(path) => {
                let passed = inherited.unix(path).map(Ok);
                let file = passed.unwrap_or_else(|| socket_file::open(path))?;
                listeners.push(Listener::Unix(file));
            }
            tcp => listeners.extend(open_tcp(inherited, tcp)?.into_iter().map(Listener::Tcp)),
        }
    }
    Ok(listeners)
}

/// Opens what `entry` stands for, which is nothing where it is no address of TCP.
fn open_tcp(inherited: &mut Inherited, entry: &Listen) -> Result<Vec<TcpSocket>, ListenError> {
    match entry {
        Listen::Address(address) => Ok(vec![passed_or_bound(inherited, *address)?]),
        Listen::Localhost(port) => bind_localhost(inherited, *port),
        Listen::Unix(_) => Ok(Vec::new()),
    }
}

fn passed_or_bound(
    inherited: &mut Inherited,
    address: SocketAddr,
) -> Result<TcpSocket, ListenError> {
    inherited.tcp(address).map_or_else(|| bind(address), Ok)
}

/// 127.0.0.1 and ::1 on the same port. A family that the machine lacks is left out.
fn bind_localhost(inherited: &mut Inherited, port: u16) -> Result<Vec<TcpSocket>, ListenError> {
    let mut tries = 0;
    loop {
        tries += 1;
        match bind_both(inherited, port) {
            // Port 0: free in one family and taken in the other.
            Err(ListenError::InUse(_)) if port == 0 && tries < TRIES => {}
            outcome => return outcome,
        }
    }
}

fn bind_both(inherited: &mut Inherited, port: u16) -> Result<Vec<TcpSocket>, ListenError> {
    let mut at = |ip: IpAddr, port| passed_or_bound(inherited, SocketAddr::new(ip, port));
    let first = present(at(Ipv4Addr::LOCALHOST.into(), port))?;
    let port = first.as_ref().map_or(port, |listener| listener.address.port());
    let second = at(Ipv6Addr::LOCALHOST.into(), port);
    let second = if first.is_some() { present(second)? } else { Some(second?) };
    Ok(first.into_iter().chain(second).collect())
}

/// `None` where the machine lacks the family.
fn present(outcome: Result<TcpSocket, ListenError>) -> Result<Option<TcpSocket>, ListenError> {
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

fn bind(address: SocketAddr) -> Result<TcpSocket, ListenError> {
    match try_bind(address) {
        Ok(socket) => {
            let address = socket.local_addr().unwrap_or(address);
            Ok(TcpSocket { socket, address })
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

    #[cfg(unix)]
    #[test]
    fn a_socket_that_was_passed_stands_for_its_address_and_its_pair_is_opened() {
        let passed = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let port = passed.local_addr().unwrap().port();
        let mut inherited = super::Inherited::with_tcp(passed);
        let listeners = super::open_beside(&mut inherited, &[Listen::Localhost(port)]).unwrap();
        assert!(listeners[0].address().unwrap().to_string() == format!("127.0.0.1:{port}"));
        inherited.check_all_used(&[]).unwrap();
        // The port is taken by the one that was passed: nothing else could have been opened.
        assert!(matches!(open(&[Listen::Localhost(port)]), Err(ListenError::InUse(_))));
    }

    #[cfg(unix)]
    #[test]
    fn a_socket_that_no_entry_names_is_an_error_that_names_both() {
        let passed = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let address = passed.local_addr().unwrap().to_string();
        let mut inherited = super::Inherited::with_tcp(passed);
        super::open_beside(&mut inherited, &[Listen::Localhost(0)]).unwrap();
        let error = inherited.check_all_used(&["localhost:0".to_owned()]).unwrap_err().to_string();
        assert!(error.contains(&address) && error.contains("localhost:0"), "{error}");
    }

    #[test]
    fn localhost_with_port_0_has_the_same_port_in_both_families() {
        let listeners = open(&[Listen::Localhost(0)]).unwrap();
        let addresses: Vec<_> = listeners.iter().filter_map(|l| l.address()).collect();
        assert!(!addresses.is_empty());
        assert!(addresses.iter().all(|address| address.port() == addresses[0].port()));
        assert!(addresses.iter().all(|address| address.ip().is_loopback()));
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
