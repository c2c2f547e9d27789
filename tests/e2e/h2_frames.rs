//! The server's side of HTTP/2 frame by frame (RFC 9113), so that a test can break the rules of it.

use std::time::Duration;

use crate::upstream::{Peer, Received};

pub const DATA: u8 = 0;
pub const HEADERS: u8 = 1;
pub const RST_STREAM: u8 = 3;
const SETTINGS: u8 = 4;
const PING: u8 = 6;
const GOAWAY: u8 = 7;
const WINDOW_UPDATE: u8 = 8;

const MAX_CONCURRENT_STREAMS: u16 = 3;

pub const END_STREAM: u8 = 1;
const ACK: u8 = 1;
pub const END_HEADERS: u8 = 4;

pub const NO_ERROR: u32 = 0;
pub const INTERNAL_ERROR: u32 = 2;
pub const REFUSED_STREAM: u32 = 7;

const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// One frame.
#[derive(Debug)]
pub struct Frame {
    pub kind: u8,
    pub flags: u8,
    pub stream: u32,
    pub payload: Vec<u8>,
}

/// A connection whose preface has been exchanged.
pub struct Frames<'a> {
    peer: &'a mut Peer,
}

impl<'a> Frames<'a> {
    /// `None` where the client speaks HTTP/1.1, of which nothing is lost.
    pub fn accept(peer: &'a mut Peer) -> Option<Self> {
        while peer.buffer.len() < PREFACE.len() {
            if !peer.read_more() {
                return None;
            }
        }
        if !peer.buffer.starts_with(PREFACE) {
            return None;
        }
        peer.buffer.drain(..PREFACE.len());
        let mut frames = Self { peer };
        frames.send(SETTINGS, 0, 0, &[]);
        Some(frames)
    }

    /// The next frame that is about a stream.
    pub fn next(&mut self) -> Option<Frame> {
        loop {
            let frame = self.any()?;
            match frame.kind {
                SETTINGS if frame.flags & ACK == 0 => self.send(SETTINGS, ACK, 0, &[]),
                PING if frame.flags & ACK == 0 => self.send(PING, ACK, 0, &frame.payload),
                _ if frame.stream == 0 => {}
                _ => return Some(frame),
            }
        }
    }

    fn any(&mut self) -> Option<Frame> {
        while self.peer.buffer.len() < 9 {
            if !self.peer.read_more() {
                return None;
            }
        }
        let head: Vec<u8> = self.peer.buffer.drain(..9).collect();
        let length = usize::from(head[0]) << 16 | usize::from(head[1]) << 8 | usize::from(head[2]);
        while self.peer.buffer.len() < length {
            if !self.peer.read_more() {
                return None;
            }
        }
        let payload = self.peer.buffer.drain(..length).collect();
        let stream = u32::from_be_bytes([head[5] & 0x7f, head[6], head[7], head[8]]);
        Some(Frame { kind: head[3], flags: head[4], stream, payload })
    }

    /// Reads one request to its end and keeps it as `h2 STREAM`, with its body.
    pub fn request(&mut self) -> Option<u32> {
        let mut request = Received { whole: true, ..Received::default() };
        loop {
            let frame = self.next()?;
            if frame.kind == HEADERS {
                request.line = format!("h2 {}", frame.stream);
            }
            if frame.kind == DATA && !frame.payload.is_empty() {
                request.body.extend(&frame.payload);
                self.widen(frame.stream, u32::try_from(frame.payload.len()).unwrap());
            }
            if matches!(frame.kind, DATA | HEADERS) && frame.flags & END_STREAM != 0 {
                self.peer.keep(request);
                return Some(frame.stream);
            }
        }
    }

    /// From now on [`Self::next`] is `None` when nothing comes for so long.
    pub fn give_up_after(&self, quiet: Duration) {
        self.peer.socket.set_read_timeout(Some(quiet)).unwrap();
    }

    pub fn send(&mut self, kind: u8, flags: u8, stream: u32, payload: &[u8]) {
        let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
        let mut frame = vec![length[1], length[2], length[3], kind, flags];
        frame.extend(stream.to_be_bytes());
        frame.extend(payload);
        self.peer.send(frame);
    }

    /// `:status: 200` and nothing else.
    pub fn send_head(&mut self, stream: u32) {
        self.send(HEADERS, END_HEADERS, stream, &[0x88]);
    }

    pub fn send_ok(&mut self, stream: u32) {
        self.send_head(stream);
        self.send(DATA, END_STREAM, stream, b"h2");
    }

    pub fn reset(&mut self, stream: u32, code: u32) {
        self.send(RST_STREAM, 0, stream, &code.to_be_bytes());
    }

    pub fn go_away(&mut self, last: u32, code: u32) {
        self.send(GOAWAY, 0, 0, &[last.to_be_bytes(), code.to_be_bytes()].concat());
    }

    /// Lets the client send `length` bytes more, on the stream and in all.
    pub fn widen(&mut self, stream: u32, length: u32) {
        self.send(WINDOW_UPDATE, 0, stream, &length.to_be_bytes());
        self.send(WINDOW_UPDATE, 0, 0, &length.to_be_bytes());
    }

    pub fn limit_streams(&mut self, most: u32) {
        let payload = [&MAX_CONCURRENT_STREAMS.to_be_bytes()[..], &most.to_be_bytes()].concat();
        self.send(SETTINGS, 0, 0, &payload);
    }

    /// Reads and drops until the other side closes.
    pub fn drain(&mut self) {
        while self.any().is_some() {}
    }
}
