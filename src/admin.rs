//! The proxy's own paths below `/_proxy/`, on every listener and never forwarded.
//!
//! Health, readiness and the dashboard's page are answered on the spot, from what the core knows. The
//! admin API (`/_proxy/api/`) is answered on the control plane, and only to who shows the admin key or, to
//! read and to log in, the token of a dashboard; a GET of it changes nothing.

pub mod access;
pub mod api;
mod dashboard;
mod explain;
mod health;
mod keys;
mod live;
mod logins;
mod metrics;
mod scopes;
mod sessions;
pub mod status;
pub mod sunset;

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::request::Parts;
use http::{Method, Request, Response};
use http_body_util::{BodyExt, Limited};
use hyper::body::Incoming;
use tokio::runtime::Handle;

use crate::accounts::{Accounts, Shared};
use crate::pipeline::{LocalAnswer, LocalPaths};
use crate::types::refusal::Refusal;
use access::AdminKey;
use api::Api;

/// Where Prometheus finds the counters.
const METRICS: &str = "/_proxy/metrics";
/// The dashboard's address without its last slash.
const NO_SLASH: &str = "/_proxy";
/// A request body of the admin API is no larger, in bytes.
const LARGEST_BODY: usize = 64 * 1024;
/// And is sent within this time.
const LONGEST_BODY: Duration = Duration::from_secs(5);

/// The admin API as a core hands requests to it.
#[derive(Clone)]
pub struct Remote {
    pub api: Api,
    pub key: Arc<AdminKey>,
    /// The control plane, where it is answered.
    pub runtime: Handle,
}

/// The router of the local paths.
pub struct Admin {
    accounts: Shared,
    remote: Option<Remote>,
}

type OnTheSpot = fn(&Accounts, bool) -> Response<Bytes>;

impl Admin {
    /// Answers for these accounts; without `remote` there is no admin API.
    pub fn new(accounts: Shared, remote: Option<Remote>) -> Self {
        Self { accounts, remote }
    }

    fn is_admin(&self, head: &Parts) -> bool {
        self.remote.as_ref().is_some_and(|remote| remote.key.is_shown_in(&head.headers))
    }

    fn metrics(&self, head: &Parts, known: bool) -> Result<LocalAnswer, Refusal> {
        let remote = self.remote.clone().ok_or(Refusal::NotFound)?;
        if !matches!(head.method, Method::GET | Method::HEAD) {
            return Err(Refusal::MethodNotAllowed { allow: "GET, HEAD" });
        }
        if !known && !self.is_admin(head) {
            return Err(Refusal::ClientKeyRequired);
        }
        Ok(LocalAnswer::Elsewhere(Box::pin(async move {
            let answering = remote.runtime.spawn(async move { remote.api.metrics().await });
            answering.await.map_err(|_| Refusal::Internal)
        })))
    }

    fn admin(&self, head: &Parts, body: Incoming) -> Result<LocalAnswer, Refusal> {
        let remote = self.remote.clone().ok_or(Refusal::NotFound)?;
        let reads = matches!(head.method, Method::GET | Method::HEAD);
        let path = head.uri.path();
        let is_for_a_page = reads || head.method == Method::POST && logins::is_begun_at(path);
        let is_admitted = remote.key.is_shown_in(&head.headers)
            || is_for_a_page && remote.api.sessions().admit(&head.headers)
            || head.method == Method::POST && path == dashboard::SESSION;
        if !is_admitted {
            return Err(Refusal::AdminKeyRequired);
        }
        let mut request = Request::builder().method(head.method.clone()).uri(head.uri.clone());
        if let Some(headers) = request.headers_mut() {
            headers.clone_from(&head.headers);
        }
        Ok(LocalAnswer::Elsewhere(Box::pin(async move {
            let collecting = Limited::new(body, LARGEST_BODY).collect();
            let Ok(body) = tokio::time::timeout(LONGEST_BODY, collecting).await else {
                return Err(Refusal::BadRequest("its body did not arrive in time"));
            };
            let body = body.map_err(|_| Refusal::PayloadTooLarge(LARGEST_BODY as u64))?;
            let request = request.body(axum::body::Body::from(body.to_bytes()));
            let request = request.map_err(|_| Refusal::Internal)?;
            let answering = remote.runtime.spawn(remote.api.answer(request));
            answering.await.map_err(|_| Refusal::Internal)
        })))
    }
}

impl LocalPaths for Admin {
    fn answer(
        &self,
        head: &Parts,
        path: &str,
        body: Incoming,
        known: bool,
    ) -> Result<LocalAnswer, Refusal> {
        if path.starts_with(api::PREFIX) {
            return self.admin(head, body);
        }
        if path == METRICS {
            return self.metrics(head, known);
        }
        let answer: OnTheSpot = match path {
            "/_proxy/health" => health::health,
            "/_proxy/ready" => health::ready,
            dashboard::PATH | NO_SLASH if self.remote.is_some() => |_, _| dashboard::redirect(),
            _ => return Err(Refusal::NotFound),
        };
        if !matches!(head.method, Method::GET | Method::HEAD) {
            return Err(Refusal::MethodNotAllowed { allow: "GET, HEAD" });
        }
        if path == dashboard::PATH {
            return Ok(LocalAnswer::Page(dashboard::page()));
        }
        let known = known || self.is_admin(head);
        Ok(LocalAnswer::Here(answer(&self.accounts.load(), known)))
    }
}
