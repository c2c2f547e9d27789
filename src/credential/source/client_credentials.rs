//! The client-credentials grant (RFC 6749, section 4.4): authenticates the app, not an account.

use super::{Fetch, FetchError, Fetched, TokenSource, explain};
use crate::oauth::TokenEndpoint;
use crate::types::secret::Secret;

const REFUSED: &str = "HubSpot refused the client-credentials grant; check the app's client_id, client_secret and scopes";

/// Asks for a token with the app's own credentials.
pub struct ClientCredentialsSource {
    endpoint: TokenEndpoint,
    client_id: String,
    client_secret: Secret,
    scopes: Vec<String>,
}

impl ClientCredentialsSource {
    /// A source for one app.
    pub fn new(
        endpoint: TokenEndpoint,
        client_id: String,
        client_secret: Secret,
        scopes: Vec<String>,
    ) -> Self {
        Self { endpoint, client_id, client_secret, scopes }
    }

    async fn ask(&self) -> Result<Fetched, FetchError> {
        let Self { endpoint, client_id, client_secret, scopes } = self;
        let issued = endpoint.client_credentials(client_id, client_secret, scopes).await;
        issued.map(Fetched::from).map_err(|error| explain(error, REFUSED))
    }
}

impl TokenSource for ClientCredentialsSource {
    fn fetch<'a>(&'a self, _: Option<&'a Secret>) -> Fetch<'a> {
        Box::pin(self.ask())
    }
}
