//! Bodies that arrive or leave piece by piece.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::LazyLock;
use std::sync::atomic::Ordering::Relaxed;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use axum::body::Body;
use bytes::{Buf, Bytes};
use http_body::{Body as HttpBody, Frame, SizeHint};
use http_body_util::{BodyExt, LengthLimitError, Limited};
use thiserror::Error;
use tokio::sync::mpsc;
use tokio::time::Sleep;

use super::answer::Problem;
use super::ledger::Entry;
use super::server::Hangup;

/// How much, and how long, an unwanted body is read.
const DRAINED: usize = 16 * 1024 * 1024;
const DRAINED_FOR: Duration = Duration::from_secs(2);

type Piece = Option<Result<Frame<Bytes>, axum::Error>>;

/// Why a body ends early: a fault said so.
#[derive(Debug, Error)]
#[error("the sandbox was told to cut this answer")]
struct Cut;

/// Reads a whole body of at most `limit` bytes.
pub(super) async fn read(body: Body, limit: usize) -> Result<Bytes, Problem> {
    match Limited::new(body, limit).collect().await {
        Ok(whole) => Ok(whole.to_bytes()),
        Err(error) if error.is::<LengthLimitError>() => Err(Problem::new(
            http::StatusCode::PAYLOAD_TOO_LARGE,
            "VALIDATION_ERROR",
            format!("A body of more than {limit} bytes is not taken here."),
        )),
        Err(_) => Err(Problem::invalid("The request's body ended early.")),
    }
}

/// Takes in, for a while, what a client still sends after its answer is decided: a connection
/// closed with unread bytes is reset, and the client may lose the answer.
pub(super) fn drain(mut body: Body) {
    let reading = async move {
        let mut left = DRAINED;
        while let Some(Ok(frame)) = body.frame().await {
            let length = frame.data_ref().map_or(0, Bytes::len);
            left = left.saturating_sub(length);
            if left == 0 {
                return;
            }
        }
    };
    tokio::spawn(async move { tokio::time::timeout(DRAINED_FOR, reading).await });
}

/// A request body whose bytes are counted in the ledger as they arrive.
pub(super) struct Counted {
    pub(super) body: Body,
    pub(super) entry: Arc<Entry>,
}

impl HttpBody for Counted {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Piece> {
        let piece = ready!(Pin::new(&mut self.body).poll_frame(cx));
        if let Some(Ok(frame)) = &piece {
            let length = frame.data_ref().map_or(0, Bytes::len);
            self.entry.body_length.fetch_add(length as u64, Relaxed);
        }
        Poll::Ready(piece)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

/// An answer that announces its whole length and breaks off half-way.
pub(super) struct Broken {
    body: Body,
    left: u64,
    hangup: Hangup,
    pause: Option<Pin<Box<Sleep>>>,
}

/// What was handed to the connection is written while the body waits this long.
const FLUSH: Duration = Duration::from_millis(20);
/// Where a body of unknown length is cut.
const CUT_AFTER: u64 = 1;

impl Broken {
    pub(super) fn half(body: Body, hangup: Hangup) -> Self {
        let left = body.size_hint().exact().map_or(CUT_AFTER, |length| length / 2);
        Self { body, left, hangup, pause: None }
    }
}

impl HttpBody for Broken {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Piece> {
        if self.left > 0 {
            match ready!(Pin::new(&mut self.body).poll_frame(cx)) {
                Some(Ok(frame)) => {
                    let mut data = frame.into_data().unwrap_or_default();
                    data.truncate(usize::try_from(self.left).unwrap_or(usize::MAX));
                    self.left -= data.len() as u64;
                    return Poll::Ready(Some(Ok(Frame::data(data))));
                }
                Some(Err(error)) => return Poll::Ready(Some(Err(error))),
                None => self.left = 0,
            }
        }
        let pause = self.pause.get_or_insert_with(|| Box::pin(tokio::time::sleep(FLUSH)));
        ready!(pause.as_mut().poll(cx));
        self.hangup.now();
        Poll::Ready(Some(Err(axum::Error::new(Cut))))
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

/// Blocks of bytes that leave one after the other without being copied.
pub(super) struct Blocks {
    blocks: std::vec::IntoIter<Bytes>,
    left: u64,
}

impl Blocks {
    pub(super) fn of(blocks: Vec<Bytes>) -> Self {
        let left = blocks.iter().map(|block| block.len() as u64).sum();
        Self { blocks: blocks.into_iter(), left }
    }
}

impl HttpBody for Blocks {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Piece> {
        let block = self.blocks.next();
        self.left -= block.as_ref().map_or(0, |block| block.len() as u64);
        Poll::Ready(block.map(|block| Ok(Frame::data(block))))
    }

    fn is_end_stream(&self) -> bool {
        self.left == 0
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.left)
    }
}

/// So many bytes of a fixed pattern, made from one block: byte `i` is `i % 251`.
pub(super) struct Pattern {
    pub(super) left: u64,
}

/// 251 is a prime, so that a lost or doubled block of any usual size shows.
pub(super) const PATTERN_PERIOD: usize = 251;
static PATTERN: LazyLock<Bytes> =
    LazyLock::new(|| (0..PATTERN_PERIOD * 260).map(|i| (i % PATTERN_PERIOD) as u8).collect());

impl HttpBody for Pattern {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Piece> {
        if self.left == 0 {
            return Poll::Ready(None);
        }
        let mut block = PATTERN.clone();
        block.truncate(usize::try_from(self.left).unwrap_or(usize::MAX));
        self.left -= block.remaining() as u64;
        Poll::Ready(Some(Ok(Frame::data(block))))
    }

    fn is_end_stream(&self) -> bool {
        self.left == 0
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.left)
    }
}

/// A body fed by a task through a channel that holds one piece: the client's pace is the task's.
pub(super) struct Fed(mpsc::Receiver<Bytes>);

impl Fed {
    pub(super) fn channel() -> (mpsc::Sender<Bytes>, Body) {
        let (sender, receiver) = mpsc::channel(1);
        (sender, Body::new(Self(receiver)))
    }
}

impl HttpBody for Fed {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Piece> {
        self.0.poll_recv(cx).map(|piece| piece.map(|bytes| Ok(Frame::data(bytes))))
    }
}
