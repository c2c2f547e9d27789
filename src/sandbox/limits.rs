//! Rate limits: the headers always, the refusals only where a test switched them on.

use std::collections::HashMap;

use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use serde::Deserialize;
use serde_json::{Value, json};

use super::access::{Caller, Kind};
use super::answer::Problem;
use crate::types::clock::WallTime;

/// What HubSpot grants in ten seconds to a private app and to an OAuth app.
const PRIVATE_APP: u64 = 190;
const OAUTH_APP: u64 = 110;
const PER_DAY: u64 = 1_000_000;
const TEN_SECONDS: u64 = 10_000;
const SECOND: u64 = 1000;
const DAY: u64 = 86_400_000;

/// Which limits are enforced; what is absent is not.
#[derive(Clone, Copy, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Enforced {
    per_ten_seconds: Option<u64>,
    search_per_second: Option<u64>,
    daily: Option<u64>,
}

#[derive(Default)]
pub(super) struct Limits {
    enforced: Enforced,
    rolling: HashMap<&'static str, Window>,
    search: Window,
    daily: Window,
}

#[derive(Default)]
struct Window {
    started: u64,
    used: u64,
}

impl Window {
    /// Counts one call; false once more than `limit` came within `span`.
    fn count(&mut self, now: WallTime, span: u64, limit: u64) -> bool {
        if now.0.saturating_sub(self.started) >= span {
            *self = Self { started: now.0, used: 0 };
        }
        self.used += 1;
        self.used <= limit
    }
}

impl Limits {
    /// Starts to enforce these limits, with nothing used so far.
    pub(super) fn enforce(&mut self, enforced: Enforced) {
        *self = Self { enforced, ..Self::default() };
    }

    pub(super) fn report(&self) -> Value {
        json!({
            "per_ten_seconds": self.enforced.per_ten_seconds,
            "search_per_second": self.enforced.search_per_second,
            "daily": self.enforced.daily,
        })
    }

    /// Counts one call, and says what its answer has to tell about the limits.
    pub(super) fn count(
        &mut self,
        caller: &Caller,
        search: bool,
        now: WallTime,
        headers: &mut HeaderMap,
    ) -> Result<(), Problem> {
        if search {
            let limit = self.enforced.search_per_second.unwrap_or(u64::MAX);
            return match self.search.count(now, SECOND, limit) {
                true => Ok(()),
                false => Err(exceeded("SECONDLY")),
            };
        }
        let oauth = caller.kind != Kind::Static;
        let usual = if oauth { OAUTH_APP } else { PRIVATE_APP };
        let max = self.enforced.per_ten_seconds.unwrap_or(usual);
        let window = self.rolling.entry(caller.app()).or_default();
        let mut within = window.count(now, TEN_SECONDS, max);
        let mut put = |name: &'static str, value: u64| {
            headers.insert(HeaderName::from_static(name), HeaderValue::from(value));
        };
        put("x-hubspot-ratelimit-max", max);
        put("x-hubspot-ratelimit-remaining", max.saturating_sub(window.used));
        put("x-hubspot-ratelimit-interval-milliseconds", TEN_SECONDS);
        within |= self.enforced.per_ten_seconds.is_none();
        if !within {
            return Err(exceeded("TEN_SECONDLY_ROLLING"));
        }
        if oauth {
            return Ok(());
        }
        let per_day = self.enforced.daily.unwrap_or(PER_DAY);
        let within = self.daily.count(now, DAY, per_day);
        put("x-hubspot-ratelimit-daily", per_day);
        put("x-hubspot-ratelimit-daily-remaining", per_day.saturating_sub(self.daily.used));
        match within || self.enforced.daily.is_none() {
            true => Ok(()),
            false => Err(exceeded("DAILY")),
        }
    }

    /// Calls of private apps today.
    pub(super) fn used_today(&self) -> (u64, u64) {
        (self.daily.used, self.enforced.daily.unwrap_or(PER_DAY))
    }
}

/// HubSpot's 429 under the given policy.
pub(super) fn exceeded(policy: &str) -> Problem {
    let message = format!("You have reached your {} limit.", policy.to_ascii_lowercase());
    Problem::new(StatusCode::TOO_MANY_REQUESTS, "RATE_LIMITS", message)
        .with("errorType", "RATE_LIMIT".into())
        .with("policyName", policy.into())
}
