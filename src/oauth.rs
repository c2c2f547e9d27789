//! HubSpot's token endpoint and its errors (RFC 6749, sections 5 and 6).
//!
//! One call in, one answer out: when to call, and what an answer means for an account, is the
//! credential engine's business. No body, no query and no header of a call ever reaches an error.

use std::sync::OnceLock;
use std::time::Duration;

use reqwest::header::{ACCEPT, RETRY_AFTER};
use reqwest::{Client, Proxy, StatusCode, redirect};
use serde::Deserialize;
use thiserror::Error;
use zeroize::Zeroizing;

use crate::types::origin::Origin;
use crate::types::secret::Secret;
use crate::upstream::tls::{self, TlsConfigs};

/// A token call is over within this time, whatever happens.
const CALL_TIMEOUT: Duration = Duration::from_secs(10);
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// Largest answer that is read, in bytes.
const MAX_ANSWER: usize = 64 * 1024;
/// Life of a token whose answer does not say it: short, so that a wrong guess costs little.
const UNSTATED_LIFE: Duration = Duration::from_secs(300);
/// A longer life than this is not believed.
const LONGEST_LIFE: Duration = Duration::from_secs(24 * 3600);

/// A token as the endpoint issued it.
#[derive(Debug)]
pub struct IssuedToken {
    pub access_token: Secret,
    /// From now on.
    pub life: Duration,
    /// What to present next time; `None` when the answer omits it: the old one stays.
    pub refresh_token: Option<Secret>,
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

/// Where tokens are asked for. Its HTTP client is made at the first call.
pub struct TokenEndpoint {
    url: String,
    tls: Option<TlsConfigs>,
    proxy: Option<Origin>,
    client: OnceLock<Client>,
}

#[derive(Deserialize)]
struct Answer {
    access_token: Option<Secret>,
    refresh_token: Option<Secret>,
    #[serde(default)]
    expires_in: serde_json::Value,
}

#[derive(Deserialize)]
struct Rejection {
    error: Option<String>,
    status: Option<String>,
}

impl TokenEndpoint {
    /// `tls` must be given where `url` is https; `proxy` is `upstream.proxy`.
    pub fn new(url: String, tls: Option<TlsConfigs>, proxy: Option<Origin>) -> Self {
        Self { url, tls, proxy, client: OnceLock::new() }
    }

    /// Exchanges a refresh token (RFC 6749, section 6), the client authenticated in the body, as
    /// HubSpot wants it.
    pub async fn refresh(
        &self,
        client_id: &str,
        client_secret: &Secret,
        refresh_token: &Secret,
    ) -> Result<IssuedToken, TokenError> {
        let form = form_encoded(&[
            ("grant_type", "refresh_token"),
            ("client_id", client_id),
            ("client_secret", client_secret.expose()),
            ("refresh_token", refresh_token.expose()),
        ]);
        let call = self
            .client()?
            .post(&self.url)
            .header("content-type", "application/x-www-form-urlencoded")
            .header(ACCEPT, "application/json")
            .body(String::clone(&form));
        let answer = call.send().await.map_err(unreachable)?;
        let status = answer.status();
        let retry_after = retry_after(&answer);
        let body = read_bounded(answer).await?;
        if status.is_success() {
            return issued(&body);
        }
        Err(rejected(status, retry_after, &body))
    }

    fn client(&self) -> Result<&Client, TokenError> {
        if let Some(client) = self.client.get() {
            return Ok(client);
        }
        let client = self.build().map_err(TokenError::Setup)?;
        Ok(self.client.get_or_init(|| client))
    }

