//! What one side sends, passed on to the other.

use std::io::{self, Write};
use std::mem;

use super::{BUFFER, Worker};
use crate::head;
use crate::links::{Answer, Interest};

const NOT_SERVED: &[u8] =
    b"HTTP/1.1 501 Not Implemented\r\nContent-Length: 0\r\nConnection: close\r\n\r\n";

impl Worker {
    /// Sends on what has come from a client: of a request's body, or a request.
    pub(super) fn client_sent(&mut self, index: usize, mut bytes: &[u8]) -> io::Result<()> {
        let client = &mut self.clients[index];
        if let (Some(upstream), true) = (client.upstream, 0 < client.body_left) {
            let body = cut(&mut bytes, client.body_left);
            client.body_left -= body.len() as u64;
            self.send_upstream(upstream, body, &[])?;
        }
        let client = &mut self.clients[index];
        if bytes.is_empty() {
            return Ok(());
        }
        let end = if client.upstream.is_some() { None } else { head::end(bytes) };
        let Some(end) = end else {
            client.kept.extend_from_slice(bytes);
            return if client.kept.len() < BUFFER { Ok(()) } else { Err(unexpected()) };
        };
        let mut outgoing = mem::take(&mut self.outgoing);
        outgoing.clear();
        let length = head::request(&bytes[..end], &self.fixed, &mut outgoing);
        let Some(length) = length else {
            client.send(NOT_SERVED)?;
            return Err(unexpected());
        };
        outgoing.extend_from_slice(b"\r\n");
        bytes = &bytes[end..];
        let body = cut(&mut bytes, length);
        client.body_left = length - body.len() as u64;
        client.kept.extend_from_slice(bytes);
        let upstream = self.upstream_for(index)?;
        let outcome = self.send_upstream(upstream, &outgoing, body);
        self.outgoing = outgoing;
        outcome
    }

    fn send_upstream(&mut self, index: usize, first: &[u8], second: &[u8]) -> io::Result<()> {
        let upstream = &mut self.upstreams[index];
        let mut writer = upstream.tls.writer();
        writer.write_all(first)?;
        writer.write_all(second)?;
        upstream.flush()?;
        self.settle_upstream(index)
    }

    /// Asks for what the present state needs: room to write, and no more of a body than there is
    /// room for.
    pub(super) fn settle_upstream(&mut self, index: usize) -> io::Result<()> {
        let upstream = &self.upstreams[index];
        let interest = Interest { read: upstream.interest.read, write: upstream.tls.wants_write() };
        let (congested, client) = (upstream.is_congested(), upstream.client);
        self.ask_upstream(index, interest)?;
        let Some(client) = client else { return Ok(()) };
        let read = !congested || self.clients[client].body_left == 0;
        let write = self.clients[client].interest.write;
        self.ask_client(client, Interest { read, write })
    }

    /// Passes on what has come of an answer.
    pub(super) fn upstream_sent(&mut self, index: usize, bytes: &[u8]) -> io::Result<()> {
        let upstream = &mut self.upstreams[index];
        let client = &mut self.clients[upstream.client.ok_or_else(unexpected)?];
        let (left, keep) = match upstream.answer {
            Answer::Body { left, keep } => (rest(left, bytes.len())?, keep),
            Answer::Head => {
                let whole = mem::take(&mut upstream.head);
                let whole = if whole.is_empty() { bytes } else { &[&whole, bytes].concat() };
                let Some(end) = head::end(whole) else {
                    upstream.head = whole.to_vec();
                    return if whole.len() < BUFFER { Ok(()) } else { Err(unexpected()) };
                };
                let (length, keep) = head::answer(&whole[..end]).ok_or_else(unexpected)?;
                let left = rest(length, whole.len() - end)?;
                client.send(whole)?;
                (left, keep)
            }
        };
        if upstream.answer != Answer::Head {
            client.send(bytes)?;
        }
        if left == 0 {
            return self.answered(index, keep);
        }
        upstream.answer = Answer::Body { left, keep };
        if !client.pending.is_empty() {
            let (client, write) = (upstream.client, upstream.interest.write);
            self.ask_upstream(index, Interest { read: false, write })?;
            self.ask_to_write(client)?;
        }
        Ok(())
    }

    fn answered(&mut self, index: usize, keep: bool) -> io::Result<()> {
        let upstream = &mut self.upstreams[index];
        upstream.answer = Answer::Head;
        let served = upstream.client.take();
        if keep {
            self.idle.push(index);
        } else {
            self.close_upstream(index);
        }
        self.ask_to_write(served)?;
        let Some(served) = served else { return Ok(()) };
        let client = &mut self.clients[served];
        client.upstream = None;
        if 0 < client.body_left {
            self.close_client(served);
            return Ok(());
        }
        let kept = mem::take(&mut client.kept);
        if !kept.is_empty() && self.client_sent(served, &kept).is_err() {
            self.close_client(served);
        }
        Ok(())
    }

    /// Where the client's socket did not take everything at once.
    fn ask_to_write(&mut self, client: Option<usize>) -> io::Result<()> {
        match client {
            Some(client) if !self.clients[client].pending.is_empty() => {
                let read = self.clients[client].interest.read;
                self.ask_client(client, Interest { read, write: true })
            }
            _ => Ok(()),
        }
    }
}

/// The first `most` of `bytes`, cut off them.
fn cut<'a>(bytes: &mut &'a [u8], most: u64) -> &'a [u8] {
    let count = usize::try_from(most).map_or(bytes.len(), |most| most.min(bytes.len()));
    let (first, behind) = bytes.split_at(count);
    *bytes = behind;
    first
}

/// What is left of `length` after `count`: an upstream that sends more breaks the framing.
fn rest(length: u64, count: usize) -> io::Result<u64> {
    length.checked_sub(count as u64).ok_or_else(unexpected)
}

fn unexpected() -> io::Error {
    io::ErrorKind::InvalidData.into()
}
