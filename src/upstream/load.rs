//! How many requests this core has in flight: what the choice of the HTTP version rests on.

use std::cell::Cell;
use std::rc::Rc;

/// A counter of one core.
#[derive(Clone, Default)]
pub(super) struct Load(Rc<Cell<usize>>);

/// Counts one request until its answer has gone through.
pub(super) struct InFlight(Rc<Cell<usize>>);

impl Load {
    pub(super) fn enter(&self) -> InFlight {
        self.0.set(self.0.get() + 1);
        InFlight(Rc::clone(&self.0))
    }

    /// Requests in flight now.
    pub(super) fn now(&self) -> usize {
        self.0.get()
    }
}

impl Drop for InFlight {
    fn drop(&mut self) {
        self.0.set(self.0.get() - 1);
    }
}
