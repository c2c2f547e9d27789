//! `[upstream]` and `[oauth]`: where credentials may be sent to, so that a slip in a URL does not
//! send them in clear, or hold a password.

use std::time::Duration;

use http::Uri;

use super::error::ConfigError;
use super::layers::Layer;
use super::{Listen, OAuthConfig, UpstreamConfig};
use crate::types::origin::{InvalidOrigin, Origin};

/// Under the upstream's origin, unless they are set.
const TOKEN_PATH: &str = "/oauth/2026-03/token";
const INTROSPECT_PATH: &str = "/oauth/2026-03/token/introspect";
const REVOKE_PATH: &str = "/oauth/2026-03/token/revoke";
/// Where a user allows an app.
const AUTHORIZE_URL: &str = "https://app.hubspot.com/oauth/authorize";
/// What HubSpot's own quickstarts register.
const REDIRECT_URI: &str = "http://localhost:3000/oauth-callback";
const PLAINTEXT: &str = "plain http to another machine, where credentials can be read on the way: write https, or set `upstream.allow_plaintext = true`";

/// Gives the settings of both tables their meaning.
pub(super) fn build(
    layer: &mut Layer,
    listen: &[Listen],
) -> Result<(UpstreamConfig, OAuthConfig), ConfigError> {
    let allow_plaintext = layer.take_switch("upstream.allow_plaintext").unwrap_or(false);
    let url =
        layer.parse_text("upstream.url", |text| upstream_url(text, allow_plaintext, listen))?;
    let url = url.unwrap_or_else(Origin::hubspot_api);
    let proxy = layer.parse_text("upstream.proxy", outbound_proxy)?;
    let mut endpoint = |key: &'static str, default: String| {
        let set = layer.parse_text(key, |text| endpoint_url(key, text, &default, allow_plaintext));
        Ok(set?.unwrap_or(default))
    };
    let authorize_url = endpoint("oauth.authorize_url", AUTHORIZE_URL.to_owned())?;
    let token_url = endpoint("oauth.token_url", format!("{url}{TOKEN_PATH}"))?;
    let introspect_url = endpoint("oauth.introspect_url", format!("{url}{INTROSPECT_PATH}"))?;
    let revoke_url = endpoint("oauth.revoke_url", format!("{url}{REVOKE_PATH}"))?;
    let redirect_uri = layer.parse_text("oauth.redirect_uri", redirect_uri)?;
    let upstream = UpstreamConfig {
        url,
        ca_file: layer.take_path("upstream.ca_file"),
        proxy,
        connect_timeout: layer
            .take_time("upstream.connect_timeout")
            .unwrap_or(Duration::from_secs(10)),
        response_timeout: layer
            .take_time("upstream.response_timeout")
            .unwrap_or(Duration::from_secs(120)),
        replay_buffer: layer.take_usize("upstream.replay_buffer").unwrap_or(256 * 1024),
        rewrite_links: layer.take_switch("upstream.rewrite_links").unwrap_or(false),
    };
    let refresh_ahead = layer.take_time("oauth.refresh_ahead").unwrap_or(Duration::from_secs(300));
    let redirect_uri = redirect_uri.unwrap_or_else(|| REDIRECT_URI.to_owned());
    let oauth = OAuthConfig {
        authorize_url,
        token_url,
        introspect_url,
        revoke_url,
        redirect_uri,
        refresh_ahead,
    };
    Ok((upstream, oauth))
}

// None of these messages quotes the URL: it may hold a password.

fn upstream_url(text: &str, allow_plaintext: bool, listen: &[Listen]) -> Result<Origin, String> {
    let origin: Origin = text.parse().map_err(|what: InvalidOrigin| {
        format!("`upstream.url`: {what}: write an origin such as `https://api.hubapi.com`")
    })?;
    if listen.iter().any(|entry| is_at(&origin, entry)) {
        return Err("`upstream.url` is the proxy's own address, so that each request would come back to it: remove it for HubSpot's, or correct it".to_owned());
    }
    if may_carry_credentials(&origin, allow_plaintext) {
        Ok(origin)
    } else {
        Err(format!("`upstream.url` is {PLAINTEXT}"))
    }
}

/// Whether what is sent to `origin` arrives at `entry`.
fn is_at(origin: &Origin, entry: &Listen) -> bool {
    match entry {
        Listen::Localhost(port) => origin.is_loopback() && origin.port() == *port,
        Listen::Address(address) => {
            let host = origin.host();
            let is_host = host.parse() == Ok(address.ip())
                || address.ip().is_loopback() && host.eq_ignore_ascii_case("localhost");
            is_host && origin.port() == address.port()
        }
        Listen::Unix(_) => false,
    }
}

fn outbound_proxy(text: &str) -> Result<Origin, String> {
    const EXAMPLE: &str = "write a URL such as `http://proxy.example:3128`";
    match text.parse::<Origin>() {
        Ok(proxy) if !proxy.is_https() => Ok(proxy),
        Ok(_) | Err(InvalidOrigin::Scheme) => {
            Err(format!("`upstream.proxy` must be an http proxy: {EXAMPLE}"))
        }
        Err(InvalidOrigin::UserInfo) => Err("`upstream.proxy` must not hold a user name or password: set HTTPS_PROXY in the environment for a proxy that needs them".to_owned()),
        Err(what) => Err(format!("`upstream.proxy`: {what}; {EXAMPLE}")),
    }
}

/// The redirect URI as the app has registered it: HubSpot compares it byte for byte, and wants https
/// except for `localhost`.
fn redirect_uri(text: &str) -> Result<String, String> {
    let wrong = |what: &str| {
        format!(
            "`oauth.redirect_uri` {what}: write what the app has registered, such as `{REDIRECT_URI}`"
        )
    };
    if text.contains('#') {
        return Err(wrong("must have no fragment"));
    }
    let uri: Uri = text.parse().map_err(|_| wrong("is not a URL"))?;
    let (Some(scheme), Some(host)) = (uri.scheme_str(), uri.host()) else {
        return Err(wrong("is not a URL"));
    };
    match scheme {
        "https" => Ok(text.to_owned()),
        "http" if host == "localhost" => Ok(text.to_owned()),
        _ => Err(wrong("must be https, or http to `localhost`, which an IP address is not")),
    }
}

fn endpoint_url(
    key: &str,
    text: &str,
    example: &str,
    allow_plaintext: bool,
) -> Result<String, String> {
    let wrong = |what: &str| format!("`{key}` {what}: write a URL such as `{example}`");
    if text.contains(['#', '?']) {
        return Err(wrong("must have no query and no fragment"));
    }
    let origin = Origin::of_url(text).map_err(|what| match what {
        InvalidOrigin::UserInfo => wrong("must not hold a user name or password"),
        InvalidOrigin::Scheme => wrong("must be https"),
        InvalidOrigin::NotAUrl | InvalidOrigin::NotAnOrigin => wrong("is not a URL"),
    })?;
    if may_carry_credentials(&origin, allow_plaintext) {
        Ok(text.to_owned())
    } else {
        Err(format!("`{key}` is {PLAINTEXT}"))
    }
}

fn may_carry_credentials(origin: &Origin, allow_plaintext: bool) -> bool {
    origin.is_https() || origin.is_loopback() || allow_plaintext
}
