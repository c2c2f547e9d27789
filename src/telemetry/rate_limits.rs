//! What HubSpot says of an account's rate limits, in the headers of its answers.

use std::time::{Duration, Instant};

use http::HeaderMap;
use http::header::HeaderValue;

/// The limits as an answer told them. The daily ones are not sent for OAuth apps, and none for
/// searches.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RateLimits {
    pub seen: Instant,
    /// Requests per interval, and how many of them are left.
    pub max: Option<u64>,
    pub remaining: u64,
    pub interval: Option<Duration>,
    pub daily: Option<u64>,
    pub daily_remaining: Option<u64>,
}

impl RateLimits {
    /// From an answer's headers; `None` where it tells nothing.
    pub fn of(headers: &HeaderMap<HeaderValue>, seen: Instant) -> Option<Self> {
        let number = |name: &str| headers.get(name)?.to_str().ok()?.trim().parse::<u64>().ok();
        Some(Self {
            seen,
            remaining: number("x-hubspot-ratelimit-remaining")?,
            max: number("x-hubspot-ratelimit-max"),
            interval: number("x-hubspot-ratelimit-interval-milliseconds")
                .map(Duration::from_millis),
            daily: number("x-hubspot-ratelimit-daily"),
            daily_remaining: number("x-hubspot-ratelimit-daily-remaining"),
        })
    }

    /// The later of two.
    pub fn later(one: Option<Self>, other: Option<Self>) -> Option<Self> {
        match (one, other) {
            (Some(one), Some(other)) => Some(if one.seen < other.seen { other } else { one }),
            (one, other) => one.or(other),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant};

    use http::HeaderMap;
    use http::header::{HeaderName, HeaderValue};

    use super::RateLimits;

    fn limits(headers: &[(&'static str, &'static str)]) -> Option<RateLimits> {
        let headers: HeaderMap = headers
            .iter()
            .map(|(name, value)| (HeaderName::from_static(name), HeaderValue::from_static(value)))
            .collect();
        RateLimits::of(&headers, Instant::now())
    }

    #[test]
    fn what_an_answer_does_not_say_or_says_badly_stays_unknown() {
        let whole = limits(&[
            ("x-hubspot-ratelimit-max", "190"),
            ("x-hubspot-ratelimit-remaining", "12"),
            ("x-hubspot-ratelimit-interval-milliseconds", "10000"),
            ("x-hubspot-ratelimit-daily", "oops"),
        ]);
        let whole = whole.unwrap();
        assert_eq!((whole.max, whole.remaining), (Some(190), 12));
        assert_eq!((whole.interval, whole.daily), (Some(Duration::from_secs(10)), None));
        assert!(limits(&[("x-hubspot-ratelimit-max", "190")]).is_none());
        assert!(limits(&[("x-hubspot-ratelimit-remaining", "-1")]).is_none());
    }

    #[test]
    fn the_later_word_counts() {
        let early = limits(&[("x-hubspot-ratelimit-remaining", "1")]);
        let late = limits(&[("x-hubspot-ratelimit-remaining", "2")]);
        for both in [RateLimits::later(early, late), RateLimits::later(late, early)] {
            assert_eq!(both.unwrap().remaining, 2);
        }
        assert_eq!(RateLimits::later(None, late), late);
    }
}
