//! One thread: an epoll loop that accepts, forwards and keeps its own upstream connections.

mod forwarding;

use std::collections::VecDeque;
use std::io;
use std::mem;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::fd::OwnedFd;
use std::sync::Arc;

use rustix::buffer::spare_capacity;
use rustix::event::epoll::{self, EventData, EventFlags};
use rustix::net::{AddressFamily, SocketFlags, SocketType};
use rustls::pki_types::ServerName;
use rustls::{ClientConfig, ClientConnection};
use slab::Slab;

use crate::links::{Answer, Client, Interest, Upstream};

/// What every thread is built from.
pub struct Plan {
    pub listen: SocketAddr,
    pub upstream: SocketAddr,
    pub tls: Arc<ClientConfig>,
    pub token: String,
}

pub struct Worker {
    plan: Arc<Plan>,
    epoll: OwnedFd,
    listener: TcpListener,
    clients: Slab<Client>,
    upstreams: Slab<Upstream>,
    /// Upstream connections without a request; the last used is the first to be used again.
    idle: Vec<usize>,
    /// Closed in this turn: their places are free when no event of it can mean them any more.
    gone: Vec<Place>,
    /// The headers that every request gets.
    fixed: Vec<u8>,
    outgoing: Vec<u8>,
    raw: Vec<u8>,
    plain: Vec<u8>,
}

/// Whom an event is for.
#[derive(Clone, Copy)]
enum Place {
    Listener,
    Client(usize),
    Upstream(usize),
}

const BUFFER: usize = 64 * 1024;

impl Worker {
    pub fn new(plan: Arc<Plan>) -> io::Result<Self> {
        let epoll = epoll::create(epoll::CreateFlags::CLOEXEC)?;
        let listener = crate::listener(plan.listen)?;
        epoll::add(&epoll, &listener, Place::Listener.data(), EventFlags::IN)?;
        let fixed = format!("Host: localhost\r\nAuthorization: Bearer {}\r\n", plan.token);
        Ok(Self {
            plan,
            epoll,
            listener,
            clients: Slab::new(),
            upstreams: Slab::new(),
            idle: Vec::new(),
            gone: Vec::new(),
            fixed: fixed.into_bytes(),
            outgoing: Vec::with_capacity(BUFFER),
            raw: vec![0; BUFFER],
            plain: vec![0; BUFFER],
        })
    }

    /// Forwards until something fails that concerns more than one connection.
    pub fn run(mut self) -> io::Error {
        let mut events = Vec::with_capacity(256);
        loop {
            if let Err(error) = self.turn(&mut events) {
                return error;
            }
        }
    }

