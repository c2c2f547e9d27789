//! What HubSpot says of a token (RFC 7662), and its end (RFC 7009). Both answers may repeat the token:
//! nothing of them is ever shown but the members named here.

use serde::Deserialize;
use serde_json::Value;
use zeroize::Zeroizing;

use super::client::Endpoint;
use super::{App, FORM, TokenError, answer, form};
use crate::types::account::{About, Identity};
use crate::types::origin::Origin;
use crate::types::secret::Secret;
use crate::upstream::tls::TlsConfigs;

/// What is known of a token.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Introspected {
    pub active: bool,
    pub hub_domain: Option<String>,
    pub identity: Identity,
}

/// Members may be missing, and others be there: servers differ.
#[derive(Deserialize)]
struct Members {
    active: bool,
    #[serde(default)]
    hub_id: Value,
    hub_domain: Option<String>,
    user: Option<String>,
    /// RFC 7662's name for it.
    username: Option<String>,
    #[serde(default)]
    user_id: Value,
    #[serde(default)]
    app_id: Value,
    scopes: Option<Vec<String>>,
    /// RFC 7662: with blanks between them.
    scope: Option<String>,
}

/// Where tokens are asked about.
pub struct IntrospectionEndpoint(Endpoint);

/// Where tokens are revoked.
pub struct RevocationEndpoint(Endpoint);

impl IntrospectionEndpoint {
    /// `tls` must be given where `url` is https; `proxy` is `upstream.proxy`.
    pub fn new(url: String, tls: Option<TlsConfigs>, proxy: Option<Origin>) -> Self {
        Self(Endpoint::new(url, tls, proxy))
    }

    /// Asks about an access token.
    pub async fn introspect(
        &self,
        app: App<'_>,
        token: &Secret,
    ) -> Result<Introspected, TokenError> {
        self.ask(about_token(app, token, "access_token")).await
    }

    /// Asks about a refresh token.
    pub async fn introspect_refresh_token(
        &self,
        app: App<'_>,
        token: &Secret,
    ) -> Result<Introspected, TokenError> {
        self.ask(about_token(app, token, "refresh_token")).await
    }

    async fn ask(&self, form: Zeroizing<String>) -> Result<Introspected, TokenError> {
        let answer = self.0.post(FORM, form).await?;
        match answer.status {
            status if status.is_success() => introspected(&answer.body),
            status if answer::passes_by_itself(status) => {
                Err(TokenError::Busy { status, retry_after: answer.retry_after })
            }
            status => Err(TokenError::Rejected(status)),
        }
    }
}

impl RevocationEndpoint {
    /// `tls` must be given where `url` is https; `proxy` is `upstream.proxy`.
    pub fn new(url: String, tls: Option<TlsConfigs>, proxy: Option<Origin>) -> Self {
        Self(Endpoint::new(url, tls, proxy))
    }

    /// Revokes a refresh token. One that is not known counts as revoked (RFC 7009, section 2.2).
    pub async fn revoke(&self, app: App<'_>, refresh_token: &Secret) -> Result<(), TokenError> {
        let form = about_token(app, refresh_token, "refresh_token");
        let answer = self.0.post(FORM, form).await?;
        match answer.status {
            status if status.is_success() => Ok(()),
            status if answer::passes_by_itself(status) => {
                Err(TokenError::Busy { status, retry_after: answer.retry_after })
            }
            status => Err(TokenError::Rejected(status)),
        }
    }
}

fn about_token(app: App<'_>, token: &Secret, hint: &str) -> Zeroizing<String> {
    form(&[
        ("client_id", app.client_id),
        ("client_secret", app.client_secret.expose()),
        ("token", token.expose()),
        ("token_type_hint", hint),
    ])
}

fn introspected(body: &[u8]) -> Result<Introspected, TokenError> {
    let members: Members = serde_json::from_slice(body)
        .map_err(|_| TokenError::Malformed("it is not what is known of a token"))?;
    let scopes = match &members.scopes {
        Some(scopes) => answer::names_of_scopes(scopes.iter().map(String::as_str)),
        None => {
            answer::names_of_scopes(members.scope.as_deref().unwrap_or_default().split_whitespace())
        }
    };
    Ok(Introspected {
        active: members.active,
        hub_domain: members.hub_domain,
        identity: Identity {
            hub_id: answer::number(&members.hub_id),
            about: About {
                user: members.user.or(members.username),
                user_id: answer::number(&members.user_id),
                app_id: answer::number(&members.app_id),
                scopes,
            },
        },
    })
}

#[cfg(test)]
mod tests {
    use super::introspected;

    #[test]
    fn what_servers_say_differently_means_the_same() {
        let full = br#"{"active":true,"token":"LEAK","hub_id":7,"hub_domain":"x.example","user":"ada@example.com",
            "user_id":"501","app_id":42,"scopes":["oauth","a b","$(x)","-x","crm.objects.contacts.read"],"expires_in":1800,"new":{}}"#;
        let known = introspected(full).unwrap().identity;
        assert_eq!(
            (known.hub_id, known.about.user_id, known.about.app_id),
            (Some(7), Some(501), Some(42))
        );
        assert_eq!(known.about.scopes, ["oauth", "crm.objects.contacts.read"]);
        assert!(!format!("{known:?}").contains("LEAK"));
        let standard = br#"{"active":true,"scope":"openid email","username":"ada","sub":"x"}"#;
        let known = introspected(standard).unwrap().identity;
        assert_eq!(known.about.scopes, ["openid", "email"]);
        assert_eq!((known.hub_id, known.about.user.as_deref()), (None, Some("ada")));
        assert!(!introspected(br#"{"active":false}"#).unwrap().active);
        for bad in
            ["", "<html>", "[]", "{}", r#"{"active":"yes"}"#, r#"{"active":true,"scopes":7}"#]
        {
            assert!(introspected(bad.as_bytes()).is_err(), "{bad}");
        }
    }
}
