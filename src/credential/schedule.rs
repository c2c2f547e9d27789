//! When a token is fresh, stale or expired, and how long to wait after a failure.

use std::time::Duration;

use super::hot::Freshness;
use crate::types::clock::WallTime;

/// A token this close to its end is not given to a request that can wait for a newer one.
const EXPIRED_BEFORE_END: Duration = Duration::from_secs(10);
/// The first pause after a failed refresh; it doubles with each further failure.
const FIRST_PAUSE: Duration = Duration::from_secs(1);
/// The longest pause, unless the endpoint asks for a longer one.
const LONGEST_PAUSE: Duration = Duration::from_secs(60);
/// The longest pause that is granted to the endpoint's `Retry-After`.
const LONGEST_RETRY_AFTER: Duration = Duration::from_secs(300);

/// The moments at which a token's standing changes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Times {
    stale: WallTime,
    expired: WallTime,
    pub(super) over: WallTime,
}

impl Times {
    pub(super) const UNLIMITED: Self =
        Self { stale: WallTime(u64::MAX), expired: WallTime(u64::MAX), over: WallTime(u64::MAX) };

    /// `ahead` is capped at a third of the life, and the reserve before the end at a tenth.
    pub(super) fn of(now: WallTime, life: Duration, ahead: Duration) -> Self {
        let reserve = EXPIRED_BEFORE_END.min(life / 10);
        Self {
            stale: now.after(life - ahead.min(life / 3)),
            expired: now.after(life - reserve),
            over: now.after(life),
        }
    }

    pub(super) fn is_unlimited(&self) -> bool {
        *self == Self::UNLIMITED
    }

    pub(super) fn freshness(&self, now: WallTime) -> Freshness {
        // From the end: with no time ahead, a token is still fresh when it becomes expired.
        if now >= self.over {
            Freshness::Missing
        } else if now >= self.expired {
            Freshness::Expired
        } else if now >= self.stale {
            Freshness::Stale
        } else {
            Freshness::Fresh
        }
    }
}

/// How long to wait after the `failures`th failure in a row, with jitter between half and all of
/// it, so that many proxies do not knock at once.
pub(super) fn pause(failures: u32, asked_for: Option<Duration>, jitter: f64) -> Duration {
    if let Some(asked_for) = asked_for {
        return asked_for.clamp(FIRST_PAUSE, LONGEST_RETRY_AFTER);
    }
    let doublings = failures.saturating_sub(1).min(16);
    let whole = LONGEST_PAUSE.min(FIRST_PAUSE * 2u32.pow(doublings));
    whole.mul_f64(0.5 + jitter.clamp(0.0, 1.0) / 2.0)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::{Times, pause};
    use crate::credential::hot::Freshness::{Expired, Fresh, Missing, Stale};
    use crate::types::clock::WallTime;

    const SECOND: u64 = 1000;

    #[test]
    fn a_token_passes_from_fresh_to_stale_to_expired_to_nothing() {
        let start = WallTime(5 * SECOND);
        let cases = [
            // life, ahead, then the standing at seconds after the start
            (
                1800,
                300,
                &[
                    (0, Fresh),
                    (1499, Fresh),
                    (1500, Stale),
                    (1789, Stale),
                    (1790, Expired),
                    (1799, Expired),
                    (1800, Missing),
                ][..],
            ),
            (30, 300, &[(19, Fresh), (20, Stale), (26, Stale), (27, Expired), (30, Missing)]),
            (10, 0, &[(8, Fresh), (9, Expired), (10, Missing)]),
        ];
        for (life, ahead, points) in cases {
            let times = Times::of(start, Duration::from_secs(life), Duration::from_secs(ahead));
            for (second, expected) in points {
                let now = WallTime(start.0 + second * SECOND);
                assert_eq!(times.freshness(now), *expected, "life {life}, second {second}");
            }
        }
    }

    #[test]
    fn pauses_double_up_to_a_minute_and_honour_what_the_endpoint_asks() {
        let seconds = |failures| pause(failures, None, 1.0).as_secs();
        assert_eq!([1, 2, 3, 6, 7, 99].map(seconds), [1, 2, 4, 32, 60, 60]);
        assert_eq!(pause(3, None, 0.0), Duration::from_secs(2));
        assert_eq!(pause(1, Some(Duration::from_secs(20)), 0.5), Duration::from_secs(20));
        assert_eq!(pause(1, Some(Duration::ZERO), 0.5), Duration::from_secs(1));
        assert_eq!(pause(1, Some(Duration::from_secs(86400)), 0.5), Duration::from_secs(300));
    }
}
