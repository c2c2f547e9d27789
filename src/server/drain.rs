//! The end of a core's work: connections are told once, and counted until the last is gone.

use std::cell::{Cell, RefCell};
use std::future::poll_fn;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};

use slab::Slab;

/// All client connections of one core.
#[derive(Default)]
pub struct Drain {
    begun: Cell<bool>,
    members: RefCell<Slab<Option<Waker>>>,
    waiting: RefCell<Option<Waker>>,
}

/// One connection, a member for as long as it lives.
pub struct Member {
    drain: Rc<Drain>,
    key: usize,
}

impl Drain {
    /// Adds a connection.
    pub fn join(self: &Rc<Self>) -> Member {
        let key = self.members.borrow_mut().insert(None);
        Member { drain: Rc::clone(self), key }
    }

    /// Connections that are open now.
    pub fn open(&self) -> usize {
        self.members.borrow().len()
    }

    /// Tells all connections to end as soon as they can.
    pub fn begin(&self) {
        self.begun.set(true);
        for (_, waker) in self.members.borrow().iter() {
            if let Some(waker) = waker {
                waker.wake_by_ref();
            }
        }
    }

    /// Waits until no connection is left.
    pub async fn emptied(&self) {
        poll_fn(|cx| {
            if self.open() == 0 {
                return Poll::Ready(());
            }
            *self.waiting.borrow_mut() = Some(cx.waker().clone());
            Poll::Pending
        })
        .await;
    }
}

impl Member {
    /// Whether the end has begun; the task of `cx` is woken when it does.
    pub fn has_begun(&self, cx: &Context<'_>) -> bool {
        let mut members = self.drain.members.borrow_mut();
        let waker = &mut members[self.key];
        if !waker.as_ref().is_some_and(|waker| waker.will_wake(cx.waker())) {
            *waker = Some(cx.waker().clone());
        }
        self.drain.begun.get()
    }
}

impl Drop for Member {
    fn drop(&mut self) {
        self.drain.members.borrow_mut().remove(self.key);
        if let Some(waiting) = self.drain.waiting.borrow_mut().take() {
            waiting.wake();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;
    use std::pin::pin;
    use std::rc::Rc;
    use std::task::{Context, Poll, Waker};

    use super::Drain;

    #[test]
    fn members_learn_of_the_end_and_the_last_one_ends_the_wait() {
        let drain = Rc::new(Drain::default());
        let (first, second) = (drain.join(), drain.join());
        let mut cx = Context::from_waker(Waker::noop());
        assert!(!first.has_begun(&cx));
        drain.begin();
        assert!(first.has_begun(&cx) && second.has_begun(&cx));
        let mut emptied = pin!(drain.emptied());
        assert!(emptied.as_mut().poll(&mut cx).is_pending());
        drop(first);
        assert!(emptied.as_mut().poll(&mut cx).is_pending());
        drop(second);
        assert!(emptied.as_mut().poll(&mut cx).is_ready());
    }

    #[tokio::test]
    async fn a_waiting_member_is_woken_by_the_end() {
        let drain = Rc::new(Drain::default());
        let member = drain.join();
        let told = poll_fn(|cx| match member.has_begun(cx) {
            true => Poll::Ready(()),
            false => Poll::Pending,
        });
        tokio::join!(told, async { drain.begin() });
    }
}
