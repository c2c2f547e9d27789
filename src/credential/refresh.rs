//! One refresh an account at a time, in a task of its own, its result shared by all who wait.

mod stored;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use parking_lot::Mutex;
use tokio::runtime::Handle;
use tokio::sync::watch;
use tracing::{info, warn};

use super::hot::{Freshness, Token};
use super::source::{FetchError, Fetched, TokenSource};
use super::{Credential, Unavailable, schedule};
use crate::oauth::time_limit::within;
use crate::store::GrantStore;
use crate::telemetry::audit::Audit;
use crate::telemetry::audit::event::{Change, What};
use crate::types::account::AccountName;
use crate::types::clock::{Moment, SharedClock};
use crate::types::secret::Secret;

/// The longest that a request waits for a refresh.
const LONGEST_WAIT: Duration = Duration::from_secs(15);
/// The longest that one fetch may take, whatever the source does.
const LONGEST_FETCH: Duration = Duration::from_secs(30);
/// How long a wrong setting is believed to be wrong.
const MISCONFIGURED_FOR: Duration = Duration::from_secs(60);

/// What an engine works with.
pub struct Engine {
    /// How long before its end a token is refreshed.
    pub ahead: Duration,
    pub clock: SharedClock,
    /// Told of each refresh.
    pub audit: Audit,
    /// Where refreshes run.
    pub runtime: Handle,
    /// For the kinds that have one.
    pub grant: Option<Grant>,
    /// The portal that tokens have to be for.
    pub hub_id: Option<u64>,
    /// From 0 to 1: spreads the pauses.
    pub jitter: fn() -> f64,
}

/// Where a grant is kept.
pub struct Grant {
    pub store: Arc<dyn GrantStore>,
    /// What it begins with, where that is configured; else a login brings it.
    pub seed: Option<Secret>,
}

pub(super) struct Refresher {
    source: Box<dyn TokenSource>,
    engine: Engine,
    state: Mutex<State>,
    /// Tells of each token that is published and of the end of each refresh.
    events: watch::Sender<()>,
    calls: Calls,
}

/// What the token endpoint was asked so far.
#[derive(Debug, Default)]
struct Calls {
    answered: AtomicU64,
    failed: AtomicU64,
}

#[derive(Default)]
struct State {
    running: bool,
    standing: Standing,
    /// Failures in a row, and when the next try is due, by the steady clock.
    failures: u32,
    next_try: Duration,
    /// HubSpot has not said which portal a token is for, and that has been logged.
    unchecked: bool,
    /// The generation of the last token that the upstream has refused.
    refused: Option<u64>,
    /// A refresh token that the store could not take, and the version that it would have replaced.
    unsaved: Option<(u64, Secret)>,
}

/// What is known of the account beside its token.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
enum Standing {
    #[default]
    Well,
    /// Tokens come, but the store does not take them.
    Degraded,
    Failed(FetchError),
}

impl Standing {
    /// The same but for how long the endpoint wants to be left alone.
    fn is_like(&self, other: &Self) -> bool {
        match (self, other) {
            (
                Self::Failed(FetchError::Transient(one, _)),
                Self::Failed(FetchError::Transient(another, _)),
            ) => one == another,
            _ => self == other,
        }
    }
}

impl Refresher {
    pub(super) fn new(source: Box<dyn TokenSource>, engine: Engine) -> Self {
        let events = watch::Sender::new(());
        Self { source, engine, state: Mutex::default(), events, calls: Calls::default() }
    }

    pub(super) fn moment(&self) -> Moment {
        self.engine.clock.moment()
    }

    /// What stands in the way of a new token, if anything is known to.
    pub(super) fn standing(&self) -> Result<(), Unavailable> {
        let state = self.state.lock();
        match &state.standing {
            Standing::Well | Standing::Degraded => Ok(()),
            Standing::Failed(error) => {
                let wait = state.next_try.saturating_sub(self.engine.clock.steady());
                Err(unavailable(error, wait))
            }
        }
    }

    /// Whether the upstream has refused the token of `generation`.
    pub(super) fn has_refused(&self, generation: u64) -> bool {
        self.state.lock().refused == Some(generation)
    }

    pub(super) fn is_degraded(&self) -> bool {
        self.state.lock().standing == Standing::Degraded
    }

