//! Answers to what is not a request at all.
//!
//! hyper answers a head that it cannot parse by itself, with a bare status that tells a person
//! nothing. That answer always has the same form, is the first thing that hyper writes for a
//! request, and is recognised by it; in its place goes one with the cause, like any other refusal.

use bytes::{BufMut, Bytes, BytesMut};

use crate::pipeline::Pipeline;
use crate::types::refusal::Refusal;

/// What hyper writes after the status line, up to the date.
const AUTOMATIC: &[u8] = b"connection: close\r\ncontent-length: 0\r\ndate: ";

/// What to send instead of `written`; `None` where that is not one of hyper's own answers.
pub fn replacement(pipeline: &Pipeline, written: &[u8]) -> Option<Bytes> {
    let status = written.strip_prefix(b"HTTP/1.1 4")?;
    let end_of_line = status.windows(2).position(|pair| pair == b"\r\n")?;
    let date = status[end_of_line + 2..].strip_prefix(AUTOMATIC)?.strip_suffix(b"\r\n\r\n")?;
    if date.contains(&b'\n') {
        return None;
    }
    let refusal = match &status[..2] {
        b"14" | b"31" => Refusal::HeadersTooLarge,
        _ => Refusal::BadRequest("it is not a well-formed HTTP/1.1 request"),
    };
    let answer = pipeline.refuse(&refusal);
    let mut bytes = BytesMut::with_capacity(1024);
    bytes.put_slice(b"HTTP/1.1 ");
    bytes.put_slice(answer.status().as_str().as_bytes());
    bytes.put_slice(b" ");
    bytes.put_slice(answer.status().canonical_reason().unwrap_or_default().as_bytes());
    for (name, value) in answer.headers() {
        bytes.put_slice(b"\r\n");
        bytes.put_slice(name.as_str().as_bytes());
        bytes.put_slice(b": ");
        bytes.put_slice(value.as_bytes());
    }
    bytes.put_slice(b"\r\ndate: ");
    bytes.put_slice(date);
    bytes.put_slice(b"\r\nconnection: close\r\ncontent-length: ");
    bytes.put_slice(answer.body().len().to_string().as_bytes());
    bytes.put_slice(b"\r\n\r\n");
    bytes.put_slice(answer.body());
    Some(bytes.freeze())
}
