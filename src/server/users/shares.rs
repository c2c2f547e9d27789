//! How many connections each user has, so that none can take the places of all the others.
//!
//! Touched when a connection opens and closes, never by a request.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// One part in so many of all places is kept back, in equal shares for the users that are allowed.
const KEPT_BACK: usize = 4;

/// The connections of each allowed user, shared by all cores.
#[derive(Clone, Debug, Default)]
pub struct Shares(Arc<[(u32, AtomicUsize)]>);

/// Counts a connection of one user for as long as it lives.
pub struct Share {
    shares: Shares,
    place: usize,
}

impl Shares {
    /// None open, for each of `users` once.
    pub fn among(users: impl Iterator<Item = u32>) -> Self {
        let mut users: Vec<u32> = users.collect();
        users.sort_unstable();
        users.dedup();
        Self(users.into_iter().map(|user| (user, AtomicUsize::new(0))).collect())
    }

    /// Counts a connection of `user`.
    pub fn count(&self, user: u32) -> Option<Share> {
        let place = self.0.iter().position(|(known, _)| *known == user)?;
        self.0[place].1.fetch_add(1, Ordering::Relaxed);
        Some(Share { shares: self.clone(), place })
    }

    /// Of `most` places, those that are kept for others than `user` and not yet taken by them.
    pub fn kept_from(&self, user: u32, most: usize) -> usize {
        if self.0.len() < 2 {
            return 0;
        }
        let each = (most / KEPT_BACK / self.0.len()).max(usize::from(most > self.0.len()));
        let others = self.0.iter().filter(|(other, _)| *other != user);
        others.map(|(_, open)| each.saturating_sub(open.load(Ordering::Relaxed))).sum()
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        self.shares.0[self.place].1.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::Shares;

    #[test]
    fn places_are_kept_for_users_who_have_none_yet() {
        let shares = Shares::among([1000, 1001, 1000].into_iter());
        assert_eq!(shares.kept_from(1000, 4096), 512);
        let held: Vec<_> = (0..500).map(|_| shares.count(1001)).collect();
        assert_eq!(shares.kept_from(1000, 4096), 12);
        assert_eq!(shares.kept_from(1001, 4096), 512);
        let more: Vec<_> = (0..500).map(|_| shares.count(1001)).collect();
        assert_eq!(shares.kept_from(1000, 4096), 0);
        drop((held, more));
        assert_eq!(shares.kept_from(1000, 4096), 512);
        // Few places: one is kept, if that leaves one.
        assert_eq!(shares.kept_from(1000, 4), 1);
        assert_eq!(shares.kept_from(1000, 2), 0);
    }

    #[test]
    fn nothing_is_kept_where_there_is_one_user_or_anybody() {
        assert_eq!(Shares::among([0, 0].into_iter()).kept_from(1001, 4096), 0);
        assert_eq!(Shares::default().kept_from(1001, 4096), 0);
        assert!(Shares::default().count(0).is_none());
    }
}
