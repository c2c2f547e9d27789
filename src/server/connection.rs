//! One client connection, from accept to close.
//!
//! A connection is either being served, inside hyper, or parked: between requests nothing is kept
//! of it but its socket and a place in the time-out list, since most connections of a localhost
//! proxy are idle most of the time.

mod http1;
mod http2;
mod linger;
mod unparsed;
mod watched;

use std::future::poll_fn;
use std::io;
use std::pin::pin;
use std::rc::Rc;
use std::task::Poll;
use std::time::Duration;

use bytes::Bytes;

use super::balance::Balance;
use super::drain::{Drain, Member};
use super::stream::Stream;
use super::users::Watch;
use crate::deadline::{Deadline, Deadlines};
use crate::pipeline::Pipeline;
use crate::pipeline::gate::Entrance;
use crate::pipeline::gate::place::{Place, Room};
use crate::types::refusal::Refusal;

/// What an HTTP/2 client sends first (RFC 9113, section 3.4).
const HTTP2_PREFACE: &[u8; 24] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// A connection is parked after one or two of these without a request: long against the pauses of a
/// client that is busy, and short, so that a burst of connections does not have them all in memory.
const LONGEST_TICK: Duration = Duration::from_millis(50);
/// So many connections at a time are told why they are not served, of strangers and beyond the limit
/// each; further ones are just closed.
const REFUSED_IN_WORDS: usize = 64;

/// Time-outs and sizes of client connections.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    pub header_timeout: Duration,
    pub idle_timeout: Duration,
    /// Bytes of a head that the parser takes, at least what the gate accepts.
    pub parser_buffer: usize,
    /// Header lines that the parser takes, likewise.
    pub parser_headers: usize,
    /// Connections of the whole process.
    pub max_connections: usize,
}

/// What the connections of one core share.
pub struct Connections {
    pipeline: Rc<Pipeline>,
    limits: Limits,
    drain: Rc<Drain>,
    http1: hyper::server::conn::http1::Builder,
    http2: hyper::server::conn::http2::Builder<http2::LocalExecutor>,
    /// How often a connection in use is looked at.
    tick: Deadlines,
    tick_length: Duration,
    idle: Deadlines,
    header: Deadlines,
    watch: Watch,
    balance: Balance,
    room: Rc<Room>,
    /// Connections of users who may not connect: what they open does not count against others.
    strangers: Balance,
    /// Connections for which there is no room.
    surplus: Balance,
}

/// How serving ended.
enum End {
    Closed,
    /// Nothing is going on; here is the socket.
    Idle(Stream),
}

/// How the first bytes look.
enum Opening {
    Http1(Bytes),
    Http2(Bytes),
    Nothing,
}

impl Connections {
    /// The connections of the core that `balance` belongs to.
    pub fn new(pipeline: Rc<Pipeline>, limits: Limits, watch: Watch, balance: Balance) -> Rc<Self> {
        let counted = balance.clone();
        let room = Room::new(limits.max_connections, move || counted.total());
        let shortest = limits.header_timeout.min(limits.idle_timeout);
        let tick_length = (shortest / 4).clamp(Duration::from_millis(10), LONGEST_TICK);
        Rc::new(Self {
            pipeline,
            limits,
            drain: Rc::default(),
            http1: http1::builder(limits),
            http2: http2::builder(limits),
            tick: Deadlines::new(tick_length),
            tick_length,
            idle: Deadlines::new(limits.idle_timeout),
            header: Deadlines::new(limits.header_timeout),
            watch,
            balance,
            room,
            strangers: Balance::alone(),
            surplus: Balance::alone(),
        })
    }

    /// The connections' common end.
    pub fn drain(&self) -> &Rc<Drain> {
        &self.drain
    }

    /// Serves `stream`, which came in at `entrance`, in a task of its own.
    pub fn spawn(self: &Rc<Self>, stream: Stream, entrance: &Entrance) {
        let (refusal, counted) = match self.watch.check(&stream) {
            Err(stranger) => (Some(stranger), (self.strangers.count(), None)),
            Ok(user) => {
                let counted = (self.balance.count(), self.watch.count(user));
                let places = self.watch.places(user, self.limits.max_connections);
                match self.balance.total() <= places || self.room.make() {
                    true => (None, counted),
                    // Who is turned away must not hold a place while being told so.
                    false => (Some(Refusal::Overloaded), (self.surplus.count(), None)),
                }
            }
        };
        let told = match &refusal {
            None => 0,
            Some(Refusal::Overloaded) => self.surplus.total(),
            Some(_) => self.strangers.total(),
        };
        if told > REFUSED_IN_WORDS {
            return;
        }
        let place = refusal.is_none().then(|| Place::new(&self.room));
        let given_away = place.clone();
        let entrance = Entrance { refusal: refusal.map(Rc::new), place, ..entrance.clone() };
        stream.send_without_delay();
        let connections = Rc::clone(self);
        let member = self.drain.join();
        tokio::task::spawn_local(async move {
            {
                let mut running = pin!(connections.run(stream, entrance, member));
                poll_fn(|cx| match &given_away {
                    Some(place) if place.poll_given_away(cx).is_ready() => Poll::Ready(()),
                    _ => running.as_mut().poll(cx),
                })
                .await;
            }
            drop(counted);
        });
    }

    async fn run(self: Rc<Self>, mut stream: Stream, entrance: Entrance, member: Member) {
        let mut early = match self.opening(&stream, &member).await {
            Opening::Nothing => return,
            Opening::Http2(early) => {
                return Box::pin(http2::serve(&self, stream, early, entrance, &member)).await;
            }
            Opening::Http1(early) => early,
        };
        loop {
            let served = http1::serve(&self, stream, early, &entrance, &member);
            match Box::pin(served).await {
                End::Closed => return,
                End::Idle(idle) => stream = idle,
            }
            if !readable(&stream, &mut self.idle.started(), &member).await {
                return;
            }
            early = Bytes::new();
        }
    }

    /// Reads until it is clear which HTTP version the client speaks: at most 24 bytes.
    async fn opening(&self, stream: &Stream, member: &Member) -> Opening {
        let mut first = [0; HTTP2_PREFACE.len()];
        let mut length = 0;
        let mut deadline = self.header.started();
        loop {
            if !readable(stream, &mut deadline, member).await {
                return Opening::Nothing;
            }
            match stream.try_read(&mut first[length..]) {
                Ok(0) => return Opening::Nothing,
                Ok(count) => length += count,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => continue,
                Err(_) => return Opening::Nothing,
            }
            let early = || Bytes::copy_from_slice(&first[..length]);
            if !HTTP2_PREFACE.starts_with(&first[..length]) {
                return Opening::Http1(early());
            }
            if length == HTTP2_PREFACE.len() {
                return Opening::Http2(early());
            }
        }
    }
}

/// Waits for something to read; false when the time is over or the end has begun.
async fn readable(stream: &Stream, deadline: &mut Deadline, member: &Member) -> bool {
    poll_fn(|cx| {
        let end_has_begun = member.has_begun(cx);
        // What is there already is still served.
        if let Poll::Ready(outcome) = stream.poll_read_ready(cx) {
            return Poll::Ready(outcome.is_ok());
        }
        if end_has_begun {
            return Poll::Ready(false);
        }
        deadline.poll_expired(cx).map(|()| false)
    })
    .await
}
