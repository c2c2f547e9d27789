//! A refresh whose grant is kept in a store: the order that the store's contract fixes.
//!
//! A refreshed token is committed before any request uses it. Where the store cannot take it, it
//! is served from memory, the account is degraded, and the write is tried again every second.

use std::time::Duration;

use super::{Grant, Refresher, Standing};
use crate::credential::Credential;
use crate::credential::hot::{Freshness, Token};
use crate::credential::source::{FetchError, Fetched};
use crate::store::{LockedGrant, StoreError, StoredGrant, StoredToken};
use crate::types::clock::Moment;
use crate::types::secret::Secret;

/// Life of a token whose source does not say it.
const UNSTATED_LIFE: Duration = Duration::from_secs(300);
/// Between two tries to write what could not be written.
const WRITE_AGAIN: Duration = Duration::from_secs(1);

const NO_GRANT: &str = "run `hubspot-proxy login NAME` (it has no refresh token)";
const INTERRUPTED: &str = "run `hubspot-proxy login NAME` (it was interrupted during a refresh, and HubSpot refuses the refresh token from before)";

/// What to present, and what is known of it.
struct Presented {
    version: u64,
    refresh_token: Secret,
    /// A refresh before this one has begun and not ended.
    interrupted: bool,
}

impl Refresher {
    pub(super) async fn refresh_stored(
        &self,
        credential: &Credential,
        grant: &Grant,
    ) -> Result<(), FetchError> {
        let account = credential.account();
        if let Some(seed) = &grant.seed {
            grant.store.seed(account, seed).await.map_err(unusable)?;
        }
        let mut grant = grant.store.lock(account).await.map_err(unusable)?;
        let mut stored = read(grant.as_mut()).await?;
        // Once for what is there, and once more if a login has replaced it meanwhile.
        for last in [false, true] {
            if let Some(token) = self.take_over(credential, &stored) {
                credential.publish(token);
                self.refreshed(credential, Some("fetched by another process"));
                self.stands(credential, Standing::Well);
                return Ok(());
            }
            let presented = self.begin(credential, grant.as_mut(), stored).await?;
            match self.fetch(Some(&presented.refresh_token)).await {
                Ok(fetched) => {
                    return self.finish(credential, grant.as_mut(), presented, fetched).await;
                }
                Err(FetchError::NeedsLogin(refused)) => {
                    stored = read(grant.as_mut()).await?;
                    if last || stored.version == presented.version {
                        let why = if presented.interrupted { INTERRUPTED } else { refused };
                        return Err(end(grant.as_mut(), stored.version, why).await);
                    }
                }
                // Whether the endpoint has acted is not known: that a refresh has begun stays on
                // record until one has ended.
                Err(error) => return Err(error),
            }
        }
        Err(FetchError::NeedsLogin(NO_GRANT))
    }

    /// A token that another process has fetched meanwhile and that is better than ours.
    fn take_over(&self, credential: &Credential, stored: &StoredGrant) -> Option<Token> {
        let found = stored.access_token.as_ref()?;
        // Another portal may have been configured since it was issued.
        if self.engine.hub_id.is_some() && found.hub_id != self.engine.hub_id {
            return None;
        }
        // What could not be written came after it, whatever a clock that was set back says.
        if self.is_unsaved(stored.version) {
            return None;
        }
        let current = credential.current.load();
        if current.as_ref().is_some_and(|current| current.is(&found.token)) {
            return None;
        }
        let token = self.token_of(found);
        let now = self.moment();
        let is_good = token.freshness(now) == Freshness::Fresh;
        let is_newer = current.as_ref().is_none_or(|current| token.age(now) < current.age(now));
        (is_good && is_newer).then_some(token)
    }

    /// A token as old as the store says, also by the steady clock.
    fn token_of(&self, stored: &StoredToken) -> Token {
        let now = self.moment();
        let age = stored.issued.until(now.wall);
        let issued = Moment { wall: stored.issued, steady: now.steady.saturating_sub(age) };
        let life = stored.issued.until(stored.expires);
        Token::new(&stored.token, issued, life, self.engine.ahead)
    }

    /// Commits that the refresh begins. A store that cannot be written stops it, unless the token
    /// in use is about to end: then serving goes before safety, and the account is degraded.
    async fn begin(
        &self,
        credential: &Credential,
        grant: &mut dyn LockedGrant,
        stored: StoredGrant,
    ) -> Result<Presented, FetchError> {
        let refresh_token = self.unsaved_or(&stored);
        let interrupted = stored.begun.is_some();
        let begun = grant.begin(stored.version, self.engine.clock.now()).await;
        let version = match begun {
            Ok(version) => {
                self.still_unsaved(stored.version, version);
                version
            }
            Err(StoreError::Unavailable(_)) if !self.has_time(credential) => stored.version,
            Err(error) => return Err(unusable(error)),
        };
        Ok(Presented { version, refresh_token, interrupted })
    }

