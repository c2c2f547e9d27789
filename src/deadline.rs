//! Coarse time-outs of one length, for one runtime.
//!
//! A timer for every request and every idle connection costs more than the work it guards. All
//! time-outs of one kind have the same length, so the one that was started first ends first: a
//! linked list in a slab gives start, restart and stop in constant time, and a single task sleeps
//! until the oldest entry is due. That task exists only while there is something to wait for, so
//! an idle process never wakes.
//!
//! It may not be shared between threads: each data-plane runtime has its own.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use slab::Slab;
use tokio::time::Instant;

const NONE: usize = usize::MAX;

/// Time-outs of one length. Cheap to clone; must be used inside a `LocalRuntime`.
#[derive(Clone)]
pub struct Deadlines(Rc<Queue>);

struct Queue {
    length: Duration,
    entries: RefCell<Entries>,
    ticking: Cell<bool>,
}

struct Entries {
    slab: Slab<Entry>,
    oldest: usize,
    newest: usize,
}

struct Entry {
    due: Instant,
    older: usize,
    newer: usize,
    waker: Option<Waker>,
}

impl Deadlines {
    /// Time-outs that end `length` after their start, at most a few milliseconds late.
    pub fn new(length: Duration) -> Self {
        Self(Rc::new(Queue {
            length,
            entries: RefCell::new(Entries { slab: Slab::new(), oldest: NONE, newest: NONE }),
            ticking: Cell::new(false),
        }))
    }

    /// How long each of them is.
    pub fn length(&self) -> Duration {
        self.0.length
    }

    /// A time-out that has not been started.
    pub fn stopped(&self) -> Deadline {
        Deadline { queue: Rc::clone(&self.0), key: NONE, expired: false }
    }

    /// A time-out that runs from now.
    pub fn started(&self) -> Deadline {
        let mut deadline = self.stopped();
        deadline.restart();
        deadline
    }
}

/// One time-out; stops when dropped.
pub struct Deadline {
    queue: Rc<Queue>,
    key: usize,
    expired: bool,
}

impl Deadline {
    /// Begins anew from now.
    pub fn restart(&mut self) {
        self.stop();
        let due = Instant::now() + self.queue.length;
        self.key = self.queue.entries.borrow_mut().append(due);
        self.queue.keep_ticking();
    }

    /// Ends the wait; [`Self::poll_expired`] stays pending until the next restart.
    pub fn stop(&mut self) {
        self.expired = false;
        if self.key != NONE {
            self.queue.entries.borrow_mut().remove(self.key);
            self.key = NONE;
        }
    }

    /// Whether it has been started and has neither ended nor been stopped.
    pub fn is_running(&self) -> bool {
        self.key != NONE
    }

    /// Ready once the time is over. The task is woken for it.
    pub fn poll_expired(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        if self.expired {
            return Poll::Ready(());
        }
        if self.key == NONE {
            return Poll::Pending;
        }
        let mut entries = self.queue.entries.borrow_mut();
        let entry = &mut entries.slab[self.key];
        if entry.due <= Instant::now() {
            entries.remove(self.key);
            self.key = NONE;
            self.expired = true;
            return Poll::Ready(());
        }
        match &mut entry.waker {
            Some(waker) => waker.clone_from(cx.waker()),
            none => *none = Some(cx.waker().clone()),
        }
        Poll::Pending
    }
}

impl Drop for Deadline {
    fn drop(&mut self) {
        self.stop();
    }
}

impl Queue {
    fn keep_ticking(self: &Rc<Self>) {
        if self.ticking.replace(true) {
            return;
        }
        let queue = Rc::clone(self);
        tokio::task::spawn_local(async move {
            while let Some(due) = queue.wake_due() {
                tokio::time::sleep_until(due).await;
            }
            queue.ticking.set(false);
        });
    }

