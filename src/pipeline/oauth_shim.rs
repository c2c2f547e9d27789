//! `legacy_oauth_shim`: what an old client asks of HubSpot's token endpoints is answered here, so that
//! software which insists on refreshing by itself works without ever seeing a credential.
//!
//! In place of a token it gets back the client key that it shows, or a placeholder where it shows
//! none; the proxy takes either off its later requests. Nothing is sent upstream.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::request::Parts;
use http::{Method, Response, StatusCode};
use http_body_util::{BodyExt, Limited};
use hyper::body::Incoming;
use serde_json::json;

use super::gate::client_key;
use super::response::refusal::json_response;
use crate::accounts::Account;
use crate::credential::TokenStanding;
use crate::credential::hot::Freshness;
use crate::types::account::Identity;
use crate::types::client_key::{ClientKey, ClientKeys};
use crate::types::clock::{Moment, WallTime};
use crate::types::path;
use crate::types::refusal::Refusal;

/// What stands for a token where the client shows no key.
const PLACEHOLDER: &str = "the-proxy-holds-the-token";
/// What HubSpot says of its tokens' life, in seconds.
const LIFE: u32 = 1800;
/// A form is no larger, in bytes, and is sent within this time.
const LARGEST: usize = 64 * 1024;
const LONGEST: Duration = Duration::from_secs(10);
/// The fields in which an old client sends what it believes to be a secret.
const FIELDS: [&str; 4] = ["refresh_token", "client_secret", "code", "client_id"];

/// What an old client asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Asked {
    /// `POST /oauth/{version}/token`.
    Token,
    /// `GET /oauth/v1/access-tokens/{token}`.
    AccessToken,
    /// `POST /oauth/v2/private-apps/get/access-token-info`.
    PrivateApp,
}

/// What the request asks for, if it is one of these.
pub fn asked(head: &Parts) -> Option<Asked> {
    let mut path = head.uri.path();
    while let Some(named) = path.strip_prefix("/@") {
        path = named.find('/').map_or("/", |at| &named[at..]);
    }
    let decoded = path::decoded_form(path);
    let segments: Vec<&[u8]> = decoded.split(|b| *b == b'/').skip(1).collect();
    match (&head.method, segments.as_slice()) {
        (&Method::POST, [b"oauth", version, b"token"]) if path::is_version(version) => {
            Some(Asked::Token)
        }
        (&Method::GET, [b"oauth", version, b"access-tokens", _]) if path::is_version(version) => {
            Some(Asked::AccessToken)
        }
        (&Method::POST, [b"oauth", version, b"private-apps", b"get", b"access-token-info"])
            if path::is_version(version) =>
        {
            Some(Asked::PrivateApp)
        }
        _ => None,
    }
}

/// The key in the form of a token call, with its text; `None` where there is none in it.
pub async fn key_in_form(
    body: Incoming,
    keys: &ClientKeys,
    now: impl Fn() -> WallTime,
) -> Result<Option<(Arc<ClientKey>, String)>, Refusal> {
    let reading = tokio::time::timeout(LONGEST, Limited::new(body, LARGEST).collect());
    let Ok(Ok(form)) = reading.await else {
        return Err(Refusal::BadRequest("its form is too large, or broke off"));
    };
    let form = form.to_bytes();
    let fields = form_urlencoded::parse(&form).filter(|(name, _)| FIELDS.contains(&name.as_ref()));
    let mut found = None;
    for (_, value) in fields {
        if let Some(key) = client_key::known(value.as_bytes(), keys, &now)? {
            found = Some((key, value.into_owned()));
        }
    }
    Ok(found)
}

/// What stands for a token: the client's own key, else a placeholder.
pub fn token(shown: Option<&str>) -> Response<Bytes> {
    let token = shown.unwrap_or(PLACEHOLDER);
    let body = json!({
        "token_type": "bearer",
        "access_token": token,
        "refresh_token": token,
        "expires_in": LIFE,
    });
    let mut answer = json_response(StatusCode::OK, &body);
    answer
        .headers_mut()
        .insert(http::header::CACHE_CONTROL, http::HeaderValue::from_static("no-store"));
    answer
}

/// What is known of the account behind a token; never the token. `now` is the moment.
pub async fn information(asked: Asked, account: &Account, now: Moment) -> Response<Bytes> {
    let credential = &account.credential;
    let TokenStanding { freshness, generation, .. } = credential.standing(now);
    if freshness == Freshness::Missing {
        // Without one, nothing but what is stored can be told, and that is what is told then.
        let _ = credential.newer_than(generation).await;
    }
    let Identity { hub_id, about } = account.identified().await;
    let body = match asked {
        Asked::PrivateApp => json!({
            "userId": about.user_id,
            "hubId": hub_id,
            "appId": about.app_id,
            "scopes": about.scopes,
        }),
        Asked::Token | Asked::AccessToken => json!({
            "token_type": "access",
            "hub_id": hub_id,
            "user": about.user,
            "user_id": about.user_id,
            "app_id": about.app_id,
            "scopes": about.scopes,
            "expires_in": LIFE,
        }),
    };
    json_response(StatusCode::OK, &body)
}

#[cfg(test)]
mod tests {
    use http::Request;

    use super::{Asked, asked};

    #[test]
    fn only_the_calls_of_old_clients_are_answered_here() {
        let cases = [
            ("POST", "/oauth/v1/token", Some(Asked::Token)),
            ("POST", "/oauth/2026-03/token/", Some(Asked::Token)),
            ("POST", "/@acme//oauth/v3/token?x=1", Some(Asked::Token)),
            ("POST", "/@key:k/@acme/OAuth/v1/Token", Some(Asked::Token)),
            ("GET", "/oauth/v1/token", None),
            ("POST", "/oauth/token", None),
            ("POST", "/oauth/v1/token/introspect", None),
            ("POST", "/oauth/v1/token/revoke", None),
            ("GET", "/oauth/v1/access-tokens/x", Some(Asked::AccessToken)),
            ("DELETE", "/oauth/v1/refresh-tokens/x", None),
            ("POST", "/oauth/v2/private-apps/get/access-token-info", Some(Asked::PrivateApp)),
            ("GET", "/crm/v3/objects/contacts", None),
        ];
        for (method, target, expected) in cases {
            let request = Request::builder().method(method).uri(target).body(()).unwrap();
            assert_eq!(asked(&request.into_parts().0), expected, "{method} {target}");
        }
    }
}
