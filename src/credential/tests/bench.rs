//! An account whose clock, token endpoint and store are scripted.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicUsize, Ordering::SeqCst};
use std::time::Duration;

use parking_lot::Mutex;
use tokio::runtime::Handle;
use tokio::time::Instant;

use super::super::hot::{Freshness, HotToken};
use super::super::source::{Fetch, FetchError, Fetched, TokenSource};
use super::super::{Credential, Engine, Grant, Unavailable};
use crate::store::GrantStore;
use crate::telemetry::audit::Audit;
use crate::types::account::{AccountName, Identity};
use crate::types::clock::{Clock, WallTime};
use crate::types::secret::Secret;

/// Life of a scripted token unless a test says otherwise, and how long ahead it is refreshed.
pub const LIFE: Duration = Duration::from_secs(1800);
pub const AHEAD: Duration = Duration::from_secs(300);
/// The refresh token that accounts with a store begin with.
pub const SEED: &str = "SECRET-refresh-0";

const START: i64 = 1_795_572_000_000;

pub fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

pub fn secret(text: &str) -> Secret {
    Secret::new(text.to_owned())
}

pub fn transient(what: &'static str) -> FetchError {
    FetchError::Transient(what.into(), None)
}

/// The steady time is tokio's, which tests pause; the wall clock differs from it by what is set.
pub struct SetClock {
    began: Instant,
    wall: AtomicI64,
}

impl SetClock {
    pub fn new() -> Arc<Self> {
        Arc::new(Self { began: Instant::now(), wall: AtomicI64::new(START) })
    }

    /// Sets the wall clock forward, or back, while the steady clock stays: somebody sets it, or
    /// the machine sleeps.
    pub fn jump(&self, seconds: i64) {
        self.wall.fetch_add(seconds * 1000, SeqCst);
    }
}

impl Clock for SetClock {
    fn now(&self) -> WallTime {
        let steady = i64::try_from(self.steady().as_millis()).unwrap();
        WallTime(u64::try_from(self.wall.load(SeqCst) + steady).unwrap())
    }

    fn steady(&self) -> Duration {
        self.began.elapsed()
    }
}

/// What one call to the token endpoint comes to.
pub enum Outcome {
    /// `access-N` and `refresh-N` for the Nth call, with this life.
    Token(Duration),
    /// The same, for a portal.
    TokenOf(u64),
    /// The same, and no new refresh token.
    OldGrant,
    Fail(FetchError),
    Hang,
    Panic,
}

/// Calls begin with 1.
type Script = Box<dyn Fn(usize, &str) -> (Duration, Outcome) + Send + Sync>;

/// A token endpoint that does what a test says, and counts.
pub struct Endpoint {
    script: Script,
    calls: AtomicUsize,
    in_flight: AtomicUsize,
    most_in_flight: AtomicUsize,
    pub presented: Mutex<Vec<String>>,
    pub times: Mutex<Vec<Instant>>,
}

impl Endpoint {
    /// `script` is asked at each call, with its number and the refresh token presented.
    pub fn new(
        script: impl Fn(usize, &str) -> (Duration, Outcome) + Send + Sync + 'static,
    ) -> Arc<Self> {
        Arc::new(Self {
            script: Box::new(script),
            calls: AtomicUsize::new(0),
            in_flight: AtomicUsize::new(0),
            most_in_flight: AtomicUsize::new(0),
            presented: Mutex::default(),
            times: Mutex::default(),
        })
    }

    /// Always a token, after 100 ms.
    pub fn good() -> Arc<Self> {
        Self::new(|_, _| (Duration::from_millis(100), Outcome::Token(LIFE)))
    }

    /// These outcomes at once, one after the other, then tokens.
    pub fn first(outcomes: impl IntoIterator<Item = Outcome>) -> Arc<Self> {
        let outcomes = Mutex::new(outcomes.into_iter().collect::<std::collections::VecDeque<_>>());
        Self::new(move |_, _| {
            let next = outcomes.lock().pop_front();
            (Duration::ZERO, next.unwrap_or(Outcome::Token(LIFE)))
        })
    }

    pub fn calls(&self) -> usize {
        self.calls.load(SeqCst)
    }

    pub fn most_in_flight(&self) -> usize {
        self.most_in_flight.load(SeqCst)
    }

    async fn call(&self, refresh_token: Option<&Secret>) -> Result<Fetched, FetchError> {
        let presented = refresh_token.map_or("", Secret::expose).to_owned();
        let call = self.calls.fetch_add(1, SeqCst) + 1;
        self.times.lock().push(Instant::now());
        let (delay, outcome) = (self.script)(call, &presented);
        self.presented.lock().push(presented);
        let now = self.in_flight.fetch_add(1, SeqCst) + 1;
        self.most_in_flight.fetch_max(now, SeqCst);
        let _leaving = Leaving(&self.in_flight);
        tokio::time::sleep(delay).await;
        let fetched = |life, hub_id, grown: bool| Fetched {
            token: Secret::new(format!("SECRET-access-{call}")),
            life: Some(life),
            refresh_token: grown.then(|| Secret::new(format!("SECRET-refresh-{call}"))),
            identity: Identity { hub_id, ..Identity::default() },
        };
        match outcome {
            Outcome::Token(life) => Ok(fetched(life, None, true)),
            Outcome::TokenOf(hub_id) => Ok(fetched(LIFE, Some(hub_id), true)),
            Outcome::OldGrant => Ok(fetched(LIFE, None, false)),
            Outcome::Fail(error) => Err(error),
            Outcome::Hang => std::future::pending().await,
            Outcome::Panic => panic!("the source panics, as the test wants it to"),
        }
    }
}

