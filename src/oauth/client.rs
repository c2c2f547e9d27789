//! The HTTP client of the calls to HubSpot's credential endpoints: bounded in time and size, never
//! redirected, through the same outbound proxy and with the same roots as API calls.

use std::sync::OnceLock;
use std::time::Duration;

use bytes::Bytes;
use reqwest::header::{ACCEPT, CONTENT_TYPE, RETRY_AFTER};
use reqwest::{Client, Proxy, StatusCode, redirect};
use zeroize::Zeroizing;

use super::TokenError;
use super::time_limit::within;
use crate::types::origin::Origin;
use crate::upstream::tls::{self, TlsConfigs};

/// A call is over within this time, whatever happens.
const CALL_TIMEOUT: Duration = Duration::from_secs(10);
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// Largest answer that is read, in bytes.
const MAX_ANSWER: usize = 64 * 1024;

/// Where a call goes, and how. The client is made at the first call.
pub(super) struct Endpoint {
    url: String,
    tls: Option<TlsConfigs>,
    proxy: Option<Origin>,
    client: OnceLock<Client>,
}

/// What came back.
pub(super) struct Answer {
    pub(super) status: StatusCode,
    pub(super) retry_after: Option<Duration>,
    pub(super) body: Zeroizing<Vec<u8>>,
}

/// A body that is wiped once it has been sent.
struct Wiped(Zeroizing<String>);

impl AsRef<[u8]> for Wiped {
    fn as_ref(&self) -> &[u8] {
        self.0.as_bytes()
    }
}

impl Endpoint {
    /// `tls` must be given where `url` is https; `proxy` is `upstream.proxy`.
    pub(super) fn new(url: String, tls: Option<TlsConfigs>, proxy: Option<Origin>) -> Self {
        Self { url, tls, proxy, client: OnceLock::new() }
    }

    /// The URL that `post` calls.
    pub(super) fn url(&self) -> &str {
        &self.url
    }

    /// POSTs to the endpoint's own URL.
    pub(super) async fn post(
        &self,
        content_type: &'static str,
        body: Zeroizing<String>,
    ) -> Result<Answer, TokenError> {
        self.post_to(&self.url, content_type, body).await
    }

    /// POSTs to another URL of the same kind.
    pub(super) async fn post_to(
        &self,
        url: &str,
        content_type: &'static str,
        body: Zeroizing<String>,
    ) -> Result<Answer, TokenError> {
        let call = self
            .client()?
            .post(url)
            .header(CONTENT_TYPE, content_type)
            .header(ACCEPT, "application/json")
            .body(Bytes::from_owner(Wiped(body)));
        let calling = async {
            let answer = call.send().await.map_err(unreachable)?;
            let (status, retry_after) = (answer.status(), retry_after(&answer));
            let body = read_bounded(answer).await?;
            Ok(Answer { status, retry_after, body })
        };
        let too_late = || Err(TokenError::Unreachable("no answer in time".to_owned()));
        within(CALL_TIMEOUT, calling).await.unwrap_or_else(too_late)
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
        Origin::of_url(&self.url).is_ok_and(|origin| origin.is_loopback())
    }
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
