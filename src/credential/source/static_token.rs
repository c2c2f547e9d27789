//! A static token whose portal has to be looked at before it is used.

use super::{Fetch, FetchError, Fetched, TokenSource, explain};
use crate::oauth::{TokenError, TokenInfo, TokenInfoEndpoint};
use crate::types::account::Identity;
use crate::types::secret::Secret;

const REFUSED: &str = "HubSpot does not know its token (rotated, revoked or deactivated); put a valid one where the setting token points and restart the proxy, or run `hubspot-proxy accounts import NAME`";

/// "Fetches" the token that is there already, with what HubSpot says of it.
pub struct StaticTokenSource {
    endpoint: TokenInfoEndpoint,
    token: Secret,
}

impl StaticTokenSource {
    /// A source for one token.
    pub fn new(endpoint: TokenInfoEndpoint, token: Secret) -> Self {
        Self { endpoint, token }
    }

    async fn look_up(&self) -> Result<Fetched, FetchError> {
        let identity = match self.endpoint.look_up(&self.token).await {
            Ok(TokenInfo::Valid(identity)) => identity,
            Ok(TokenInfo::Refused) => return Err(FetchError::NeedsLogin(REFUSED)),
            // Not every kind of token is known here: then nothing speaks against it.
            Err(TokenError::Rejected(_) | TokenError::Malformed(_)) => Identity::default(),
            Err(error) => return Err(explain(error, REFUSED)),
        };
        Ok(Fetched { token: self.token.duplicate(), life: None, refresh_token: None, identity })
    }
}

impl TokenSource for StaticTokenSource {
    fn fetch<'a>(&'a self, _: Option<&'a Secret>) -> Fetch<'a> {
        Box::pin(self.look_up())
    }
}
