//! OAuth with a refresh token (RFC 6749, section 6).

use super::{Fetch, FetchError, Fetched, TokenSource, explain};
use crate::oauth::{TokenEndpoint, TokenError};
use crate::types::secret::Secret;

const REFUSED: &str = "run `hubspot-proxy login NAME` (HubSpot refused its refresh token)";

/// Exchanges the refresh token that the engine hands over.
pub struct RefreshTokenSource {
    endpoint: TokenEndpoint,
    client_id: String,
    client_secret: Secret,
}

impl RefreshTokenSource {
    /// A source for one app.
    pub fn new(endpoint: TokenEndpoint, client_id: String, client_secret: Secret) -> Self {
        Self { endpoint, client_id, client_secret }
    }

    async fn exchange(&self, refresh_token: &Secret) -> Result<Fetched, FetchError> {
        let Self { endpoint, client_id, client_secret } = self;
        match endpoint.refresh(client_id, client_secret, refresh_token).await {
            Ok(issued) => Ok(issued.into()),
            Err(TokenError::ClientRefused) if self.are_swapped(refresh_token).await => {
                Err(FetchError::Misconfigured(
                    "its client_id and client_secret are swapped: exchange the two settings"
                        .to_owned(),
                ))
            }
            Err(error) => Err(explain(error, REFUSED)),
        }
    }

    /// Whether the endpoint knows the pair the other way round. Asked by a call that changes
    /// nothing there.
    async fn are_swapped(&self, refresh_token: &Secret) -> bool {
        let (id, secret) = (self.client_secret.expose(), Secret::new(self.client_id.clone()));
        self.endpoint.accepts_client(id, &secret, refresh_token).await
    }
}

impl TokenSource for RefreshTokenSource {
    fn fetch<'a>(&'a self, refresh_token: Option<&'a Secret>) -> Fetch<'a> {
        Box::pin(async move {
            let missing =
                FetchError::NeedsLogin("run `hubspot-proxy login NAME` (it has no refresh token)");
            self.exchange(refresh_token.ok_or(missing)?).await
        })
    }
}
