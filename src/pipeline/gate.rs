//! First stage: may this caller talk to us?
//!
//! Checks in this order: the connection, limits, `Host`, signs of a web page, framing, method, target.
//! What there is to say of a connection has been found out when it was accepted; beyond that the
//! gate looks at the head alone and changes nothing. It knows no accounts.

pub mod allowed;
pub mod browser;
pub mod client_key;
mod host;
pub mod place;

use std::rc::Rc;
use std::sync::Arc;

use http::header::TRANSFER_ENCODING;
use http::request::Parts;
use http::{Method, Version};

use crate::types::account::AccountName;
use crate::types::path;
use crate::types::refusal::Refusal;
use allowed::Allowed;
use place::Place;

/// Where a request came in, and whether anything that comes in there is served.
#[derive(Clone)]
pub struct Entrance {
    /// The port that the listener is bound to, which `Host` has to match; a Unix socket has none.
    pub port: Option<u16>,
    /// The only account that this listener serves.
    pub account: Option<Arc<AccountName>>,
    /// Why requests on this connection are answered and not served: whose it is, or that it is one
    /// too many.
    pub refusal: Option<Rc<Refusal>>,
    /// The place that the connection takes; `None` where it is not counted.
    pub place: Option<Rc<Place>>,
}

impl Entrance {
    /// At a listener on `port` that serves any account.
    pub fn at(port: u16) -> Self {
        Self { port: Some(port), account: None, refusal: None, place: None }
    }

    /// Whether its connection takes no further request.
    pub fn is_closing(&self) -> bool {
        self.refusal.is_some() || self.place.as_ref().is_some_and(|place| place.is_forfeited())
    }
}

/// Limits on a request's head.
#[derive(Clone, Copy, Debug)]
pub struct HeadLimits {
    /// Bytes of target, names and values together.
    pub size: usize,
    /// Number of header lines.
    pub count: usize,
}

/// Methods that are forwarded, as `Allow` names them.
const FORWARDED: &str = "GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS";

/// Whether the request may go on; says why not otherwise.
pub fn admit(
    head: &Parts,
    entrance: &Entrance,
    limits: HeadLimits,
    allowed: &Allowed,
) -> Result<(), Refusal> {
    if let Some(refusal) = &entrance.refusal {
        return Err(Refusal::clone(refusal));
    }
    check_size(head, limits)?;
    host::check(head, entrance, allowed)?;
    browser::check(head, entrance, allowed)?;
    check_framing(head)?;
    if matches!(head.method, Method::TRACE | Method::CONNECT) {
        return Err(Refusal::MethodNotAllowed { allow: FORWARDED });
    }
    path::check(head.uri.path())
}

fn check_size(head: &Parts, limits: HeadLimits) -> Result<(), Refusal> {
    let target = head.uri.path_and_query().map_or(0, |target| target.as_str().len());
    let lines = head.headers.iter().map(|(name, value)| name.as_str().len() + value.len() + 4);
    let size = target + lines.sum::<usize>();
    if size > limits.size || head.headers.len() > limits.count {
        return Err(Refusal::HeadersTooLarge);
    }
    Ok(())
}

/// A transfer coding beside `chunked` would be lost on the way, and with it the body's meaning.
fn check_framing(head: &Parts) -> Result<(), Refusal> {
    if head.version >= Version::HTTP_2 {
        return Ok(());
    }
    let mut codings = head.headers.get_all(TRANSFER_ENCODING).iter();
    let only_chunked = codings.next().is_none_or(|c| c.as_bytes().eq_ignore_ascii_case(b"chunked"));
    if !only_chunked || codings.next().is_some() {
        return Err(Refusal::BadRequest("chunked is the only transfer coding it takes"));
    }
    Ok(())
}