    /// The newest refresh token: one that the store could not take, as long as nobody else has
    /// written there since.
    fn unsaved_or(&self, stored: &StoredGrant) -> Secret {
        let state = self.state.lock();
        match &state.unsaved {
            Some((version, refresh_token)) if *version == stored.version => {
                refresh_token.duplicate()
            }
            _ => stored.refresh_token.duplicate(),
        }
    }

    fn is_unsaved(&self, version: u64) -> bool {
        self.state.lock().unsaved.as_ref().is_some_and(|(before, _)| *before == version)
    }

    /// This engine's own write has changed the version from `before` to `now`: what the store could
    /// not take is still newer than what it holds.
    fn still_unsaved(&self, before: u64, now: u64) {
        if let Some((version, _)) = &mut self.state.lock().unsaved
            && *version == before
        {
            *version = now;
        }
    }

    async fn finish(
        &self,
        credential: &Credential,
        grant: &mut dyn LockedGrant,
        presented: Presented,
        fetched: Fetched,
    ) -> Result<(), FetchError> {
        let issued = self.moment();
        let life = fetched.life.unwrap_or(UNSTATED_LIFE);
        let token = StoredToken {
            expires: issued.wall.after(life),
            issued: issued.wall,
            hub_id: fetched.identity.hub_id,
            token: fetched.token,
        };
        let refresh_token = fetched.refresh_token.unwrap_or(presented.refresh_token);
        // A token for another portal is not used, but the grant has moved on all the same.
        let portal = self.judge_portal(credential.account(), token.hub_id);
        if portal.is_ok() {
            credential.learn(fetched.identity);
        }
        let published = Token::new(&token.token, issued, life, self.engine.ahead);
        match grant.commit(presented.version, &refresh_token, &token).await {
            Ok(_) => {
                self.state.lock().unsaved = None;
                portal?;
                credential.publish(published);
                self.refreshed(credential, None);
                self.stands(credential, Standing::Well);
                Ok(())
            }
            // A login, logout or removal came first: this refresh changes nothing.
            Err(StoreError::Conflict) => Err(FetchError::Transient(
                "its grant was replaced during the refresh".into(),
                Some(Duration::ZERO),
            )),
            Err(_) => {
                if portal.is_ok() {
                    credential.publish(published);
                    self.refreshed(credential, Some("not in the store, which cannot be written"));
                    self.stands(credential, Standing::Degraded);
                }
                self.write_until_taken(credential, grant, presented.version, refresh_token, token)
                    .await;
                portal
            }
        }
    }

    /// Holds the lock meanwhile, so that no other process presents the refresh token from before.
    /// Gives up when the token in use is about to end: the next refresh then begins with what could
    /// not be written.
    async fn write_until_taken(
        &self,
        credential: &Credential,
        grant: &mut dyn LockedGrant,
        version: u64,
        refresh_token: Secret,
        token: StoredToken,
    ) {
        while self.has_time(credential) {
            tokio::time::sleep(WRITE_AGAIN).await;
            match grant.commit(version, &refresh_token, &token).await {
                // After a conflict it is somebody else's grant, and there is nothing left to write.
                Ok(_) | Err(StoreError::Conflict) => {
                    return self.stands(credential, Standing::Well);
                }
                Err(_) => {}
            }
        }
        self.state.lock().unsaved = Some((version, refresh_token));
    }
}

async fn read(grant: &mut dyn LockedGrant) -> Result<StoredGrant, FetchError> {
    let stored = grant.read().await.map_err(unusable)?;
    stored.ok_or(FetchError::NeedsLogin(NO_GRANT))
}

/// The refusal is known, so nothing is open any more. That this cannot be written changes nothing
/// about it.
async fn end(grant: &mut dyn LockedGrant, version: u64, why: &'static str) -> FetchError {
    let _ = grant.abandon(version).await;
    FetchError::NeedsLogin(why)
}

fn unusable(error: StoreError) -> FetchError {
    match error {
        StoreError::OtherOrigin(what) | StoreError::Broken(what) => FetchError::Misconfigured(what),
        StoreError::Conflict | StoreError::Unavailable(_) => {
            FetchError::Transient(error.to_string().into(), None)
        }
    }
}
