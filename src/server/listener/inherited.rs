//! Sockets that a service manager has opened and passed on: socket activation as in sd_listen_fds(3).
//!
//! They stand for the entries of `listen` whose addresses they have, and are shared by all cores as
//! every listener is. One that no entry names is an error: somebody could connect to it and not be
//! answered.

use std::io;
use std::net::SocketAddr;
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};

use listenfd::ListenFd;
use socket2::SockRef;

use super::socket_file::SocketFile;
use super::{ListenError, TcpSocket};

/// Which process the sockets are for.
const LISTEN_PID: &str = "LISTEN_PID";
/// How many there are; they begin at descriptor 3.
const LISTEN_FDS: &str = "LISTEN_FDS";

/// The sockets that no entry has asked for yet.
#[derive(Debug, Default)]
pub struct Inherited {
    tcp: Vec<TcpSocket>,
    unix: Vec<(UnixListener, PathBuf)>,
}

impl Inherited {
    /// None at all.
    pub fn none() -> Self {
        Self::default()
    }

    /// Those that were passed to this process. To be called once, while it has a single thread and
    /// before it starts another program: from then on no child inherits them.
    pub fn of_process() -> Result<Self, ListenError> {
        // Without it the variables are a leftover and the descriptors something else.
        if std::env::var_os(LISTEN_PID).is_none() {
            return Ok(Self::none());
        }
        let count = std::env::var(LISTEN_FDS).ok().and_then(|count| count.parse::<u16>().ok());
        let Some(count) = count else { return Ok(Self::none()) };
        let mut passed = ListenFd::from_env();
        let mut inherited = Self::none();
        for index in 0..passed.len().min(count.into()) {
            inherited.add(&mut passed, index)?;
        }
        Ok(inherited)
    }

    fn add(&mut self, passed: &mut ListenFd, index: usize) -> Result<(), ListenError> {
        let refused = |problem: String| ListenError::NotUsable { number: index + 1, problem };
        if let Ok(Some(socket)) = passed.take_tcp_listener(index) {
            check_listening(&socket).map_err(refused)?;
            let address = socket.local_addr().map_err(|error| refused(error.to_string()))?;
            self.tcp.push(TcpSocket { socket, address });
            return Ok(());
        }
        let Ok(Some(socket)) = passed.take_unix_listener(index) else {
            return Err(refused("is neither a TCP nor a Unix stream socket".to_owned()));
        };
        check_listening(&socket).map_err(refused)?;
        let address = socket.local_addr().map_err(|error| refused(error.to_string()))?;
        let path = address.as_pathname().map(Path::to_owned);
        let path = path.ok_or_else(|| refused("is a Unix socket without a path".to_owned()))?;
        self.unix.push((socket, path));
        Ok(())
    }

    /// The socket with this address, if one was passed.
    pub(super) fn tcp(&mut self, address: SocketAddr) -> Option<TcpSocket> {
        let index = self.tcp.iter().position(|socket| socket.address == address)?;
        Some(self.tcp.swap_remove(index))
    }

    /// The socket at this path, if one was passed.
    pub(super) fn unix(&mut self, path: &Path) -> Option<SocketFile> {
        let real = std::fs::canonicalize(path);
        let is_it = |other: &Path| {
            other == path
                || matches!((&real, other.canonicalize()), (Ok(one), Ok(two)) if *one == two)
        };
        let index = self.unix.iter().position(|(_, other)| is_it(other))?;
        let (socket, _) = self.unix.swap_remove(index);
        Some(SocketFile::of_another(socket))
    }

    /// An error when a socket was passed that none of `configured` stands for.
    pub fn check_all_used(&self, configured: &[String]) -> Result<(), ListenError> {
        let tcp = self.tcp.iter().map(|socket| socket.address.to_string());
        let unix = self.unix.iter().map(|(_, path)| format!("unix:{}", path.display()));
        let passed: Vec<String> = tcp.chain(unix).collect();
        if passed.is_empty() {
            return Ok(());
        }
        Err(ListenError::NotConfigured {
            passed: passed.join(", "),
            configured: configured.join(", "),
        })
    }
}

/// A stream socket could also be a connection (`Accept=yes`), which is none to accept from.
fn check_listening<'s, S>(socket: &'s S) -> Result<(), String>
where
    SockRef<'s>: From<&'s S>,
{
    let socket = SockRef::from(socket);
    let ready = || -> io::Result<bool> {
        socket.set_nonblocking(true)?;
        socket.is_listener()
    };
    match ready() {
        Ok(true) => Ok(()),
        Ok(false) => Err("does not listen: set `Accept=no` in the socket unit".to_owned()),
        Err(error) => Err(error.to_string()),
    }
}

/// For tests, which cannot have descriptors passed.
#[cfg(test)]
impl Inherited {
    pub fn with_tcp(socket: std::net::TcpListener) -> Self {
        let address = socket.local_addr().unwrap();
        Self { tcp: vec![TcpSocket { socket, address }], unix: Vec::new() }
    }
}
