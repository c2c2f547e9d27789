//! Client connections and what accepts them, over TCP and over Unix sockets alike.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
#[cfg(unix)]
use tokio::net::{UnixListener, UnixStream};

/// A listening socket before it belongs to a core's runtime.
pub enum Socket {
    Tcp(std::net::TcpListener),
    #[cfg(unix)]
    Unix(std::os::unix::net::UnixListener),
}

/// Accepts connections on one core.
pub enum Acceptor {
    Tcp(TcpListener),
    #[cfg(unix)]
    Unix(UnixListener),
}

/// A client's connection.
pub enum Stream {
    Tcp(TcpStream),
    #[cfg(unix)]
    Unix(UnixStream),
}

/// The same expression for whichever kind of socket it is.
macro_rules! with {
    ($self:expr, $socket:ident => $what:expr) => {
        match $self {
            Self::Tcp($socket) => $what,
            #[cfg(unix)]
            Self::Unix($socket) => $what,
        }
    };
}

impl Acceptor {
    /// Must be called inside a runtime.
    pub fn new(socket: Socket) -> io::Result<Self> {
        match socket {
            Socket::Tcp(socket) => TcpListener::from_std(socket).map(Self::Tcp),
            #[cfg(unix)]
            Socket::Unix(socket) => UnixListener::from_std(socket).map(Self::Unix),
        }
    }

    /// The port; `None` on a Unix socket, which has none.
    pub fn port(&self) -> io::Result<Option<u16>> {
        match self {
            Self::Tcp(listener) => listener.local_addr().map(|address| Some(address.port())),
            #[cfg(unix)]
            Self::Unix(_) => Ok(None),
        }
    }

    /// The next connection.
    pub fn poll_accept(&self, cx: &mut Context<'_>) -> Poll<io::Result<Stream>> {
        match self {
            Self::Tcp(listener) => {
                listener.poll_accept(cx).map_ok(|(stream, _)| Stream::Tcp(stream))
            }
            #[cfg(unix)]
            Self::Unix(listener) => {
                listener.poll_accept(cx).map_ok(|(stream, _)| Stream::Unix(stream))
            }
        }
    }
}

impl Stream {
    /// Small answers leave at once. A Unix socket does not hold them back, and a socket that
    /// refuses this still works.
    pub fn send_without_delay(&self) {
        if let Self::Tcp(stream) = self {
            let _ = stream.set_nodelay(true);
        }
    }

    /// Ready when there is something to read, be it the end.
    pub fn poll_read_ready(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        with!(self, stream => stream.poll_read_ready(cx))
    }

    /// Waits for something to read.
    pub async fn readable(&self) -> io::Result<()> {
        with!(self, stream => stream.readable().await)
    }

    /// Reads what is there.
    pub fn try_read(&self, buf: &mut [u8]) -> io::Result<usize> {
        with!(self, stream => stream.try_read(buf))
    }
}

impl AsyncRead for Stream {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        with!(self.get_mut(), stream => Pin::new(stream).poll_read(cx, buf))
    }
}

impl AsyncWrite for Stream {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        with!(self.get_mut(), stream => Pin::new(stream).poll_write(cx, buf))
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        with!(self.get_mut(), stream => Pin::new(stream).poll_write_vectored(cx, bufs))
    }

    fn is_write_vectored(&self) -> bool {
        with!(self, stream => stream.is_write_vectored())
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        with!(self.get_mut(), stream => Pin::new(stream).poll_flush(cx))
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        with!(self.get_mut(), stream => Pin::new(stream).poll_shutdown(cx))
    }
}
