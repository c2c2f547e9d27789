//! The two sides of a forwarded request: a client's connection and one to the upstream.

use std::collections::VecDeque;
use std::io::{self, Read, Write};
use std::net::TcpStream;

use rustls::ClientConnection;

/// A client's connection.
pub struct Client {
    pub socket: TcpStream,
    /// Read and not yet dealt with.
    pub kept: Vec<u8>,
    /// What the socket did not take at once.
    pub pending: VecDeque<u8>,
    /// The upstream connection that serves the present request.
    pub upstream: Option<usize>,
    /// Bytes of the request's body still to come.
    pub body_left: u64,
    pub interest: Interest,
    pub closed: bool,
}

/// A connection to the upstream.
pub struct Upstream {
    pub socket: TcpStream,
    pub tls: ClientConnection,
    /// The client that is served.
    pub client: Option<usize>,
    /// The head of the answer as far as it has come.
    pub head: Vec<u8>,
    pub answer: Answer,
    pub interest: Interest,
    pub closed: bool,
}

/// How far an answer has come.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Answer {
    Head,
    Body { left: u64, keep: bool },
}

/// What epoll is asked for, so that it is told only of changes.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Interest {
    pub read: bool,
    pub write: bool,
}

impl Interest {
    pub const READ: Self = Self { read: true, write: false };
}

impl Client {
    /// Sends `bytes`, or keeps what the socket does not take.
    pub fn send(&mut self, mut bytes: &[u8]) -> io::Result<()> {
        if self.pending.is_empty() {
            while !bytes.is_empty() {
                match retried(|| self.socket.write(bytes))? {
                    Some(0) => return Err(io::ErrorKind::WriteZero.into()),
                    Some(written) => bytes = &bytes[written..],
                    None => break,
                }
            }
        }
        self.pending.extend(bytes);
        Ok(())
    }

    /// Sends what was kept.
    pub fn flush(&mut self) -> io::Result<()> {
        while !self.pending.is_empty() {
            let (front, _) = self.pending.as_slices();
            match retried(|| self.socket.write(front))? {
                Some(written) => drop(self.pending.drain(..written)),
                None => break,
            }
        }
        Ok(())
    }

    /// Bytes read into `buffer`; `None` when there are none at present.
    pub fn read(&mut self, buffer: &mut [u8]) -> io::Result<Option<usize>> {
        retried(|| self.socket.read(buffer))
    }
}

impl Upstream {
    /// Sends what TLS has ready, as far as the socket takes it.
    pub fn flush(&mut self) -> io::Result<()> {
        while self.tls.wants_write() {
            if retried(|| self.tls.write_tls(&mut self.socket))?.is_none() {
                break;
            }
        }
        Ok(())
    }

    /// Encrypted bytes read into `buffer`; `None` when there are none at present.
    pub fn receive(&mut self, buffer: &mut [u8]) -> io::Result<Option<usize>> {
        retried(|| self.socket.read(buffer))
    }

    /// Decrypts the beginning of `arrived` and cuts it off.
    pub fn take_in(&mut self, arrived: &mut &[u8]) -> io::Result<()> {
        self.tls.read_tls(arrived)?;
        self.tls.process_new_packets().map_err(io::Error::other)?;
        Ok(())
    }

    /// Whether more for the upstream would only pile up here.
    pub fn is_congested(&self) -> bool {
        self.tls.wants_write() || self.tls.is_handshaking()
    }

    /// Decrypted bytes copied into `buffer`; 0 when there are none at present.
    pub fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self.tls.reader().read(buffer) {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(0),
            other => other,
        }
    }
}

/// `None` where the call would block.
fn retried<T>(mut call: impl FnMut() -> io::Result<T>) -> io::Result<Option<T>> {
    loop {
        match call() {
            Ok(done) => return Ok(Some(done)),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(None),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
}
