//! Refreshes that a refused token forced, and their pause after ones that were in vain: an
//! upstream that refuses every token must not make the proxy ask for tokens without end.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use parking_lot::Mutex;

use super::schedule;

/// What is known of an account's forced refreshes.
#[derive(Default)]
pub(super) struct ForcedRefreshes {
    /// Read with every answer, so that the lock is not taken for it.
    any_in_vain: AtomicBool,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    in_vain: u32,
    /// The generation of the token that was refused last after a forced refresh: several requests
    /// find the same one refused.
    generation: Option<u64>,
    /// Steady time.
    paused_until: Duration,
}

impl ForcedRefreshes {
    /// Whether none may be forced at `now`, by the steady clock.
    pub(super) fn are_paused(&self, now: Duration) -> bool {
        self.any_in_vain.load(Ordering::Relaxed) && now < self.state.lock().paused_until
    }

    /// The forced token of `generation` was refused at `now`.
    pub(super) fn in_vain(&self, generation: u64, now: Duration) {
        let mut state = self.state.lock();
        if state.generation == Some(generation) {
            return;
        }
        state.in_vain += 1;
        state.generation = Some(generation);
        state.paused_until = now + schedule::forced_pause(state.in_vain);
        self.any_in_vain.store(true, Ordering::Relaxed);
    }

    /// A token was accepted.
    pub(super) fn accepted(&self) {
        if self.any_in_vain.load(Ordering::Relaxed) {
            *self.state.lock() = State::default();
            self.any_in_vain.store(false, Ordering::Relaxed);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::ForcedRefreshes;

    fn minutes(minutes: u64) -> Duration {
        Duration::from_secs(minutes * 60)
    }

    #[test]
    fn the_pause_doubles_once_for_each_token_and_ends_with_the_first_that_is_accepted() {
        let forced = ForcedRefreshes::default();
        assert!(!forced.are_paused(minutes(0)));
        forced.in_vain(3, minutes(10));
        forced.in_vain(3, minutes(10));
        assert!(forced.are_paused(minutes(11) - Duration::from_millis(1)));
        assert!(!forced.are_paused(minutes(11)));
        forced.in_vain(4, minutes(11));
        assert!(forced.are_paused(minutes(13) - Duration::from_millis(1)));
        assert!(!forced.are_paused(minutes(13)));
        forced.accepted();
        assert!(!forced.are_paused(minutes(12)));
        forced.in_vain(4, minutes(20));
        assert!(!forced.are_paused(minutes(21)));
    }

    #[test]
    fn an_upstream_that_refuses_every_token_forces_seven_refreshes_in_an_hour() {
        let forced = ForcedRefreshes::default();
        let mut refreshes = 0;
        for second in 0..3600 {
            let now = Duration::from_secs(second);
            if !forced.are_paused(now) {
                refreshes += 1;
                forced.in_vain(refreshes, now);
            }
        }
        // At minutes 0, 1, 3, 7, 15, 30 and 45; the eighth is due at the end of the hour.
        assert_eq!(refreshes, 7);
    }
}
