//! HubSpot's personal access keys: exchanged for a token that lives about half an hour.

use super::{Fetch, FetchError, Fetched, TokenSource, explain};
use crate::oauth::AccessKeyEndpoint;
use crate::types::secret::Secret;

const REFUSED: &str = "HubSpot refused its personal access key; create a new one in HubSpot and put it where the setting key points and restart the proxy, or run `hubspot-proxy accounts import NAME`";

/// Exchanges one key, which stays the same.
pub struct AccessKeySource {
    endpoint: AccessKeyEndpoint,
    key: Secret,
}

impl AccessKeySource {
    /// A source for one key.
    pub fn new(endpoint: AccessKeyEndpoint, key: Secret) -> Self {
        Self { endpoint, key }
    }

    async fn exchange(&self) -> Result<Fetched, FetchError> {
        let issued = self.endpoint.exchange(&self.key).await;
        issued.map(Fetched::from).map_err(|error| explain(error, REFUSED))
    }
}

impl TokenSource for AccessKeySource {
    fn fetch<'a>(&'a self, _: Option<&'a Secret>) -> Fetch<'a> {
        Box::pin(self.exchange())
    }
}
