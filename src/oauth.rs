//! HubSpot's credential endpoints and their errors (RFC 6749, sections 4.4, 5 and 6).
//!
//! One call in, one answer out: when to call, and what an answer means for an account, is the
//! credential engine's business. No body, no query and no header of a call ever reaches an error.

mod answer;
mod client;
mod code;
mod introspection;
pub mod time_limit;

use std::time::Duration;

use client::Endpoint;
pub use code::{Code, CodeError};
pub use introspection::{Introspected, IntrospectionEndpoint, RevocationEndpoint};
use reqwest::StatusCode;
use serde::Deserialize;
use thiserror::Error;
use zeroize::Zeroizing;

use crate::types::account::Identity;
use crate::types::clock::SharedClock;
use crate::types::origin::Origin;
use crate::types::secret::Secret;
use crate::upstream::tls::TlsConfigs;

const FORM: &str = "application/x-www-form-urlencoded";
const JSON: &str = "application/json";

/// When HubSpot ends version 1 of its token endpoints.
const V1_ENDS: &str = "2027-02-16";

/// An app, as it authenticates itself.
#[derive(Clone, Copy, Debug)]
pub struct App<'a> {
    pub client_id: &'a str,
    pub client_secret: &'a Secret,
}

/// What to say of a configured URL of an endpoint that HubSpot is going to end; `key` names it.
pub fn retirement(key: &str, url: &str) -> Option<String> {
    url.contains("/oauth/v1/").then(|| {
        format!("{key} is of version 1, which HubSpot ends on {V1_ENDS}: take the one of /oauth/2026-03/, which is the default")
    })
}

/// A token as an endpoint issued it.
#[derive(Debug)]
pub struct IssuedToken {
    pub access_token: Secret,
    /// From now on.
    pub life: Duration,
    /// What to present next time; `None` when the answer omits it: the old one stays.
    pub refresh_token: Option<Secret>,
    /// The portal that it is for and more, as far as the answer says so.
    pub identity: Identity,
}

/// Why no token was issued.
#[derive(Debug, Error)]
pub enum TokenError {
    /// The grant is not accepted: no repeat can help.
    #[error("HubSpot refused the refresh token")]
    GrantRefused,
    /// The client is not accepted: no repeat can help.
    #[error("HubSpot refused the client id or the client secret")]
    ClientRefused,
    /// The request as such is not accepted.
    #[error("the token endpoint answered {0}")]
    Rejected(StatusCode),
    /// Worth repeating, after the given time if there is one.
    #[error("the token endpoint answered {status}")]
    Busy { status: StatusCode, retry_after: Option<Duration> },
    /// What failed on the way, without the URL.
    #[error("the token endpoint cannot be reached: {0}")]
    Unreachable(String),
    #[error("the token endpoint's answer cannot be used: {0}")]
    Malformed(&'static str),
    #[error("{0}")]
    Setup(String),
}

/// Where tokens of OAuth apps are asked for.
pub struct TokenEndpoint(Endpoint);

impl TokenEndpoint {
    /// `tls` must be given where `url` is https; `proxy` is `upstream.proxy`.
    pub fn new(url: String, tls: Option<TlsConfigs>, proxy: Option<Origin>) -> Self {
        Self(Endpoint::new(url, tls, proxy))
    }

    /// Exchanges a refresh token (RFC 6749, section 6), the client authenticated in the body, as
    /// HubSpot wants it.
    pub async fn refresh(
        &self,
        client_id: &str,
        client_secret: &Secret,
        refresh_token: &Secret,
    ) -> Result<IssuedToken, TokenError> {
        let form = form(&[
            ("grant_type", "refresh_token"),
            ("client_id", client_id),
            ("client_secret", client_secret.expose()),
            ("refresh_token", refresh_token.expose()),
        ]);
        answer::token(&self.0.post(FORM, form).await?)
    }

    /// Asks for a token for the app itself (RFC 6749, section 4.4).
    pub async fn client_credentials(
        &self,
        client_id: &str,
        client_secret: &Secret,
        scopes: &[String],
    ) -> Result<IssuedToken, TokenError> {
        let form = form(&[
            ("grant_type", "client_credentials"),
            ("client_id", client_id),
            ("client_secret", client_secret.expose()),
            ("scope", &scopes.join(" ")),
        ]);
        answer::token(&self.0.post(FORM, form).await?)
    }

