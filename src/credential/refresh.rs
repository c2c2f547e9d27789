//! One refresh an account at a time, in a task of its own, its result shared by all who wait.

use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::runtime::Handle;
use tokio::sync::watch;
use tracing::{info, warn};

use super::hot::Token;
use super::source::{FetchError, Fetched, TokenSource};
use super::{Credential, Unavailable, schedule};
use crate::types::clock::{SharedClock, WallTime};

/// The longest that a request waits for a refresh.
const LONGEST_WAIT: Duration = Duration::from_secs(15);
/// The longest that one fetch may take, whatever the source does.
const LONGEST_FETCH: Duration = Duration::from_secs(30);

pub(super) struct Refresher {
    source: Box<dyn TokenSource>,
    ahead: Duration,
    clock: SharedClock,
    runtime: Handle,
    state: Mutex<State>,
}

struct State {
    /// Closed by the end of the refresh that is running.
    running: Option<watch::Receiver<()>>,
    failure: Option<Failure>,
}

struct Failure {
    error: FetchError,
    in_a_row: u32,
    next_try: WallTime,
}

impl Refresher {
    pub(super) fn new(
        source: Box<dyn TokenSource>,
        ahead: Duration,
        clock: SharedClock,
        runtime: Handle,
    ) -> Self {
        let state = Mutex::new(State { running: None, failure: None });
        Self { source, ahead, clock, runtime, state }
    }

    pub(super) fn now(&self) -> WallTime {
        self.clock.now()
    }

    /// What stands in the way of a new token, if anything is known to.
    pub(super) fn standing(&self) -> Result<(), Unavailable> {
        match &self.state.lock().failure {
            None => Ok(()),
            Some(failure) => Err(self.unavailable(failure)),
        }
    }

    /// Begins a refresh, or joins the one that runs; `None` where a failure forbids one now.
    pub(super) fn start(&self, credential: &Arc<Credential>) -> Option<watch::Receiver<()>> {
        let mut state = self.state.lock();
        // A sender that is gone without having cleared this belongs to a task that panicked.
        if let Some(running) = state.running.as_ref().filter(|r| r.has_changed().is_ok()) {
            return Some(running.clone());
        }
        if state.failure.as_ref().is_some_and(|failure| !self.may_try_after(failure)) {
            return None;
        }
        let (done, running) = watch::channel(());
        state.running = Some(running.clone());
        let credential = Arc::clone(credential);
        self.runtime.spawn(async move {
            if let Some(refresher) = &credential.refresher {
                refresher.run(&credential).await;
            }
            drop(done);
        });
        Some(running)
    }

    pub(super) async fn newer_than(
        &self,
        credential: &Arc<Credential>,
        generation: u64,
    ) -> Result<(), Unavailable> {
        if credential.generation() > generation {
            return Ok(());
        }
        if let Some(mut running) = self.start(credential) {
            // Either the sender is dropped, which is the end of the refresh, or the time is over.
            let _ = tokio::time::timeout(LONGEST_WAIT, running.changed()).await;
        }
        if credential.generation() > generation {
            return Ok(());
        }
        self.standing()?;
        Err(Unavailable::Trouble("its refresh takes too long".into(), Duration::from_secs(1)))
    }

    fn may_try_after(&self, failure: &Failure) -> bool {
        match failure.error {
            // Nothing but a new process with other settings can change these.
            FetchError::NeedsLogin(_) | FetchError::Misconfigured(_) => false,
            FetchError::Transient(..) => {
                let now = self.clock.now();
                // A clock that was set back must not turn a pause of seconds into one of days.
                now >= failure.next_try || now.until(failure.next_try) > Duration::from_secs(600)
            }
        }
    }

    async fn run(&self, credential: &Arc<Credential>) {
        let outcome = match tokio::time::timeout(LONGEST_FETCH, self.source.fetch()).await {
            Ok(outcome) => outcome,
            Err(_) => Err(FetchError::Transient("the token endpoint takes too long".into(), None)),
        };
        match outcome {
            Ok(fetched) => self.succeeded(credential, &fetched),
            Err(error) => self.failed(credential, error),
        }
    }

    fn succeeded(&self, credential: &Credential, fetched: &Fetched) {
        let now = self.clock.now();
        credential.publish(Token::new(&fetched.token, now, fetched.life, self.ahead));
        let mut state = self.state.lock();
        state.running = None;
        if state.failure.take().is_some() {
            info!(account = %credential.account(), "the account has a valid token again");
        }
    }

    fn failed(&self, credential: &Credential, error: FetchError) {
        let mut state = self.state.lock();
        state.running = None;
        let before = state.failure.take();
        let in_a_row = before.as_ref().map_or(0, |failure| failure.in_a_row) + 1;
        if before.is_none_or(|before| before.error != error) {
            warn!(account = %credential.account(), "no new token: {}", reason(&error));
        }
        let asked_for = match &error {
            FetchError::Transient(_, asked_for) => *asked_for,
            _ => None,
        };
        let pause = schedule::pause(in_a_row, asked_for, fastrand::f64());
        state.failure = Some(Failure { error, in_a_row, next_try: self.clock.now().after(pause) });
    }

    fn unavailable(&self, failure: &Failure) -> Unavailable {
        match &failure.error {
            FetchError::NeedsLogin(what) => Unavailable::NeedsLogin(what),
            FetchError::Misconfigured(what) => Unavailable::Misconfigured(what.clone()),
            FetchError::Transient(what, _) => {
                Unavailable::Trouble(what.clone(), self.clock.now().until(failure.next_try))
            }
        }
    }
}

fn reason(error: &FetchError) -> &str {
    match error {
        FetchError::NeedsLogin(what) => what,
        FetchError::Transient(what, _) => what,
        FetchError::Misconfigured(what) => what,
    }
}
