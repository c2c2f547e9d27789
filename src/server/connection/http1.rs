//! Serving HTTP/1.1 (RFC 9112) on a connection, until it ends or falls idle.

use std::convert::Infallible;
use std::future::poll_fn;
use std::pin::Pin;
use std::rc::Rc;
use std::task::Poll;

use bytes::Bytes;
use hyper::server::conn::http1::{Builder, Connection};
use hyper::service::{HttpService, service_fn};
use hyper_util::rt::TokioIo;

use super::watched::{Signs, Watched};
use super::{Connections, End, Limits, Member, Stream, linger};
use crate::deadline::Deadline;
use crate::pipeline::exchange::Activity;
use crate::pipeline::gate::Entrance;
use crate::pipeline::response::body::ResponseBody;

/// As many header lines as hyper parses without an allocation for each head.
const PARSED_CHEAPLY: usize = 100;

/// hyper's settings. Its own header time-out is not used: it costs a timer for each request.
pub fn builder(limits: Limits) -> Builder {
    let mut builder = Builder::new();
    builder.header_read_timeout(None).max_buf_size(limits.parser_buffer);
    if limits.parser_headers > PARSED_CHEAPLY {
        builder.max_headers(limits.parser_headers);
    }
    builder
}

/// What made [`drive`] return.
enum Stop {
    /// hyper is done with the connection.
    Finished,
    /// No request for a while.
    Idle,
    /// A head, or the last answer, does not get through.
    Stuck,
}

/// Serves requests on `stream`; `early` has been read from it already.
pub async fn serve(
    connections: &Connections,
    mut stream: Stream,
    mut early: Bytes,
    entrance: &Entrance,
    member: &Member,
) -> End {
    let activity = Rc::new(Activity::default());
    loop {
        let signs = Rc::<Signs>::default();
        let has_partial_head = !early.is_empty();
        let pipeline = Rc::clone(&connections.pipeline);
        let watched = Watched::new(stream, early, Rc::clone(&signs), Rc::clone(&pipeline));
        let io = TokioIo::new(watched);
        let exchanges = Rc::clone(&activity);
        let begun = Rc::clone(&signs);
        let entrance = entrance.clone();
        let service = service_fn(move |request| {
            begun.between_requests.set(false);
            Rc::clone(&pipeline).handle(entrance.clone(), Rc::clone(&exchanges), request)
        });
        let mut connection = connections.http1.serve_connection(io, service);
        let observer = Observer {
            activity: &activity,
            signs: &signs,
            ticks_allowed_for_head: ticks(connections, connections.limits.header_timeout),
            ticks_allowed_for_flush: ticks(connections, connections.limits.idle_timeout),
            begun_before: activity.begun(),
            begun_at_last_tick: activity.begun(),
            has_partial_head,
            quiet_ticks: 0,
        };
        let stop = drive(&mut connection, observer, connections.tick.started(), member).await;
        let parts = connection.into_parts();
        stream = parts.io.into_inner().into_stream();
        match stop {
            Stop::Stuck => return End::Closed,
            _ if activity.is_body_unread() || signs.refused.get() => {
                linger::close(stream).await;
                return End::Closed;
            }
            Stop::Finished => return End::Closed,
            Stop::Idle if parts.read_buf.is_empty() => return End::Idle(stream),
            Stop::Idle => early = parts.read_buf,
        }
    }
}

fn ticks(connections: &Connections, time: std::time::Duration) -> u32 {
    let ticks = time.as_nanos().div_ceil(connections.tick_length.as_nanos().max(1));
    u32::try_from(ticks).unwrap_or(u32::MAX)
}

/// Tells at each tick whether anything is going on.
struct Observer<'a> {
    activity: &'a Activity,
    signs: &'a Signs,
    ticks_allowed_for_head: u32,
    ticks_allowed_for_flush: u32,
    begun_before: u64,
    begun_at_last_tick: u64,
    has_partial_head: bool,
    quiet_ticks: u32,
}

impl Observer<'_> {
    fn is_between_requests(&self) -> bool {
        self.activity.in_flight() == 0 && !self.signs.unflushed.get()
    }

    fn at_tick(&mut self) -> Option<Stop> {
        let begun = self.activity.begun();
        if self.activity.in_flight() > 0 || begun != self.begun_at_last_tick {
            self.begun_at_last_tick = begun;
            self.quiet_ticks = 0;
            return None;
        }
        self.quiet_ticks += 1;
        if self.has_partial_head && begun == self.begun_before {
            return (self.quiet_ticks >= self.ticks_allowed_for_head).then_some(Stop::Stuck);
        }
        if self.signs.unflushed.get() {
            return (self.quiet_ticks >= self.ticks_allowed_for_flush).then_some(Stop::Stuck);
        }
        Some(Stop::Idle)
    }
}

async fn drive<S>(
    connection: &mut Connection<TokioIo<Watched>, S>,
    mut observer: Observer<'_>,
    mut tick: Deadline,
    member: &Member,
) -> Stop
where
    S: HttpService<hyper::body::Incoming, ResBody = ResponseBody, Error = Infallible> + Unpin,
{
    let mut told = false;
    poll_fn(|cx| {
        observer.signs.between_requests.set(observer.is_between_requests());
        // An error has been told to whom it concerns: the client is gone or its message was
        // malformed, and then hyper has answered it.
        if Pin::new(&mut *connection).poll(cx).is_ready() {
            return Poll::Ready(Stop::Finished);
        }
        if !told && member.has_begun(cx) {
            // After its first turn, or hyper would not look at what has come already.
            told = true;
            Pin::new(&mut *connection).graceful_shutdown();
            if Pin::new(&mut *connection).poll(cx).is_ready() {
                return Poll::Ready(Stop::Finished);
            }
        }
        if told && observer.is_between_requests() {
            // hyper would wait for the rest of a head that has begun.
            return Poll::Ready(Stop::Finished);
        }
        if observer.activity.in_flight() > 0 {
            // Nothing can come of a look at it before that has ended, and then it is polled. The
            // tick that runs is let run out, which is cheaper than to stop it for each request.
            if tick.poll_expired(cx).is_ready() {
                tick.stop();
            }
            return Poll::Pending;
        }
        if !tick.is_running() {
            tick.restart();
        }
        while tick.poll_expired(cx).is_ready() {
            if let Some(stop) = observer.at_tick() {
                return Poll::Ready(stop);
            }
            tick.restart();
        }
        Poll::Pending
    })
    .await
}
