//! From a secret to a credential: which source gives an account its tokens, and who can be asked about them.

use std::sync::Arc;
use std::time::Duration;

use tokio::runtime::Handle;

use crate::credential::inquiry::{AppInformant, Informant, Inquiry};
use crate::credential::source::TokenSource;
use crate::credential::source::access_key::AccessKeySource;
use crate::credential::source::refresh_token::RefreshTokenSource;
use crate::credential::source::static_token::StaticTokenSource;
use crate::credential::{Credential, Engine, Grant};
use crate::oauth::{AccessKeyEndpoint, IntrospectionEndpoint, TokenEndpoint, TokenInfoEndpoint};
use crate::telemetry::audit::Audit;
use crate::types::account::AccountName;
use crate::types::clock::SharedClock;
use crate::types::origin::Origin;
use crate::types::secret::Secret;
use crate::upstream::tls::TlsConfigs;

/// What all accounts use.
pub struct Surroundings {
    /// May be missing where nothing configured needs it.
    pub tls: Option<TlsConfigs>,
    pub outbound_proxy: Option<Origin>,
    /// Where API calls go, and with them personal access keys and the look at static tokens.
    pub api: Origin,
    pub token_url: String,
    /// Where a token of an OAuth app is asked about; `None` where no credential may be sent there.
    pub introspect_url: Option<String>,
    pub refresh_ahead: Duration,
    pub clock: SharedClock,
    pub audit: Audit,
    /// Where refreshes run.
    pub runtime: Handle,
}

/// An OAuth app and what a refresh presents.
pub struct OAuthGrant {
    pub client_id: String,
    pub client_secret: Secret,
    pub grant: Grant,
}

impl Surroundings {
    /// An OAuth grant, refreshed at the token endpoint.
    pub fn oauth(
        &self,
        name: &AccountName,
        grant: OAuthGrant,
        hub_id: Option<u64>,
    ) -> Arc<Credential> {
        let OAuthGrant { client_id, client_secret, grant } = grant;
        let inquiry = self.introspect_url.as_ref().map(|url| {
            let (tls, proxy) = (self.tls.clone(), self.outbound_proxy.clone());
            let endpoint = IntrospectionEndpoint::new(url.clone(), tls, proxy);
            let (client_id, client_secret) = (client_id.clone(), client_secret.duplicate());
            self.inquiry(Box::new(AppInformant { endpoint, client_id, client_secret }))
        });
        let source = RefreshTokenSource::new(self.token_endpoint(), client_id, client_secret);
        let engine = self.engine(Some(grant), hub_id);
        Credential::refreshing(name.clone(), Box::new(source), engine, inquiry)
    }

    pub(super) fn access_key(
        &self,
        name: &AccountName,
        key: Secret,
        hub_id: Option<u64>,
    ) -> Arc<Credential> {
        let (tls, proxy) = (self.tls.clone(), self.outbound_proxy.clone());
        let endpoint = AccessKeyEndpoint::new(&self.api, tls, proxy, Arc::clone(&self.clock));
        let source = AccessKeySource::new(endpoint, key);
        self.refreshing(name, Box::new(source), hub_id)
    }

    pub(super) fn static_token(
        &self,
        name: &AccountName,
        token: Secret,
        hub_id: Option<u64>,
    ) -> Arc<Credential> {
        let (tls, proxy) = (self.tls.clone(), self.outbound_proxy.clone());
        let endpoint = TokenInfoEndpoint::new(&self.api, tls, proxy);
        if hub_id.is_none() {
            let inquiry = self.inquiry(Box::new(endpoint));
            return Credential::fixed(name.clone(), &token, Some(inquiry));
        }
        let source = Box::new(StaticTokenSource::new(endpoint, token));
        let credential = Credential::checked(name.clone(), source, self.engine(None, hub_id));
        // The start does not wait for it; a request does.
        credential.refresh_soon();
        credential
    }

    pub(super) fn refreshing(
        &self,
        name: &AccountName,
        source: Box<dyn TokenSource>,
        hub_id: Option<u64>,
    ) -> Arc<Credential> {
        Credential::refreshing(name.clone(), source, self.engine(None, hub_id), None)
    }

    fn inquiry(&self, informant: Box<dyn Informant>) -> Inquiry {
        Inquiry::new(informant, Arc::clone(&self.clock), self.runtime.clone())
    }

    fn engine(&self, grant: Option<Grant>, hub_id: Option<u64>) -> Engine {
        Engine {
            ahead: self.refresh_ahead,
            clock: Arc::clone(&self.clock),
            audit: self.audit.clone(),
            runtime: self.runtime.clone(),
            grant,
            hub_id,
            jitter: || fastrand::f64(),
        }
    }

    pub(super) fn token_endpoint(&self) -> TokenEndpoint {
        let (tls, proxy) = (self.tls.clone(), self.outbound_proxy.clone());
        TokenEndpoint::new(self.token_url.clone(), tls, proxy)
    }
}
