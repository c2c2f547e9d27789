//! The proxy's own paths below `/_proxy/`, on every listener and never forwarded.
//!
//! It answers from what the process knows already; it asks nobody and changes nothing.

mod health;

use bytes::Bytes;
use http::{Method, Response};

use crate::accounts::Shared;
use crate::pipeline::LocalPaths;
use crate::types::refusal::Refusal;

/// The router of the local paths.
pub struct Admin {
    accounts: Shared,
}

impl Admin {
    /// Answers for these accounts.
    pub fn new(accounts: Shared) -> Self {
        Self { accounts }
    }
}

impl LocalPaths for Admin {
    fn answer(&self, method: &Method, path: &str, known: bool) -> Result<Response<Bytes>, Refusal> {
        let answer = match path {
            "/_proxy/health" => health::health,
            "/_proxy/ready" => health::ready,
            _ => return Err(Refusal::NotFound),
        };
        if !matches!(*method, Method::GET | Method::HEAD) {
            return Err(Refusal::MethodNotAllowed { allow: "GET, HEAD" });
        }
        Ok(answer(&self.accounts.load(), known))
    }
}
