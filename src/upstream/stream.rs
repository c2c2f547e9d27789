//! The byte stream to the upstream, plain or TLS, and what a request's sender must know of it.

pub mod in_turns;
pub mod read_ahead;

use std::cell::Cell;
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio_rustls::client::TlsStream;

use read_ahead::ReadAhead;

/// A connection to the upstream.
pub enum UpstreamStream {
    Plain(TcpStream),
    Tls(Box<TlsStream<ReadAhead>>),
}

impl UpstreamStream {
    /// Whether the peer chose HTTP/2 in the TLS handshake.
    pub fn speaks_http2(&self) -> bool {
        match self {
            Self::Plain(_) => false,
            Self::Tls(tls) => tls.get_ref().1.alpn_protocol() == Some(b"h2"),
        }
    }
}

impl AsyncRead for UpstreamStream {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_read(cx, buf),
            Self::Tls(stream) => Pin::new(stream.as_mut()).poll_read(cx, buf),
        }
    }
}

impl AsyncWrite for UpstreamStream {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_write(cx, buf),
            Self::Tls(stream) => Pin::new(stream.as_mut()).poll_write(cx, buf),
        }
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_write_vectored(cx, bufs),
            Self::Tls(stream) => Pin::new(stream.as_mut()).poll_write_vectored(cx, bufs),
        }
    }

    fn is_write_vectored(&self) -> bool {
        match self {
            Self::Plain(stream) => stream.is_write_vectored(),
            Self::Tls(stream) => stream.is_write_vectored(),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_flush(cx),
            Self::Tls(stream) => Pin::new(stream.as_mut()).poll_flush(cx),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_shutdown(cx),
            Self::Tls(stream) => Pin::new(stream.as_mut()).poll_shutdown(cx),
        }
    }
}

/// What has gone over a connection since the present request began.
#[derive(Default)]
pub struct Traffic {
    read: Cell<bool>,
    written: Cell<bool>,
}

impl Traffic {
    /// Counts anew, for the next request.
    pub fn reset(&self) {
        self.read.set(false);
        self.written.set(false);
    }

    /// Whether any byte of an answer has arrived.
    pub fn has_read(&self) -> bool {
        self.read.get()
    }

    /// Whether any byte of the request has left.
    pub fn has_written(&self) -> bool {
        self.written.get()
    }
}

/// A stream whose write errors are held back.
///
/// An upstream that has answered early and closed makes the next write fail, while its answer is
/// still waiting to be read. hyper's HTTP/1.1 client would report the write error and lose the
/// answer; so a write that fails just never completes, and the read side ends the exchange, with
/// the answer or with its own end of stream or error.
pub struct HeldWrites<T> {
    inner: T,
    traffic: Rc<Traffic>,
    write_failed: bool,
}

impl<T> HeldWrites<T> {
    /// Wraps `inner` and notes in `traffic` what passes.
    pub fn new(inner: T, traffic: Rc<Traffic>) -> Self {
        Self { inner, traffic, write_failed: false }
    }

    fn note<R>(&mut self, outcome: Poll<io::Result<R>>) -> Poll<io::Result<R>> {
        match outcome {
            Poll::Ready(Ok(value)) => {
                self.traffic.written.set(true);
                Poll::Ready(Ok(value))
            }
            Poll::Ready(Err(_)) => {
                self.write_failed = true;
                Poll::Pending
            }
            Poll::Pending => Poll::Pending,
        }
    }
}

impl<T: AsyncRead + Unpin> AsyncRead for HeldWrites<T> {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let before = buf.filled().len();
        let outcome = Pin::new(&mut this.inner).poll_read(cx, buf);
        if buf.filled().len() > before {
            this.traffic.read.set(true);
        }
        outcome
    }
}

impl<T: AsyncWrite + Unpin> AsyncWrite for HeldWrites<T> {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        if this.write_failed {
            return Poll::Pending;
        }
        let outcome = Pin::new(&mut this.inner).poll_write(cx, buf);
        this.note(outcome)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        if this.write_failed {
            return Poll::Pending;
        }
        let outcome = Pin::new(&mut this.inner).poll_write_vectored(cx, bufs);
        this.note(outcome)
    }

    fn is_write_vectored(&self) -> bool {
        self.inner.is_write_vectored()
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        if this.write_failed {
            return Poll::Pending;
        }
        match Pin::new(&mut this.inner).poll_flush(cx) {
            Poll::Ready(Err(_)) => {
                this.write_failed = true;
                Poll::Pending
            }
            outcome => outcome,
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        if this.write_failed {
            return Poll::Ready(Ok(()));
        }
        Pin::new(&mut this.inner).poll_shutdown(cx)
    }
}
