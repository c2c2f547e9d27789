//! When a token is fresh, stale or expired, and how long to wait after a failure.

use std::time::Duration;

use super::hot::Freshness;
use crate::types::clock::Moment;

/// A token this close to its end is not given to a request that can wait for a newer one.
const EXPIRED_BEFORE_END: Duration = Duration::from_secs(10);
/// The first pause after a failed refresh; it doubles with each further failure.
const FIRST_PAUSE: Duration = Duration::from_secs(1);
/// The longest pause, unless the endpoint asks for a longer one.
const LONGEST_PAUSE: Duration = Duration::from_secs(60);
/// The longest pause that is granted to the endpoint's `Retry-After`.
const LONGEST_RETRY_AFTER: Duration = Duration::from_secs(300);
/// The first pause of forced refreshes after one that was in vain; it doubles with each further.
const FIRST_FORCED_PAUSE: Duration = Duration::from_secs(60);
const LONGEST_FORCED_PAUSE: Duration = Duration::from_secs(15 * 60);

/// The ages at which a token's standing changes.
///
/// A token is as old as the clock says that makes it older: the wall clock counts a laptop's sleep,
/// and the steady one cannot be set back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Times {
    issued: Moment,
    stale: Duration,
    expired: Duration,
    over: Duration,
}

impl Times {
    /// `ahead` is capped at a third of the life, and the reserve before the end at a tenth.
    pub(super) fn of(issued: Moment, life: Duration, ahead: Duration) -> Self {
        let reserve = EXPIRED_BEFORE_END.min(life / 10);
        Self { issued, stale: life - ahead.min(life / 3), expired: life - reserve, over: life }
    }

    pub(super) fn freshness(&self, now: Moment) -> Freshness {
        let age = self.age(now);
        // From the end: with no time ahead, a token is still fresh when it becomes expired.
        if age >= self.over {
            Freshness::Missing
        } else if age >= self.expired {
            Freshness::Expired
        } else if age >= self.stale {
            Freshness::Stale
        } else {
            Freshness::Fresh
        }
    }

    /// Until the life is over; zero when it is.
    pub(super) fn left(&self, now: Moment) -> Duration {
        self.over.saturating_sub(self.age(now))
    }

    pub(super) fn age(&self, now: Moment) -> Duration {
        let steady = now.steady.saturating_sub(self.issued.steady);
        self.issued.wall.until(now.wall).max(steady)
    }
}

/// How long to wait after the `failures`th failure in a row, with jitter between half and all of
/// it, so that many proxies do not knock at once.
pub(super) fn pause(failures: u32, asked_for: Option<Duration>, jitter: f64) -> Duration {
    if let Some(asked_for) = asked_for {
        return asked_for.clamp(FIRST_PAUSE, LONGEST_RETRY_AFTER);
    }
    doubled(FIRST_PAUSE, failures, LONGEST_PAUSE).mul_f64(0.5 + jitter.clamp(0.0, 1.0) / 2.0)
}

/// How long no refresh is forced after `in_vain` forced ones whose tokens were refused as well.
pub(super) fn forced_pause(in_vain: u32) -> Duration {
    doubled(FIRST_FORCED_PAUSE, in_vain, LONGEST_FORCED_PAUSE)
}

fn doubled(first: Duration, times: u32, longest: Duration) -> Duration {
    longest.min(first * 2u32.pow(times.saturating_sub(1).min(16)))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::{Times, forced_pause, pause};
    use crate::credential::hot::Freshness::{Expired, Fresh, Missing, Stale};
    use crate::types::clock::{Moment, WallTime};

    fn moment(wall: u64, steady: u64) -> Moment {
        Moment { wall: WallTime(wall * 1000), steady: Duration::from_secs(steady) }
    }

    fn seconds(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    #[test]
    fn a_token_passes_from_fresh_to_stale_to_expired_to_nothing() {
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
            let times = Times::of(moment(5, 7), seconds(life), seconds(ahead));
            for (second, expected) in points {
                let seen = times.freshness(moment(5 + second, 7 + second));
                assert_eq!(seen, *expected, "life {life}, second {second}");
            }
        }
    }

    #[test]
    fn neither_a_sleep_nor_a_clock_that_is_set_makes_a_token_younger() {
        let times = Times::of(moment(10_000, 100), seconds(1000), seconds(100));
        let cases = [
            ("both go on", moment(10_100, 200), Fresh),
            ("a sleep, in which the steady clock stands still", moment(11_500, 101), Missing),
            ("the wall clock is set back", moment(2_000, 200), Fresh),
            ("set back, and the token ends all the same", moment(2_000, 1_100), Missing),
            ("set forward", moment(90_000, 101), Missing),
            ("set forward a little", moment(10_950, 101), Stale),
        ];
        for (what, now, expected) in cases {
            assert_eq!(times.freshness(now), expected, "{what}");
        }
    }

    #[test]
    fn pauses_double_up_to_a_minute_and_honour_what_the_endpoint_asks() {
        let whole = |failures| pause(failures, None, 1.0).as_secs();
        assert_eq!([1, 2, 3, 6, 7, 99].map(whole), [1, 2, 4, 32, 60, 60]);
        assert_eq!(pause(3, None, 0.0), seconds(2));
        assert_eq!(pause(1, Some(seconds(20)), 0.5), seconds(20));
        assert_eq!(pause(1, Some(Duration::ZERO), 0.5), seconds(1));
        assert_eq!(pause(1, Some(seconds(86400)), 0.5), seconds(300));
    }

    #[test]
    fn forced_refreshes_in_vain_pause_from_a_minute_to_a_quarter_of_an_hour() {
        let minutes = |in_vain| forced_pause(in_vain).as_secs() / 60;
        assert_eq!([1, 2, 3, 4, 5, 50].map(minutes), [1, 2, 4, 8, 15, 15]);
    }
}
