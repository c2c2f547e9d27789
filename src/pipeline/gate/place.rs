//! Whose place a client connection takes, once a request on it has shown a key, so that no client
//! key, and nobody without one, can take the places of all the others.
//!
//! A connection on which no request has come is nobody's, and the first to go where a new one finds no
//! place: so saying nothing takes no place away for good.
//!
//! A connection is counted for the key that its latest request showed. As long as that stays the same
//! a request costs one comparison here; only a change looks at the counts, which other cores write.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::rc::{Rc, Weak};
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use tokio::time::Instant;

use crate::types::client_key::{ClientKey, ClientKeys, Holding};
use crate::types::clock::WallTime;

/// Who connects has so long to send a request before the place may be given to another.
const GRACE: Duration = Duration::from_secs(1);

/// How many connections there may be, and are, in the whole process.
pub struct Room {
    most: usize,
    open: Box<dyn Fn() -> usize>,
    /// Connections of this core without a request yet, the oldest first, and others that were so.
    silent: RefCell<VecDeque<Weak<Place>>>,
}

/// The place of one connection, for as long as it lives.
pub struct Place {
    room: Rc<Room>,
    holder: RefCell<Holder>,
    forfeited: Cell<bool>,
    opened: Instant,
    given_away: Cell<bool>,
    /// Of its connection, as long as no request has come.
    waker: RefCell<Option<Waker>>,
}

/// Whose a connection is.
enum Holder {
    /// No request has come yet.
    Undecided,
    /// Its latest request showed no valid key.
    Nobody,
    Key(Holding),
}

impl Room {
    /// `open` counts the connections that have a place, out of `most`.
    pub fn new(most: usize, open: impl Fn() -> usize + 'static) -> Rc<Self> {
        Rc::new(Self { most, open: Box::new(open), silent: RefCell::default() })
    }

    /// Takes the place of the connection that has been without a request for the longest time; false
    /// where none has been for long.
    pub fn make(&self) -> bool {
        let mut silent = self.silent.borrow_mut();
        loop {
            let Some(oldest) = silent.front() else { return false };
            match oldest.upgrade().filter(|place| place.is_silent()) {
                None => drop(silent.pop_front()),
                Some(place) if place.opened.elapsed() < GRACE => return false,
                Some(place) => {
                    silent.pop_front();
                    place.given_away.set(true);
                    place.waker.take().inspect(Waker::wake_by_ref);
                    return true;
                }
            }
        }
    }

    fn watch(&self, place: &Rc<Place>) {
        let mut silent = self.silent.borrow_mut();
        // Not more than twice as many as there can be, of whom some have spoken since.
        if silent.len() >= 2 * self.most {
            silent.retain(|place| place.upgrade().is_some_and(|place| place.is_silent()));
        }
        silent.push_back(Rc::downgrade(place));
    }
}

impl Place {
    /// A connection that has just been accepted and is in the count already.
    pub fn new(room: &Rc<Room>) -> Rc<Self> {
        let place = Rc::new(Self {
            room: Rc::clone(room),
            holder: RefCell::new(Holder::Undecided),
            forfeited: Cell::new(false),
            opened: Instant::now(),
            given_away: Cell::new(false),
            waker: RefCell::default(),
        });
        room.watch(&place);
        place
    }

    fn is_silent(&self) -> bool {
        matches!(*self.holder.borrow(), Holder::Undecided) && !self.given_away.get()
    }

    /// Ready when the connection has to end without a word, since another got its place before a request
    /// came.
    pub fn poll_given_away(&self, cx: &Context<'_>) -> Poll<()> {
        if self.given_away.get() {
            return Poll::Ready(());
        }
        if matches!(*self.holder.borrow(), Holder::Undecided) {
            let mut waker = self.waker.borrow_mut();
            if !waker.as_ref().is_some_and(|known| known.will_wake(cx.waker())) {
                *waker = Some(cx.waker().clone());
            }
        }
        Poll::Pending
    }

    /// Counts the connection for `key`; false where it finds no place but such as are kept for other
    /// keys, and then it has to end.
    pub fn is_left_to(
        &self,
        key: Option<&Arc<ClientKey>>,
        keys: &ClientKeys,
        now: impl FnOnce() -> WallTime,
    ) -> bool {
        let mut holder = self.holder.borrow_mut();
        let is_same = match (&*holder, key) {
            (Holder::Nobody, None) => true,
            (Holder::Key(holding), Some(key)) => holding.is_of(key),
            _ => false,
        };
        if is_same {
            return !self.forfeited.get();
        }
        *holder = key.map_or(Holder::Nobody, |key| Holder::Key(key.hold()));
        let Room { most, open, .. } = &*self.room;
        let places = keys.places(key.map(|key| &**key), *most, now);
        if open() > places {
            self.forfeited.set(true);
        }
        !self.forfeited.get()
    }

