//! The body of an upstream's answer, as it streams through, whichever HTTP version brings it.

use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use h2::{Reason, RecvStream};
use http_body::{Body, Frame, SizeHint};
use hyper::body::Incoming;
use thiserror::Error;

use super::h1::H1Lease;
use super::h2::H2Lease;
use super::load::InFlight;

/// The answer's body broke off; the client has to see that it is not whole.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("the upstream's answer broke off")]
pub struct BrokenOff;

/// A streaming body. Its connection goes back to the pool when it has been read to its end.
pub struct AnswerBody {
    version: Version,
    _in_flight: InFlight,
}

enum Version {
    Http1 { incoming: Incoming, lease: H1Lease },
    Http2 { stream: RecvStream, data_ended: bool, remaining: Option<u64>, _lease: H2Lease },
}

impl AnswerBody {
    pub(super) fn http1(incoming: Incoming, mut lease: H1Lease, in_flight: InFlight) -> Self {
        lease.answered = incoming.is_end_stream();
        Self { version: Version::Http1 { incoming, lease }, _in_flight: in_flight }
    }

    /// `length` is what the head declares; with HTTP/2 it is checked here, since a peer that
    /// resets with NO_ERROR could otherwise make half a body look whole.
    pub(super) fn http2(
        stream: RecvStream,
        length: Option<u64>,
        lease: H2Lease,
        in_flight: InFlight,
    ) -> Self {
        let version =
            Version::Http2 { stream, data_ended: false, remaining: length, _lease: lease };
        Self { version, _in_flight: in_flight }
    }
}

impl Body for AnswerBody {
    type Data = Bytes;
    type Error = BrokenOff;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BrokenOff>>> {
        match &mut self.get_mut().version {
            Version::Http1 { incoming, lease } => {
                let frame = ready!(Pin::new(&mut *incoming).poll_frame(cx));
                lease.answered = frame.is_none() || incoming.is_end_stream();
                Poll::Ready(frame.map(|frame| frame.map_err(|_| BrokenOff)))
            }
            Version::Http2 { stream, data_ended, remaining, .. } => {
                if !*data_ended {
                    match ready!(stream.poll_data(cx)) {
                        Some(data) => return Poll::Ready(received(stream, data, remaining)),
                        None => *data_ended = true,
                    }
                }
                let trailers = match ready!(stream.poll_trailers(cx)) {
                    Ok(Some(trailers)) => Some(Ok(Frame::trailers(trailers))),
                    Ok(None) => None,
                    Err(_) => Some(Err(BrokenOff)),
                };
                Poll::Ready(trailers)
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        match &self.version {
            Version::Http1 { incoming, .. } => incoming.is_end_stream(),
            Version::Http2 { stream, .. } => stream.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.version {
            Version::Http1 { incoming, .. } => incoming.size_hint(),
            Version::Http2 { remaining: Some(rest), .. } => SizeHint::with_exact(*rest),
            Version::Http2 { stream, .. } if stream.is_end_stream() => SizeHint::with_exact(0),
            Version::Http2 { .. } => SizeHint::default(),
        }
    }
}

fn received(
    stream: &mut RecvStream,
    data: Result<Bytes, h2::Error>,
    remaining: &mut Option<u64>,
) -> Option<Result<Frame<Bytes>, BrokenOff>> {
    match data {
        Ok(data) => {
            let length = data.len();
            // The credit goes back as the part goes on: a client that reads slowly slows the
            // upstream down, and only for its own stream.
            let _ = stream.flow_control().release_capacity(length);
            if let Some(rest) = remaining {
                *rest = rest.saturating_sub(length as u64);
            }
            Some(Ok(Frame::data(data)))
        }
        // A whole answer to an unfinished request may be followed by RST_STREAM with NO_ERROR
        // (RFC 9113, section 8.1).
        Err(error) if error.reason() == Some(Reason::NO_ERROR) && *remaining == Some(0) => None,
        Err(_) => Some(Err(BrokenOff)),
    }
}
