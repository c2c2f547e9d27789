//! The body of a request on its way upstream, in a form that can be sent again.
//!
//! The body is passed on as it arrives and never collected; beside that, up to a bound, the parts
//! that went by are kept (by reference count, but for small ones), so that a second attempt can send the
//! kept prefix and then the rest of the stream. Past the bound the running attempt goes on and
//! only the second attempt is given up. It knows nothing of why an attempt is repeated.

mod source;
#[cfg(test)]
mod tests;

use std::cell::{Cell, RefCell};
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use hyper::body::Incoming;
use source::Source;
use thiserror::Error;
use tokio::time::Instant;

/// What bounds a request body.
#[derive(Clone, Copy, Debug, Default)]
pub struct BodyLimits {
    /// Bytes kept for a second attempt; 0 keeps nothing.
    pub keep: usize,
    /// Bytes accepted from the client; `None` is no limit.
    pub accept: Option<u64>,
}

/// Why a request body broke off. None of these is the upstream's fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum BodyFailure {
    /// The client closed, or its framing is wrong.
    #[error("the request body broke off or is malformed")]
    Client,
    /// The client sends no more of it.
    #[error("the request body stopped coming")]
    Stalled,
    /// More than [`BodyLimits::accept`].
    #[error("the request body is larger than the limit")]
    TooLarge,
    /// A later attempt owns the body now.
    #[error("this attempt was given up")]
    Abandoned,
}

/// One attempt's view of a request body.
///
/// Only the latest attempt may read; an older one that is still polled fails with
/// [`BodyFailure::Abandoned`], which makes its connection close.
pub struct RequestBody<B = Incoming> {
    source: Option<Rc<RefCell<Source<B>>>>,
    attempt: u32,
    next_kept: usize,
    trailers_sent: bool,
}

/// Watches a request body from beside the connection that sends it.
pub struct BodyProgress<B = Incoming>(Option<Rc<RefCell<Source<B>>>>);

/// A body that is held. Dropped, it is taken away from every attempt, which then ends.
pub struct Held<B: Body<Data = Bytes> + Unpin = Incoming>(Option<Rc<RefCell<Source<B>>>>);

impl<B: Body<Data = Bytes> + Unpin> Held<B> {
    /// The attempt goes on.
    pub fn release(mut self) {
        if let Some(source) = self.0.take() {
            source.borrow_mut().release();
        }
    }

    /// Another attempt has taken the body.
    pub fn forget(mut self) {
        self.0 = None;
    }
}

impl<B: Body<Data = Bytes> + Unpin> Drop for Held<B> {
    fn drop(&mut self) {
        if let Some(source) = &self.0 {
            source.borrow_mut().abandon();
        }
    }
}

impl<B> RequestBody<B>
where
    B: Body<Data = Bytes> + Unpin,
{
    /// No body at all.
    pub fn empty() -> Self {
        Self { source: None, attempt: 0, next_kept: 0, trailers_sent: false }
    }

    /// Streams `inner`. `unread` is set to false once the client has sent the whole body.
    pub fn streaming(inner: B, limits: BodyLimits, unread: Rc<Cell<bool>>) -> Self {
        let source = Rc::new(RefCell::new(Source::new(inner, limits, unread)));
        Self { source: Some(source), attempt: 0, next_kept: 0, trailers_sent: false }
    }

    /// Whether there is no body.
    pub fn is_empty(&self) -> bool {
        self.source.is_none()
    }

    /// A handle on the same body that can tell how far it is.
    pub fn progress(&self) -> BodyProgress<B> {
        BodyProgress(self.source.clone())
    }
}

impl<B> BodyProgress<B>
where
    B: Body<Data = Bytes> + Unpin,
{
    /// Whether there is no body.
    pub fn is_absent(&self) -> bool {
        self.0.is_none()
    }

    /// When the last part was read from the client, if one was.
    pub fn moved(&self) -> Option<Instant> {
        self.0.as_ref().and_then(|source| source.borrow().moved())
    }

    /// Whether the connection is waiting for the client to send more.
    pub fn is_starved(&self) -> bool {
        self.0.as_ref().is_some_and(|source| source.borrow().is_starved())
    }

    /// Whether the whole body, trailers included, has been handed to the connection.
    pub fn is_complete(&self) -> bool {
        self.0.as_ref().is_none_or(|source| source.borrow().is_complete())
    }

    /// Why reading from the client ended early, if it did.
    pub fn failure(&self) -> Option<BodyFailure> {
        self.0.as_ref().and_then(|source| source.borrow().failure())
    }

    /// Reads nothing more from the client for now: an answer is there, and whether this attempt goes
    /// on is not yet known.
    pub fn hold(&self) -> Held<B> {
        if let Some(source) = &self.0 {
            source.borrow_mut().hold();
        }
        Held(self.0.clone())
    }

    /// Whether [`Self::again`] would give the body.
    pub fn can_rewind(&self) -> bool {
        self.0.as_ref().is_none_or(|source| source.borrow().can_rewind())
    }

    /// The same body for a further attempt, which takes it away from all earlier ones; `None` when
    /// more has gone by than was kept.
    pub fn again(&self) -> Option<RequestBody<B>> {
        let Some(source) = &self.0 else {
            return Some(RequestBody::empty());
        };
        let attempt = source.borrow_mut().rewind()?;
        Some(RequestBody {
            source: Some(Rc::clone(source)),
            attempt,
            next_kept: 0,
            trailers_sent: false,
        })
    }
}

impl<B> Body for RequestBody<B>
where
    B: Body<Data = Bytes> + Unpin,
{
    type Data = Bytes;
    type Error = BodyFailure;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyFailure>>> {
        let this = self.get_mut();
        let Some(source) = &this.source else {
            return Poll::Ready(None);
        };
        let mut source = source.borrow_mut();
        if source.attempt() != this.attempt {
            return Poll::Ready(Some(Err(BodyFailure::Abandoned)));
        }
        if let Some(part) = source.kept(this.next_kept) {
            this.next_kept += 1;
            // A reader that knows the length does not ask once more.
            if this.next_kept == source.kept_parts() && source.is_at_end(this.trailers_sent) {
                source.set_complete();
            }
            return Poll::Ready(Some(Ok(Frame::data(part))));
        }
        if source.has_ended() {
            let trailers = if this.trailers_sent { None } else { source.trailers() };
            this.trailers_sent = true;
            source.set_complete();
            return Poll::Ready(trailers.map(|t| Ok(Frame::trailers(t))));
        }
        let frame = std::task::ready!(source.poll_inner(cx));
        this.next_kept = source.kept_parts();
        this.trailers_sent |= source.has_ended();
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        let Some(source) = &self.source else {
            return true;
        };
        let source = source.borrow();
        source.attempt() == self.attempt
            && self.next_kept == source.kept_parts()
            && source.is_at_end(self.trailers_sent)
    }

    fn size_hint(&self) -> SizeHint {
        self.source.as_ref().map_or_else(|| SizeHint::with_exact(0), |s| s.borrow().size_hint())
    }
}