    /// Wakes all that are due; returns when the next one is. An entry stays in the list until its
    /// owner looks, moved out of the way by forgetting its waker.
    fn wake_due(&self) -> Option<Instant> {
        let mut entries = self.entries.borrow_mut();
        let now = Instant::now();
        let mut key = entries.oldest;
        while key != NONE {
            let entry = &mut entries.slab[key];
            if entry.due > now {
                return Some(entry.due);
            }
            if let Some(waker) = entry.waker.take() {
                waker.wake();
            }
            key = entry.newer;
        }
        // Owners that are woken remove their entries; only unpolled ones remain, and polling
        // one of those finds it due without any help from the ticker.
        None
    }
}

impl Entries {
    fn append(&mut self, due: Instant) -> usize {
        let older = self.newest;
        let key = self.slab.insert(Entry { due, older, newer: NONE, waker: None });
        match older {
            NONE => self.oldest = key,
            _ => self.slab[older].newer = key,
        }
        self.newest = key;
        key
    }

    fn remove(&mut self, key: usize) {
        let Entry { older, newer, .. } = self.slab.remove(key);
        match older {
            NONE => self.oldest = newer,
            _ => self.slab[older].newer = newer,
        }
        match newer {
            NONE => self.newest = older,
            _ => self.slab[newer].older = older,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;
    use std::time::Duration;

    use tokio::runtime::{Builder, LocalOptions};
    use tokio::time::Instant;

    use super::Deadlines;

    fn paused(test: impl Future<Output = ()>) {
        let runtime = Builder::new_current_thread()
            .enable_time()
            .start_paused(true)
            .build_local(LocalOptions::default())
            .unwrap();
        runtime.block_on(test);
    }

    #[test]
    fn entries_end_in_the_order_of_their_start() {
        paused(async {
            let deadlines = Deadlines::new(Duration::from_secs(10));
            let mut first = deadlines.started();
            tokio::time::advance(Duration::from_secs(4)).await;
            let mut second = deadlines.started();
            let begin = Instant::now();
            poll_fn(|cx| first.poll_expired(cx)).await;
            assert_eq!(begin.elapsed().as_secs(), 6);
            poll_fn(|cx| second.poll_expired(cx)).await;
            assert_eq!(begin.elapsed().as_secs(), 10);
        });
    }

    #[test]
    fn a_restart_counts_from_the_restart() {
        paused(async {
            let deadlines = Deadlines::new(Duration::from_secs(10));
            let mut deadline = deadlines.started();
            let mut other = deadlines.started();
            tokio::time::advance(Duration::from_secs(9)).await;
            deadline.restart();
            let begin = Instant::now();
            poll_fn(|cx| other.poll_expired(cx)).await;
            assert_eq!(begin.elapsed().as_secs(), 1);
            poll_fn(|cx| deadline.poll_expired(cx)).await;
            assert_eq!(begin.elapsed().as_secs(), 10);
        });
    }

    #[test]
    fn a_stopped_one_never_ends_and_leaves_the_others_alone() {
        paused(async {
            let deadlines = Deadlines::new(Duration::from_secs(10));
            let mut all: Vec<_> = (0..5).map(|_| deadlines.started()).collect();
            all[2].stop();
            drop(all.remove(4));
            drop(all.remove(0));
            assert!(!all[1].is_running());
            tokio::time::advance(Duration::from_secs(60)).await;
            let states = poll_fn(|cx| {
                std::task::Poll::Ready(
                    all.iter_mut().map(|d| d.poll_expired(cx).is_ready()).collect::<Vec<_>>(),
                )
            })
            .await;
            assert_eq!(states, [true, false, true]);
        });
    }

    #[test]
    fn starting_again_after_the_list_ran_empty_wakes_again() {
        paused(async {
            let deadlines = Deadlines::new(Duration::from_secs(1));
            for _ in 0..3 {
                let mut deadline = deadlines.started();
                poll_fn(|cx| deadline.poll_expired(cx)).await;
                tokio::task::yield_now().await;
            }
        });
    }
}
