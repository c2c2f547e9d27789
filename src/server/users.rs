//! Who connects: the user check, once a connection, before a byte of it is read.
//!
//! A Unix socket names its client by itself. A TCP connection does not, and the kernel is asked
//! where it can tell. What it cannot tell about one connection is refused; only where there is
//! nothing to ask at all, which is found out at the start, is nobody asked.

#[cfg_attr(not(target_os = "linux"), path = "users/absent.rs")]
mod sock_diag;
mod shares;

use std::cell::RefCell;
use std::collections::HashMap;
use std::io;
use std::net::IpAddr;
use std::sync::Arc;

use thiserror::Error;
use tokio::net::TcpStream;
use tracing::warn;

use super::stream::Stream;
use crate::config::{AllowedUser, AllowedUsers};
use crate::types::refusal::Refusal;
use shares::{Share, Shares};
use sock_diag::{Facility, SockDiag};

/// So many strangers are named in the log and in answers; further ones have their id alone.
const NAMED: usize = 64;

/// Why nobody can be let in as configured.
#[derive(Debug, Error)]
pub enum UsersError {
    #[error(
        "`server.allowed_users`: there is no user `{0}` on this machine: check the name, or write the user id"
    )]
    NoSuchUser(String),
    #[error("cannot find out whether this machine tells who connects: {0}")]
    Probe(io::Error),
}

/// The users whose connections are served, and what this machine can say of a connection.
#[derive(Debug)]
pub struct Users {
    /// `None`: anybody's.
    allowed: Option<Arc<[u32]>>,
    asks_kernel: bool,
    shares: Shares,
}

/// The check as one core does it.
#[derive(Debug)]
pub struct Watch {
    allowed: Option<Arc<[u32]>>,
    kernel: Option<SockDiag>,
    shares: Shares,
    strangers: RefCell<HashMap<u32, String>>,
}

/// Whether this machine tells whose a connection over TCP at `address` is.
pub fn can_tell_users(address: IpAddr) -> io::Result<bool> {
    Ok(matches!(sock_diag::probe(address)?, Facility::Present))
}

impl Users {
    /// Looks the users up, and whether the machine can tell them apart on `tcp`, the address of a
    /// listener if there is one over TCP.
    pub fn resolve(config: &AllowedUsers, tcp: Option<IpAddr>) -> Result<Self, UsersError> {
        let AllowedUsers::Listed(entries) = config else {
            return Ok(Self { allowed: None, asks_kernel: false, shares: Shares::default() });
        };
        let allowed = entries.iter().filter_map(|entry| id(entry).transpose());
        let allowed: Arc<[u32]> = allowed.collect::<Result<_, _>>()?;
        // Root is allowed by default, and is kept no places unless the proxy is its own.
        let own = id(&AllowedUser::Own)?;
        let shares =
            Shares::among(allowed.iter().copied().filter(|user| *user != 0 || own == Some(0)));
        let allowed = Some(allowed);
        let facility = tcp.map(sock_diag::probe).transpose().map_err(UsersError::Probe)?;
        if let Some(Facility::Absent(why)) = &facility {
            warn!(
                "any user of this machine can connect over TCP: {why}. Listen on `unix:PATH` alone to keep others out, or set server.allowed_users = [\"any\"] if that is meant"
            );
        }
        Ok(Self { allowed, asks_kernel: matches!(facility, Some(Facility::Present)), shares })
    }

    /// Whether those who are not allowed can be kept out; `over_tcp` where a listener is one of TCP.
    pub fn are_told_apart(&self, over_tcp: bool) -> bool {
        self.allowed.is_none() || self.asks_kernel || !over_tcp
    }

    /// For one core.
    pub fn watch(&self) -> io::Result<Watch> {
        let kernel = self.asks_kernel.then(SockDiag::open).transpose()?;
        let (allowed, shares) = (self.allowed.clone(), self.shares.clone());
        Ok(Watch { allowed, kernel, shares, strangers: RefCell::default() })
    }
}

impl Watch {
    /// Whether the client of `stream` may talk to us, and who that is where it can be told.
    pub fn check(&self, stream: &Stream) -> Result<Option<u32>, Refusal> {
        let Some(allowed) = &self.allowed else { return Ok(None) };
        let user = match stream {
            Stream::Tcp(stream) => match &self.kernel {
                Some(kernel) => match owner(kernel, stream) {
                    // On another machine: `server.expose`, and a key is required.
                    None if is_remote(stream) => return Ok(None),
                    user => user,
                },
                None => return Ok(None),
            },
            #[cfg(unix)]
            Stream::Unix(stream) => stream.peer_cred().ok().map(|peer| peer.uid()),
        };
        match user {
            Some(user) if allowed.contains(&user) => Ok(Some(user)),
            Some(user) => Err(Refusal::UserNotAllowed(self.name(user))),
            None => Err(Refusal::UserNotAllowed(
                "a connection whose user cannot be told, such as one that its client has closed already".to_owned(),
            )),
        }
    }