    /// Whether the endpoint knows this client, found out by introspection, which changes nothing
    /// (`.../token/introspect`; version 1 has no such path, and then the answer is no).
    pub async fn accepts_client(
        &self,
        client_id: &str,
        client_secret: &Secret,
        token: &Secret,
    ) -> bool {
        let form = form(&[
            ("client_id", client_id),
            ("client_secret", client_secret.expose()),
            ("token", token.expose()),
            ("token_type_hint", "refresh_token"),
        ]);
        let url = format!("{}/introspect", self.0.url());
        let Ok(answer) = self.0.post_to(&url, FORM, form).await else { return false };
        let introspected = serde_json::from_slice::<Introspection>(&answer.body);
        answer.status.is_success() && introspected.is_ok()
    }
}

/// `active` is the one member that every answer has (RFC 7662, section 2.2).
#[derive(Deserialize)]
struct Introspection {
    #[serde(rename = "active")]
    _active: bool,
}

/// Where personal access keys are exchanged.
pub struct AccessKeyEndpoint {
    endpoint: Endpoint,
    clock: SharedClock,
}

impl AccessKeyEndpoint {
    /// The endpoint at `origin`.
    pub fn new(
        origin: &Origin,
        tls: Option<TlsConfigs>,
        proxy: Option<Origin>,
        clock: SharedClock,
    ) -> Self {
        let url = format!("{origin}/localdevauth/v1/auth/refresh");
        Self { endpoint: Endpoint::new(url, tls, proxy), clock }
    }

    /// Exchanges `key`.
    pub async fn exchange(&self, key: &Secret) -> Result<IssuedToken, TokenError> {
        let body = json_member("encodedOAuthRefreshToken", key);
        let answer = self.endpoint.post(JSON, body).await?;
        answer::exchanged(&answer, self.clock.now())
    }
}

/// Says of a static token which portal it is for.
pub struct TokenInfoEndpoint(Endpoint);

/// What is known of a static token.
#[derive(Debug, PartialEq, Eq)]
pub enum TokenInfo {
    /// It is valid, and this is what it is.
    Valid(Identity),
    /// HubSpot does not know it.
    Refused,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct TokenInfoAnswer {
    #[serde(default)]
    hub_id: serde_json::Value,
    #[serde(default)]
    user_id: serde_json::Value,
    #[serde(default)]
    app_id: serde_json::Value,
    #[serde(default)]
    scopes: serde_json::Value,
}

impl TokenInfoEndpoint {
    /// The endpoint at `origin`.
    pub fn new(origin: &Origin, tls: Option<TlsConfigs>, proxy: Option<Origin>) -> Self {
        let url = format!("{origin}/oauth/v2/private-apps/get/access-token-info");
        Self(Endpoint::new(url, tls, proxy))
    }

    /// Asks about `token`.
    pub async fn look_up(&self, token: &Secret) -> Result<TokenInfo, TokenError> {
        let body = json_member("tokenKey", token);
        let answer = self.0.post(JSON, body).await?;
        match answer.status {
            status if status.is_success() => {
                let known: TokenInfoAnswer = serde_json::from_slice(&answer.body)
                    .map_err(|_| TokenError::Malformed("it is not what is known of a token"))?;
                let TokenInfoAnswer { hub_id, user_id, app_id, scopes } = &known;
                Ok(TokenInfo::Valid(answer::identity(hub_id, user_id, app_id, scopes)))
            }
            StatusCode::UNAUTHORIZED => Ok(TokenInfo::Refused),
            status if answer::passes_by_itself(status) => {
                Err(TokenError::Busy { status, retry_after: answer.retry_after })
            }
            status => Err(TokenError::Rejected(status)),
        }
    }
}

/// A form that is wiped after use; large enough at once that no part is left behind in growing.
fn form(fields: &[(&str, &str)]) -> Zeroizing<String> {
    let mut form = form_urlencoded::Serializer::new(String::with_capacity(4096));
    for (name, value) in fields.iter().filter(|(_, value)| !value.is_empty()) {
        form.append_pair(name, value);
    }
    Zeroizing::new(form.finish())
}

/// A JSON object with one member, wiped after use.
fn json_member(name: &str, value: &Secret) -> Zeroizing<String> {
    // A string always serialises.
    let value = Zeroizing::new(serde_json::to_string(value.expose()).unwrap_or_default());
    Zeroizing::new(["{\"", name, "\":", &value, "}"].concat())
}
