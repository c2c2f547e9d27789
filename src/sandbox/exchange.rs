//! One request from its arrival to its answer, step by step.

use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;

use axum::body::Body;
use bytes::Bytes;
use http::request::Parts;
use http::{HeaderMap, Method, Request, Response, StatusCode};
use thiserror::Error;

use super::access::{self, Caller};
use super::answer::{Answer, Problem, Reply, takes_gzip};
use super::bodies::{Broken, Counted, drain, read};
use super::faults::{Drop, Fault, problem};
use super::ledger::Entry;
use super::path::{Pairs, Path};
use super::server::Hangup;
use super::{Sandbox, account, controls, crm, files, gate, oauth, streams, webhooks};
use crate::types::clock::WallTime;

/// A body that is read whole is at most this long.
const LARGEST_BODY: usize = 16 * 1024 * 1024;

/// The connection ends without an answer: a fault said so.
#[derive(Debug, Error)]
#[error("the sandbox was told to drop this connection")]
pub(super) struct Dropped;

/// A request whose body is read, as handlers see it.
pub(super) struct Call {
    pub(super) method: Method,
    pub(super) path: Path,
    /// The path as it came.
    pub(super) raw_path: String,
    pub(super) query: Pairs,
    pub(super) headers: HeaderMap,
    pub(super) host: String,
    pub(super) body: Bytes,
    pub(super) now: WallTime,
}

impl Call {
    /// The body as JSON; none at all is an empty object.
    pub(super) fn json(&self) -> Result<serde_json::Value, Problem> {
        if self.body.is_empty() {
            return Ok(serde_json::json!({}));
        }
        serde_json::from_slice(&self.body)
            .map_err(|error| Problem::invalid(format!("The body is not JSON: {error}.")))
    }
}

impl Sandbox {
    /// Answers one request.
    pub(super) async fn answer(
        self: Arc<Self>,
        request: Request<Body>,
    ) -> Result<Response<Body>, Dropped> {
        let (mut parts, body) = request.into_parts();
        let hangup = parts.extensions.remove::<Hangup>().unwrap_or_default();
        let gzip = takes_gzip(&parts.headers);
        let id = self.new_id();
        let (host, path) = match (gate::host(&parts), Path::parse(parts.uri.path())) {
            (Ok(host), Some(path)) => (host, path),
            (Err(refused), _) => return Ok(refused.into_reply(&id).into_response(&id, gzip)),
            (_, None) => {
                let malformed = Problem::invalid("The path is not valid percent-encoded UTF-8.");
                return Ok(malformed.into_reply(&id).into_response(&id, gzip));
            }
        };
        if path.segments().first() == Some(&"sandbox") {
            let answer = controls::route(&self, parts, &host, &path, body).await;
            return Ok(reply(answer, &id).into_response(&id, gzip));
        }
        let entry = self.ledger.lock().record(&parts, self.clock.now());
        let body = Body::new(Counted { body, entry: entry.clone() });
        let fault = self.faults.lock().take(parts.method.as_str(), parts.uri.path());
        let dropping = fault.as_ref().and_then(|fault| fault.drop);
        *entry.dropped.lock() = dropping.map(Drop::name);
        let mut limits = HeaderMap::new();
        let answer = match fault {
            Some(fault) => self.faulty(fault, parts, path, host, body, &mut limits).await,
            None => Some(self.process(parts, path, host, body, &mut limits).await),
        };
        let Some(answer) = answer.filter(|_| dropping != Some(Drop::AfterIssue)) else {
            hangup.now();
            return Err(Dropped);
        };
        let mut response = reply(answer, &id).into_response(&id, gzip);
        response.headers_mut().extend(limits);
        note(&entry, &response);
        if dropping == Some(Drop::MidBody) {
            response = response.map(|body| Body::new(Broken::half(body, hangup)));
        }
        Ok(response)
    }

