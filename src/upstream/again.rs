//! What it takes to send a request a second time.
//!
//! When that is allowed is decided elsewhere: by this module's parent for connections that failed,
//! by the pipeline for a token that was refused.

use http::header::{HeaderName, HeaderValue};
use http::uri::PathAndQuery;
use http::{Method, Request, Uri};

use super::replay::BodyProgress;
use super::{Outgoing, is_safe, path_and_query};

/// A copy of a head, and the way to its body. A list of headers costs less to keep than a map, and
/// is rarely used.
pub struct Again(Box<Kept>);

struct Kept {
    method: Method,
    target: PathAndQuery,
    headers: Vec<(HeaderName, HeaderValue)>,
    progress: BodyProgress,
}

impl Again {
    pub(super) fn of(outgoing: &Outgoing) -> Self {
        let Outgoing { head, body } = outgoing;
        let mut headers = Vec::with_capacity(head.headers.len());
        headers.extend(head.headers.iter().map(|(name, value)| (name.clone(), value.clone())));
        Self(Box::new(Kept {
            method: head.method.clone(),
            target: path_and_query(&head.uri),
            headers,
            progress: body.progress(),
        }))
    }

    /// May be sent again even when the first may have arrived: nothing is changed by it, and there
    /// is no body.
    pub(super) fn is_repeatable(&self) -> bool {
        is_safe(&self.0.method) && self.0.progress.is_absent()
    }

    /// How far the body is.
    pub fn progress(&self) -> &BodyProgress {
        &self.0.progress
    }

    /// The request once more. From here on the first attempt has lost the body. `None` when more of
    /// it has gone by than was kept.
    pub fn outgoing(self) -> Option<Outgoing> {
        let Kept { method, target, headers, progress } = *self.0;
        let body = progress.again()?;
        let (mut head, ()) = Request::new(()).into_parts();
        head.method = method;
        head.uri = Uri::from(target);
        for (name, value) in headers {
            head.headers.append(name, value);
        }
        Some(Outgoing { head, body })
    }
}
