//! One attempt to send a request, over either HTTP version, until the head of its answer is there.
//!
//! A hand-written future: it is part of every request's future, and whatever it holds is moved
//! with it.

use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use ::h2::RecvStream;
use http::Response;
use http::header::CONTENT_LENGTH;
use hyper::body::Incoming;
use pin_project_lite::pin_project;
use tokio::time::{Instant, Sleep, sleep_until};

use super::again::Again;
use super::answer::AnswerBody;
use super::h1::H1Lease;
use super::h2::{H2Lease, H2Pending};
use super::load::InFlight;
use super::replay::{BodyFailure, BodyProgress};
use super::{SendFailure, Unsent};
use crate::deadline::Deadline;
use crate::telemetry::record::Via;

/// An exchange over HTTP/1.1; hyper's futures have no name.
pub(super) trait Http1Exchange: Future<Output = Http1Outcome> {}

impl<F: Future<Output = Http1Outcome>> Http1Exchange for F {}

type Http1Outcome = Result<(Response<Incoming>, H1Lease), Unsent>;

pin_project! {
    /// One attempt under the response time-out.
    pub(super) struct Exchange<F> {
        #[pin]
        pub(super) attempt: Attempt<F>,
        pub(super) again: Option<Again>,
        // Whether the connection had carried requests before.
        pub(super) reused: bool,
        pub(super) deadline: Deadline,
        pub(super) progress: BodyProgress,
        // How long the upstream may be silent.
        pub(super) patience: Duration,
        // What is left of that after the last part of an upload.
        pub(super) rest: Option<Pin<Box<Sleep>>>,
    }
}

pin_project! {
    #[project = AttemptProjection]
    pub(super) enum Attempt<F> {
        Http1 { #[pin] exchange: F },
        Http2 { exchange: H2Pending },
        Ended { unsent: Option<Unsent> },
    }
}

/// The body of an answer, not yet counted as in flight.
pub(super) enum Received {
    Http1(Incoming, H1Lease),
    Http2 { stream: RecvStream, length: Option<u64>, lease: H2Lease },
}

impl<F> Attempt<F> {
    pub(super) fn of_http2(begun: Result<H2Pending, Unsent>) -> Self {
        match begun {
            Ok(exchange) => Self::Http2 { exchange },
            Err(unsent) => Self::Ended { unsent: Some(unsent) },
        }
    }
}

impl Received {
    pub(super) fn into_body(self, in_flight: InFlight) -> AnswerBody {
        match self {
            Self::Http1(body, lease) => AnswerBody::http1(body, lease, in_flight),
            Self::Http2 { stream, length, lease } => {
                AnswerBody::http2(stream, length, lease, in_flight)
            }
        }
    }
}

impl<F: Http1Exchange> Attempt<F> {
    fn poll_head(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Result<Response<Received>, Unsent>> {
        match self.project() {
            AttemptProjection::Http1 { exchange } => {
                let (answer, lease) = ready!(exchange.poll(cx))?;
                Poll::Ready(Ok(answer.map(|body| Received::Http1(body, lease))))
            }
            AttemptProjection::Http2 { exchange } => {
                let (answer, lease) = ready!(exchange.poll_answer(cx))?;
                let length = answer.headers().get(CONTENT_LENGTH);
                let length = length.and_then(|value| value.to_str().ok()?.parse().ok());
                Poll::Ready(Ok(answer.map(|stream| Received::Http2 { stream, length, lease })))
            }
            AttemptProjection::Ended { unsent } => {
                Poll::Ready(Err(unsent.take().unwrap_or(Unsent::NoAnswer { sent: true })))
            }
        }
    }
}

impl<F> Exchange<F> {
    /// The connection that it is put on.
    pub(super) fn via(&self) -> Via {
        let http2 = !matches!(self.attempt, Attempt::Http1 { .. });
        Via { http2, reused: self.reused, second_attempt: false }
    }
}

impl<F: Http1Exchange> Future for Exchange<F> {
    type Output = Result<(Response<Received>, Option<Again>), (Unsent, Option<Again>)>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        if let Poll::Ready(outcome) = this.attempt.poll_head(cx) {
            let again = this.again.take();
            return Poll::Ready(match outcome {
                Ok(answer) => Ok((answer, again)),
                Err(unsent) => Err((unsent, again)),
            });
        }
        ready!(this.deadline.poll_expired(cx));
        // An upload that has moved since is not a silent upstream.
        while let Some(moved) = this.progress.moved() {
            let until = moved + *this.patience;
            if until <= Instant::now() {
                break;
            }
            let rest = this.rest.get_or_insert_with(|| Box::pin(sleep_until(until)));
            if rest.deadline() != until {
                rest.as_mut().reset(until);
            }
            ready!(rest.as_mut().poll(cx));
        }
        // The upstream cannot answer what it has not been told.
        let failure = match this.progress.is_starved() {
            true => SendFailure::RequestBody(BodyFailure::Stalled),
            false => SendFailure::TimedOut { sent: true },
        };
        Poll::Ready(Err((Unsent::Failed(failure), None)))
    }
}
