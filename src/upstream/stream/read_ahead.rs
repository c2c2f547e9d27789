//! Reads from a socket in large parts, whatever the reader above asks for.
//!
//! rustls asks for 4 KiB at a time, which is a system call for each quarter of a TLS record. Here
//! one call brings up to 64 KiB, into a buffer that a connection has only while something in it is
//! waiting: all connections of a thread share the spare ones.

use std::cell::RefCell;
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;

const SIZE: usize = 64 * 1024;
/// Spare buffers that a thread keeps.
const MAX_SPARE: usize = 4;

thread_local! {
    static SPARE: RefCell<Vec<Box<[u8]>>> = const { RefCell::new(Vec::new()) };
}

/// A socket and what has been read ahead from it.
pub struct ReadAhead {
    stream: TcpStream,
    buffer: Option<Box<[u8]>>,
    start: usize,
    end: usize,
}

impl ReadAhead {
    /// Nothing has been read from `stream`.
    pub fn new(stream: TcpStream) -> Self {
        Self { stream, buffer: None, start: 0, end: 0 }
    }

    /// Gives what is there to the reader, and the buffer back once it is empty.
    fn take_from_buffer(&mut self, buf: &mut ReadBuf<'_>) {
        let Some(buffer) = &self.buffer else { return };
        let length = (self.end - self.start).min(buf.remaining());
        buf.put_slice(&buffer[self.start..self.start + length]);
        self.start += length;
        if self.start == self.end {
            self.buffer.take().into_iter().for_each(put_back);
        }
    }
}

fn spare() -> Box<[u8]> {
    let spare = SPARE.with(|spare| spare.borrow_mut().pop());
    spare.unwrap_or_else(|| vec![0; SIZE].into_boxed_slice())
}

fn put_back(buffer: Box<[u8]>) {
    // At the end of a thread there is nothing to put it into any more.
    let _ = SPARE.try_with(|spare| {
        let mut spare = spare.borrow_mut();
        if spare.len() < MAX_SPARE {
            spare.push(buffer);
        }
    });
}

impl Drop for ReadAhead {
    fn drop(&mut self) {
        self.buffer.take().into_iter().for_each(put_back);
    }
}

impl AsyncRead for ReadAhead {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        if this.buffer.is_none() {
            let mut buffer = spare();
            let mut part = ReadBuf::new(&mut buffer);
            let outcome = Pin::new(&mut this.stream).poll_read(cx, &mut part);
            let length = part.filled().len();
            if length == 0 {
                put_back(buffer);
                return outcome;
            }
            ready!(outcome)?;
            (this.start, this.end, this.buffer) = (0, length, Some(buffer));
        }
        this.take_from_buffer(buf);
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for ReadAhead {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.get_mut().stream).poll_write(cx, buf)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.get_mut().stream).poll_write_vectored(cx, bufs)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use std::net::SocketAddr;

    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::{TcpListener, TcpStream};

    use super::{MAX_SPARE, ReadAhead, SPARE};

    async fn pair() -> (TcpStream, ReadAhead) {
        let listener = TcpListener::bind(SocketAddr::from(([127, 0, 0, 1], 0))).await.unwrap();
        let near = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        (listener.accept().await.unwrap().0, ReadAhead::new(near))
    }

    #[tokio::test]
    async fn every_byte_arrives_in_order_whatever_the_reader_asks_for() {
        let (mut far, mut near) = pair().await;
        let sent: Vec<u8> = (0..300_000_u32).map(|n| n.to_le_bytes()[0] ^ 0x5a).collect();
        let sending = sent.clone();
        let writer = tokio::spawn(async move { far.write_all(&sending).await });
        let mut received = Vec::new();
        let mut part = vec![0; 4096];
        loop {
            let asked = received.len() % part.len() + 1;
            match near.read(&mut part[..asked]).await.unwrap() {
                0 => break,
                length => received.extend_from_slice(&part[..length]),
            }
        }
        writer.await.unwrap().unwrap();
        assert!(received == sent);
        assert!(near.buffer.is_none());
    }

    #[tokio::test]
    async fn a_connection_with_nothing_waiting_holds_no_buffer_and_few_are_spared() {
        let mut all = Vec::new();
        for _ in 0..MAX_SPARE + 2 {
            let (mut far, mut near) = pair().await;
            far.write_all(b"abc").await.unwrap();
            let mut byte = [0];
            near.read_exact(&mut byte).await.unwrap();
            assert!(near.buffer.is_some());
            all.push((far, near));
        }
        drop(all);
        assert_eq!(SPARE.with(|spare| spare.borrow().len()), MAX_SPARE);
    }
}
