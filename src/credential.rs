//! The credential engine: a valid token for an account, kept fresh.
//!
//! The data plane reads the published token without lock, wait or I/O ([`hot`]) and asks for a
//! newer one ([`Credential::newer_than`], [`Credential::replacement`]) only where there is none to
//! use. A refresh runs in a task of its own on the control plane, one at a time for an account; a
//! client that goes away does not end it, and all who wait share its result. The engine knows
//! nothing of HTTP serving.

mod forced;
pub mod hot;
pub mod inquiry;
mod refresh;
mod schedule;
pub mod source;
#[cfg(test)]
mod tests;

use std::borrow::Cow;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use arc_swap::ArcSwapOption;
use forced::ForcedRefreshes;
use hot::{Freshness, Token};
use inquiry::Inquiry;
use refresh::Refresher;
pub use refresh::{Engine, Grant};
use source::TokenSource;

use crate::types::account::{AccountName, Identity};
use crate::types::clock::Moment;
use crate::types::secret::Secret;

/// A token that was fetched less than this ago is not refreshed because of a 401: the cause is
/// another one.
const JUST_FETCHED: Duration = Duration::from_secs(10);

/// Why there is no token to use.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Unavailable {
    /// The grant is gone: what to do and what happened, `NAME` standing for the account.
    NeedsLogin(&'static str),
    /// A setting is wrong; which one.
    Misconfigured(String),
    /// The token is for another portal than the configured one.
    WrongPortal { found: u64, configured: u64 },
    /// The token endpoint does not help at the moment; the next try is due after the time given.
    Trouble(Cow<'static, str>, Duration),
}

/// Why a refused token is not replaced by another.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NoReplacement {
    /// It has been fetched only now.
    JustFetched,
    /// Forced refreshes have been in vain, and pause.
    Paused,
    /// No other can be had.
    Unavailable(Unavailable),
}

/// A token that a refused one was replaced by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Replacement {
    /// Whether a refresh was forced for it, or it had been there already.
    pub forced: bool,
}

/// How a token stands, for people.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TokenStanding {
    pub freshness: Freshness,
    /// Counts the account's tokens; 0 where it had none yet.
    pub generation: u64,
    /// Until its life is over, and since it was issued; `None` where that is not known.
    pub left: Option<Duration>,
    pub age: Option<Duration>,
}

/// The credential of one account, shared by all threads.
pub struct Credential {
    account: AccountName,
    /// Counts the tokens published; 0 before the first.
    generation: AtomicU64,
    current: ArcSwapOption<Token>,
    /// `None` for a static token that needs no look at it.
    refresher: Option<Refresher>,
    /// Whether another token can be had when this one is refused.
    can_refresh: bool,
    /// Why it has no token and gets none.
    missing: Option<Unavailable>,
    forced: ForcedRefreshes,
    /// What HubSpot has said of its tokens so far.
    identity: ArcSwapOption<Identity>,
    /// How it is asked for more; `None` where all that it says comes with the tokens.
    inquiry: Option<Inquiry>,
}

impl Credential {
    /// A static token: never refreshed.
    pub fn fixed(account: AccountName, token: &Secret, inquiry: Option<Inquiry>) -> Arc<Self> {
        let credential = Self { inquiry, ..Self::new(account, None, false) };
        credential.publish(Token::unlimited(token));
        Arc::new(credential)
    }

    /// A static token that is used once `source` has looked at it; never refreshed.
    pub fn checked(
        account: AccountName,
        source: Box<dyn TokenSource>,
        engine: Engine,
    ) -> Arc<Self> {
        Arc::new(Self::new(account, Some(Refresher::new(source, engine)), false))
    }

    /// No token at all: what the account has goes another way.
    pub fn none(account: AccountName) -> Arc<Self> {
        Arc::new(Self::new(account, None, false))
    }

    /// No token, for a reason that only a person can mend.
    pub fn unavailable(account: AccountName, why: Unavailable) -> Arc<Self> {
        Arc::new(Self { missing: Some(why), ..Self::new(account, None, false) })
    }

    /// A token that `source` fetches before the one in use ends.
    pub fn refreshing(
        account: AccountName,
        source: Box<dyn TokenSource>,
        engine: Engine,
        inquiry: Option<Inquiry>,
    ) -> Arc<Self> {
        let refresher = Refresher::new(source, engine);
        Arc::new(Self { inquiry, ..Self::new(account, Some(refresher), true) })
    }

