//! What HubSpot says of a token beside its life: the portal, the app, the user, the scopes.
//!
//! Much of it comes with the tokens themselves. The rest is asked for once, when somebody wants to know it,
//! and never on the way of a request that is forwarded. It is kept with the credential, and so forgotten
//! with it. Nobody is refused anything because it is not known.

use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::runtime::Handle;
use tokio::sync::watch;
use tracing::debug;

use super::Credential;
use super::hot::Freshness;
use crate::oauth::{App, IntrospectionEndpoint, TokenError, TokenInfo, TokenInfoEndpoint};
use crate::types::account::Identity;
use crate::types::clock::SharedClock;
use crate::types::secret::Secret;

/// Who wants to know waits no longer for the answer.
const PATIENCE: Duration = Duration::from_secs(2);
/// After a question without an answer, the next is asked no sooner.
const PAUSE: Duration = Duration::from_secs(60);

/// A question on its way.
pub type Asking<'a> = Pin<Box<dyn Future<Output = Result<Identity, TokenError>> + Send + 'a>>;

/// Says what a token is.
pub trait Informant: Send + Sync {
    /// Asks about `token`, which goes to a place that credentials may go to.
    fn ask<'a>(&'a self, token: &'a Secret) -> Asking<'a>;
}

/// How one account's token is asked about.
pub struct Inquiry {
    informant: Box<dyn Informant>,
    clock: SharedClock,
    /// Where questions are asked.
    runtime: Handle,
    state: Mutex<State>,
    /// Tells of the end of each question.
    ended: watch::Sender<()>,
}

#[derive(Default)]
struct State {
    running: bool,
    answered: bool,
    /// By the steady clock.
    next_try: Duration,
}

impl Inquiry {
    /// `informant` is asked on `runtime`.
    pub fn new(informant: Box<dyn Informant>, clock: SharedClock, runtime: Handle) -> Self {
        let ended = watch::Sender::new(());
        Self { informant, clock, runtime, state: Mutex::default(), ended }
    }

    /// Begins a question, or joins the one that runs; false where there is nothing to wait for.
    fn start(&self, credential: &Arc<Credential>) -> bool {
        let mut state = self.state.lock();
        if state.running {
            return true;
        }
        let moment = self.clock.moment();
        let current = credential.current.load();
        let token = current.as_ref().filter(|t| t.freshness(moment) != Freshness::Missing);
        let Some(token) = token.map(|token| token.bare()) else { return false };
        if state.answered || moment.steady < state.next_try {
            return false;
        }
        state.running = true;
        state.next_try = moment.steady + PAUSE;
        let credential = Arc::clone(credential);
        self.runtime.spawn(async move {
            let Some(inquiry) = &credential.inquiry else { return };
            // Its end is told also when it panics.
            let _end = End(inquiry);
            match inquiry.informant.ask(&token).await {
                Ok(identity) => {
                    credential.learn(identity);
                    inquiry.state.lock().answered = true;
                }
                Err(error) => {
                    debug!(account = %credential.account, "HubSpot does not say what the token is: {error}");
                }
            }
        });
        true
    }
}

/// The end of a question, however it came.
struct End<'a>(&'a Inquiry);

impl Drop for End<'_> {
    fn drop(&mut self) {
        self.0.state.lock().running = false;
        self.0.ended.send_replace(());
    }
}

impl Credential {
    /// What HubSpot has said of the account's tokens so far.
    pub fn identity(&self) -> Identity {
        self.identity.load().as_deref().cloned().unwrap_or_default()
    }

    /// The same, after it has been asked, where that was not done yet. Waits at most 2 s; no token is
    /// fetched for it.
    pub async fn identified(self: &Arc<Self>) -> Identity {
        if let Some(inquiry) = &self.inquiry {
            let mut ended = inquiry.ended.subscribe();
            if inquiry.start(self) {
                // Without an answer in time, what is known has to do.
                let _ = tokio::time::timeout(PATIENCE, ended.changed()).await;
            }
        }
        self.identity()
    }

    /// Notes what HubSpot says; where it says nothing, what it has said before stays.
    pub(super) fn learn(&self, identity: Identity) {
        self.identity.rcu(|before| match before {
            Some(before) => Arc::new(identity.clone().or(before)),
            None => Arc::new(identity.clone()),
        });
    }
}

impl Informant for TokenInfoEndpoint {
    fn ask<'a>(&'a self, token: &'a Secret) -> Asking<'a> {
        Box::pin(async {
            match self.look_up(token).await? {
                TokenInfo::Valid(identity) => Ok(identity),
                TokenInfo::Refused => Err(TokenError::GrantRefused),
            }
        })
    }
}

/// Asks about the tokens of an OAuth app.
pub struct AppInformant {
    pub endpoint: IntrospectionEndpoint,
    pub client_id: String,
    pub client_secret: Secret,
}

impl Informant for AppInformant {
    fn ask<'a>(&'a self, token: &'a Secret) -> Asking<'a> {
        let app = App { client_id: &self.client_id, client_secret: &self.client_secret };
        Box::pin(async move {
            let introspected = self.endpoint.introspect(app, token).await?;
            match introspected.active {
                true => Ok(introspected.identity),
                false => Err(TokenError::Malformed("the token is not active")),
            }
        })
    }
}
