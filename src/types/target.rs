//! The target of a request on its way to the upstream: as it is sent, and as rules judge it.

use std::borrow::Cow;

use http::uri::PathAndQuery;

use super::path;

/// A target together with the decoded form of its path. The form is made once, here, so that all
/// who judge the path judge the one that is sent.
#[derive(Debug)]
pub struct Target {
    sent: PathAndQuery,
    /// `None` where it is the path as sent, as for nearly every request.
    decoded: Option<Box<[u8]>>,
    /// What a reader would see that decodes more than once, where that is something else.
    twice_decoded: Option<Box<[u8]>>,
}

impl Target {
    /// `sent` is what goes to the upstream, but for credentials in its query.
    pub fn new(sent: PathAndQuery) -> Self {
        let decoded: Option<Box<[u8]>> = match path::decoded_form(sent.path()) {
            Cow::Borrowed(_) => None,
            Cow::Owned(form) => Some(form.into()),
        };
        let twice_decoded = decoded.as_deref().and_then(path::twice_decoded_form).map(Vec::into);
        Self { sent, decoded, twice_decoded }
    }

    /// The path as it is sent.
    pub fn path(&self) -> &str {
        self.sent.path()
    }

    /// Its decoded form (see [`path::decoded_form`]).
    pub fn decoded(&self) -> &[u8] {
        self.decoded.as_deref().unwrap_or(self.sent.path().as_bytes())
    }

    /// The form that counts beside the other two for what is denied (see
    /// [`path::twice_decoded_form`]).
    pub fn twice_decoded(&self) -> Option<&[u8]> {
        self.twice_decoded.as_deref()
    }

    /// What is sent, to whom no rule needs it any more.
    pub fn into_sent(self) -> PathAndQuery {
        self.sent
    }
}