    /// Whether the connection has to end, since its place is another's.
    pub fn is_forfeited(&self) -> bool {
        self.forfeited.get()
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;
    use std::rc::Rc;

    use super::{Place, Room};
    use crate::types::client_key::{ClientKey, ClientKeys, KeyHash};
    use crate::types::clock::WallTime;

    fn keys(names: &[&str], before: &ClientKeys) -> ClientKeys {
        let key = |name: &&str| {
            let hash = KeyHash::of(name.as_bytes());
            let expires = name.starts_with("old").then_some(WallTime(5));
            ClientKey::new(name.parse().unwrap(), hash, None, None, expires)
        };
        ClientKeys::new(names.iter().map(key).collect()).carrying_on(before)
    }

    /// A process with 16 places.
    struct Process {
        open: Rc<Cell<usize>>,
        room: Rc<Room>,
        held: Vec<Rc<Place>>,
    }

    impl Process {
        fn new() -> Self {
            let open = Rc::new(Cell::new(0));
            let counted = Rc::clone(&open);
            Self { open, room: Room::new(16, move || counted.get()), held: Vec::new() }
        }

        /// Opens a connection and sends a request with the key of this name; one that has to end does.
        fn opens(&mut self, key: &str, keys: &ClientKeys) -> bool {
            let place = Place::new(&self.room);
            self.open.set(self.open.get() + 1);
            let served = place.is_left_to(keys.find(key.as_bytes()), keys, || WallTime(5));
            assert_eq!(place.is_forfeited(), !served);
            match served {
                true => self.held.push(place),
                false => self.open.set(self.open.get() - 1),
            }
            served
        }

        fn fill(&mut self, key: &str, keys: &ClientKeys) -> usize {
            (0..40).filter(|_| self.opens(key, keys)).count()
        }
    }

    #[test]
    fn each_key_finds_its_share_whatever_others_have_taken() {
        let two = keys(&["a", "b"], &ClientKeys::default());
        let mut process = Process::new();
        assert_eq!(process.fill("a", &two), 14);
        assert_eq!(process.fill("", &two), 0);
        assert_eq!(process.fill("b", &two), 2);
        drop(process);
        // A crowd without keys leaves both their share, and either may take more where there is more.
        let mut process = Process::new();
        assert_eq!(process.fill("", &two), 12);
        assert_eq!(process.fill("b", &two), 2);
        assert_eq!(process.fill("a", &two), 2);
        drop(process);
        // The only key there is leaves nothing to others, and finds its share all the same.
        let one = keys(&["c"], &ClientKeys::default());
        assert_eq!(Process::new().fill("c", &one), 16);
        assert_eq!(Process::new().fill("", &one), 12);
    }

    #[test]
    fn nothing_is_kept_without_keys_nor_for_those_that_have_expired_or_are_too_many() {
        let mut process = Process::new();
        assert_eq!(process.fill("", &ClientKeys::default()), 16);
        let old = keys(&["old-1", "old-2", "a"], &ClientKeys::default());
        assert_eq!(Process::new().fill("a", &old), 16);
        let names: Vec<String> = (0..9).map(|n| format!("k{n}")).collect();
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        let many = keys(&names, &ClientKeys::default());
        assert_eq!(Process::new().fill("k0", &many), 16);
        assert_eq!(Process::new().fill("k0", &keys(&names[..8], &many)), 9);
    }

    #[test]
    fn counts_outlast_a_reload_and_follow_the_latest_request() {
        let before = keys(&["a", "b"], &ClientKeys::default());
        let mut process = Process::new();
        assert_eq!(process.fill("b", &before), 14);
        let after = keys(&["b", "a", "c"], &before);
        let place = Rc::clone(&process.held[0]);
        // The key is the same, though it has been read anew: nothing is looked at again.
        assert!(place.is_left_to(after.find(b"b"), &after, || panic!("looked at")));
        assert!(!process.opens("b", &after));
        assert!(process.opens("a", &after) && process.opens("c", &after));
        process.held.clear();
        drop(place);
        process.open.set(0);
        assert_eq!(process.fill("b", &after), 14);
    }

    #[test]
    fn a_connection_that_becomes_anothers_has_to_find_a_place_as_such() {
        let two = keys(&["a", "b"], &ClientKeys::default());
        let mut process = Process::new();
        assert!(process.opens("b", &two) && process.opens("b", &two));
        assert_eq!(process.fill("", &two), 12);
        let place = Rc::clone(&process.held[0]);
        assert!(!place.is_left_to(None, &two, || WallTime(5)));
        assert!(!place.is_left_to(two.find(b"b"), &two, || WallTime(5)), "it is ending");
        // Crowded out or not, a nobody's connection becomes that of a key which has less than its part.
        let nobodys = Rc::clone(&process.held[2]);
        assert!(nobodys.is_left_to(two.find(b"a"), &two, || WallTime(5)));
    }
}
