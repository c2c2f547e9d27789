//! The credential engine: a valid token for an account, kept fresh.
//!
//! The data plane reads the published token without lock, wait or I/O ([`hot`]) and asks for a
//! newer one ([`Credential::newer_than`]) only where there is none to use. A refresh runs in a
//! task of its own on the control plane, one at a time for an account; a client that goes away
//! does not end it, and all who wait share its result. The engine knows nothing of HTTP serving.

pub mod hot;
mod refresh;
mod schedule;
pub mod source;

use std::borrow::Cow;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use arc_swap::ArcSwapOption;
use hot::Token;
use refresh::Refresher;
use source::TokenSource;
use tokio::runtime::Handle;

use crate::types::account::AccountName;
use crate::types::clock::SharedClock;
use crate::types::secret::Secret;

/// Why there is no token to use.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Unavailable {
    /// The grant is gone; what happened, and what to do.
    NeedsLogin(&'static str),
    /// A setting is wrong; which one.
    Misconfigured(String),
    /// The token endpoint does not help at the moment; the next try is due after the time given.
    Trouble(Cow<'static, str>, Duration),
}

/// The credential of one account, shared by all threads.
pub struct Credential {
    account: AccountName,
    /// Counts the tokens published; 0 before the first.
    generation: AtomicU64,
    current: ArcSwapOption<Token>,
    /// `None` for a static token.
    refresher: Option<Refresher>,
}

impl Credential {
    /// A static token: never refreshed.
    pub fn fixed(account: AccountName, token: &Secret) -> Arc<Self> {
        let credential = Self {
            account,
            generation: AtomicU64::new(0),
            current: ArcSwapOption::empty(),
            refresher: None,
        };
        credential.publish(Token::unlimited(token));
        Arc::new(credential)
    }

    /// A token that `source` fetches, `ahead` of the expiry of the one before. Refreshes run on
    /// `runtime`.
    pub fn refreshing(
        account: AccountName,
        source: Box<dyn TokenSource>,
        ahead: Duration,
        clock: SharedClock,
        runtime: Handle,
    ) -> Arc<Self> {
        Arc::new(Self {
            account,
            generation: AtomicU64::new(0),
            current: ArcSwapOption::empty(),
            refresher: Some(Refresher::new(source, ahead, clock, runtime)),
        })
    }

    /// Whose credential it is.
    pub fn account(&self) -> &AccountName {
        &self.account
    }

    /// Whether a newer token can be had when this one is refused.
    pub fn can_refresh(&self) -> bool {
        self.refresher.is_some()
    }

    /// Starts a refresh in the background, unless one is running or the last failure forbids it.
    pub fn refresh_soon(self: &Arc<Self>) {
        if let Some(refresher) = &self.refresher {
            refresher.start(self);
        }
    }

    /// Waits, at most 15 s, until a token newer than `generation` is published.
    pub async fn newer_than(self: &Arc<Self>, generation: u64) -> Result<(), Unavailable> {
        let Some(refresher) = &self.refresher else {
            return Ok(());
        };
        refresher.newer_than(self, generation).await
    }

    /// Why the account cannot serve now; `Ok` when it has a token, or may get one when asked.
    pub fn readiness(&self) -> Result<(), Unavailable> {
        let Some(refresher) = &self.refresher else {
            return Ok(());
        };
        let usable = self.current.load().as_ref().is_some_and(|t| !t.is_over(refresher.now()));
        if usable { Ok(()) } else { refresher.standing() }
    }

    fn generation(&self) -> u64 {
        self.generation.load(Ordering::Acquire)
    }

    fn publish(&self, token: Token) {
        self.current.store(Some(Arc::new(token)));
        self.generation.fetch_add(1, Ordering::Release);
    }
}