    /// How many of `most` places `user` may find taken before the rest is for others.
    pub fn places(&self, user: Option<u32>, most: usize) -> usize {
        most - user.map_or(0, |user| self.shares.kept_from(user, most))
    }

    /// Counts a connection of `user`.
    pub fn count(&self, user: Option<u32>) -> Option<Share> {
        user.and_then(|user| self.shares.count(user))
    }

    /// Looked up once for each stranger, and logged then: this can read a file.
    fn name(&self, user: u32) -> String {
        let mut strangers = self.strangers.borrow_mut();
        if let Some(name) = strangers.get(&user) {
            return name.clone();
        }
        if strangers.len() >= NAMED {
            return format!("user id {user}");
        }
        let name = described(user);
        warn!("refused a connection of {name}, who is not in server.allowed_users");
        strangers.entry(user).or_insert(name).clone()
    }
}

/// Whether the client is on another machine: it comes from an address that is not one of this one, as
/// far as can be told without asking. A connection of this machine to itself has the same address at
/// both ends, or a loopback one.
fn is_remote(stream: &TcpStream) -> bool {
    let (Ok(client), Ok(proxy)) = (stream.peer_addr(), stream.local_addr()) else { return false };
    let (client, proxy) = (client.ip().to_canonical(), proxy.ip().to_canonical());
    !client.is_loopback() && !proxy.is_loopback() && client != proxy
}

/// Who holds the other end of `stream`; `None` when nobody does, or that cannot be told.
fn owner(kernel: &SockDiag, stream: &TcpStream) -> Option<u32> {
    let (client, proxy) = (stream.peer_addr().ok()?, stream.local_addr().ok()?);
    let user = kernel.owner(client, proxy).unwrap_or_else(|error| {
        warn!("cannot find out whose a connection is, and refuse it: {error}");
        None
    });
    // A client that has reset the connection leaves its port to others, and what was found could be
    // the socket of the next one. But then ours is no longer connected, and has no peer.
    stream.peer_addr().ok()?;
    user
}

#[cfg(unix)]
fn id(entry: &AllowedUser) -> Result<Option<u32>, UsersError> {
    match entry {
        AllowedUser::Own => Ok(Some(rustix::process::geteuid().as_raw())),
        AllowedUser::Root => Ok(Some(0)),
        AllowedUser::Id(id) => Ok(Some(*id)),
        AllowedUser::Name(name) => match uzers::get_user_by_name(name) {
            Some(user) => Ok(Some(user.uid())),
            None => Err(UsersError::NoSuchUser(name.clone())),
        },
    }
}

/// Users have no such ids here, and nobody asks for them.
#[cfg(not(unix))]
fn id(_: &AllowedUser) -> Result<Option<u32>, UsersError> {
    Ok(None)
}

#[cfg(unix)]
fn described(user: u32) -> String {
    match uzers::get_user_by_uid(user) {
        Some(found) => format!("user {} (id {user})", found.name().to_string_lossy()),
        None => format!("user id {user}"),
    }
}

#[cfg(not(unix))]
fn described(user: u32) -> String {
    format!("user id {user}")
}

#[cfg(all(test, unix))]
mod tests {
    use super::{Stream, Users, UsersError};
    use crate::config::{AllowedUser, AllowedUsers};
    use crate::types::refusal::Refusal;

    #[allow(clippy::unwrap_used)]
    async fn checked(entries: Vec<AllowedUser>) -> Result<Option<u32>, Refusal> {
        let users = Users::resolve(&AllowedUsers::Listed(entries), None).unwrap();
        let (_client, accepted) = tokio::net::UnixStream::pair().unwrap();
        users.watch().unwrap().check(&Stream::Unix(accepted))
    }

    #[tokio::test]
    async fn a_user_who_is_not_listed_is_named() {
        let own = rustix::process::geteuid().as_raw();
        assert_eq!(checked(vec![AllowedUser::Own]).await, Ok(Some(own)));
        assert_eq!(
            checked(vec![AllowedUser::Id(own + 1), AllowedUser::Id(own)]).await,
            Ok(Some(own))
        );
        let refusal = checked(vec![AllowedUser::Id(own + 1)]).await.unwrap_err();
        assert!(refusal.message().contains(&own.to_string()), "{}", refusal.message());
        assert!(refusal.message().contains("server.allowed_users"));
    }

    #[test]
    fn root_is_known_by_name_and_a_user_who_does_not_exist_is_a_mistake() {
        let listed = |name: &str| AllowedUsers::Listed(vec![AllowedUser::Name(name.to_owned())]);
        let users = Users::resolve(&listed("root"), None).unwrap();
        assert_eq!(users.allowed.as_deref(), Some(&[0][..]));
        let error = Users::resolve(&listed("nobody-of-that-name"), None).unwrap_err();
        assert!(matches!(error, UsersError::NoSuchUser(_)));
    }
}
