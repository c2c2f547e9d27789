//! The proxy's own paths below `/_proxy/`, on every listener and never forwarded.
//!
//! It answers from what the process knows already; it asks nobody and changes nothing.

mod health;

use std::sync::Arc;

use bytes::Bytes;
use http::{Method, Response};

use crate::accounts::Accounts;
use crate::pipeline::LocalPaths;
use crate::types::refusal::Refusal;

/// The router of the local paths.
pub struct Admin {
    accounts: Arc<Accounts>,
}

impl Admin {
    /// Answers for these accounts.
    pub fn new(accounts: Arc<Accounts>) -> Self {
        Self { accounts }
    }
}

impl LocalPaths for Admin {
    fn answer(&self, method: &Method, path: &str) -> Result<Response<Bytes>, Refusal> {
        let answer = match path {
            "/_proxy/health" => health::health,
            "/_proxy/ready" => health::ready,
            _ => return Err(Refusal::NotFound),
        };
        if !matches!(*method, Method::GET | Method::HEAD) {
            return Err(Refusal::MethodNotAllowed { allow: "GET, HEAD" });
        }
        Ok(answer(&self.accounts))
    }
}