    fn build(&self) -> Result<Client, String> {
        let tls = match &self.tls {
            Some(tls) => (*tls.http1).clone(),
            // Reading the platform's roots for nothing takes longer than all else here.
            None => tls::without_roots().map_err(|e| e.to_string())?,
        };
        let mut builder = Client::builder()
            .tls_backend_preconfigured(tls)
            .redirect(redirect::Policy::none())
            .connect_timeout(CONNECT_TIMEOUT)
            .timeout(CALL_TIMEOUT)
            .pool_max_idle_per_host(0)
            .user_agent(concat!("hubspot-proxy/", env!("CARGO_PKG_VERSION")));
        if self.is_loopback() {
            builder = builder.no_proxy();
        } else if let Some(proxy) = &self.proxy {
            builder = builder.proxy(Proxy::all(proxy.to_string()).map_err(|e| e.to_string())?);
        }
        builder.build().map_err(|e| e.to_string())
    }

    fn is_loopback(&self) -> bool {
        let Ok(uri) = self.url.parse::<http::Uri>() else { return false };
        let (Some(scheme), Some(authority)) = (uri.scheme(), uri.authority()) else { return false };
        format!("{scheme}://{authority}").parse::<Origin>().is_ok_and(|o| o.is_loopback())
    }
}

/// `application/x-www-form-urlencoded`, wiped after use.
fn form_encoded(fields: &[(&str, &str)]) -> Zeroizing<String> {
    let mut form = Zeroizing::new(String::with_capacity(1024));
    for (name, value) in fields {
        if !form.is_empty() {
            form.push('&');
        }
        form.push_str(name);
        form.push('=');
        for byte in value.bytes() {
            match byte {
                b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => {
                    form.push(char::from(byte));
                }
                _ => {
                    form.push('%');
                    form.push(char::from(b"0123456789ABCDEF"[usize::from(byte >> 4)]));
                    form.push(char::from(b"0123456789ABCDEF"[usize::from(byte & 15)]));
                }
            }
        }
    }
    form
}

/// The innermost cause says what a person needs, such as an untrusted certificate; the outer ones
/// repeat the URL.
fn unreachable(error: reqwest::Error) -> TokenError {
    if error.is_timeout() {
        return TokenError::Unreachable("no answer in time".to_owned());
    }
    let error = error.without_url();
    let mut cause: &dyn std::error::Error = &error;
    while let Some(inner) = cause.source() {
        cause = inner;
    }
    TokenError::Unreachable(cause.to_string())
}

fn retry_after(answer: &reqwest::Response) -> Option<Duration> {
    let seconds = answer.headers().get(RETRY_AFTER)?.to_str().ok()?.trim().parse().ok()?;
    Some(Duration::from_secs(seconds))
}

async fn read_bounded(mut answer: reqwest::Response) -> Result<Zeroizing<Vec<u8>>, TokenError> {
    let mut body = Zeroizing::new(Vec::new());
    while let Some(part) = answer.chunk().await.map_err(unreachable)? {
        if body.len() + part.len() > MAX_ANSWER {
            return Err(TokenError::Malformed("it is too large"));
        }
        body.extend_from_slice(&part);
    }
    Ok(body)
}

fn issued(body: &[u8]) -> Result<IssuedToken, TokenError> {
    let answer: Answer = serde_json::from_slice(body)
        .map_err(|_| TokenError::Malformed("it is not the JSON of a token"))?;
    let access_token =
        answer.access_token.ok_or(TokenError::Malformed("it holds no access_token"))?;
    if !is_legal_token(access_token.expose()) {
        return Err(TokenError::Malformed("its access_token is not legal in a header"));
    }
    let refresh_token = answer.refresh_token.filter(|token| !token.is_empty());
    Ok(IssuedToken { access_token, life: life(&answer.expires_in), refresh_token })
}

/// Visible ASCII, as a header value has to be (RFC 6750, section 2.1 is narrower; what HubSpot
/// issues is its own business).
fn is_legal_token(token: &str) -> bool {
    !token.is_empty() && token.bytes().all(|b| b.is_ascii_graphic())
}

/// `expires_in` in seconds, as a number or as its text. Missing, zero, negative or unreadable is
/// taken for five minutes, and more than a day for a day.
fn life(expires_in: &serde_json::Value) -> Duration {
    let seconds = match expires_in {
        serde_json::Value::Number(number) => number.as_f64(),
        serde_json::Value::String(text) => text.trim().parse().ok(),
        _ => None,
    };
    match seconds {
        Some(seconds) if seconds >= 1.0 => {
            Duration::from_secs_f64(seconds.min(LONGEST_LIFE.as_secs_f64()))
        }
        _ => UNSTATED_LIFE,
    }
}

fn rejected(status: StatusCode, retry_after: Option<Duration>, body: &[u8]) -> TokenError {
    if status == StatusCode::TOO_MANY_REQUESTS || status.is_server_error() {
        return TokenError::Busy { status, retry_after };
    }
    let rejection = serde_json::from_slice(body).unwrap_or(Rejection { error: None, status: None });
    let names = [rejection.error.as_deref(), rejection.status.as_deref()];
    let says = |known: &[&str]| names.iter().flatten().any(|name| known.contains(name));
    if says(&["invalid_client", "unauthorized_client", "BAD_CLIENT_ID", "BAD_CLIENT_SECRET"]) {
        return TokenError::ClientRefused;
    }
    if says(&["invalid_grant", "BAD_REFRESH_TOKEN"]) {
        return TokenError::GrantRefused;
    }
    TokenError::Rejected(status)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_life_that_is_not_stated_well_is_short_and_a_huge_one_is_cut() {
        let cases = [
            (json!(1800), 1800),
            (json!("1800"), 1800),
            (json!(1800.9), 1800),
            (json!(null), 300),
            (json!(0), 300),
            (json!(-5), 300),
            (json!("soon"), 300),
            (json!([1]), 300),
            (json!(1e300), 86400),
            (json!(u64::MAX), 86400),
        ];
        for (given, seconds) in cases {
            assert_eq!(life(&given).as_secs(), seconds, "{given}");
        }
    }

    #[test]
    fn a_form_is_encoded_so_that_no_value_can_end_it() {
        let form = form_encoded(&[("a", "x y&b=c"), ("d", "é~")]);
        assert_eq!(form.as_str(), "a=x%20y%26b%3Dc&d=%C3%A9~");
    }

    #[test]
    fn rejections_are_told_apart() {
        let cases: &[(u16, &str, &str)] = &[
            (400, r#"{"error":"invalid_grant"}"#, "HubSpot refused the refresh token"),
            (400, r#"{"status":"BAD_REFRESH_TOKEN"}"#, "HubSpot refused the refresh token"),
            (
                401,
                r#"{"error":"invalid_client"}"#,
                "HubSpot refused the client id or the client secret",
            ),
            (
                400,
                r#"{"status":"BAD_CLIENT_ID"}"#,
                "HubSpot refused the client id or the client secret",
            ),
            (400, "<html>", "the token endpoint answered 400 Bad Request"),
            (
                429,
                r#"{"error":"invalid_grant"}"#,
                "the token endpoint answered 429 Too Many Requests",
            ),
            (503, "", "the token endpoint answered 503 Service Unavailable"),
        ];
        for (status, body, expected) in cases {
            let status = StatusCode::from_u16(*status).unwrap();
            assert_eq!(rejected(status, None, body.as_bytes()).to_string(), *expected, "{body}");
        }
    }

    #[test]
    fn an_answer_without_a_usable_token_is_refused() {
        for body in [
            "",
            "[]",
            "{}",
            r#"{"access_token":""}"#,
            "{\"access_token\":\"a\\nb\"}",
            r#"{"access_token":7}"#,
        ] {
            assert!(matches!(issued(body.as_bytes()), Err(TokenError::Malformed(_))), "{body}");
        }
        let token =
            issued(br#"{"access_token":"t","refresh_token":"","expires_in":60,"new":1}"#).unwrap();
        assert_eq!(token.access_token.expose(), "t");
        assert!(token.refresh_token.is_none());
    }
}