/// A call ends also when it is dropped.
struct Leaving<'a>(&'a AtomicUsize);

impl Drop for Leaving<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, SeqCst);
    }
}

struct Source(Arc<Endpoint>);

impl TokenSource for Source {
    fn fetch<'a>(&'a self, refresh_token: Option<&'a Secret>) -> Fetch<'a> {
        Box::pin(self.0.call(refresh_token))
    }
}

/// One account, and how a request uses it.
pub struct Account {
    pub clock: Arc<SetClock>,
    pub endpoint: Arc<Endpoint>,
    pub credential: Arc<Credential>,
    hot: HotToken,
}

impl Account {
    /// An account without a store.
    pub fn of(endpoint: &Arc<Endpoint>) -> Self {
        Self::with(endpoint, &SetClock::new(), None, None)
    }

    /// An account of the portal `hub_id` whose grant is in `store`.
    pub fn stored_of_portal(
        endpoint: &Arc<Endpoint>,
        store: &Arc<impl GrantStore + 'static>,
        hub_id: u64,
    ) -> Self {
        let store: Arc<dyn GrantStore> = Arc::clone(store) as _;
        Self::with(endpoint, &SetClock::new(), Some(store), Some(hub_id))
    }

    /// An account of the portal `hub_id`.
    pub fn of_portal(endpoint: &Arc<Endpoint>, hub_id: u64) -> Self {
        Self::with(endpoint, &SetClock::new(), None, Some(hub_id))
    }

    /// An account whose grant is in `store`, growing from [`SEED`].
    pub fn stored(endpoint: &Arc<Endpoint>, store: &Arc<impl GrantStore + 'static>) -> Self {
        Self::beside(endpoint, store, &SetClock::new())
    }

    /// The same by a clock that another account goes by.
    pub fn beside(
        endpoint: &Arc<Endpoint>,
        store: &Arc<impl GrantStore + 'static>,
        clock: &Arc<SetClock>,
    ) -> Self {
        let store: Arc<dyn GrantStore> = Arc::clone(store) as _;
        Self::with(endpoint, clock, Some(store), None)
    }

    fn with(
        endpoint: &Arc<Endpoint>,
        clock: &Arc<SetClock>,
        store: Option<Arc<dyn GrantStore>>,
        hub_id: Option<u64>,
    ) -> Self {
        let engine = Engine {
            ahead: AHEAD,
            clock: Arc::clone(clock) as _,
            audit: Audit::default(),
            runtime: Handle::current(),
            grant: store.map(|store| Grant { store, seed: Some(secret(SEED)) }),
            hub_id,
            jitter: || 1.0,
        };
        let source = Box::new(Source(Arc::clone(endpoint)));
        let credential = Credential::refreshing(AccountName::default_name(), source, engine, None);
        Self {
            clock: Arc::clone(clock),
            endpoint: Arc::clone(endpoint),
            hot: HotToken::new(Arc::clone(&credential)),
            credential,
        }
    }

    /// Another core's view of the same account.
    pub fn another_core(&self) -> Self {
        Self {
            clock: Arc::clone(&self.clock),
            endpoint: Arc::clone(&self.endpoint),
            credential: Arc::clone(&self.credential),
            hot: HotToken::new(Arc::clone(&self.credential)),
        }
    }

    pub fn freshness(&mut self) -> Freshness {
        let clock = &self.clock;
        self.hot.freshness(|| clock.moment())
    }

    /// The generation of the token that was used last.
    pub fn generation(&self) -> u64 {
        self.hot.generation()
    }

    /// The token that a request gets, by the rules of the data plane: at once while there is time,
    /// after a wait where there is none, and the old one to its end when no newer one comes.
    pub async fn request(&mut self) -> Result<String, Unavailable> {
        match self.freshness() {
            Freshness::Fresh => return Ok(self.token()),
            Freshness::Stale => {
                self.credential.refresh_soon();
                return Ok(self.token());
            }
            Freshness::Expired | Freshness::Missing => {}
        }
        let refreshed = self.credential.newer_than(self.generation()).await;
        if self.freshness() != Freshness::Missing {
            return Ok(self.token());
        }
        Err(refreshed.expect_err("a token that is not missing"))
    }

    /// The token in use without its scheme and mark: `access-1`.
    pub fn token(&self) -> String {
        let value = self.hot.authorization().expect("a token");
        value.to_str().unwrap().strip_prefix("Bearer SECRET-").unwrap().to_owned()
    }

    /// Lets what runs in the background come to rest, in no time.
    pub async fn settle(&self) {
        for _ in 0..50 {
            tokio::task::yield_now().await;
        }
    }
}
