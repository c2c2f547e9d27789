//! HTTP/2 to the upstream (RFC 9113): this core's connections and one exchange on one of them.
//!
//! The `h2` crate is driven directly: between a client's message and the frames there is no other
//! layer, and what a reset or a GOAWAY says about a request is seen as it was sent.

use std::cell::{Cell, RefCell};
use std::future::poll_fn;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, Waker, ready};
use std::time::Duration;

use bytes::Bytes;
use h2::client::{ResponseFuture, SendRequest};
use h2::{Reason, RecvStream, SendStream};
use http::{Request, Response};
use http_body::Body;
use tokio::sync::Notify;

use super::connect::{Connector, Wanted};
use super::h1::H1Pool;
use super::replay::{BodyProgress, RequestBody};
use super::stream::in_turns::InTurns;
use super::{SendFailure, Unsent};
use crate::types::clock::{SharedClock, WallTime};

/// Flow-control credit of one answer, in bytes.
const STREAM_WINDOW: u32 = 1024 * 1024;
/// Credit of all answers of a connection together: large, so that a client that does not read its
/// answer does not hold up the others.
const CONNECTION_WINDOW: u32 = 64 * 1024 * 1024;
/// Bytes of request bodies buffered for one stream.
const SEND_BUFFER: usize = 256 * 1024;
/// Streams until the peer says how many it takes (RFC 9113, section 6.5.2 recommends no fewer than
/// 100 as a limit): more would be refused, and cannot always be sent again.
const STREAMS_AT_FIRST: usize = 100;
const MAX_HEADER_LIST: u32 = 256 * 1024;
/// Connections of one core; a further one is opened when the peer's limit on streams is reached.
const MAX_CONNECTIONS: usize = 8;
/// A connection that carried nothing for longer is not used again (wall clock, as in `h1`).
const IDLE_LIMIT: Duration = Duration::from_secs(30);
/// How long a peer that chose HTTP/1.1 is not asked again.
const REFUSAL_HOLDS: Duration = Duration::from_secs(600);

/// One open connection, shared by the requests on it.
pub(super) struct H2Connection {
    sender: SendRequest<Bytes>,
    streams: Rc<Cell<usize>>,
    last_used: Rc<Cell<WallTime>>,
    alive: Rc<Cell<bool>>,
    used: Cell<bool>,
}

/// This core's HTTP/2 connections.
pub(super) struct H2Pool {
    connector: Connector,
    clock: SharedClock,
    h1: Rc<H1Pool>,
    connections: RefCell<Vec<H2Connection>>,
    connecting: Cell<bool>,
    connected: Notify,
    last_failure: RefCell<Option<SendFailure>>,
    refused_at: Cell<Option<WallTime>>,
    reaping: Cell<bool>,
}

/// Counts a stream for as long as its answer is read.
pub(super) struct H2Lease {
    streams: Rc<Cell<usize>>,
    last_used: Rc<Cell<WallTime>>,
    clock: SharedClock,
}

impl Drop for H2Lease {
    fn drop(&mut self) {
        self.streams.set(self.streams.get() - 1);
        self.last_used.set(self.clock.now());
    }
}

/// The way to one connection for one request.
pub(super) enum H2Checkout {
    Connection(H2Exchange),
    /// The peer does not speak HTTP/2.
    UseHttp1,
}

/// A connection with a place reserved on it.
pub(super) struct H2Exchange {
    sender: SendRequest<Bytes>,
    lease: H2Lease,
    /// Its connection takes further streams.
    alive: Rc<Cell<bool>>,
    /// Whether other requests have been on this connection before.
    pub(super) reused: bool,
}

impl H2Pool {
    pub(super) fn new(connector: Connector, clock: SharedClock, h1: Rc<H1Pool>) -> Rc<Self> {
        Rc::new(Self {
            connector,
            clock,
            h1,
            connections: RefCell::default(),
            connecting: Cell::new(false),
            connected: Notify::new(),
            last_failure: RefCell::default(),
            refused_at: Cell::new(None),
            reaping: Cell::new(false),
        })
    }

    /// Whether HTTP/2 is worth asking for.
    pub(super) fn is_usable(&self) -> bool {
        let refused = |at: WallTime| {
            let now = self.clock.now();
            at <= now && at.until(now) < REFUSAL_HOLDS
        };
        self.connector.can_offer_http2() && !self.refused_at.get().is_some_and(refused)
    }

