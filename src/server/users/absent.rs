//! The stand-in for `sock_diag` on a system that does not tell whose a TCP connection is.

use std::io;
use std::net::{IpAddr, SocketAddr};

/// Never made here.
#[derive(Debug)]
pub enum SockDiag {}

/// Why a machine cannot tell.
#[allow(dead_code)]
pub enum Facility {
    Present,
    Absent(String),
}

/// This system cannot.
pub fn probe(_: IpAddr) -> io::Result<Facility> {
    Ok(Facility::Absent("this system does not say whose a TCP connection is".to_owned()))
}

impl SockDiag {
    /// Always fails.
    pub fn open() -> io::Result<Self> {
        Err(io::ErrorKind::Unsupported.into())
    }

    /// Nothing to ask.
    pub fn owner(&self, _: SocketAddr, _: SocketAddr) -> io::Result<Option<u32>> {
        match *self {}
    }
}
