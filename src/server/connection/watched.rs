//! The byte stream under hyper: what came early is read first, and what hyper has written and has
//! yet to write is known from outside.

use std::cell::Cell;
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, ready};

use bytes::{Buf, Bytes};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::{Stream, unparsed};
use crate::pipeline::Pipeline;

/// What is known of a stream while hyper has it.
#[derive(Default)]
pub struct Signs {
    /// A write is under way.
    pub unflushed: Cell<bool>,
    /// No request is being served: a write can only be hyper's own answer to what is none. Set before
    /// each turn of hyper's, and cleared by a request that begins in it.
    pub between_requests: Cell<bool>,
    /// hyper has refused what it could not parse.
    pub refused: Cell<bool>,
}

/// A client's socket as hyper sees it. Never shut down from inside: its owner decides how a
/// connection ends.
pub struct Watched {
    stream: Stream,
    early: Bytes,
    signs: Rc<Signs>,
    pipeline: Rc<Pipeline>,
    /// What goes out in the place of an answer of hyper's own.
    instead: Option<Bytes>,
}

impl Watched {
    /// `early` is read before the stream.
    pub fn new(stream: Stream, early: Bytes, signs: Rc<Signs>, pipeline: Rc<Pipeline>) -> Self {
        Self { stream, early, signs, pipeline, instead: None }
    }

    /// The socket.
    pub fn into_stream(self) -> Stream {
        self.stream
    }

    /// Whether `first`, which hyper is about to write, is to be replaced.
    fn is_replaced(&mut self, first: &[u8]) -> bool {
        if self.instead.is_none() && self.signs.between_requests.get() {
            self.instead = unparsed::replacement(&self.pipeline, first);
            self.signs.refused.set(self.instead.is_some());
        }
        self.instead.is_some()
    }

    /// Writes the replacement; `length` is what hyper then takes as written.
    fn poll_instead(&mut self, cx: &mut Context<'_>, length: usize) -> Poll<io::Result<usize>> {
        while let Some(bytes) = self.instead.as_mut().filter(|bytes| !bytes.is_empty()) {
            let written = ready!(Pin::new(&mut self.stream).poll_write(cx, bytes))?;
            bytes.advance(written);
        }
        self.instead = None;
        Poll::Ready(Ok(length))
    }
}

impl AsyncRead for Watched {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        if this.early.is_empty() {
            return Pin::new(&mut this.stream).poll_read(cx, buf);
        }
        let count = this.early.len().min(buf.remaining());
        buf.put_slice(&this.early[..count]);
        this.early.advance(count);
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Watched {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        this.signs.unflushed.set(true);
        if this.is_replaced(buf) {
            return this.poll_instead(cx, buf.len());
        }
        Pin::new(&mut this.stream).poll_write(cx, buf)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        this.signs.unflushed.set(true);
        if let [only] = bufs
            && this.is_replaced(only)
        {
            return this.poll_instead(cx, only.len());
        }
        Pin::new(&mut this.stream).poll_write_vectored(cx, bufs)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        // hyper flushes once its buffer is empty; a socket keeps nothing back by itself.
        self.signs.unflushed.set(false);
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}
