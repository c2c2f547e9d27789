//! Sending a request to the upstream and handing back the answer as it streams.
//!
//! One [`Upstream`] a core. Behind it are HTTP/1.1 and HTTP/2: HTTP/2 puts many requests into few
//! system calls and wins where much is in flight, HTTP/1.1 wins for a single client and for large
//! answers, so the number of requests in flight on this core chooses. A request is sent a second
//! time only where the first cannot have changed anything (see [`Upstream::send`]). This module
//! knows nothing of accounts, clients or tokens.

pub mod answer;
pub mod connect;
mod h1;
mod h2;
pub mod hop_headers;
mod load;
pub mod outbound_proxy;
pub mod replay;
mod stream;
pub mod tls;

use std::future::poll_fn;
use std::rc::Rc;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use answer::AnswerBody;
use connect::{ConnectError, Connector};
use h1::{H1Connection, H1Pool};
use h2::{H2Checkout, H2Exchange, H2Pool};
use http::header::{CONTENT_LENGTH, HOST, HeaderValue};
use http::request::Parts;
use http::uri::PathAndQuery;
use http::{Method, Request, Response, Uri, Version};
use load::{InFlight, Load};
use replay::{BodyFailure, BodyProgress, RequestBody};
use thiserror::Error;

use crate::deadline::Deadlines;
use crate::types::clock::SharedClock;
use crate::types::origin::Origin;

/// From this many requests in flight on a core, HTTP/2 is used.
const HTTP2_FROM: usize = 5;

/// Why no answer came.
#[derive(Clone, Debug, Error)]
pub enum SendFailure {
    /// No connection: DNS, TCP, TLS or the outbound proxy.
    #[error("{0}")]
    Unreachable(Arc<ConnectError>),
    /// The connection ended before the head of the answer. `sent`: a byte of the request had left.
    #[error("the upstream closed the connection before it answered")]
    Closed { sent: bool },
    /// What came is not HTTP.
    #[error("the upstream's answer is not HTTP")]
    NotHttp,
    /// No head within the time-out.
    #[error("the upstream did not answer in time")]
    TimedOut { sent: bool },
    /// This core's limit of upstream connections is reached.
    #[error("too many connections to the upstream are open")]
    Overloaded,
    /// The request's own body failed.
    #[error("{0}")]
    RequestBody(BodyFailure),
}

impl From<ConnectError> for SendFailure {
    fn from(error: ConnectError) -> Self {
        Self::Unreachable(Arc::new(error))
    }
}

/// One attempt brought no answer.
enum Unsent {
    /// Not a byte of it was written; here it is back.
    NotWritten(Box<Request<RequestBody>>),
    /// The peer says that it has not processed it (RFC 9113, section 8.7).
    Unprocessed,
    /// The connection ended without a byte of an answer.
    NoAnswer { sent: bool },
    /// Not to be tried again.
    Failed(SendFailure),
}

/// A head to send: `uri` holds the path and query alone.
pub struct Outgoing {
    pub head: Parts,
    pub body: RequestBody,
}

/// The upstream, as seen from one core.
pub struct Upstream {
    origin: Arc<Origin>,
    host: HeaderValue,
    h1: Rc<H1Pool>,
    h2: Rc<H2Pool>,
    load: Load,
    deadlines: Deadlines,
}

/// The copy of a head that a second attempt would need.
struct Spare {
    head: Parts,
    progress: BodyProgress,
}

impl Upstream {
    /// `response_timeout` is from the last progress of the request body to the answer's head.
    pub fn new(
        origin: Arc<Origin>,
        connector: Connector,
        response_timeout: Duration,
        clock: SharedClock,
    ) -> Rc<Self> {
        let h1 = H1Pool::new(connector.clone(), SharedClock::clone(&clock));
        let h2 = H2Pool::new(connector, clock, Rc::clone(&h1));
        // An authority is visible ASCII, which is what a header value may hold.
        let host = HeaderValue::from_str(origin.authority().as_str())
            .unwrap_or_else(|_| HeaderValue::from_static(""));
        let deadlines = Deadlines::new(response_timeout);
        Rc::new(Self { origin, host, h1, h2, load: Load::default(), deadlines })
    }

