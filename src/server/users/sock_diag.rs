//! Whose socket is at the other end of a TCP connection on this machine: one question to the
//! kernel's socket diagnostics, sock_diag(7).
//!
//! The kernel answers within the call that asks, so this waits for nobody. Question and answer are
//! two structures of `linux/inet_diag.h` that cannot change, a header before each.

use std::cell::Cell;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener, TcpStream};
use std::os::fd::OwnedFd;

use rustix::io::Errno;
use rustix::net::netlink::{self, SocketAddrNetlink};
use rustix::net::{
    AddressFamily, RecvFlags, SendFlags, SocketFlags, SocketType, connect, recv, send, socket_with,
};

/// Sizes of `nlmsghdr`, `inet_diag_req_v2` and `inet_diag_msg`.
const HEADER: usize = 16;
const QUESTION: usize = 56;
const ANSWER: usize = 72;

const SOCK_DIAG_BY_FAMILY: u16 = 20;
const NLM_F_REQUEST: u16 = 1;
const NLMSG_ERROR: u16 = 2;
const AF_INET: u8 = 2;
const AF_INET6: u8 = 10;
const IPPROTO_TCP: u8 = 6;

/// States of a client's socket that can have sent something: established, the four on the way to
/// the end, and the other side's end. Not a listener, which the kernel offers where it finds no
/// connection, nor one that is still connecting and may have taken over the port of another.
const CONNECTED: [u8; 6] = [1, 4, 5, 8, 9, 11];

/// Asks the kernel; one a core.
#[derive(Debug)]
pub struct SockDiag {
    kernel: OwnedFd,
    sequence: Cell<u32>,
}

/// Why a machine cannot tell.
pub enum Facility {
    Present,
    Absent(String),
}

/// Finds out, on a connection of our own at `address`, whether this machine can tell who is at the
/// other end. Fails when no such connection can be made.
pub fn probe(address: IpAddr) -> io::Result<Facility> {
    let listener = TcpListener::bind((address, 0))?;
    let client = TcpStream::connect(listener.local_addr()?)?;
    let (client, proxy) = (client.local_addr()?, client.peer_addr()?);
    let own = rustix::process::geteuid().as_raw();
    let absent = |why: String| Ok(Facility::Absent(why));
    let asked = match SockDiag::open() {
        Ok(kernel) => kernel.owner(client, proxy),
        // For want of these it is this start that fails: nothing is known of the facility.
        Err(error @ (Errno::MFILE | Errno::NFILE | Errno::NOMEM | Errno::NOBUFS)) => {
            return Err(error.into());
        }
        Err(error) => return absent(format!("there are no socket diagnostics: {error}")),
    };
    match asked {
        Ok(Some(user)) if user == own => Ok(Facility::Present),
        Ok(_) => absent("the socket diagnostics do not know our own connection".to_owned()),
        Err(error) => absent(format!("the socket diagnostics do not answer: {error}")),
    }
}

impl SockDiag {
    /// Opens a way to the kernel.
    pub fn open() -> Result<Self, Errno> {
        let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
        let protocol = Some(netlink::SOCK_DIAG);
        let kernel = socket_with(AddressFamily::NETLINK, SocketType::RAW, flags, protocol)?;
        // From now on nobody but the kernel can put an answer into it.
        connect(&kernel, &SocketAddrNetlink::new(0, 0))?;
        Ok(Self { kernel, sequence: Cell::new(0) })
    }

    /// The user of the socket that is bound to `client` and connected to `proxy`; `None` when
    /// there is none that anybody holds. A socket whose owner has closed it still exists while
    /// its bytes are under way, and looks like root's but for its inode, which is 0.
    pub fn owner(&self, client: SocketAddr, proxy: SocketAddr) -> io::Result<Option<u32>> {
        let sequence = self.sequence.get().wrapping_add(1);
        self.sequence.set(sequence);
        send(&self.kernel, &question(sequence, client, proxy), SendFlags::empty())?;
        let mut buffer = [0; 1024];
        loop {
            let (length, _) = recv(&self.kernel, &mut buffer[..], RecvFlags::empty())?;
            let message = buffer.get(..length).unwrap_or_default();
            // What answers an earlier question, whose answer was not waited for, is passed over.
            if number(message, 8) == Some(sequence) {
                return read(message, client, proxy);
            }
        }
    }
}

