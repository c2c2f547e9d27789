//! Reads so much in one turn of a task and no more, so that the tasks beside it have theirs.
//!
//! What an HTTP/2 connection reads in one turn piles up until the tasks of its streams run, as far as no
//! window bounds it, and for interim answers there is none. It stands above TLS: what is below cannot end
//! a turn while deciphered bytes are waiting.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// Bytes a turn.
const TURN: usize = 256 * 1024;

/// A stream that is read in turns.
pub struct InTurns<T> {
    inner: T,
    /// Bytes of this turn.
    read: usize,
}

impl<T> InTurns<T> {
    /// Nothing has been read of this turn.
    pub fn new(inner: T) -> Self {
        Self { inner, read: 0 }
    }
}

impl<T: AsyncRead + Unpin> AsyncRead for InTurns<T> {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        if this.read >= TURN {
            this.read = 0;
            cx.waker().wake_by_ref();
            return Poll::Pending;
        }
        let before = buf.filled().len();
        let outcome = Pin::new(&mut this.inner).poll_read(cx, buf);
        match outcome.is_pending() {
            true => this.read = 0,
            false => this.read += buf.filled().len() - before,
        }
        outcome
    }
}

impl<T: AsyncWrite + Unpin> AsyncWrite for InTurns<T> {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.get_mut().inner).poll_write(cx, buf)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.get_mut().inner).poll_write_vectored(cx, bufs)
    }

    fn is_write_vectored(&self) -> bool {
        self.inner.is_write_vectored()
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().inner).poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().inner).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use std::pin::Pin;
    use std::task::{Context, Poll, Waker};

    use tokio::io::{AsyncRead, ReadBuf};

    use super::{InTurns, TURN};

    #[test]
    fn a_source_that_never_runs_dry_is_left_after_a_turn_and_read_on_in_the_next() {
        let mut stream = InTurns::new(tokio::io::repeat(7));
        let mut cx = Context::from_waker(Waker::noop());
        for _ in 0..3 {
            let mut read = 0;
            loop {
                let mut part = [0; 4096];
                let mut buf = ReadBuf::new(&mut part);
                match Pin::new(&mut stream).poll_read(&mut cx, &mut buf) {
                    Poll::Ready(outcome) => outcome.unwrap(),
                    Poll::Pending => break,
                }
                read += buf.filled().len();
            }
            assert_eq!(read, TURN);
        }
    }
}
