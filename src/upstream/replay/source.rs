//! The one reader of a client's body, shared by all attempts to send it.

use std::cell::Cell;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};

use bytes::Bytes;
use http::HeaderMap;
use http_body::{Body, Frame, SizeHint};
use tokio::time::Instant;

use super::{BodyFailure, BodyLimits};
use crate::upstream::hop_headers;

/// Parts from this size on are kept by reference count. A smaller one is copied: it would hold on to
/// the whole buffer that it was read into, of 8 KiB or more.
const SHARED_FROM: usize = 1024;

/// A part of a body that has gone by.
enum Part {
    Shared(Bytes),
    /// Small parts in a row.
    Copied(Vec<u8>),
}

pub(super) struct Source<B> {
    inner: B,
    limits: BodyLimits,
    /// The attempt that may read.
    attempt: u32,
    kept: Vec<Part>,
    kept_bytes: usize,
    /// False once something went by without being kept.
    rewindable: bool,
    trailers: Option<HeaderMap>,
    passed: u64,
    moved: Option<Instant>,
    /// The connection wants more than the client has sent.
    starved: bool,
    ended: bool,
    /// The present attempt has taken everything.
    complete: bool,
    failure: Option<BodyFailure>,
    unread: Rc<Cell<bool>>,
    /// While set, nothing is read from the client; who wanted to is woken at the end of it.
    held: bool,
    waiting: Option<Waker>,
}

impl<B> Source<B>
where
    B: Body<Data = Bytes> + Unpin,
{
    pub(super) fn new(inner: B, limits: BodyLimits, unread: Rc<Cell<bool>>) -> Self {
        Self {
            inner,
            limits,
            attempt: 0,
            kept: Vec::new(),
            kept_bytes: 0,
            rewindable: true,
            trailers: None,
            passed: 0,
            moved: None,
            starved: false,
            ended: false,
            complete: false,
            failure: None,
            unread,
            held: false,
            waiting: None,
        }
    }

    pub(super) fn attempt(&self) -> u32 {
        self.attempt
    }

    pub(super) fn moved(&self) -> Option<Instant> {
        self.moved
    }

    pub(super) fn is_starved(&self) -> bool {
        self.starved
    }

    pub(super) fn failure(&self) -> Option<BodyFailure> {
        self.failure
    }

    pub(super) fn has_ended(&self) -> bool {
        self.ended
    }

    pub(super) fn is_complete(&self) -> bool {
        self.complete
    }

    pub(super) fn set_complete(&mut self) {
        self.complete = true;
    }

    pub(super) fn kept_parts(&self) -> usize {
        self.kept.len()
    }

    pub(super) fn kept(&self, index: usize) -> Option<Bytes> {
        self.kept.get(index).map(|part| match part {
            Part::Shared(bytes) => bytes.clone(),
            Part::Copied(bytes) => Bytes::copy_from_slice(bytes),
        })
    }

    pub(super) fn trailers(&self) -> Option<HeaderMap> {
        self.trailers.clone()
    }

    pub(super) fn is_at_end(&self, trailers_sent: bool) -> bool {
        if self.ended {
            return trailers_sent || self.trailers.is_none();
        }
        self.inner.is_end_stream()
    }

    pub(super) fn size_hint(&self) -> SizeHint {
        let mut hint = self.inner.size_hint();
        if self.passed > 0 {
            // What is left of the stream says nothing of the kept prefix before it.
            hint = hint
                .exact()
                .filter(|_| self.rewindable)
                .map_or_else(SizeHint::default, |rest| SizeHint::with_exact(rest + self.passed));
        }
        hint
    }

    pub(super) fn rewind(&mut self) -> Option<u32> {
        if !self.can_rewind() {
            return None;
        }
        self.attempt += 1;
        self.complete = false;
        self.release();
        Some(self.attempt)
    }

    /// No attempt has the body any more.
    pub(super) fn abandon(&mut self) {
        self.attempt += 1;
        self.release();
    }

    pub(super) fn can_rewind(&self) -> bool {
        self.rewindable && self.failure.is_none()
    }

    pub(super) fn hold(&mut self) {
        self.held = true;
    }

    /// Also tells an attempt that has lost the body, which then ends.
    pub(super) fn release(&mut self) {
        self.held = false;
        if let Some(waiting) = self.waiting.take() {
            waiting.wake();
        }
    }

    pub(super) fn poll_inner(
        &mut self,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyFailure>>> {
        if let Some(failure) = self.failure {
            return Poll::Ready(Some(Err(failure)));
        }
        if self.held {
            self.waiting = Some(cx.waker().clone());
            return Poll::Pending;
        }
        let polled = Pin::new(&mut self.inner).poll_frame(cx);
        self.starved = polled.is_pending();
        let Poll::Ready(frame) = polled else {
            // For an attempt that waits here when it loses the body.
            self.waiting = Some(cx.waker().clone());
            return Poll::Pending;
        };
        let frame = match frame {
            None => {
                self.end();
                return Poll::Ready(None);
            }
            Some(Ok(frame)) => frame,
            Some(Err(_)) => return Poll::Ready(Some(Err(self.fail(BodyFailure::Client)))),
        };
        let frame = match frame.into_data() {
            Ok(data) => return Poll::Ready(Some(self.pass(data))),
            Err(frame) => frame,
        };
        let Ok(mut trailers) = frame.into_trailers() else {
            // No other kind of frame exists in HTTP/1.1 or HTTP/2 as hyper reads them.
            return Poll::Ready(Some(Err(self.fail(BodyFailure::Client))));
        };
        hop_headers::remove_from_request_trailers(&mut trailers);
        if self.limits.keep > 0 {
            self.trailers = Some(trailers.clone());
        }
        self.end();
        Poll::Ready(Some(Ok(Frame::trailers(trailers))))
    }

    fn pass(&mut self, data: Bytes) -> Result<Frame<Bytes>, BodyFailure> {
        self.passed += data.len() as u64;
        self.moved = Some(Instant::now());
        if self.limits.accept.is_some_and(|limit| self.passed > limit) {
            return Err(self.fail(BodyFailure::TooLarge));
        }
        self.keep(&data);
        if self.inner.is_end_stream() {
            self.end();
        }
        Ok(Frame::data(data))
    }

    fn keep(&mut self, data: &Bytes) {
        if !self.rewindable {
            return;
        }
        if self.kept_bytes + data.len() > self.limits.keep {
            self.rewindable = false;
            self.kept = Vec::new();
            return;
        }
        self.kept_bytes += data.len();
        if data.len() >= SHARED_FROM {
            return self.kept.push(Part::Shared(data.clone()));
        }
        match self.kept.last_mut() {
            Some(Part::Copied(small)) if small.len() < SHARED_FROM * 16 => {
                small.extend_from_slice(data);
            }
            _ => self.kept.push(Part::Copied(data.to_vec())),
        }
    }

    fn end(&mut self) {
        self.ended = true;
        self.complete = true;
        self.unread.set(false);
    }

    fn fail(&mut self, failure: BodyFailure) -> BodyFailure {
        self.failure = Some(failure);
        failure
    }
}