/// `nlmsghdr` and `inet_diag_req_v2`, for one socket and not a list.
fn question(sequence: u32, client: SocketAddr, proxy: SocketAddr) -> [u8; HEADER + QUESTION] {
    let mut message = [0; HEADER + QUESTION];
    let mut put = |at: usize, bytes: &[u8]| message[at..at + bytes.len()].copy_from_slice(bytes);
    put(0, &((HEADER + QUESTION) as u32).to_ne_bytes());
    put(4, &SOCK_DIAG_BY_FAMILY.to_ne_bytes());
    put(6, &NLM_F_REQUEST.to_ne_bytes());
    put(8, &sequence.to_ne_bytes());
    let family = if client.is_ipv4() { AF_INET } else { AF_INET6 };
    put(HEADER, &[family, IPPROTO_TCP]);
    put(HEADER + 4, &u32::MAX.to_ne_bytes());
    let id = HEADER + 8;
    put(id, &client.port().to_be_bytes());
    put(id + 2, &proxy.port().to_be_bytes());
    for (at, ip) in [(id + 4, client.ip()), (id + 20, proxy.ip())] {
        match ip {
            IpAddr::V4(ip) => put(at, &ip.octets()),
            IpAddr::V6(ip) => put(at, &ip.octets()),
        }
    }
    // No cookie: whichever socket has these addresses.
    put(id + 40, &[0xff; 8]);
    message
}

/// What the kernel says to [`question`].
fn read(message: &[u8], client: SocketAddr, proxy: SocketAddr) -> io::Result<Option<u32>> {
    let malformed = || io::Error::new(io::ErrorKind::InvalidData, "the kernel's answer is cut off");
    let kind = message.get(4..6).ok_or_else(malformed)?;
    if kind == NLMSG_ERROR.to_ne_bytes() {
        let code = number(message, HEADER).ok_or_else(malformed)?.cast_signed();
        return match code.wrapping_neg() {
            code if code == Errno::NOENT.raw_os_error() => Ok(None),
            code => Err(io::Error::from_raw_os_error(code)),
        };
    }
    let socket = message.get(HEADER..HEADER + ANSWER).ok_or_else(malformed)?;
    if kind != SOCK_DIAG_BY_FAMILY.to_ne_bytes() {
        return Err(malformed());
    }
    let ends = (end(socket, 4, 8), end(socket, 6, 24));
    let is_asked_for = ends == (Some(plain(client)), Some(plain(proxy)));
    let inode = number(socket, 68).ok_or_else(malformed)?;
    let user = number(socket, 64).ok_or_else(malformed)?;
    Ok((is_asked_for && CONNECTED.contains(&socket[1]) && inode != 0).then_some(user))
}

/// Address and port without flow label and scope, as the kernel's answer has them.
fn plain(address: SocketAddr) -> (IpAddr, u16) {
    (address.ip(), address.port())
}

/// The end whose port and address stand there. A client can reach an IPv4 address through an IPv6
/// socket, as Java does, and has it in the mapped form then.
fn end(socket: &[u8], port_at: usize, ip_at: usize) -> Option<(IpAddr, u16)> {
    let port = socket.get(port_at..port_at + 2)?.try_into().ok()?;
    let ip = socket.get(ip_at..ip_at + 16)?;
    let ip = match *socket.first()? {
        AF_INET => Ipv4Addr::from(<[u8; 4]>::try_from(&ip[..4]).ok()?).into(),
        AF_INET6 => Ipv6Addr::from(<[u8; 16]>::try_from(ip).ok()?).to_canonical(),
        _ => return None,
    };
    Some((ip, u16::from_be_bytes(port)))
}

fn number(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_ne_bytes(bytes.get(at..at + 4)?.try_into().ok()?))
}

#[cfg(test)]
mod tests;
