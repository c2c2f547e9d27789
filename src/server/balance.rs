//! How many connections each core has: for the limit of the process, and so that new ones are
//! spread. Touched when a connection opens and closes, never by a request.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// A core with so many connections more than another leaves the next one to it.
const HEAD_START: usize = 2;

/// The open connections of all cores, as seen from one.
#[derive(Clone)]
pub struct Balance {
    core: usize,
    open: Arc<[AtomicUsize]>,
}

/// Counts one connection for as long as it lives.
pub struct Counted(Balance);

impl Balance {
    /// One view for each of `cores` cores.
    pub fn among(cores: usize) -> Vec<Self> {
        let open: Arc<[AtomicUsize]> = (0..cores).map(|_| AtomicUsize::new(0)).collect();
        (0..cores).map(|core| Self { core, open: Arc::clone(&open) }).collect()
    }

    /// A count that no other core shares.
    pub fn alone() -> Self {
        Self { core: 0, open: Arc::new([AtomicUsize::new(0)]) }
    }

    /// Counts a connection of this core.
    pub fn count(&self) -> Counted {
        self.open[self.core].fetch_add(1, Ordering::Relaxed);
        Counted(self.clone())
    }

    /// Connections of all cores.
    pub fn total(&self) -> usize {
        self.open.iter().map(|open| open.load(Ordering::Relaxed)).sum()
    }

    /// Whether another core has clearly fewer.
    pub fn is_ahead(&self) -> bool {
        let own = self.open[self.core].load(Ordering::Relaxed);
        let least = self.open.iter().map(|open| open.load(Ordering::Relaxed)).min();
        own >= least.unwrap_or(0) + HEAD_START
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.open[self.0.core].fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::Balance;

    #[test]
    fn a_core_is_ahead_only_with_clearly_more_connections_than_another() {
        let cores = Balance::among(2);
        let first = cores[0].count();
        assert!(!cores[0].is_ahead());
        let second = cores[0].count();
        assert!(cores[0].is_ahead() && !cores[1].is_ahead());
        assert_eq!(cores[1].total(), 2);
        drop((first, second));
        assert_eq!(cores[0].total(), 0);
        let alone = Balance::alone();
        let _held: Vec<_> = (0..5).map(|_| alone.count()).collect();
        assert!(!alone.is_ahead());
    }
}