    /// The origin that every request goes to.
    pub fn origin(&self) -> &Origin {
        &self.origin
    }

    /// Sends the request and waits for the head of the answer.
    ///
    /// It is tried once more, on a fresh connection, when not a byte of it was written; when
    /// HTTP/2 says that it was not processed and the body is still held; and when a GET, HEAD or
    /// OPTIONS without a body met a reused connection that ended before any byte of an answer.
    pub async fn send(&self, outgoing: Outgoing) -> Result<Response<AnswerBody>, SendFailure> {
        let in_flight = self.load.enter();
        let progress = outgoing.body.progress();
        let exchange = self.send_untimed(outgoing, in_flight);
        self.within_response_timeout(exchange, &progress).await
    }

    async fn send_untimed(
        &self,
        mut outgoing: Outgoing,
        in_flight: InFlight,
    ) -> Result<Response<AnswerBody>, SendFailure> {
        let mut fresh_only = false;
        let mut use_http1 = self.load.now() < HTTP2_FROM || !self.h2.is_usable();
        loop {
            if !use_http1 {
                match self.h2.checkout().await? {
                    H2Checkout::UseHttp1 => use_http1 = true,
                    H2Checkout::Connection(exchange) => {
                        let reused = exchange.reused && !fresh_only;
                        match self.over_http2(exchange, outgoing).await {
                            Ok((answer, lease)) => {
                                return Ok(http2_answer(answer, lease, in_flight));
                            }
                            Err((unsent, spare)) => {
                                outgoing = second_attempt(unsent, spare, reused)?
                            }
                        }
                        // HTTP/1.1 gives a connection that is surely fresh.
                        (fresh_only, use_http1) = (true, true);
                    }
                }
                continue;
            }
            let idle = if fresh_only { None } else { self.h1.take_idle() };
            let reused = idle.is_some();
            let connection = match idle {
                Some(connection) => connection,
                None => Box::pin(self.h1.open()).await?,
            };
            match self.over_http1(connection, reused, outgoing).await {
                Ok(answer) => {
                    let (answer, lease) = answer;
                    return Ok(answer.map(|body| AnswerBody::http1(body, lease, in_flight)));
                }
                Err((unsent, spare)) => outgoing = second_attempt(unsent, spare, reused)?,
            }
            fresh_only = true;
        }
    }

    async fn over_http1(
        &self,
        connection: H1Connection,
        reused: bool,
        outgoing: Outgoing,
    ) -> Result<(Response<hyper::body::Incoming>, h1::H1Lease), (Unsent, Option<Spare>)> {
        let Outgoing { mut head, body } = outgoing;
        let spare = (reused && is_repeatable(&head.method, &body)).then(|| spare(&head, &body));
        let path = path_and_query(&head.uri);
        head.uri = Uri::from(path);
        head.version = Version::HTTP_11;
        head.headers.insert(HOST, self.host.clone());
        declare_chunked(&mut head, &body);
        let request = Request::from_parts(head, body);
        connection.exchange(&self.h1, request).await.map_err(|unsent| (unsent, spare))
    }

    async fn over_http2(
        &self,
        exchange: H2Exchange,
        outgoing: Outgoing,
    ) -> Result<(Response<::h2::RecvStream>, h2::H2Lease), (Unsent, Option<Spare>)> {
        let Outgoing { mut head, body } = outgoing;
        let spare = Some(spare(&head, &body));
        match self.absolute(path_and_query(&head.uri)) {
            Ok(uri) => head.uri = uri,
            Err(_) => return Err((Unsent::Failed(SendFailure::NotHttp), None)),
        }
        head.version = Version::HTTP_2;
        head.headers.remove(HOST);
        let request = Request::from_parts(head, body);
        exchange.run(request).await.map_err(|unsent| (unsent, spare))
    }

