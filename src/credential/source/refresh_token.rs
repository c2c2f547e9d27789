//! OAuth with a refresh token (RFC 6749, section 6).

use parking_lot::Mutex;

use super::{Fetch, FetchError, Fetched, TokenSource};
use crate::oauth::{IssuedToken, TokenEndpoint, TokenError};
use crate::types::secret::Secret;

/// Exchanges the newest known refresh token. Whatever the endpoint returns is kept in its place,
/// in memory: HubSpot returns the same value.
pub struct RefreshTokenSource {
    endpoint: TokenEndpoint,
    client_id: String,
    client_secret: Secret,
    refresh_token: Mutex<Secret>,
}

impl RefreshTokenSource {
    /// A source that begins with `refresh_token`.
    pub fn new(
        endpoint: TokenEndpoint,
        client_id: String,
        client_secret: Secret,
        refresh_token: Secret,
    ) -> Self {
        Self { endpoint, client_id, client_secret, refresh_token: Mutex::new(refresh_token) }
    }

    async fn exchange(&self) -> Result<Fetched, FetchError> {
        let presented = self.refresh_token.lock().duplicate();
        let outcome = self.endpoint.refresh(&self.client_id, &self.client_secret, &presented).await;
        let IssuedToken { access_token, life, refresh_token } = outcome.map_err(explain)?;
        if let Some(newer) = refresh_token {
            *self.refresh_token.lock() = newer;
        }
        Ok(Fetched { token: access_token, life })
    }
}

impl TokenSource for RefreshTokenSource {
    fn fetch(&self) -> Fetch<'_> {
        Box::pin(self.exchange())
    }
}

fn explain(error: TokenError) -> FetchError {
    match error {
        TokenError::GrantRefused => FetchError::NeedsLogin(
            "HubSpot refused its refresh token; give it a new one in refresh_token and restart the proxy",
        ),
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
            FetchError::Transient(format!("the token endpoint cannot be reached ({why})").into(), None)
        }
        TokenError::Malformed(what) => {
            FetchError::Transient(format!("the token endpoint's answer cannot be used: {what}").into(), None)
        }
    }
}
