//! Who may look at the dashboard: one-time codes, and the tokens that they are exchanged for.
//!
//! A code goes to the browser in the fragment of a URL, which browsers send to nobody; a history, a
//! screen or a process list may show it all the same, so it works once and not for long. All is kept
//! in memory alone and ends with the process.

use std::collections::VecDeque;
use std::time::Duration;

use http::HeaderMap;
use parking_lot::Mutex;
use subtle::ConstantTimeEq;

use super::access::{bearer, random};
use crate::types::clock::{Moment, SharedClock};
use crate::types::secret::Secret;

/// How long a code waits to be exchanged.
pub const CODE_LIVES: Duration = Duration::from_secs(30);
/// How long a token lives after its last use.
const IDLE: Duration = Duration::from_secs(12 * 60 * 60);
/// More codes do not wait at once: the oldest gives way.
const MOST_CODES: usize = 16;
/// More tokens do not live at once: the one that was not used for the longest time gives way.
const MOST_SESSIONS: usize = 32;
/// What each begins with, so that none is taken for a client key.
const CODE_PREFIX: &str = "hspcode_";
const TOKEN_PREFIX: &str = "hspsession_";

/// The codes and tokens of this run.
///
/// The lock is held for a look at a few dozen of them. No request to HubSpot ever takes it.
pub struct Sessions {
    clock: SharedClock,
    kept: Mutex<Kept>,
}

#[derive(Default)]
struct Kept {
    codes: Few,
    tokens: Few,
}

/// Secrets in the order of their last use.
#[derive(Default)]
struct Few(VecDeque<(Secret, Moment)>);

impl Sessions {
    /// None so far.
    pub fn new(clock: SharedClock) -> Self {
        Self { clock, kept: Mutex::default() }
    }

    /// A code that works once within [`CODE_LIVES`]. Fails only where the system has no random
    /// numbers.
    pub fn make_code(&self) -> Result<Secret, String> {
        let code = random(CODE_PREFIX)?;
        self.kept.lock().codes.add(code.duplicate(), self.clock.moment(), MOST_CODES);
        Ok(code)
    }

    /// A token for a code, which works no more; `None` where it is none that works.
    pub fn exchange(&self, code: &[u8]) -> Result<Option<Secret>, String> {
        let now = self.clock.moment();
        let token = random(TOKEN_PREFIX)?;
        let mut kept = self.kept.lock();
        if kept.codes.take(code, now, CODE_LIVES).is_none() {
            return Ok(None);
        }
        kept.tokens.add(token.duplicate(), now, MOST_SESSIONS);
        Ok(Some(token))
    }

    /// Whether a request shows a token as `Authorization: Bearer`, which then lives on.
    pub fn admit(&self, headers: &HeaderMap) -> bool {
        let Some(shown) = bearer(headers) else { return false };
        if !shown.starts_with(TOKEN_PREFIX.as_bytes()) {
            return false;
        }
        let now = self.clock.moment();
        let mut kept = self.kept.lock();
        let Some(token) = kept.tokens.take(shown, now, IDLE) else { return false };
        kept.tokens.add(token, now, MOST_SESSIONS);
        true
    }
}

impl Few {
    fn add(&mut self, secret: Secret, now: Moment, most: usize) {
        while self.0.len() >= most {
            self.0.pop_front();
        }
        self.0.push_back((secret, now));
    }

    /// Takes out the one that is shown, unless it has not been used for `lives`.
    fn take(&mut self, shown: &[u8], now: Moment, lives: Duration) -> Option<Secret> {
        self.0.retain(|(_, used)| since(*used, now) < lives);
        // All are compared, so that the time tells nothing of the place.
        let places = self.0.iter().enumerate().fold(None, |found, (place, (secret, _))| {
            let is_it: bool = secret.expose().as_bytes().ct_eq(shown).into();
            if is_it { Some(place) } else { found }
        });
        self.0.remove(places?).map(|(secret, _)| secret)
    }
}

/// By the clock that has gone further: one may have been set, and the other stood still.
fn since(then: Moment, now: Moment) -> Duration {
    then.wall.until(now.wall).max(now.steady.saturating_sub(then.steady))
}

#[cfg(test)]
mod tests;
