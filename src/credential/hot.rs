//! The published token, as each core reads it: no lock, no wait, no I/O.
//!
//! A core keeps its own copy of the header value, so that serving a request touches no memory
//! that another core writes; one atomic read tells whether the copy is still the newest.

use std::sync::Arc;
use std::time::Duration;

use http::HeaderValue;

use super::Credential;
use super::schedule::Times;
use crate::types::clock::Moment;
use crate::types::secret::Secret;

const SCHEME: &str = "Bearer ";

/// A token with the times that matter for its use.
pub struct Token {
    authorization: Secret,
    /// Counts the account's tokens; 0 before it is published.
    pub(super) generation: u64,
    /// `None` for a token without a known end.
    times: Option<Times>,
}

impl Token {
    /// A token issued at `issued` that lives for `life`, to be refreshed `ahead` of its end.
    pub fn new(token: &Secret, issued: Moment, life: Duration, ahead: Duration) -> Self {
        let times = Some(Times::of(issued, life, ahead));
        Self { authorization: bearer(token), generation: 0, times }
    }

    /// A token without a known end.
    pub fn unlimited(token: &Secret) -> Self {
        Self { authorization: bearer(token), generation: 0, times: None }
    }

    /// How it stands at `now`.
    pub fn freshness(&self, now: Moment) -> Freshness {
        self.times.as_ref().map_or(Freshness::Fresh, |times| times.freshness(now))
    }

    /// Time since it was issued; zero where that is not known.
    pub fn age(&self, now: Moment) -> Duration {
        self.times.as_ref().map_or(Duration::ZERO, |times| times.age(now))
    }

    /// Until its life is over; `None` where that is not known.
    pub fn left(&self, now: Moment) -> Option<Duration> {
        self.times.as_ref().map(|times| times.left(now))
    }

    /// Whether it is `token`.
    pub fn is(&self, token: &Secret) -> bool {
        self.authorization.same_as(&bearer(token))
    }

    /// The token itself.
    pub(super) fn bare(&self) -> Secret {
        let text = self.authorization.expose();
        Secret::new(text.strip_prefix(SCHEME).unwrap_or(text).to_owned())
    }

    fn header_value(&self) -> Option<HeaderValue> {
        let mut value = HeaderValue::from_str(self.authorization.expose()).ok()?;
        value.set_sensitive(true);
        Some(value)
    }
}

fn bearer(token: &Secret) -> Secret {
    Secret::new([SCHEME, token.expose()].concat())
}

/// What a core holds of one account's credential.
pub struct HotToken {
    credential: Arc<Credential>,
    generation: u64,
    copy: Option<(HeaderValue, Option<Times>)>,
}

/// The state of the token at one moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Freshness {
    Fresh,
    /// Good, but its refresh should begin.
    Stale,
    /// To be used only when no newer one can be had.
    Expired,
    /// There is none, or its life is over.
    Missing,
}

impl HotToken {
    /// A copy to be filled at the first use.
    pub fn new(credential: Arc<Credential>) -> Self {
        Self { credential, generation: 0, copy: None }
    }

    /// The generation of the copy.
    pub fn generation(&self) -> u64 {
        self.generation
    }

    /// Takes over what has been published since, and says how the token stands at `now`, which is
    /// not asked for where it does not matter.
    pub fn freshness(&mut self, now: impl FnOnce() -> Moment) -> Freshness {
        let newest = self.credential.generation();
        if newest != self.generation {
            self.copy_newest();
        }
        match &self.copy {
            None => Freshness::Missing,
            Some((_, None)) => Freshness::Fresh,
            Some((_, Some(times))) => times.freshness(now()),
        }
    }

    /// The value of the `Authorization` header, marked as sensitive.
    pub fn authorization(&self) -> Option<HeaderValue> {
        self.copy.as_ref().map(|(value, _)| value.clone())
    }

    fn copy_newest(&mut self) {
        // The token is stored before its generation is counted, so this one is at least as new.
        let token = self.credential.current.load();
        self.copy = token.as_ref().and_then(|t| Some((t.header_value()?, t.times)));
        self.generation = token.as_ref().map_or(0, |token| token.generation);
    }
}