    /// Does what a fault says; nothing comes back where nothing is to be answered.
    async fn faulty(
        &self,
        fault: Fault,
        parts: Parts,
        path: Path,
        host: String,
        body: Body,
        limits: &mut HeaderMap,
    ) -> Option<Answer> {
        if let Some(delay) = fault.delay {
            tokio::time::sleep(delay).await;
        }
        match fault.drop {
            Some(Drop::BeforeHead) => return None,
            // Until the client, or the sandbox, goes away.
            Some(Drop::Hang) => std::future::pending().await,
            Some(Drop::MidBody | Drop::AfterIssue) | None => {}
        }
        Some(match fault.status {
            Some(status) => {
                drain(body);
                Err(problem(status))
            }
            None => self.process(parts, path, host, body, limits).await,
        })
    }

    async fn process(
        &self,
        parts: Parts,
        path: Path,
        host: String,
        body: Body,
        limits: &mut HeaderMap,
    ) -> Answer {
        gate::origin(&parts.headers, &host)?;
        let query = Pairs::parse(parts.uri.query().unwrap_or_default().as_bytes());
        let raw_path = parts.uri.path().to_owned();
        // An upload is not held back for a caller who may not make it, nor kept twice.
        let method = if parts.method == Method::HEAD { Method::GET } else { parts.method };
        let segments = path.segments();
        let echoes = match segments.as_slice() {
            ["sandbox-data", rest @ ..] => streams::is_echo(&method, rest),
            _ => false,
        };
        let uploads = files::is_upload(&method, &segments);
        if echoes || uploads {
            let admitted = self.admit(&method, &segments, &query, &parts.headers, limits);
            if let Err(refused) = admitted {
                drain(body);
                return Err(refused);
            }
        }
        if echoes {
            return Ok(streams::echo(&parts.headers, body));
        }
        if uploads {
            let replaced = segments.get(2).map(|id| (*id).to_owned());
            return files::upload::receive(self, parts.headers, &host, replaced, body).await;
        }
        let body = read(body, LARGEST_BODY).await?;
        let now = self.clock.now();
        let headers = parts.headers;
        let call = Call { method, path, raw_path, query, headers, host, body, now };
        let segments = call.path.segments();
        if let Some(answer) = oauth::open(self, &call, &segments) {
            return answer;
        }
        let caller = self.admit(&call.method, &segments, &call.query, &call.headers, limits)?;
        self.dispatch(&call, &segments, &caller)
    }

    /// Who calls, whether it may, and whether it has calls left.
    fn admit(
        &self,
        method: &Method,
        segments: &[&str],
        query: &Pairs,
        headers: &HeaderMap,
        limits: &mut HeaderMap,
    ) -> Result<Caller, Problem> {
        let now = self.clock.now();
        let caller = access::authorize(self, method, segments, query, headers, now)?;
        let search = segments.starts_with(&["crm", "objects"]) && segments.ends_with(&["search"]);
        self.limits.lock().count(&caller, search, now, limits)?;
        Ok(caller)
    }

    fn dispatch(&self, call: &Call, segments: &[&str], caller: &Caller) -> Answer {
        match segments {
            ["crm", "objects" | "associations" | "properties", ..] => {
                crm::route(self, call, segments)
            }
            ["files", ..] => files::route(self, call, segments),
            ["webhooks" | "webhooks-journal", ..] => webhooks::route(self, call, segments),
            ["sandbox-data", rest @ ..] => {
                streams::route(rest, &call.query).ok_or_else(|| nothing_here(call))
            }
            _ => account::route(self, call, segments, caller),
        }
    }

    /// A new id in the form of a UUID.
    pub(super) fn new_id(&self) -> String {
        let random = self.ids.lock().u128(..);
        let hex = format!("{random:032x}");
        format!("{}-{}-{}-{}-{}", &hex[..8], &hex[8..12], &hex[12..16], &hex[16..20], &hex[20..])
    }
}

/// 404: the sandbox does not know this path, or not with this method.
pub(super) fn nothing_here(call: &Call) -> Problem {
    let message = format!("The sandbox offers nothing at {} {}.", call.method, call.raw_path);
    Problem::missing(message).with("subCategory", "SANDBOX_UNKNOWN_PATH".into())
}

fn reply(answer: Answer, id: &str) -> Reply {
    answer.unwrap_or_else(|problem| problem.into_reply(id))
}

fn note(entry: &Entry, response: &Response<Body>) {
    let status: StatusCode = response.status();
    entry.status.store(status.as_u16(), Relaxed);
}
