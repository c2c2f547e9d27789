//! How a kind of account gets a token.

pub mod access_key;
pub mod client_credentials;
pub mod refresh_token;
pub mod static_token;

use std::borrow::Cow;
use std::pin::Pin;
use std::time::Duration;

use crate::oauth::{IssuedToken, TokenError};
use crate::types::account::Identity;
use crate::types::secret::Secret;

/// A token that was just fetched.
#[derive(Debug)]
pub struct Fetched {
    pub token: Secret,
    /// From now on; `None` for a token without a known end.
    pub life: Option<Duration>,
    /// What to present next time; `None` where the old one stays, or none is needed.
    pub refresh_token: Option<Secret>,
    /// The portal that the token is for and more, as far as the answer says so.
    pub identity: Identity,
}

/// Why none could be fetched.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FetchError {
    /// The grant was refused, and only a new login helps: what to do, `NAME` standing for the account.
    NeedsLogin(&'static str),
    /// A setting is wrong: only a change of it helps.
    Misconfigured(String),
    /// The token is for this portal, and another is configured.
    WrongPortal { found: u64, configured: u64 },
    /// May pass by itself; the time is what the endpoint asked to wait.
    Transient(Cow<'static, str>, Option<Duration>),
}

/// A fetch on its way.
pub type Fetch<'a> = Pin<Box<dyn Future<Output = Result<Fetched, FetchError>> + Send + 'a>>;

/// Fetches tokens for one account. Called by one refresh at a time.
pub trait TokenSource: Send + Sync {
    /// One attempt to get a new token. `refresh_token` is given to the kinds that present one.
    fn fetch<'a>(&'a self, refresh_token: Option<&'a Secret>) -> Fetch<'a>;
}

impl From<IssuedToken> for Fetched {
    fn from(issued: IssuedToken) -> Self {
        let IssuedToken { access_token, life, refresh_token, identity } = issued;
        Self { token: access_token, life: Some(life), refresh_token, identity }
    }
}

/// What an endpoint's refusal means for an account; `grant` says what to do when the grant itself
/// was refused.
fn explain(error: TokenError, grant: &'static str) -> FetchError {
    let transient = |what: String| FetchError::Transient(what.into(), None);
    match error {
        TokenError::GrantRefused => FetchError::NeedsLogin(grant),
        TokenError::ClientRefused => FetchError::Misconfigured(
            "HubSpot refused its client_id or client_secret; check both settings against the app's page in HubSpot".to_owned(),
        ),
        TokenError::Rejected(status) => FetchError::Misconfigured(format!(
            "the token endpoint answered {status}; check oauth.token_url and the account's settings"
        )),
        TokenError::Setup(what) => FetchError::Misconfigured(what),
        TokenError::Busy { status, retry_after } => {
            FetchError::Transient(format!("the token endpoint answered {status}").into(), retry_after)
        }
        TokenError::Unreachable(why) => {
            transient(format!("the token endpoint cannot be reached ({why})"))
        }
        TokenError::Malformed(what) => {
            transient(format!("the token endpoint's answer cannot be used: {what}"))
        }
    }
}