    /// Waits for the end of the refresh that runs, if one does.
    pub(super) async fn settled(&self) {
        let mut events = self.events.subscribe();
        while self.state.lock().running {
            if events.changed().await.is_err() {
                return;
            }
        }
    }

    /// The upstream has refused the token of `generation`: one of that age in the store is no
    /// replacement.
    pub(super) fn refuse(&self, generation: u64) {
        self.state.lock().refused = Some(generation);
    }

    /// Begins a refresh, or joins the one that runs; false where a failure forbids one now.
    pub(super) fn start(&self, credential: &Arc<Credential>) -> bool {
        let mut state = self.state.lock();
        if state.running {
            return true;
        }
        if !self.may_try(&state) {
            return false;
        }
        state.running = true;
        let credential = Arc::clone(credential);
        self.engine.runtime.spawn(async move {
            let Some(refresher) = &credential.refresher else { return };
            // Its end is told also when it panics.
            let _end = End(refresher, &credential);
            refresher.run(&credential).await;
        });
        true
    }

    pub(super) async fn newer_than(
        &self,
        credential: &Arc<Credential>,
        generation: u64,
    ) -> Result<(), Unavailable> {
        let mut events = self.events.subscribe();
        let until_newer = async {
            // What runs may be no more than the end of a refresh, its token not yet in the store:
            // then another one follows.
            while credential.generation() <= generation && self.start(credential) {
                while credential.generation() <= generation && self.state.lock().running {
                    if events.changed().await.is_err() {
                        return;
                    }
                }
            }
        };
        // At the end of the time there is either a newer token or none.
        let _ = tokio::time::timeout(LONGEST_WAIT, until_newer).await;
        if credential.generation() > generation {
            return Ok(());
        }
        self.standing()?;
        Err(Unavailable::Trouble("its refresh takes too long".into(), Duration::from_secs(1)))
    }

    fn may_try(&self, state: &State) -> bool {
        match &state.standing {
            Standing::Well | Standing::Degraded => true,
            // Nothing but a new grant or other settings can change these.
            Standing::Failed(FetchError::NeedsLogin(_) | FetchError::WrongPortal { .. }) => false,
            Standing::Failed(_) => self.engine.clock.steady() >= state.next_try,
        }
    }

    async fn run(&self, credential: &Credential) {
        let outcome = match &self.engine.grant {
            None => self.refresh_unstored(credential).await,
            Some(grant) => self.refresh_stored(credential, grant).await,
        };
        if let Err(error) = outcome {
            self.failed(credential, error);
        }
    }

    async fn fetch(&self, refresh_token: Option<&Secret>) -> Result<Fetched, FetchError> {
        let fetch = within(LONGEST_FETCH, self.source.fetch(refresh_token));
        let fetched = fetch.await.unwrap_or_else(|| {
            Err(FetchError::Transient("the token endpoint takes too long".into(), None))
        });
        let Calls { answered, failed } = &self.calls;
        if fetched.is_ok() { answered } else { failed }.fetch_add(1, Ordering::Relaxed);
        fetched
    }

    /// Calls that brought a token, and calls that did not.
    pub(super) fn calls(&self) -> (u64, u64) {
        let Calls { answered, failed } = &self.calls;
        (answered.load(Ordering::Relaxed), failed.load(Ordering::Relaxed))
    }

    /// Whether a token for `found` may be used for this account.
    fn judge_portal(&self, account: &AccountName, found: Option<u64>) -> Result<(), FetchError> {
        match (self.engine.hub_id, found) {
            (Some(configured), Some(found)) if configured != found => {
                Err(FetchError::WrongPortal { found, configured })
            }
            (Some(_), None) if !std::mem::replace(&mut self.state.lock().unchecked, true) => {
                warn!(%account, "HubSpot does not say which portal the token is for: hub_id is not checked");
                Ok(())
            }
            _ => Ok(()),
        }
    }

    async fn refresh_unstored(&self, credential: &Credential) -> Result<(), FetchError> {
        let fetched = self.fetch(None).await?;
        self.judge_portal(credential.account(), fetched.identity.hub_id)?;
        credential.learn(fetched.identity.clone());
        self.publish(credential, &fetched);
        Ok(())
    }

