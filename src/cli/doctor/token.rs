//! The credential of each account, asked about at HubSpot's own endpoints: what each may be shown to, and
//! nothing that changes it. Refreshing is left to the proxy.

use std::future::poll_fn;
use std::pin::Pin;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use reqwest::StatusCode;

use super::subject::Subject;
use crate::accounts::login;
use crate::config::{Config, CredentialConfig};
use crate::oauth::{
    AccessKeyEndpoint, App, IntrospectionEndpoint, TokenError, TokenInfo, TokenInfoEndpoint,
};
use crate::store::{AccountStore, StoreError, StoredAccount, StoredKind};
use crate::types::account::AccountName;
use crate::types::clock::SystemClock;
use crate::types::secret::Secret;

/// One account is asked about no longer.
const LIMIT: Duration = Duration::from_secs(5);
/// Shown to find out whether an app is known: no token that anybody has.
const NO_TOKEN: &str = "doctor";

/// What was found out of one account.
pub struct Asked {
    pub name: AccountName,
    /// As configured.
    pub hub_id: Option<u64>,
    /// That a login asks for.
    pub wanted: Vec<String>,
    pub state: State,
}

/// How its credential stands.
pub enum State {
    /// There is none; what to do.
    None(String),
    /// It cannot be had, or nobody could be asked; why.
    Unasked(String),
    /// What is stored is for another app or other origins; which and what to do.
    Elsewhere(String),
    /// HubSpot accepts it.
    Accepted {
        hub_id: Option<u64>,
        scopes: Vec<String>,
        interrupted: bool,
    },
    Refused,
    /// The app is not accepted; true when it is with id and secret swapped.
    AppRefused(bool),
    Failed(TokenError),
}

/// Asks about all accounts at once.
pub async fn ask_all(subject: &Subject) -> Vec<Asked> {
    let Some(config) = subject.config() else { return Vec::new() };
    let stored = subject.store.accounts();
    let names: Vec<AccountName> = stored.iter().map(|stored| stored.name.clone()).collect();
    let roster = config.roster(&names);
    let asking = roster.accounts.into_iter().map(|(name, account)| {
        Box::pin(async move {
            let stored = stored.iter().find(|stored| stored.name == name);
            let wanted = match &account.credential {
                CredentialConfig::OAuth { consent, .. } => consent.scopes.clone(),
                _ => Vec::new(),
            };
            let about = About { subject, config, name: &name, stored };
            let asking = tokio::time::timeout(LIMIT, about.ask(&account.credential));
            let state = asking.await.unwrap_or_else(|_| {
                State::Failed(TokenError::Unreachable("no answer in time".to_owned()))
            });
            Asked { hub_id: account.hub_id, wanted, state, name }
        })
    });
    at_once(asking.collect()).await
}

/// What all of them come to, in their order.
async fn at_once<F: Future + Unpin>(mut all: Vec<F>) -> Vec<F::Output> {
    let mut outcomes: Vec<Option<F::Output>> = all.iter().map(|_| None).collect();
    poll_fn(|cx| {
        for (future, outcome) in all.iter_mut().zip(&mut outcomes) {
            if outcome.is_none()
                && let Poll::Ready(ready) = Pin::new(future).poll(cx)
            {
                *outcome = Some(ready);
            }
        }
        match outcomes.iter().all(Option::is_some) {
            true => Poll::Ready(()),
            false => Poll::Pending,
        }
    })
    .await;
    outcomes.into_iter().flatten().collect()
}

/// One account on its way.
struct About<'a> {
    subject: &'a Subject,
    config: &'a Config,
    name: &'a AccountName,
    stored: Option<&'a StoredAccount>,
}