    /// A place on a connection, opened if need be; one opening serves all who wait for it.
    pub(super) async fn checkout(self: &Rc<Self>) -> Result<H2Checkout, SendFailure> {
        loop {
            if let Some(exchange) = self.reserve() {
                return Ok(H2Checkout::Connection(exchange));
            }
            if !self.is_usable() || (self.connecting.get() && self.h1.has_idle()) {
                return Ok(H2Checkout::UseHttp1);
            }
            let connected = self.connected.notified();
            tokio::pin!(connected);
            connected.as_mut().enable();
            self.start_connecting();
            connected.await;
            if let Some(failure) = self.last_failure.borrow().clone() {
                return Err(failure);
            }
        }
    }

    /// A place on a connection that is open.
    pub(super) fn reserve(&self) -> Option<H2Exchange> {
        let now = self.clock.now();
        let mut connections = self.connections.borrow_mut();
        connections.retain(|c| c.is_usable(now));
        let full = connections.len() >= MAX_CONNECTIONS;
        let connection = connections.iter().min_by_key(|c| c.streams.get())?;
        let has_room = connection.streams.get() < connection.sender.current_max_send_streams();
        // When every connection is at its peer's limit, h2 queues the stream.
        (has_room || full).then(|| connection.reserve(&self.clock))
    }

    fn start_connecting(self: &Rc<Self>) {
        if self.connecting.replace(true) {
            return;
        }
        let pool = Rc::clone(self);
        tokio::task::spawn_local(async move {
            let failure = pool.connect().await.err();
            *pool.last_failure.borrow_mut() = failure;
            pool.connecting.set(false);
            pool.connected.notify_waiters();
        });
    }

    async fn connect(self: &Rc<Self>) -> Result<(), SendFailure> {
        let stream = self.connector.connect(Wanted::Http2).await?;
        if !stream.speaks_http2() {
            self.refused_at.set(Some(self.clock.now()));
            return self.h1.adopt_stream(stream).await;
        }
        let handshake = h2::client::Builder::new()
            .initial_window_size(STREAM_WINDOW)
            .initial_connection_window_size(CONNECTION_WINDOW)
            .max_send_buffer_size(SEND_BUFFER)
            .max_header_list_size(MAX_HEADER_LIST)
            .initial_max_send_streams(STREAMS_AT_FIRST)
            .enable_push(false)
            .handshake(InTurns::new(stream))
            .await;
        let (sender, connection) = handshake.map_err(|_| SendFailure::Closed { sent: false })?;
        let alive = Rc::new(Cell::new(true));
        let ended = Rc::clone(&alive);
        tokio::task::spawn_local(async move {
            // What went wrong reaches each stream by itself.
            let _ = connection.await;
            ended.set(false);
        });
        self.connections.borrow_mut().push(H2Connection {
            sender,
            streams: Rc::default(),
            last_used: Rc::new(Cell::new(self.clock.now())),
            alive,
            used: Cell::new(false),
        });
        self.keep_reaping();
        Ok(())
    }

    /// Closes connections that carry nothing any more; ends when none is left.
    fn keep_reaping(self: &Rc<Self>) {
        if self.reaping.replace(true) {
            return;
        }
        let pool = Rc::downgrade(self);
        tokio::task::spawn_local(async move {
            loop {
                tokio::time::sleep(IDLE_LIMIT / 2).await;
                let Some(pool) = pool.upgrade() else { return };
                let now = pool.clock.now();
                let mut connections = pool.connections.borrow_mut();
                connections.retain(|c| c.is_usable(now));
                if connections.is_empty() {
                    pool.reaping.set(false);
                    return;
                }
            }
        });
    }
}

impl H2Connection {
    fn is_usable(&self, now: WallTime) -> bool {
        let last = self.last_used.get();
        let recent = last <= now && last.until(now) < IDLE_LIMIT;
        self.alive.get() && (recent || self.streams.get() > 0)
    }

    fn reserve(&self, clock: &SharedClock) -> H2Exchange {
        let reused = self.used.replace(true);
        self.streams.set(self.streams.get() + 1);
        let lease = H2Lease {
            streams: Rc::clone(&self.streams),
            last_used: Rc::clone(&self.last_used),
            clock: SharedClock::clone(clock),
        };
        let alive = Rc::clone(&self.alive);
        H2Exchange { sender: self.sender.clone(), lease, alive, reused }
    }
}

