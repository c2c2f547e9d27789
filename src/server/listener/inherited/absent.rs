//! Systems without socket activation: nothing is ever passed.

use std::net::SocketAddr;

use super::{ListenError, TcpSocket};

/// No sockets.
#[derive(Debug, Default)]
pub struct Inherited;

impl Inherited {
    pub fn none() -> Self {
        Self
    }

    pub fn of_process() -> Result<Self, ListenError> {
        Ok(Self)
    }

    pub(super) fn tcp(&mut self, _: SocketAddr) -> Option<TcpSocket> {
        None
    }

    pub fn check_all_used(&self, _: &[String]) -> Result<(), ListenError> {
        Ok(())
    }
}