impl About<'_> {
    async fn ask(&self, credential: &CredentialConfig) -> State {
        match credential {
            CredentialConfig::AccessToken { .. } => match self.configured("token") {
                Ok(token) => self.static_token(token).await,
                Err(unasked) => unasked,
            },
            CredentialConfig::PersonalAccessKey { .. } => match self.configured("key") {
                Ok(key) => self.access_key(key).await,
                Err(unasked) => unasked,
            },
            CredentialConfig::DeveloperApiKey { .. } => State::Unasked(
                "HubSpot has no endpoint that checks a developer key: the first call shows"
                    .to_owned(),
            ),
            CredentialConfig::ClientCredentials { client_id, .. } => {
                match self.configured("client_secret") {
                    Ok(secret) => self.app(client_id, secret, None).await,
                    Err(unasked) => unasked,
                }
            }
            CredentialConfig::OAuth { client_id, client_secret, refresh_token, .. } => {
                let secret = client_secret.is_some().then(|| self.configured("client_secret"));
                let seed = refresh_token.is_some().then(|| self.configured("refresh_token"));
                self.oauth(client_id, secret, seed).await
            }
            CredentialConfig::Stored => self.of_store().await,
        }
    }

    /// A configured secret that has been read.
    fn configured(&self, key: &str) -> Result<&Secret, State> {
        let full = format!("accounts.{}.{key}", self.name);
        let read = self.subject.secrets.iter().find(|read| read.key == full);
        let value = read.and_then(|read| read.value.as_ref().ok());
        value.ok_or_else(|| State::Unasked(format!("{full} cannot be read")))
    }

    async fn oauth(
        &self,
        client_id: &str,
        secret: Option<Result<&Secret, State>>,
        seed: Option<Result<&Secret, State>>,
    ) -> State {
        if let Some(of) = self.stored.and_then(|stored| stored.client_id.as_deref())
            && of != client_id
            && seed.is_none()
        {
            return State::Elsewhere(format!(
                "its login was for the app with the client id {of}, and client_id is another: set it back, or run `hubspot-proxy login {}`",
                self.name
            ));
        }
        let kept = match self.stored_secrets().await {
            Ok(kept) => kept,
            Err(state) => return state,
        };
        let (kept_grant, kept_secret) = kept.unwrap_or_default();
        let secret = match (secret, &kept_secret) {
            (Some(Ok(secret)), _) => secret,
            (Some(Err(unasked)), _) => return unasked,
            (None, Some(kept)) => kept,
            (None, None) => {
                return self.needs_login("its client secret is neither configured nor stored");
            }
        };
        let grant = match (&kept_grant, seed) {
            (Some(kept), _) => Some(kept),
            (None, Some(Ok(seed))) => Some(seed),
            (None, Some(Err(unasked))) => return unasked,
            (None, None) => None,
        };
        self.app(client_id, secret, grant).await
    }

    /// The stored refresh token or token, and the stored client secret.
    async fn stored_secrets(&self) -> Result<Option<(Option<Secret>, Option<Secret>)>, State> {
        let (Some(open), Some(_)) = (self.subject.store.opened(), self.stored) else {
            return Ok(None);
        };
        match open.store.secrets(self.name).await {
            Ok(secrets) => Ok(secrets.map(|kept| (kept.secret, kept.client_secret))),
            Err(StoreError::OtherOrigin(what)) => Err(State::Elsewhere(what)),
            Err(error) => Err(State::Unasked(format!("what is stored cannot be opened: {error}"))),
        }
    }

    async fn of_store(&self) -> State {
        let (Some(stored), Ok(Some((secret, client_secret)))) = (
            self.stored,
            match self.stored_secrets().await {
                Err(state) => return state,
                kept => kept,
            },
        ) else {
            return self.needs_login("it has no credential yet");
        };
        let Some(secret) = secret else { return self.needs_login("it has been logged out") };
        match (stored.kind, &stored.client_id, client_secret) {
            (StoredKind::AccessToken, ..) => self.static_token(&secret).await,
            (StoredKind::PersonalAccessKey, ..) => self.access_key(&secret).await,
            (StoredKind::OAuth, Some(id), Some(app)) => self.app(id, &app, Some(&secret)).await,
            (StoredKind::OAuth, ..) => {
                self.needs_login("its client secret is neither configured nor stored")
            }
        }
    }

    fn needs_login(&self, why: &str) -> State {
        State::None(why.to_owned())
    }

    /// An app, and its refresh token where there is one.
    async fn app(&self, client_id: &str, secret: &Secret, grant: Option<&Secret>) -> State {
        let url = &self.config.oauth.introspect_url;
        if let Err(failure) = login::check_origin(self.config, "oauth.introspect_url", url) {
            return State::Elsewhere(failure);
        }
        if let Some(unasked) = self.unreached(url) {
            return unasked;
        }
        let endpoint = IntrospectionEndpoint::new(url.clone(), self.tls(), self.proxy());
        let app = App { client_id, client_secret: secret };
        let nobodys = Secret::new(NO_TOKEN.to_owned());
        let asked = endpoint.introspect_refresh_token(app, grant.unwrap_or(&nobodys)).await;
        match asked {
            Ok(_) if grant.is_none() => self.needs_login("there is no login yet"),
            Ok(known) if known.active => State::Accepted {
                hub_id: known.identity.hub_id,
                scopes: known.identity.about.scopes,
                interrupted: self.stored.is_some_and(|stored| stored.begun.is_some()),
            },
            Ok(_) => State::Refused,
            Err(TokenError::Rejected(StatusCode::NOT_FOUND)) => State::Unasked(
                "oauth.introspect_url answers 404: there is no such endpoint".to_owned(),
            ),
            Err(TokenError::Rejected(_)) => {
                // Both go where they belong, only under each other's name.
                let swapped_secret = Secret::new(client_id.to_owned());
                let swapped = App { client_id: secret.expose(), client_secret: &swapped_secret };
                State::AppRefused(
                    endpoint.introspect_refresh_token(swapped, &nobodys).await.is_ok(),
                )
            }
            Err(error) => State::Failed(error),
        }
    }

    async fn static_token(&self, token: &Secret) -> State {
        let api = &self.config.upstream.url;
        if let Some(unasked) = self.unreached(&api.to_string()) {
            return unasked;
        }
        let endpoint = TokenInfoEndpoint::new(api, self.tls(), self.proxy());
        match endpoint.look_up(token).await {
            Ok(TokenInfo::Valid(identity)) => State::Accepted {
                hub_id: identity.hub_id,
                scopes: identity.about.scopes,
                interrupted: false,
            },
            Ok(TokenInfo::Refused) | Err(TokenError::Rejected(StatusCode::NOT_FOUND)) => {
                State::Refused
            }
            // Not every kind of token is known there.
            Err(TokenError::Rejected(status)) => State::Unasked(format!(
                "HubSpot says nothing of such a token ({status}): the first call shows"
            )),
            Err(error) => State::Failed(error),
        }
    }

    async fn access_key(&self, key: &Secret) -> State {
        let api = &self.config.upstream.url;
        if let Some(unasked) = self.unreached(&api.to_string()) {
            return unasked;
        }
        let clock = Arc::new(SystemClock::new());
        let endpoint = AccessKeyEndpoint::new(api, self.tls(), self.proxy(), clock);
        match endpoint.exchange(key).await {
            Ok(issued) => State::Accepted {
                hub_id: issued.identity.hub_id,
                scopes: Vec::new(),
                interrupted: false,
            },
            Err(TokenError::GrantRefused) => State::Refused,
            Err(error) => State::Failed(error),
        }
    }

    /// Why nobody is asked at `url`: it has been found not to answer.
    fn unreached(&self, url: &str) -> Option<State> {
        let why =
            || State::Unasked("the endpoint that would be asked cannot be reached".to_owned());
        (!self.subject.answers(url)).then(why)
    }

    fn tls(&self) -> Option<crate::upstream::tls::TlsConfigs> {
        self.subject.tls.as_ref().and_then(|tls| tls.as_ref().ok()).cloned()
    }

    fn proxy(&self) -> Option<crate::types::origin::Origin> {
        self.config.upstream.proxy.clone()
    }
}
