//! The body that goes to the client: the upstream's as it streams, or one of the proxy's own.

use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};

use crate::pipeline::Exchange;
use crate::upstream::answer::{AnswerBody, BrokenOff};

/// A response body. The exchange ends when it is dropped.
pub struct ResponseBody {
    source: Source,
    exchange: Exchange,
}

enum Source {
    Upstream(AnswerBody),
    Own(Option<Bytes>),
}

impl ResponseBody {
    /// Streams the upstream's body.
    pub fn upstream(body: AnswerBody, exchange: Exchange) -> Self {
        Self { source: Source::Upstream(body), exchange }
    }

    /// Sends `bytes`.
    pub fn own(bytes: Bytes, exchange: Exchange) -> Self {
        Self { source: Source::Own(Some(bytes).filter(|bytes| !bytes.is_empty())), exchange }
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
        let mut frame = match &mut this.source {
            Source::Own(bytes) => return Poll::Ready(bytes.take().map(|b| Ok(Frame::data(b)))),
            Source::Upstream(body) => ready!(Pin::new(body).poll_frame(cx)),
        };
        match &mut frame {
            Some(Ok(frame)) => {
                this.exchange.passed(frame.data_ref());
                if let Some(trailers) = frame.trailers_mut() {
                    super::filter(trailers);
                }
            }
            Some(Err(_)) => this.exchange.broke_off(),
            None => {}
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        match &self.source {
            Source::Own(bytes) => bytes.is_none(),
            Source::Upstream(body) => body.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.source {
            Source::Own(bytes) => {
                SizeHint::with_exact(bytes.as_ref().map_or(0, |bytes| bytes.len() as u64))
            }
            Source::Upstream(body) => body.size_hint(),
        }
    }
}