    /// The target is built from parts; that its host is the upstream's is looked at once more.
    fn absolute(&self, path: PathAndQuery) -> Result<Uri, http::Error> {
        let uri = Uri::builder()
            .scheme(self.origin.scheme().clone())
            .authority(self.origin.authority().clone())
            .path_and_query(path)
            .build()?;
        debug_assert_eq!(uri.authority(), Some(self.origin.authority()));
        Ok(uri)
    }

    async fn within_response_timeout<T>(
        &self,
        exchange: impl Future<Output = Result<T, SendFailure>>,
        progress: &BodyProgress,
    ) -> Result<T, SendFailure> {
        let mut exchange = std::pin::pin!(exchange);
        let mut deadline = self.deadlines.started();
        let mut passed = 0;
        poll_fn(|cx| {
            if let Poll::Ready(outcome) = exchange.as_mut().poll(cx) {
                return Poll::Ready(outcome);
            }
            while deadline.poll_expired(cx).is_ready() {
                // An upload that is still moving is not a silent upstream.
                let now = progress.passed();
                if now == passed {
                    return Poll::Ready(Err(SendFailure::TimedOut { sent: true }));
                }
                passed = now;
                deadline.restart();
            }
            Poll::Pending
        })
        .await
    }
}

fn http2_answer(
    answer: Response<::h2::RecvStream>,
    lease: h2::H2Lease,
    in_flight: InFlight,
) -> Response<AnswerBody> {
    let length = answer.headers().get(CONTENT_LENGTH).and_then(|v| v.to_str().ok()?.parse().ok());
    answer.map(|stream| AnswerBody::http2(stream, length, lease, in_flight))
}

fn path_and_query(uri: &Uri) -> PathAndQuery {
    uri.path_and_query().cloned().unwrap_or_else(|| PathAndQuery::from_static("/"))
}

/// hyper takes a GET without `Content-Length` for one without a body; say that there is one.
fn declare_chunked(head: &mut Parts, body: &RequestBody) {
    if !body.is_empty() && !head.headers.contains_key(CONTENT_LENGTH) {
        head.headers.insert(http::header::TRANSFER_ENCODING, HeaderValue::from_static("chunked"));
    }
}

fn is_repeatable(method: &Method, body: &RequestBody) -> bool {
    body.is_empty() && matches!(*method, Method::GET | Method::HEAD | Method::OPTIONS)
}

fn spare(head: &Parts, body: &RequestBody) -> Spare {
    Spare { head: head.clone(), progress: body.progress() }
}

/// What to send again, or the failure when it must not be.
fn second_attempt(
    unsent: Unsent,
    spare: Option<Spare>,
    reused: bool,
) -> Result<Outgoing, SendFailure> {
    let failure = match unsent {
        Unsent::Failed(failure) => return Err(failure),
        Unsent::NotWritten(request) if reused => {
            let (head, body) = request.into_parts();
            return Ok(Outgoing { head, body });
        }
        Unsent::NotWritten(_) => SendFailure::Closed { sent: false },
        Unsent::Unprocessed => {
            return spare.and_then(Spare::again).ok_or(SendFailure::Closed { sent: true });
        }
        Unsent::NoAnswer { sent } => SendFailure::Closed { sent },
    };
    let repeatable = spare.filter(|spare| {
        let method = &spare.head.method;
        reused && matches!(*method, Method::GET | Method::HEAD | Method::OPTIONS)
    });
    match repeatable {
        Some(spare) if spare.progress.is_absent() => spare.again().ok_or(failure),
        _ => Err(failure),
    }
}

impl Spare {
    fn again(self) -> Option<Outgoing> {
        let body = self.progress.again()?;
        Some(Outgoing { head: self.head, body })
    }
}