    fn turn(&mut self, events: &mut Vec<epoll::Event>) -> io::Result<()> {
        events.clear();
        match epoll::wait(&self.epoll, spare_capacity(events), None) {
            Ok(_) | Err(rustix::io::Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
        for event in events.iter() {
            // Copied out, since the fields of the kernel's structure are not aligned.
            let (data, flags) = (event.data, event.flags);
            match Place::of(data) {
                Place::Listener => self.accept()?,
                Place::Client(client) => {
                    if self.client_event(client, flags).is_err() {
                        self.close_client(client);
                    }
                }
                Place::Upstream(upstream) => {
                    if self.upstream_event(upstream, flags).is_err() {
                        self.close_upstream(upstream);
                    }
                }
            }
        }
        for place in self.gone.drain(..) {
            match place {
                Place::Listener => {}
                Place::Client(client) => drop(self.clients.remove(client)),
                Place::Upstream(upstream) => drop(self.upstreams.remove(upstream)),
            }
        }
        Ok(())
    }

    fn accept(&mut self) -> io::Result<()> {
        loop {
            let socket = match self.listener.accept() {
                Ok((socket, _)) => socket,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(()),
                Err(error) => return Err(error),
            };
            socket.set_nonblocking(true)?;
            socket.set_nodelay(true)?;
            let entry = self.clients.vacant_entry();
            let place = Place::Client(entry.key());
            epoll::add(&self.epoll, &socket, place.data(), EventFlags::IN)?;
            entry.insert(Client {
                socket,
                kept: Vec::new(),
                pending: VecDeque::new(),
                upstream: None,
                body_left: 0,
                interest: Interest::READ,
                closed: false,
            });
        }
    }

    fn client_event(&mut self, index: usize, flags: EventFlags) -> io::Result<()> {
        let client = &mut self.clients[index];
        if client.closed {
            return Ok(());
        }
        if flags.contains(EventFlags::OUT) {
            client.flush()?;
            if client.pending.is_empty() {
                let (upstream, read) = (client.upstream, client.interest.read);
                self.ask_client(index, Interest { read, write: false })?;
                if let Some(upstream) = upstream {
                    let write = self.upstreams[upstream].interest.write;
                    self.ask_upstream(upstream, Interest { read: true, write })?;
                }
            }
        }
        if flags.intersects(EventFlags::IN | EventFlags::HUP | EventFlags::ERR) {
            let mut raw = mem::take(&mut self.raw);
            let outcome = self.read_client(index, &mut raw);
            self.raw = raw;
            return outcome;
        }
        Ok(())
    }

    fn read_client(&mut self, index: usize, buffer: &mut [u8]) -> io::Result<()> {
        let client = &mut self.clients[index];
        let Some(count) = client.read(buffer)? else { return Ok(()) };
        if count == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        if client.kept.is_empty() {
            return self.client_sent(index, &buffer[..count]);
        }
        let mut bytes = mem::take(&mut client.kept);
        bytes.extend_from_slice(&buffer[..count]);
        self.client_sent(index, &bytes)
    }

    fn upstream_event(&mut self, index: usize, flags: EventFlags) -> io::Result<()> {
        let upstream = &mut self.upstreams[index];
        if upstream.closed {
            return Ok(());
        }
        if flags.contains(EventFlags::OUT) {
            upstream.flush()?;
            self.settle_upstream(index)?;
        }
        if flags.intersects(EventFlags::IN | EventFlags::HUP | EventFlags::ERR) {
            let mut raw = mem::take(&mut self.raw);
            let mut plain = mem::take(&mut self.plain);
            let outcome = self.read_upstream(index, &mut raw, &mut plain);
            (self.raw, self.plain) = (raw, plain);
            return outcome;
        }
        Ok(())
    }

    fn read_upstream(&mut self, index: usize, raw: &mut [u8], plain: &mut [u8]) -> io::Result<()> {
        let Some(count) = self.upstreams[index].receive(raw)? else { return Ok(()) };
        if count == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        let mut arrived = &raw[..count];
        while !arrived.is_empty() {
            self.upstreams[index].take_in(&mut arrived)?;
            loop {
                let count = self.upstreams[index].read(plain)?;
                if count == 0 {
                    break;
                }
                self.upstream_sent(index, &plain[..count])?;
            }
        }
        let upstream = &mut self.upstreams[index];
        if upstream.interest.write || upstream.tls.wants_write() || upstream.client.is_some() {
            upstream.flush()?;
            self.settle_upstream(index)?;
        }
        Ok(())
    }

    /// An idle connection, or a new one, from now on the client's.
    fn upstream_for(&mut self, client: usize) -> io::Result<usize> {
        let index = match self.idle.pop() {
            Some(index) => index,
            None => self.connect()?,
        };
        self.upstreams[index].client = Some(client);
        self.clients[client].upstream = Some(index);
        Ok(index)
    }

    fn connect(&mut self) -> io::Result<usize> {
        let address = self.plan.upstream;
        let family = if address.is_ipv4() { AddressFamily::INET } else { AddressFamily::INET6 };
        let flags = SocketFlags::NONBLOCK | SocketFlags::CLOEXEC;
        let socket = rustix::net::socket_with(family, SocketType::STREAM, flags, None)?;
        match rustix::net::connect(&socket, &address) {
            Ok(()) | Err(rustix::io::Errno::INPROGRESS) => {}
            Err(error) => return Err(error.into()),
        }
        let socket = TcpStream::from(socket);
        socket.set_nodelay(true)?;
        let name = ServerName::try_from("localhost").map_err(io::Error::other)?;
        let tls = ClientConnection::new(Arc::clone(&self.plan.tls), name);
        let mut tls = tls.map_err(io::Error::other)?;
        tls.set_buffer_limit(None);
        let entry = self.upstreams.vacant_entry();
        let index = entry.key();
        epoll::add(&self.epoll, &socket, Place::Upstream(index).data(), EventFlags::IN)?;
        entry.insert(Upstream {
            socket,
            tls,
            client: None,
            head: Vec::new(),
            answer: Answer::Head,
            interest: Interest::READ,
            closed: false,
        });
        Ok(index)
    }

    fn close_client(&mut self, index: usize) {
        let client = &mut self.clients[index];
        if mem::replace(&mut client.closed, true) {
            return;
        }
        // The descriptor is closed at the end of the turn whatever these say.
        let _ = epoll::delete(&self.epoll, &client.socket);
        let upstream = client.upstream.take();
        self.gone.push(Place::Client(index));
        if let Some(upstream) = upstream {
            self.close_upstream(upstream);
        }
    }

    fn close_upstream(&mut self, index: usize) {
        let upstream = &mut self.upstreams[index];
        if mem::replace(&mut upstream.closed, true) {
            return;
        }
        let _ = epoll::delete(&self.epoll, &upstream.socket);
        let client = upstream.client.take();
        self.gone.push(Place::Upstream(index));
        self.idle.retain(|idle| *idle != index);
        if let Some(client) = client {
            self.close_client(client);
        }
    }

    fn ask_client(&mut self, index: usize, interest: Interest) -> io::Result<()> {
        let client = &mut self.clients[index];
        if client.interest != interest {
            client.interest = interest;
            let data = Place::Client(index).data();
            epoll::modify(&self.epoll, &client.socket, data, flags(interest))?;
        }
        Ok(())
    }

    fn ask_upstream(&mut self, index: usize, interest: Interest) -> io::Result<()> {
        let upstream = &mut self.upstreams[index];
        if upstream.interest != interest {
            upstream.interest = interest;
            let data = Place::Upstream(index).data();
            epoll::modify(&self.epoll, &upstream.socket, data, flags(interest))?;
        }
        Ok(())
    }
}

impl Place {
    fn data(self) -> EventData {
        let (index, kind) = match self {
            Self::Listener => (0, 0),
            Self::Client(index) => (index, 1),
            Self::Upstream(index) => (index, 2),
        };
        EventData::new_u64((index as u64) << 2 | kind)
    }

    fn of(data: EventData) -> Self {
        // It was made of an index above.
        let index = (data.u64() >> 2) as usize;
        match data.u64() & 3 {
            0 => Self::Listener,
            1 => Self::Client(index),
            _ => Self::Upstream(index),
        }
    }
}

fn flags(interest: Interest) -> EventFlags {
    let mut flags = EventFlags::empty();
    flags.set(EventFlags::IN, interest.read);
    flags.set(EventFlags::OUT, interest.write);
    flags
}
