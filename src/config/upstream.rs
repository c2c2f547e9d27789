//! `[upstream]` and `[oauth]`: where credentials may be sent to, so that a slip in a URL does not
//! send them in clear, or hold a password.

use std::time::Duration;

use http::Uri;

use super::error::ConfigError;
use super::layers::Layer;
use super::{OAuthConfig, UpstreamConfig};
use crate::types::origin::{InvalidOrigin, Origin};

/// Under the upstream's origin, unless `oauth.token_url` is set.
const TOKEN_PATH: &str = "/oauth/2026-03/token";
const PLAINTEXT: &str = "plain http to another machine, where credentials can be read on the way: write https, or set `upstream.allow_plaintext = true`";

/// Gives the settings of both tables their meaning.
pub(super) fn build(layer: &mut Layer) -> Result<(UpstreamConfig, OAuthConfig), ConfigError> {
    let allow_plaintext = layer.take_switch("upstream.allow_plaintext").unwrap_or(false);
    let url = layer.parse_text("upstream.url", |text| upstream_url(text, allow_plaintext))?;
    let url = url.unwrap_or_else(Origin::hubspot_api);
    let proxy = layer.parse_text("upstream.proxy", outbound_proxy)?;
    let token_url = layer.parse_text("oauth.token_url", |text| token_url(text, allow_plaintext))?;
    let token_url = token_url.unwrap_or_else(|| format!("{url}{TOKEN_PATH}"));
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
    Ok((upstream, OAuthConfig { token_url, refresh_ahead }))
}

// None of these messages quotes the URL: it may hold a password.

fn upstream_url(text: &str, allow_plaintext: bool) -> Result<Origin, String> {
    let origin: Origin =
        text.parse().map_err(|what: InvalidOrigin| format!("`upstream.url`: {what}"))?;
    if may_carry_credentials(&origin, allow_plaintext) {
        Ok(origin)
    } else {
        Err(format!("`upstream.url` is {PLAINTEXT}"))
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

fn token_url(text: &str, allow_plaintext: bool) -> Result<String, String> {
    let wrong = |what: &str| {
        format!(
            "`oauth.token_url` {what}: write a URL such as `https://api.hubapi.com{TOKEN_PATH}`"
        )
    };
    if text.contains(['#', '?']) {
        return Err(wrong("must have no query and no fragment"));
    }
    let uri: Uri = text.parse().map_err(|_| wrong("is not a URL"))?;
    let (Some(scheme), Some(authority)) = (uri.scheme_str(), uri.authority()) else {
        return Err(wrong("is not a URL"));
    };
    let origin: Origin = format!("{scheme}://{authority}").parse().map_err(|what| match what {
        InvalidOrigin::UserInfo => wrong("must not hold a user name or password"),
        InvalidOrigin::Scheme => wrong("must be https"),
        InvalidOrigin::NotAUrl | InvalidOrigin::NotAnOrigin => wrong("is not a URL"),
    })?;
    if may_carry_credentials(&origin, allow_plaintext) {
        Ok(text.to_owned())
    } else {
        Err(format!("`oauth.token_url` is {PLAINTEXT}"))
    }
}

fn may_carry_credentials(origin: &Origin, allow_plaintext: bool) -> bool {
    origin.is_https() || origin.is_loopback() || allow_plaintext
}
