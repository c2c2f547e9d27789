//! The body that goes to the client: the upstream's as it streams, or one of the proxy's own.

use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};

use crate::pipeline::Exchange;
use crate::pipeline::forward::peeked::Peeked;
use crate::upstream::answer::{AnswerBody, BrokenOff};

/// A response body. The exchange ends when it is dropped.
pub struct ResponseBody {
    source: Source,
    exchange: Exchange,
    break_off: BreakOff,
    ended: bool,
}

/// An error makes the server drop what it has not yet written: the head, perhaps, and with it the
/// difference between an answer that broke off and none. So it is told one turn later.
#[derive(PartialEq, Eq)]
enum BreakOff {
    No,
    HeldBack,
    Told,
}

enum Source {
    Upstream(AnswerBody),
    Peeked(Box<Peeked>),
    Own(Option<Bytes>),
    Admin(axum::body::Body),
}

impl ResponseBody {
    /// Streams the upstream's body.
    pub fn upstream(body: AnswerBody, exchange: Exchange) -> Self {
        Self::new(Source::Upstream(body), exchange)
    }

    /// Streams the upstream's body, of which the beginning has been read.
    pub fn peeked(body: Peeked, exchange: Exchange) -> Self {
        Self::new(Source::Peeked(Box::new(body)), exchange)
    }

    /// Sends `bytes`.
    pub fn own(bytes: Bytes, exchange: Exchange) -> Self {
        Self::new(Source::Own(Some(bytes).filter(|bytes| !bytes.is_empty())), exchange)
    }

    /// Streams what the control plane tells.
    pub fn admin(body: axum::body::Body, exchange: Exchange) -> Self {
        Self::new(Source::Admin(body), exchange)
    }

    fn new(source: Source, exchange: Exchange) -> Self {
        Self { source, exchange, break_off: BreakOff::No, ended: false }
    }
}

impl Drop for ResponseBody {
    fn drop(&mut self) {
        if self.ended || self.is_end_stream() {
            self.exchange.completed();
        }
    }
}

impl Body for ResponseBody {
    type Data = Bytes;
    type Error = BrokenOff;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BrokenOff>>> {
        let this = self.get_mut();
        if this.break_off != BreakOff::No {
            let first = std::mem::replace(&mut this.break_off, BreakOff::Told);
            let error = (first == BreakOff::HeldBack).then_some(Err(BrokenOff));
            return Poll::Ready(error);
        }
        let mut frame = match &mut this.source {
            Source::Own(bytes) => bytes.take().map(|bytes| Ok(Frame::data(bytes))),
            Source::Upstream(body) => ready!(Pin::new(body).poll_frame(cx)),
            Source::Peeked(body) => ready!(Pin::new(body.as_mut()).poll_frame(cx)),
            Source::Admin(body) => {
                let frame = ready!(Pin::new(body).poll_frame(cx));
                frame.map(|frame| frame.map_err(|_| BrokenOff))
            }
        };
        match &mut frame {
            Some(Ok(frame)) => {
                this.exchange.passed(frame.data_ref());
                if let Some(trailers) = frame.trailers_mut() {
                    this.ended = true;
                    super::filter(trailers);
                }
            }
            Some(Err(BrokenOff)) => {
                this.exchange.broke_off();
                this.break_off = BreakOff::HeldBack;
                cx.waker().wake_by_ref();
                return Poll::Pending;
            }
            None => this.ended = true,
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        match &self.source {
            Source::Own(bytes) => bytes.is_none(),
            Source::Upstream(body) => body.is_end_stream(),
            Source::Peeked(body) => body.is_end_stream(),
            Source::Admin(body) => body.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.source {
            Source::Own(bytes) => {
                SizeHint::with_exact(bytes.as_ref().map_or(0, |bytes| bytes.len() as u64))
            }
            Source::Upstream(body) => body.size_hint(),
            Source::Peeked(body) => body.size_hint(),
            Source::Admin(body) => body.size_hint(),
        }
    }
}