impl H2Exchange {
    /// Puts `request` on the connection.
    pub(super) fn begin(mut self, request: Request<RequestBody>) -> Result<H2Pending, Unsent> {
        // Ready at once for a handle that has no stream queued, and this one is new; what it tells
        // is whether the connection still takes streams.
        let mut cx = Context::from_waker(Waker::noop());
        if !matches!(self.sender.poll_ready(&mut cx), Poll::Ready(Ok(()))) {
            // It goes on until its streams have ended, which may be long.
            self.alive.set(false);
            return Err(Unsent::NotWritten(Box::new(request)));
        }
        let progress = request.body().progress();
        let (head, body) = request.into_parts();
        let ends = body.is_end_stream();
        let sent = self.sender.send_request(Request::from_parts(head, ()), ends);
        let (answer, stream) = sent.map_err(|_| Unsent::NoAnswer { sent: false })?;
        let body = (!ends).then(|| Box::new(SendBody { stream, body, pending: Bytes::new() }));
        Ok(H2Pending { answer, body, progress, lease: Some(self.lease), alive: self.alive })
    }
}

/// A request whose answer is awaited.
pub(super) struct H2Pending {
    answer: ResponseFuture,
    body: Option<Box<SendBody>>,
    progress: BodyProgress,
    lease: Option<H2Lease>,
    alive: Rc<Cell<bool>>,
}

impl H2Pending {
    /// Sends the body while waiting for the answer. A head that comes first does not stop the
    /// body: it goes on beside the answer, until the peer resets the stream or it is taken away.
    pub(super) fn poll_answer(
        &mut self,
        cx: &mut Context<'_>,
    ) -> Poll<Result<(Response<RecvStream>, H2Lease), Unsent>> {
        if let Some(body) = &mut self.body
            && body.poll_sent(cx).is_ready()
        {
            self.body = None;
        }
        let answer = match ready!(Pin::new(&mut self.answer).poll(cx)) {
            Ok(answer) => answer,
            Err(error) => {
                self.alive.set(self.alive.get() && !error.is_go_away());
                return Poll::Ready(Err(explain(&error, &self.progress)));
            }
        };
        if let Some(mut rest) = self.body.take() {
            tokio::task::spawn_local(async move { poll_fn(|cx| rest.poll_sent(cx)).await });
        }
        let lease = self.lease.take().ok_or(Unsent::NoAnswer { sent: true })?;
        Poll::Ready(Ok((answer, lease)))
    }
}

/// A request body on its way into a stream.
struct SendBody {
    stream: SendStream<Bytes>,
    body: RequestBody,
    pending: Bytes,
}

impl SendBody {
    /// Ready when all has been handed to the stream, or the stream is of no use any more.
    fn poll_sent(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        loop {
            if self.stream.poll_reset(cx).is_ready() {
                return Poll::Ready(());
            }
            if !self.pending.is_empty() {
                if ready!(self.poll_pending(cx)).is_err() {
                    return Poll::Ready(());
                }
                continue;
            }
            match ready!(Pin::new(&mut self.body).poll_frame(cx)) {
                None => {
                    let _ = self.stream.send_data(Bytes::new(), true);
                    return Poll::Ready(());
                }
                Some(Err(_)) => {
                    self.stream.send_reset(Reason::CANCEL);
                    return Poll::Ready(());
                }
                Some(Ok(frame)) => match frame.into_data() {
                    Ok(data) => self.pending = data,
                    Err(frame) => {
                        let trailers = frame.into_trailers().unwrap_or_default();
                        let _ = self.stream.send_trailers(trailers);
                        return Poll::Ready(());
                    }
                },
            }
            if self.pending.is_empty() {
                continue;
            }
            self.stream.reserve_capacity(self.pending.len());
        }
    }

    /// Sends as much of the pending part as the peer's window allows.
    fn poll_pending(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), ()>> {
        let capacity = match ready!(self.stream.poll_capacity(cx)) {
            Some(Ok(capacity)) => capacity.min(self.pending.len()),
            Some(Err(_)) | None => return Poll::Ready(Err(())),
        };
        if capacity == 0 {
            return Poll::Ready(Ok(()));
        }
        let part = self.pending.split_to(capacity);
        let ends = self.pending.is_empty() && self.body.is_end_stream();
        if self.stream.send_data(part, ends).is_err() || ends {
            return Poll::Ready(Err(()));
        }
        Poll::Ready(Ok(()))
    }
}

fn explain(error: &h2::Error, progress: &BodyProgress) -> Unsent {
    if let Some(failure) = progress.failure() {
        return Unsent::Failed(SendFailure::RequestBody(failure));
    }
    let refused = error.is_reset() && error.reason() == Some(Reason::REFUSED_STREAM);
    // GOAWAY ends just the streams above the last one that the peer says it may have processed.
    if error.is_remote() && (refused || error.is_go_away()) {
        return Unsent::Unprocessed;
    }
    if error.is_io() {
        return Unsent::NoAnswer { sent: true };
    }
    Unsent::Failed(SendFailure::Closed { sent: true })
}
