//! Logins that the running proxy takes part in itself: its user has asked for one in the dashboard, and
//! goes to HubSpot in the same browser.
//!
//! One at a time, since all come back to the same redirect URI; a new one ends the one before. The
//! listener has a thread of its own, and what it is brought is exchanged and stored in the runtime
//! that [`Logins::begin`] was called in.

use std::sync::Arc;
use std::thread;
use std::time::Duration;

use http::StatusCode;
use tokio::runtime::Builder;
use tokio::sync::{Mutex, oneshot};
use tracing::{info, warn};

use super::callback::Callback;
use super::keep::{connected, keep, wrong_portal};
use super::listener::{Arrived, CallbackError, CallbackListener};
use super::{Begun, Endpoints, Wish, check_origin, objection};
use crate::accounts::open::{OpenError, Opener};
use crate::config::{Consent, CredentialConfig, SecretRef};
use crate::oauth::{App, IntrospectionEndpoint, TokenEndpoint};
use crate::store::{AccountStore, StoredKind};
use crate::types::account::AccountName;
use crate::types::secret::Secret;

/// How long the consent is waited for.
pub const LONGEST: Duration = Duration::from_secs(5 * 60);
const NO_ANSWER: &str =
    "no answer came from HubSpot within 5 min, as when the consent is cancelled: log in again";

/// The logins of this process.
pub struct Logins {
    opener: Arc<Mutex<Opener>>,
    latest: Arc<parking_lot::Mutex<Option<Latest>>>,
    /// Held while a login begins; the number of the latest.
    beginning: Mutex<u64>,
}

/// The latest login.
struct Latest {
    number: u64,
    account: AccountName,
    standing: Standing,
    /// `None` once nobody waits any more.
    waiting: Option<Waiting>,
}

/// A listener that waits for the browser.
struct Waiting {
    /// Dropped to end it.
    stop: oneshot::Sender<()>,
    /// An error once the listener is gone.
    gone: oneshot::Receiver<()>,
}

/// How a login stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Standing {
    Waiting,
    /// What it has brought, in a sentence.
    Done(String),
    /// Why it has brought nothing, and what to do.
    Failed(String),
}

/// An account, and what its login presents.
struct Subject {
    account: AccountName,
    hub_id: Option<u64>,
    client_id: String,
    client_secret: Secret,
    seed: Option<Secret>,
    consent: Consent,
}

/// A login that has been begun, with all that its end needs.
struct Login {
    subject: Subject,
    begun: Begun,
    endpoints: Endpoints,
    store: Arc<dyn AccountStore>,
}

/// What the listener hands over; it goes on until `done` is dropped.
struct Handed {
    arrived: Arrived,
    done: oneshot::Sender<()>,
}

impl Logins {
    /// None so far.
    pub fn new(opener: Arc<Mutex<Opener>>) -> Self {
        Self { opener, latest: Arc::default(), beginning: Mutex::default() }
    }

    /// Begins a login of `account`: the URL to open. An error says what is missing, and what to do.
    pub async fn begin(&self, account: &AccountName) -> Result<String, String> {
        let mut number = self.beginning.lock().await;
        let (login, redirect_uri) = self.opener.lock().await.login(account).await?;
        let before = self.latest.lock().take().and_then(|latest| latest.waiting);
        if let Some(Waiting { stop, gone }) = before {
            drop(stop);
            let _ = gone.await;
        }
        let (waiting, handed) = listen(&redirect_uri, &login.begun.state).await?;
        *number += 1;
        let (number, url) = (*number, login.begun.url.clone());
        *self.latest.lock() = Some(Latest {
            number,
            account: account.clone(),
            standing: Standing::Waiting,
            waiting: Some(waiting),
        });
        let latest = Arc::clone(&self.latest);
        tokio::spawn(async move {
            let (standing, is_over) = match tokio::time::timeout(LONGEST, handed).await {
                // The listener ends by itself, when the browser has its page.
                Ok(Ok(handed)) => (login.end(handed).await, false),
                // Another login has ended this one.
                Ok(Err(_)) => return,
                Err(_) => (Standing::Failed(NO_ANSWER.to_owned()), true),
            };
            let mut latest = latest.lock();
            if let Some(latest) = latest.as_mut().filter(|latest| latest.number == number) {
                latest.standing = standing;
                latest.waiting.take_if(|_| is_over);
            }
        });
        Ok(url)
    }

