//! How long things took, in a few buckets.

use std::ops::AddAssign;
use std::time::Duration;

/// Upper bounds of the buckets in microseconds: from what the proxy itself takes to what HubSpot does.
const BOUNDS_US: [u64; 16] = [
    50, 100, 250, 500, 1_000, 2_500, 5_000, 10_000, 25_000, 50_000, 100_000, 250_000, 500_000,
    1_000_000, 5_000_000, 30_000_000,
];

/// Counts by duration.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Histogram {
    /// The last one holds what is longer than all bounds.
    counts: [u64; BOUNDS_US.len() + 1],
    sum: Duration,
}

impl Histogram {
    /// Counts one.
    pub fn observe(&mut self, span: Duration) {
        let micros = u64::try_from(span.as_micros()).unwrap_or(u64::MAX);
        let bucket = BOUNDS_US.partition_point(|bound| *bound < micros);
        self.counts[bucket] += 1;
        self.sum += span;
    }

    /// Each bound in seconds, and how many were not longer.
    pub fn cumulated(&self) -> impl Iterator<Item = (f64, u64)> {
        let bounds = BOUNDS_US.iter().map(|bound| *bound as f64 / 1e6);
        bounds.zip(self.counts.iter().scan(0, |sum, count| {
            *sum += count;
            Some(*sum)
        }))
    }

    /// How many there were.
    pub fn count(&self) -> u64 {
        self.counts.iter().sum()
    }

    /// All of them together.
    pub fn sum(&self) -> Duration {
        self.sum
    }
}

impl AddAssign for Histogram {
    fn add_assign(&mut self, other: Self) {
        for (sum, more) in self.counts.iter_mut().zip(other.counts) {
            *sum += more;
        }
        self.sum += other.sum;
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::Histogram;

    #[test]
    fn a_bucket_holds_what_is_not_longer_than_its_bound() {
        let mut histogram = Histogram::default();
        for micros in [1, 50, 51, 1_000, 99_000_000] {
            histogram.observe(Duration::from_micros(micros));
        }
        let at = |bound: f64| {
            let mut buckets = histogram.cumulated();
            buckets.find(|(seconds, _)| *seconds == bound).map(|(_, count)| count)
        };
        assert_eq!(
            (at(0.00005), at(0.0001), at(0.001), at(30.0)),
            (Some(2), Some(3), Some(4), Some(4))
        );
        assert_eq!((histogram.count(), histogram.sum()), (5, Duration::from_micros(99_001_102)));
    }
}
