//! Fifth stage: the request goes to the upstream and its answer comes back.

pub mod peeked;
pub mod unauthorized;

use std::cell::Cell;
use std::rc::Rc;

use http::Uri;
use http::header::CONTENT_LENGTH;
use http::request::Parts;
use http::uri::PathAndQuery;
use hyper::body::{Body, Incoming};

use super::Settings;
use crate::types::refusal::Refusal;
use crate::upstream::replay::{BodyFailure, BodyLimits, RequestBody};
use crate::upstream::{Outgoing, SendFailure, Sent};

/// What is to be sent to `target`. `unread` is true until the client has sent its whole body.
pub fn outgoing(
    mut head: Parts,
    body: Incoming,
    target: PathAndQuery,
    limits: BodyLimits,
    unread: Rc<Cell<bool>>,
) -> Result<Outgoing, Refusal> {
    check_announced_size(&head, limits.accept)?;
    let body = match body.is_end_stream() {
        true => RequestBody::empty(),
        false => RequestBody::streaming(body, limits, unread),
    };
    head.uri = Uri::from(target);
    Ok(Outgoing { head, body })
}

/// A body is kept for a second attempt only where a second attempt can come about.
pub fn body_limits(settings: &Settings, can_refresh: bool) -> BodyLimits {
    let keep = if can_refresh { settings.replay_buffer } else { 0 };
    BodyLimits { keep, accept: settings.max_body_size }
}

fn check_announced_size(head: &Parts, limit: Option<u64>) -> Result<(), Refusal> {
    let Some(limit) = limit else { return Ok(()) };
    let announced = head.headers.get(CONTENT_LENGTH).and_then(|v| v.to_str().ok()?.parse().ok());
    match announced {
        Some(announced) if limit < announced => Err(Refusal::PayloadTooLarge(limit)),
        _ => Ok(()),
    }
}

/// A final status. What is left of the others, 101, answers an `Upgrade` that was never sent on.
pub fn check_status(sent: Sent) -> Result<Sent, SendFailure> {
    if sent.answer.status().is_informational() {
        return Err(SendFailure::NotHttp);
    }
    Ok(sent)
}

/// What the client is told when no answer came; `safe` as of [`crate::upstream::is_safe`].
pub fn refusal(failure: SendFailure, safe: bool, limit: Option<u64>) -> Refusal {
    match failure {
        SendFailure::Unreachable(why) => {
            Refusal::UpstreamUnreachable(format!("{why}; {}", why.mend()))
        }
        SendFailure::Closed { sent } => Refusal::UpstreamClosed {
            what: "it closed the connection before it answered",
            repeatable: safe || !sent,
        },
        SendFailure::NotHttp => {
            Refusal::UpstreamClosed { what: "what it sent is not an HTTP answer", repeatable: safe }
        }
        SendFailure::TimedOut { sent } => Refusal::UpstreamTimeout { repeatable: safe || !sent },
        SendFailure::Overloaded => Refusal::Overloaded,
        SendFailure::RequestBody(BodyFailure::TooLarge) => {
            Refusal::PayloadTooLarge(limit.unwrap_or(u64::MAX))
        }
        SendFailure::RequestBody(BodyFailure::Client) => {
            Refusal::BadRequest("its body broke off or is malformed")
        }
        SendFailure::RequestBody(BodyFailure::Stalled) => {
            Refusal::BadRequest("no more of its body has come within upstream.response_timeout")
        }
        SendFailure::RequestBody(BodyFailure::Abandoned) => Refusal::Internal,
    }
}