    fn publish(&self, credential: &Credential, fetched: &Fetched) {
        credential.publish(match fetched.life {
            Some(life) => Token::new(&fetched.token, self.moment(), life, self.engine.ahead),
            None => Token::unlimited(&fetched.token),
        });
        self.refreshed(credential, None);
        self.stands(credential, Standing::Well);
    }

    /// Puts a token that has just been published on record.
    fn refreshed(&self, credential: &Credential, detail: Option<&'static str>) {
        let change = Change::new(What::Refresh).of(credential.account());
        let change = change.with_generation(credential.generation());
        self.engine.audit.note(match detail {
            Some(detail) => change.with_detail(detail),
            None => change,
        });
    }

    /// Notes how things stand, and logs it when that is new.
    fn stands(&self, credential: &Credential, standing: Standing) {
        let mut state = self.state.lock();
        state.failures = 0;
        let before = std::mem::replace(&mut state.standing, standing.clone());
        drop(state);
        self.events.send_replace(());
        let account = credential.account();
        match (before == standing, standing) {
            (true, _) | (_, Standing::Failed(_)) => {}
            (_, Standing::Well) => info!(%account, "the account is well again"),
            (_, Standing::Degraded) => warn!(
                %account,
                "a new token could not be written to the store: it is served from memory, and the write is tried every second"
            ),
        }
    }

    fn failed(&self, credential: &Credential, error: FetchError) {
        let (what, code) = on_record(&error);
        self.engine.audit.note(Change::new(what).of(credential.account()).because(code));
        let mut state = self.state.lock();
        let failed = Standing::Failed(error);
        if !state.standing.is_like(&failed)
            && let Standing::Failed(error) = &failed
        {
            let account = credential.account();
            let what = described(error).replace("NAME", account.as_str());
            warn!(%account, "no new token: {what}");
        }
        state.failures += 1;
        let pause = match &failed {
            Standing::Failed(FetchError::Transient(_, asked_for)) => {
                schedule::pause(state.failures, *asked_for, (self.engine.jitter)())
            }
            _ => MISCONFIGURED_FOR,
        };
        state.next_try = self.engine.clock.steady() + pause;
        state.standing = failed;
    }

    /// Whether the token in use is good for a while, so that there is no hurry.
    fn has_time(&self, credential: &Credential) -> bool {
        let refused = self.has_refused(credential.generation());
        let current = credential.current.load();
        let standing = current.as_ref().map(|token| token.freshness(self.moment()));
        !refused && matches!(standing, Some(Freshness::Fresh | Freshness::Stale))
    }
}

/// The end of a refresh, however it came.
struct End<'a>(&'a Refresher, &'a Credential);

impl Drop for End<'_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let fault = "its refresh failed inside the proxy: please report this as a bug";
            self.0.failed(self.1, FetchError::Transient(fault.into(), None));
        }
        self.0.state.lock().running = false;
        self.0.events.send_replace(());
    }
}

fn unavailable(error: &FetchError, wait: Duration) -> Unavailable {
    match error {
        FetchError::NeedsLogin(what) => Unavailable::NeedsLogin(what),
        FetchError::Misconfigured(what) => Unavailable::Misconfigured(what.clone()),
        FetchError::WrongPortal { found, configured } => {
            Unavailable::WrongPortal { found: *found, configured: *configured }
        }
        FetchError::Transient(what, _) => Unavailable::Trouble(what.clone(), wait),
    }
}

/// What an audit log says of a failure: the code that requests are refused with because of it.
fn on_record(error: &FetchError) -> (What, &'static str) {
    match error {
        FetchError::NeedsLogin(_) => (What::NeedsLogin, "needs-login"),
        FetchError::Misconfigured(_) => (What::RefreshFailed, "misconfigured"),
        FetchError::WrongPortal { .. } => (What::RefreshFailed, "wrong-portal"),
        FetchError::Transient(..) => (What::RefreshFailed, "token-unavailable"),
    }
}

fn described(error: &FetchError) -> String {
    match error {
        FetchError::NeedsLogin(what) => (*what).to_owned(),
        FetchError::Misconfigured(what) => what.clone(),
        FetchError::WrongPortal { found, configured } => {
            format!("its token is for Hub ID {found}, and hub_id is {configured}")
        }
        FetchError::Transient(what, _) => what.to_string(),
    }
}
