//! Sending a request to the upstream and handing back the answer as it streams.
//!
//! One [`Upstream`] a core. Behind it are HTTP/1.1 and HTTP/2: HTTP/2 puts many requests into few
//! system calls and wins where much is in flight, HTTP/1.1 wins for a single client and for large
//! answers, so the number of requests in flight on this core chooses. A request is sent a second
//! time only where the first cannot have changed anything (see [`Upstream::send`]). This module
//! knows nothing of accounts, clients or tokens.

pub mod again;
pub mod answer;
pub mod connect;
pub mod h1;
mod h2;
pub mod hop_headers;
mod load;
pub mod outbound_proxy;
pub mod replay;
mod stream;
mod exchange;
pub mod tls;

use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use again::Again;
use answer::AnswerBody;
use connect::{ConnectError, Connector};
use exchange::{Attempt, Exchange, Http1Exchange, Received};
use h1::{H1Connection, H1Pool};
use h2::{H2Checkout, H2Exchange, H2Pool};
use http::header::{CONTENT_LENGTH, HOST, HeaderValue, TRANSFER_ENCODING};
use http::request::Parts;
use http::uri::PathAndQuery;
use http::{Method, Request, Response, Uri, Version};
use http_body::Body;
use load::Load;
use replay::{BodyFailure, RequestBody};
use thiserror::Error;

use crate::deadline::Deadlines;
use crate::telemetry::record::Via;
use crate::types::clock::SharedClock;
use crate::types::origin::Origin;

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

/// An answer, and what it takes to send its request again, where that was asked for.
pub struct Sent {
    pub answer: Response<AnswerBody>,
    pub again: Option<Again>,
    pub via: Via,
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

/// A connection that a request can be put on.
enum Connection {
    Http1 { connection: H1Connection, reused: bool },
    Http2(H2Exchange),
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

    /// Sends the request and waits for the head of the answer.
    ///
    /// It is tried once more, on a fresh connection, when not a byte of it was written; when
    /// HTTP/2 says that it was not processed and the body is still held; and when a GET, HEAD or
    /// OPTIONS without a body met a reused connection that ended before any byte of an answer.
    ///
    /// With `keep`, the answer comes with the means to send the request once more.
    pub async fn send(&self, outgoing: Outgoing, keep: bool) -> Result<Sent, SendFailure> {
        let in_flight = self.load.enter();
        // Everything but the wait for the answer is boxed where it is rare: the future of a request
        // is moved as a whole when it starts, and its size is time.
        let connection = match self.open_connection() {
            Some(connection) => connection,
            None => Box::pin(self.connect()).await?,
        };
        let exchange = self.begin(connection, outgoing, keep);
        let mut via = exchange.via();
        let (answer, again) = match exchange.await {
            Ok(outcome) => outcome,
            Err((unsent, again)) => {
                let outgoing = second_attempt(unsent, again, via.reused)?;
                via = Via { http2: false, reused: false, second_attempt: true };
                Box::pin(self.send_on_fresh_connection(outgoing, keep)).await?
            }
        };
        let answer = answer.map(|received| received.into_body(in_flight));
        Ok(Sent { answer, again: again.filter(|_| keep), via })
    }

    /// A connection that a request can be put on at once.
    fn open_connection(&self) -> Option<Connection> {
        if self.prefers_http2() {
            return self.h2.reserve().map(Connection::Http2);
        }
        self.h1.take_idle().map(|connection| Connection::Http1 { connection, reused: true })
    }

    fn prefers_http2(&self) -> bool {
        self.load.is_high() && self.h2.is_usable()
    }

    async fn connect(&self) -> Result<Connection, SendFailure> {
        if self.prefers_http2()
            && let H2Checkout::Connection(exchange) = self.h2.checkout().await?
        {
            return Ok(Connection::Http2(exchange));
        }
        if let Some(connection) = self.h1.take_idle() {
            return Ok(Connection::Http1 { connection, reused: true });
        }
        let connection = self.h1.open().await?;
        Ok(Connection::Http1 { connection, reused: false })
    }

    /// HTTP/1.1 gives a connection that is surely fresh.
    async fn send_on_fresh_connection(
        &self,
        outgoing: Outgoing,
        keep: bool,
    ) -> Result<(Response<Received>, Option<Again>), SendFailure> {
        let connection = self.h1.open().await?;
        let exchange = self.begin(Connection::Http1 { connection, reused: false }, outgoing, keep);
        exchange.await.map_err(|(unsent, _)| match unsent {
            Unsent::Failed(failure) => failure,
            Unsent::NotWritten(_) => SendFailure::Closed { sent: false },
            Unsent::Unprocessed => SendFailure::Closed { sent: false },
            Unsent::NoAnswer { sent } => SendFailure::Closed { sent },
        })
    }