    fn new(account: AccountName, refresher: Option<Refresher>, can_refresh: bool) -> Self {
        Self {
            account,
            generation: AtomicU64::new(0),
            current: ArcSwapOption::empty(),
            refresher,
            can_refresh,
            missing: None,
            forced: ForcedRefreshes::default(),
            identity: ArcSwapOption::empty(),
            inquiry: None,
        }
    }

    /// Whose credential it is.
    pub fn account(&self) -> &AccountName {
        &self.account
    }

    /// Whether a newer token can be had when this one is refused.
    pub fn can_refresh(&self) -> bool {
        self.can_refresh
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
            return self.missing.clone().map_or(Ok(()), Err);
        };
        refresher.newer_than(self, generation).await
    }

    /// Another token after the one of `generation` was refused: the current one if that is newer,
    /// else the outcome of one forced refresh, which all share whose token was refused with it.
    pub async fn replacement(
        self: &Arc<Self>,
        generation: u64,
    ) -> Result<Replacement, NoReplacement> {
        let Some(refresher) = &self.refresher else {
            return Err(NoReplacement::JustFetched);
        };
        if self.generation() > generation {
            return Ok(Replacement { forced: false });
        }
        let now = refresher.moment();
        // Unless a newer one is stored and only not yet counted: that is waited for below.
        let is_refused =
            |token: &Token| token.generation <= generation && token.age(now) < JUST_FETCHED;
        if self.current.load().as_deref().is_some_and(is_refused) {
            return Err(NoReplacement::JustFetched);
        }
        if self.forced.are_paused(now.steady) {
            return Err(NoReplacement::Paused);
        }
        refresher.refuse(generation);
        let refreshed = refresher.newer_than(self, generation).await;
        refreshed.map(|()| Replacement { forced: true }).map_err(NoReplacement::Unavailable)
    }

    /// An answer that is not 401: whatever was wrong with tokens is over.
    pub fn accepted(&self) {
        self.forced.accepted();
    }

    /// The token of a forced refresh was refused as well.
    pub fn refused_again(&self) {
        if let Some(refresher) = &self.refresher {
            self.forced.in_vain(self.generation(), refresher.moment().steady);
        }
    }

    /// Why the account cannot serve now; `Ok` when it has a token, or may get one when asked.
    pub fn readiness(&self) -> Result<(), Unavailable> {
        let Some(refresher) = &self.refresher else {
            return self.missing.clone().map_or(Ok(()), Err);
        };
        let now = refresher.moment();
        let current = self.current.load();
        let usable = current.as_ref().is_some_and(|t| t.freshness(now) != Freshness::Missing);
        let refused = refresher.has_refused(self.generation());
        if usable && !refused { Ok(()) } else { refresher.standing() }
    }

    /// How the token stands at `now`.
    pub fn standing(&self, now: Moment) -> TokenStanding {
        let current = self.current.load();
        let token = current.as_deref();
        TokenStanding {
            freshness: token.map_or(Freshness::Missing, |token| token.freshness(now)),
            generation: token.map_or(0, |token| token.generation),
            left: token.and_then(|token| token.left(now)),
            age: token.filter(|token| token.left(now).is_some()).map(|token| token.age(now)),
        }
    }

    /// Calls for a token that brought one, and calls that did not, since the account was opened.
    pub fn refreshes(&self) -> (u64, u64) {
        self.refresher.as_ref().map_or((0, 0), Refresher::calls)
    }

    /// Whether tokens come but the store does not take them: then the end of the process, or of the
    /// machine, can cost the grant.
    pub fn is_degraded(&self) -> bool {
        self.refresher.as_ref().is_some_and(Refresher::is_degraded)
    }

    /// Waits until no refresh runs: one that is cut off between the endpoint's answer and the write
    /// to the store can cost the grant.
    pub async fn settled(&self) {
        if let Some(refresher) = &self.refresher {
            refresher.settled().await;
        }
    }

    fn generation(&self) -> u64 {
        self.generation.load(Ordering::Acquire)
    }

    /// Called by one at a time: the constructor, then the refresh that runs.
    fn publish(&self, mut token: Token) {
        token.generation = self.generation() + 1;
        let generation = token.generation;
        self.current.store(Some(Arc::new(token)));
        self.generation.store(generation, Ordering::Release);
    }
}
