//! The way to the writer: a bounded queue for each core, which never makes anybody wait.
//!
//! Putting something in takes no lock that another core holds and, while the writer is awake, wakes
//! nobody. What finds no room is counted.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering, fence};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, OnceLock};
use std::thread::{self, Thread};
use std::time::Duration;

use parking_lot::Mutex;

use super::event::Event;

/// Events that wait at most in one queue: a sixth of a second of a core at full load.
pub const CAPACITY: usize = 8192;
/// Events that the writer takes from one queue before it looks at the next.
const AT_ONCE: usize = 512;

/// All queues, as the writer sees them.
#[derive(Default)]
pub struct Intake {
    writer: OnceLock<Thread>,
    /// Whether the writer wants to be woken.
    asleep: AtomicBool,
    ended: AtomicBool,
    /// Taken by the writer alone, but for the moment in which a queue is added.
    queues: Mutex<Vec<(Receiver<Event>, Arc<AtomicU64>)>>,
}

/// One way in.
#[derive(Clone)]
pub struct Queue {
    sender: SyncSender<Event>,
    lost: Arc<AtomicU64>,
    intake: Arc<Intake>,
}

impl Queue {
    /// A further one.
    pub fn new(intake: &Arc<Intake>) -> Self {
        let (sender, receiver) = sync_channel(CAPACITY);
        let lost = Arc::<AtomicU64>::default();
        intake.queues.lock().push((receiver, Arc::clone(&lost)));
        Self { sender, lost, intake: Arc::clone(intake) }
    }

    /// Hands an event over, or counts it as lost.
    pub fn offer(&self, event: Event) {
        if self.sender.try_send(event).is_err() {
            self.lost.fetch_add(1, Ordering::Relaxed);
        }
        self.intake.wake();
    }
}

impl Intake {
    /// Events that found no room so far.
    pub fn lost(&self) -> u64 {
        self.queues.lock().iter().map(|(_, lost)| lost.load(Ordering::Relaxed)).sum()
    }

    /// Nothing more will come.
    pub fn end(&self) {
        self.ended.store(true, Ordering::Release);
        self.asleep.store(false, Ordering::Relaxed);
        if let Some(writer) = self.writer.get() {
            writer.unpark();
        }
    }

    /// Whether nothing more will come than what has.
    pub fn has_ended(&self) -> bool {
        self.ended.load(Ordering::Acquire)
    }

    /// Takes what has come, at most so much of each queue.
    pub fn drain(&self, into: &mut Vec<Event>) {
        for (queue, _) in self.queues.lock().iter() {
            into.extend(queue.try_iter().take(AT_ONCE));
        }
    }

    /// Called by the writer's thread before all else.
    pub fn attend(&self) {
        let _ = self.writer.set(thread::current());
    }

    /// Sleeps until something comes, or the end, or at most for `longest`. What has come before the
    /// sleep could begin is taken.
    pub fn sleep(&self, longest: Option<Duration>, into: &mut Vec<Event>) {
        self.asleep.store(true, Ordering::Relaxed);
        // Either who offers sees that the writer sleeps, or the writer sees what was offered.
        fence(Ordering::SeqCst);
        self.drain(into);
        if into.is_empty() && !self.has_ended() {
            match longest {
                Some(longest) => thread::park_timeout(longest),
                None => thread::park(),
            }
        }
        self.asleep.store(false, Ordering::Relaxed);
    }

    /// Lets the events gather, whoever offers them; ends early only at the end.
    pub fn pause(&self, pause: Duration) {
        if !self.has_ended() {
            thread::park_timeout(pause);
        }
    }

    fn wake(&self) {
        fence(Ordering::SeqCst);
        if self.asleep.load(Ordering::Relaxed)
            && self.asleep.swap(false, Ordering::AcqRel)
            && let Some(writer) = self.writer.get()
        {
            writer.unpark();
        }
    }
}