    /// How the latest login stands, if it is one of `account`.
    pub fn standing(&self, account: &AccountName) -> Option<Standing> {
        let latest = self.latest.lock();
        let latest = latest.as_ref().filter(|latest| latest.account == *account);
        latest.map(|latest| latest.standing.clone())
    }
}

/// Listens at the redirect URI, on a thread of its own.
async fn listen(
    redirect_uri: &str,
    state: &Secret,
) -> Result<(Waiting, oneshot::Receiver<Handed>), String> {
    let failed = |error: &dyn std::fmt::Display| format!("cannot wait for a login: {error}");
    let (stop, stopped) = oneshot::channel::<()>();
    let (here, gone) = oneshot::channel::<()>();
    let (binding, bound) = oneshot::channel();
    let (handing, handed) = oneshot::channel();
    let (redirect_uri, state) = (redirect_uri.to_owned(), state.duplicate());
    let listening = move || async move {
        let _here = here;
        let listener = match CallbackListener::bind(&redirect_uri, &state).await {
            Ok(listener) => listener,
            // Without a receiver nobody waits for the login any more; so below.
            Err(error) => return drop(binding.send(Err(error))),
        };
        let _ = binding.send(Ok(()));
        let waiting = listener.wait(async |arrived| {
            let (done, ending) = oneshot::channel();
            let _ = handing.send(Handed { arrived, done });
            let _ = ending.await;
        });
        tokio::select! {
            () = waiting => {}
            _ = stopped => {}
        }
    };
    let runtime = Builder::new_current_thread().enable_all().build().map_err(|e| failed(&e))?;
    let thread = thread::Builder::new().name("login".to_owned());
    thread.spawn(move || runtime.block_on(listening())).map_err(|error| failed(&error))?;
    let bound: Result<(), CallbackError> = bound.await.map_err(|error| failed(&error))?;
    bound.map_err(|error| error.to_string())?;
    Ok((Waiting { stop, gone }, handed))
}

impl Login {
    /// Exchanges what the browser has brought, stores it, and tells the browser.
    async fn end(&self, handed: Handed) -> Standing {
        let Handed { arrived: Arrived { callback, browser }, done } = handed;
        let account = &self.subject.account;
        let standing = match self.finish(callback).await {
            Ok(sentence) => {
                info!(%account, "the account has been logged in");
                browser.show(StatusCode::OK, "You are logged in", &sentence);
                Standing::Done(sentence)
            }
            Err(why) => {
                warn!(%account, "the login has failed: {why}");
                browser.show(StatusCode::BAD_REQUEST, "The login has failed", &why);
                Standing::Failed(why)
            }
        };
        drop(done);
        standing
    }

    async fn finish(&self, callback: Callback) -> Result<String, String> {
        let code = match callback {
            Callback::Code(code) => code,
            Callback::Refused(why) => return Err(why),
        };
        let Subject { account, hub_id, client_id, client_secret, seed, .. } = &self.subject;
        let app = App { client_id, client_secret };
        let brought = self.begun.finish(&self.endpoints, app, &code).await;
        let brought = brought.map_err(|error| error.to_string())?;
        if let Some(objection) = wrong_portal(account, *hub_id, &brought) {
            return Err(objection);
        }
        let kept = keep(self.store.as_ref(), account, seed.as_ref(), &brought.new).await;
        kept.map_err(|error| error.to_string())?;
        let mut sentence = connected(account, brought.new.hub_id);
        if !brought.missing.is_empty() {
            sentence += &format!(" Asked for and not granted: {}.", brought.missing.join(" "));
        }
        Ok(sentence)
    }
}

