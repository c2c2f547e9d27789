//! What is examined: what is given, and what was observed of it, each at once and within a limit.

use std::path::Path;
use std::time::Duration;

use super::finding::Finding;
use super::given::Given;
use super::running::{self, Instance};
use super::secrets::{self, Read};
use super::store::{self, Kept};
use super::token::{self, Asked};
use super::way::Question::{EmptyForm, Root};
use super::way::{self, Way};
use crate::config::{AccountConfig, Config, CredentialConfig};
use crate::types::origin::Origin;
use crate::upstream::tls::{TlsConfigs, TlsSetupError};

/// Observations before those of tokens take no longer, and those of tokens no longer again.
pub const LIMIT: Duration = Duration::from_secs(6);

/// What checks look at.
pub struct Subject {
    pub given: Given,
    /// `None` where nothing configured is https.
    pub tls: Option<Result<TlsConfigs, TlsSetupError>>,
    /// The way to `upstream.url`; `None` where the configuration does not load.
    pub api: Option<Way>,
    /// The way to `oauth.token_url`, where an account needs it.
    pub token_endpoint: Option<Way>,
    pub secrets: Vec<Read>,
    pub store: Kept,
    pub tokens: Vec<Asked>,
    pub running: Vec<Instance>,
}

impl Subject {
    /// Looks at everything.
    pub async fn observe(config_flag: Option<&Path>) -> Self {
        let given = Given::load(config_flag);
        let tls = given.config().and_then(load_tls);
        let token_origin = given.config().and_then(token_origin);
        let ((api, token_endpoint), secrets, store, running) = tokio::join!(
            async {
                let Some(config) = given.config() else { return (None, None) };
                let to_api = way::walk(&config.upstream.url, Root, config, tls.as_ref());
                let to_token = async {
                    let origin = token_origin.as_ref()?;
                    let form = EmptyForm(&config.oauth.token_url);
                    Some(way::walk(origin, form, config, tls.as_ref()).await)
                };
                let (api, token) = tokio::join!(to_api, to_token);
                (Some(api), token)
            },
            secrets::read_all(&given),
            store::look(&given),
            running::look(&given.folders),
        );
        let mut subject =
            Self { given, tls, api, token_endpoint, secrets, store, tokens: Vec::new(), running };
        subject.tokens = token::ask_all(&subject).await;
        subject
    }

    pub fn config(&self) -> Option<&Config> {
        self.given.config()
    }

    /// The finding of a check that needs a configuration where there is none.
    pub fn unloaded(&self) -> Finding {
        Finding::skipped("the configuration does not load")
    }

    /// Whether `origin` has answered.
    pub fn answers(&self, url: &str) -> bool {
        let origin = Origin::of_url(url).map(|origin| origin.serialized()).unwrap_or_default();
        let ways = self.api.iter().chain(&self.token_endpoint);
        let mut to_it = ways.filter(|way| way.origin.serialized() == origin);
        // Where nobody has looked, a call may try.
        to_it.next().is_none_or(|way| matches!(way.answered, Some(Ok(_))))
    }
}

fn load_tls(config: &Config) -> Option<Result<TlsConfigs, TlsSetupError>> {
    let oauth = &config.oauth;
    let urls = [&oauth.token_url, &oauth.introspect_url];
    let needs_tls =
        config.upstream.url.is_https() || urls.iter().any(|url| url.starts_with("https:"));
    needs_tls.then(|| TlsConfigs::load(config.upstream.ca_file.as_deref()))
}

/// The origin of the token endpoint, where an account gets its tokens there.
fn token_origin(config: &Config) -> Option<Origin> {
    let gets_tokens = |account: &AccountConfig| {
        matches!(
            account.credential,
            CredentialConfig::OAuth { .. } | CredentialConfig::ClientCredentials { .. }
        )
    };
    let needed = config.accounts.is_empty() || config.accounts.values().any(gets_tokens);
    Origin::of_url(&config.oauth.token_url).ok().filter(|_| needed)
}
