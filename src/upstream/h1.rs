//! HTTP/1.1 to the upstream: this core's pool of connections, and one exchange on one of them.

use std::cell::{Cell, RefCell};
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use http::{Request, Response};
use hyper::body::Incoming;
use hyper::client::conn::TrySendError;
use hyper::client::conn::http1::{self, SendRequest};
use hyper_util::rt::TokioIo;
use pin_project_lite::pin_project;
use tokio::task::JoinHandle;

use super::connect::{Connector, Wanted};
use super::exchange::Http1Exchange;
use super::replay::{BodyProgress, RequestBody};
use super::stream::{HeldWrites, Traffic, UpstreamStream};
use super::{SendFailure, Unsent};
use crate::types::clock::{SharedClock, WallTime};

/// A connection idle for longer is closed, since the other side may be about to. Wall-clock time:
/// whatever a machine's sleep did to the connection, it is not used after it.
const IDLE_LIMIT: Duration = Duration::from_secs(30);
/// Idle connections kept by one core.
const MAX_IDLE: usize = 512;
/// Open connections of one core.
const MAX_OPEN: usize = 1024;
/// Largest head of an answer that is read, in bytes.
const MAX_HEAD: usize = 256 * 1024;

/// A connection that no request is using.
struct Idle {
    connection: H1Connection,
    since: WallTime,
}

/// One open connection. Dropped, it is closed at once: hyper by itself would go on with a request
/// whose answer nobody waits for, and wait for a body that does not come.
pub struct H1Connection {
    sender: SendRequest<RequestBody>,
    traffic: Rc<Traffic>,
    task: JoinHandle<()>,
    _open: OpenCount,
}

impl Drop for H1Connection {
    fn drop(&mut self) {
        self.task.abort();
    }
}

struct OpenCount(Rc<Cell<usize>>);

impl Drop for OpenCount {
    fn drop(&mut self) {
        self.0.set(self.0.get() - 1);
    }
}

/// This core's HTTP/1.1 connections. The newest idle one is used first, so that the others can
/// grow old and go.
pub struct H1Pool {
    connector: Connector,
    clock: SharedClock,
    idle: RefCell<Vec<Idle>>,
    open: Rc<Cell<usize>>,
    reaping: Cell<bool>,
}

/// Gives the connection back to its pool once both messages are through.
pub(super) struct H1Lease {
    pool: Rc<H1Pool>,
    connection: Option<H1Connection>,
    progress: BodyProgress,
    /// Set when the answer's body has been read to its end.
    pub(super) answered: bool,
}

impl Drop for H1Lease {
    fn drop(&mut self) {
        if !self.answered || !self.progress.is_complete() {
            return;
        }
        if let Some(connection) = self.connection.take() {
            self.pool.put_back(connection);
        }
    }
}

impl H1Pool {
    pub fn new(connector: Connector, clock: SharedClock) -> Rc<Self> {
        Rc::new(Self {
            connector,
            clock,
            idle: RefCell::default(),
            open: Rc::default(),
            reaping: Cell::new(false),
        })
    }

    /// Whether a request could be sent at once.
    pub(super) fn has_idle(&self) -> bool {
        !self.idle.borrow().is_empty()
    }

    /// The newest idle connection that is still usable.
    pub fn take_idle(&self) -> Option<H1Connection> {
        let now = self.clock.now();
        let mut idle = self.idle.borrow_mut();
        while let Some(candidate) = idle.pop() {
            let fresh = is_fresh(candidate.since, now);
            if fresh && candidate.connection.sender.is_ready() {
                return Some(candidate.connection);
            }
        }
        None
    }

    /// A new connection.
    pub async fn open(self: &Rc<Self>) -> Result<H1Connection, SendFailure> {
        if self.open.get() >= MAX_OPEN {
            return Err(SendFailure::Overloaded);
        }
        let count = self.count_one();
        let stream = self.connector.connect(Wanted::Http1).await?;
        self.adopt(stream, count).await
    }

    /// Uses a connection that was opened for HTTP/2 by a peer that speaks HTTP/1.1 only.
    pub(super) async fn adopt_stream(
        self: &Rc<Self>,
        stream: UpstreamStream,
    ) -> Result<(), SendFailure> {
        let connection = self.adopt(stream, self.count_one()).await?;
        self.put_back(connection);
        Ok(())
    }

