//! Answers that stream: slow chunks, many bytes, events, and the request's own body.
//!
//! `/sandbox/...` serves them to anybody, `/sandbox-data/v1/...` to a valid token only, so that a
//! test sees that one was put on the request.

use std::time::Duration;

use axum::body::Body;
use bytes::Bytes;
use http::header::CACHE_CONTROL;
use http::{HeaderMap, Method, header};

use super::answer::Reply;
use super::bodies::{Fed, Pattern};
use super::path::Pairs;

/// A piece of a slow answer is at most this large.
const LARGEST_PIECE: u64 = 16 * 1024 * 1024;

/// Whether this path is answered by streaming the request's body back.
pub(super) fn is_echo(method: &Method, path: &[&str]) -> bool {
    matches!(path, ["echo"]) && (method == Method::POST || method == Method::PUT)
}

/// Sends the request's body back as it arrives, with its content type.
pub(super) fn echo(headers: &HeaderMap, body: Body) -> Reply {
    let sent = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
    Reply::stream(body, sent.unwrap_or("application/octet-stream"))
}

/// The answers that need no request body.
pub(super) fn route(path: &[&str], query: &Pairs) -> Option<Reply> {
    match path {
        ["bytes", number] => {
            let body = Body::new(Pattern { left: number.parse().ok()? });
            Some(Reply::stream(body, "application/octet-stream"))
        }
        ["stream"] => Some(stream(query)),
        ["events"] => Some(events(query)),
        _ => None,
    }
}

/// `chunks` pieces of `size` bytes, one each `interval_ms`; each piece is one letter repeated.
fn stream(query: &Pairs) -> Reply {
    let size = query.number("size", 64).min(LARGEST_PIECE);
    let size = usize::try_from(size).unwrap_or_default();
    let body = paced(query.number("chunks", 10), interval(query), move |count| {
        let letter = b'a' + (count % 26) as u8;
        Bytes::from(vec![letter; size])
    });
    Reply::stream(body, "text/plain")
}

/// Server-sent events that count up: `count` of them, one each `interval_ms`.
fn events(query: &Pairs) -> Reply {
    let body = paced(query.number("count", 10), interval(query), |count| {
        Bytes::from(format!("id: {count}\nevent: tick\ndata: {{\"count\":{count}}}\n\n"))
    });
    Reply::stream(body, "text/event-stream").with(CACHE_CONTROL, "no-store")
}

fn interval(query: &Pairs) -> Duration {
    Duration::from_millis(query.number("interval_ms", 100))
}

/// A body whose first piece leaves at once and each further one an interval later.
fn paced(count: u64, interval: Duration, piece: impl Fn(u64) -> Bytes + Send + 'static) -> Body {
    let (sender, body) = Fed::channel();
    tokio::spawn(async move {
        for number in 0..count {
            if number > 0 && !interval.is_zero() {
                tokio::time::sleep(interval).await;
            }
            // The client has gone: nobody waits for the rest.
            if sender.send(piece(number)).await.is_err() {
                return;
            }
        }
    });
    body
}