impl Opener {
    /// A login of `account` as it is configured or stored, and where the browser comes back to.
    async fn login(&self, account: &AccountName) -> Result<(Login, String), String> {
        let oauth = &self.config.oauth;
        check_origin(&self.config, "oauth.introspect_url", &oauth.introspect_url)?;
        let Some(store) = &self.store else {
            return Err("this proxy has no store to keep a login in".to_owned());
        };
        let subject = self.subject(account, store.as_ref()).await?;
        if let Some(objection) = objection(&subject.consent) {
            return Err(objection);
        }
        let wish = Wish {
            authorize_url: &oauth.authorize_url,
            redirect_uri: &oauth.redirect_uri,
            client_id: &subject.client_id,
            consent: &subject.consent,
        };
        let begun = Begun::new(&wish).map_err(|error| error.to_string())?;
        let out = &self.surroundings;
        let (tls, proxy) = (out.tls.clone(), out.outbound_proxy.clone());
        let endpoints = Endpoints {
            token: TokenEndpoint::new(out.token_url.clone(), tls.clone(), proxy.clone()),
            introspection: IntrospectionEndpoint::new(oauth.introspect_url.clone(), tls, proxy),
            clock: Arc::clone(&out.clock),
        };
        let store = Arc::clone(store);
        Ok((Login { subject, begun, endpoints, store }, oauth.redirect_uri.clone()))
    }

    async fn subject(
        &self,
        account: &AccountName,
        store: &dyn AccountStore,
    ) -> Result<Subject, String> {
        let unknown = |what: &str| {
            format!(
                "{what} of account {account} is not known here: log in once with `hubspot-proxy login {account}`"
            )
        };
        let stored = self.stored().await.map_err(|error| error.to_string())?;
        let stored = stored.into_iter().find(|stored| stored.name == *account);
        let known = stored.as_ref().filter(|stored| stored.kind == StoredKind::OAuth);
        let known = known.and_then(|stored| stored.client_id.clone());
        let configured = self.config.accounts.get(account);
        let hub_id = configured.and_then(|configured| configured.hub_id);
        let read = async |key, place: Option<&SecretRef>| match place {
            Some(place) => self.read(account, key, place).await.map(Some),
            None => Ok(None),
        };
        let failed = |error: OpenError| error.to_string();
        let (client_id, secret, seed, consent) = match configured.map(|found| &found.credential) {
            Some(CredentialConfig::OAuth { client_id, client_secret, refresh_token, consent }) => {
                let secret = read("client_secret", client_secret.as_ref()).await.map_err(failed)?;
                let seed = read("refresh_token", refresh_token.as_ref()).await.map_err(failed)?;
                (client_id.clone(), secret, seed, consent.clone())
            }
            Some(CredentialConfig::Stored) | None => {
                let client_id = known.clone().ok_or_else(|| unknown("the client id"))?;
                // What has been granted is asked for again.
                let scopes = stored.map(|stored| stored.about.scopes).unwrap_or_default();
                (client_id, None, None, Consent { scopes, ..Consent::default() })
            }
            Some(_) => return Err(format!("account {account} is of a type that takes no login")),
        };
        let client_secret = match secret {
            Some(secret) => secret,
            None if known.as_ref() == Some(&client_id) => {
                let secrets = store.secrets(account).await.map_err(|error| error.to_string())?;
                let kept = secrets.and_then(|secrets| secrets.client_secret);
                kept.ok_or_else(|| unknown("the client secret"))?
            }
            None => return Err(unknown("the client secret")),
        };
        let account = account.clone();
        Ok(Subject { account, hub_id, client_id, client_secret, seed, consent })
    }
}