    fn count_one(&self) -> OpenCount {
        self.open.set(self.open.get() + 1);
        OpenCount(Rc::clone(&self.open))
    }

    async fn adopt(
        &self,
        stream: UpstreamStream,
        count: OpenCount,
    ) -> Result<H1Connection, SendFailure> {
        let traffic = Rc::new(Traffic::default());
        let io = TokioIo::new(HeldWrites::new(stream, Rc::clone(&traffic)));
        let mut builder = http1::Builder::new();
        builder.max_buf_size(MAX_HEAD);
        let handshake = builder.handshake(io).await;
        let (sender, connection) = handshake.map_err(|_| SendFailure::Closed { sent: false })?;
        // An error of the connection reaches whoever waits for an answer on it; with nobody
        // waiting it has no consequence.
        let task = tokio::task::spawn_local(async move {
            let _ = connection.await;
        });
        Ok(H1Connection { sender, traffic, task, _open: count })
    }

    /// Keeps it for the next request, unless it is closed already.
    pub fn put_back(self: &Rc<Self>, connection: H1Connection) {
        if connection.sender.is_closed() {
            return;
        }
        let mut idle = self.idle.borrow_mut();
        if idle.len() >= MAX_IDLE {
            idle.remove(0);
        }
        idle.push(Idle { connection, since: self.clock.now() });
        self.keep_reaping();
    }

    /// Closes connections as they grow too old; ends when none is left.
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
                let mut idle = pool.idle.borrow_mut();
                idle.retain(|i| is_fresh(i.since, now) && !i.connection.sender.is_closed());
                if idle.is_empty() {
                    pool.reaping.set(false);
                    return;
                }
            }
        });
    }
}

/// Not older than the limit; a clock that was set back makes everything old.
fn is_fresh(since: WallTime, now: WallTime) -> bool {
    since <= now && since.until(now) < IDLE_LIMIT
}

pin_project! {
    /// One exchange under way. Dropped before its end, it takes its connection with it.
    struct H1Exchange<F> {
        #[pin]
        answer: F,
        lease: Option<H1Lease>,
    }
}

impl<F> Future for H1Exchange<F>
where
    F: Future<Output = Result<Response<Incoming>, TrySendError<Request<RequestBody>>>>,
{
    type Output = Result<(Response<Incoming>, H1Lease), Unsent>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        let answer = ready!(this.answer.poll(cx));
        let gone = || Unsent::NoAnswer { sent: true };
        let mut lease = this.lease.take().ok_or_else(gone)?;
        Poll::Ready(match answer {
            Ok(answer) => Ok((answer, lease)),
            Err(mut failed) => {
                let connection = lease.connection.take().ok_or_else(gone)?;
                Err(connection.explain(failed.take_message(), failed.error(), &lease.progress))
            }
        })
    }
}

impl H1Connection {
    /// Sends `request`; ready with the head of the answer. On failure the connection is gone.
    pub(super) fn exchange(
        mut self,
        pool: &Rc<H1Pool>,
        request: Request<RequestBody>,
    ) -> impl Http1Exchange + use<> {
        self.traffic.reset();
        let progress = request.body().progress();
        let answer = self.sender.try_send_request(request);
        let pool = Rc::clone(pool);
        let lease = H1Lease { pool, connection: Some(self), progress, answered: false };
        H1Exchange { answer, lease: Some(lease) }
    }

    fn explain(
        &self,
        message: Option<Request<RequestBody>>,
        error: &hyper::Error,
        progress: &BodyProgress,
    ) -> Unsent {
        if let Some(failure) = progress.failure() {
            return Unsent::Failed(SendFailure::RequestBody(failure));
        }
        if let Some(request) = message {
            return Unsent::NotWritten(Box::new(request));
        }
        if self.traffic.has_read() && error.is_parse() {
            return Unsent::Failed(SendFailure::NotHttp);
        }
        let sent = self.traffic.has_written();
        if self.traffic.has_read() || error.is_parse() {
            return Unsent::Failed(SendFailure::Closed { sent });
        }
        Unsent::NoAnswer { sent }
    }
}