    /// Puts a request on a connection.
    fn begin(
        &self,
        connection: Connection,
        outgoing: Outgoing,
        keep: bool,
    ) -> Exchange<impl Http1Exchange + use<>> {
        let deadline = self.deadlines.started();
        let progress = outgoing.body.progress();
        let (attempt, again, reused) = match connection {
            Connection::Http1 { connection, reused } => {
                let needed = keep || (reused && is_repeatable(&outgoing));
                let again = needed.then(|| Again::of(&outgoing));
                let request = self.http1_request(outgoing);
                (Attempt::Http1 { exchange: connection.exchange(&self.h1, request) }, again, reused)
            }
            Connection::Http2(exchange) => {
                let again = Some(Again::of(&outgoing));
                let reused = exchange.reused;
                let attempt = match self.http2_request(outgoing) {
                    Ok(request) => Attempt::of_http2(exchange.begin(request)),
                    Err(failure) => Attempt::Ended { unsent: Some(Unsent::Failed(failure)) },
                };
                (attempt, again, reused)
            }
        };
        let patience = self.deadlines.length();
        Exchange { attempt, again, reused, deadline, progress, patience, rest: None }
    }

    fn http1_request(&self, outgoing: Outgoing) -> Request<RequestBody> {
        let Outgoing { mut head, body } = outgoing;
        head.uri = Uri::from(path_and_query(&head.uri));
        head.version = Version::HTTP_11;
        head.headers.insert(HOST, self.host.clone());
        declare_length(&mut head, &body);
        Request::from_parts(head, body)
    }

    fn http2_request(&self, outgoing: Outgoing) -> Result<Request<RequestBody>, SendFailure> {
        let Outgoing { mut head, body } = outgoing;
        head.uri = self.absolute(path_and_query(&head.uri)).ok_or(SendFailure::NotHttp)?;
        head.version = Version::HTTP_2;
        head.headers.remove(HOST);
        Ok(Request::from_parts(head, body))
    }

    /// The target is built from parts; that its host is the upstream's is looked at once more.
    fn absolute(&self, path: PathAndQuery) -> Option<Uri> {
        let uri = Uri::builder()
            .scheme(self.origin.scheme().clone())
            .authority(self.origin.authority().clone())
            .path_and_query(path)
            .build();
        uri.ok().filter(|uri| uri.authority() == Some(self.origin.authority()))
    }
}

fn path_and_query(uri: &Uri) -> PathAndQuery {
    uri.path_and_query().cloned().unwrap_or_else(|| PathAndQuery::from_static("/"))
}

/// What hyper leaves out: that a GET has a body, and that a method which mostly has one has none
/// (RFC 9110, section 8.6).
fn declare_length(head: &mut Parts, body: &RequestBody) {
    if head.headers.contains_key(CONTENT_LENGTH) {
        return;
    }
    // A body that has turned out to be empty is none to hyper.
    if !body.is_end_stream() {
        head.headers.insert(TRANSFER_ENCODING, HeaderValue::from_static("chunked"));
    } else if matches!(head.method, Method::POST | Method::PUT | Method::PATCH) {
        head.headers.insert(CONTENT_LENGTH, HeaderValue::from_static("0"));
    }
}

/// Whether a request cannot have changed anything (RFC 9110, section 9.2.1), as far as HubSpot has
/// such methods.
pub fn is_safe(method: &Method) -> bool {
    matches!(*method, Method::GET | Method::HEAD | Method::OPTIONS)
}

/// May be sent again even when the first may have arrived.
fn is_repeatable(outgoing: &Outgoing) -> bool {
    outgoing.body.is_empty() && is_safe(&outgoing.head.method)
}

/// What to send again, or the failure when it must not be.
fn second_attempt(
    unsent: Unsent,
    again: Option<Again>,
    reused: bool,
) -> Result<Outgoing, SendFailure> {
    match unsent {
        Unsent::Failed(failure) => Err(failure),
        Unsent::NotWritten(request) => {
            let (head, body) = request.into_parts();
            Ok(Outgoing { head, body })
        }
        // Unprocessed is as good as not sent, for the client too.
        Unsent::Unprocessed => {
            again.and_then(Again::outgoing).ok_or(SendFailure::Closed { sent: false })
        }
        Unsent::NoAnswer { sent } => {
            let repeatable = again.filter(|again| reused && (!sent || again.is_repeatable()));
            repeatable.and_then(Again::outgoing).ok_or(SendFailure::Closed { sent })
        }
    }
}
