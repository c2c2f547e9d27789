//! `/sandbox/*`: what a test turns and looks at. No token is needed, and nothing is recorded.
//!
//! | request | does |
//! |---|---|
//! | `GET /sandbox` | says what the sandbox is |
//! | `POST /sandbox/tokens/expire` | every issued access token expires now |
//! | `POST /sandbox/tokens/revoke` | `{"kind": "access" \| "refresh" \| "all"}`, by default all |
//! | `GET`, `POST`, `DELETE /sandbox/faults` | shows, adds, clears faults |
//! | `GET`, `POST`, `DELETE /sandbox/limits` | shows, enforces, lifts rate limits |
//! | `GET`, `DELETE /sandbox/requests` | shows, forgets what arrived |
//! | `GET /sandbox/files/{id}` | a file by its signed link |
//! | `GET /sandbox/{bytes/N,stream,events}`, `POST`/`PUT /sandbox/echo` | see `streams` |

use axum::body::Body;
use bytes::Bytes;
use http::Method;
use http::request::Parts;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::json;

use super::answer::{Answer, Problem, Reply};
use super::bodies::read;
use super::faults::Fault;
use super::limits::Enforced;
use super::path::{Pairs, Path};
use super::{Sandbox, demo, files, gate, streams};

const LARGEST_ORDER: usize = 1024 * 1024;

/// Which credentials `tokens/revoke` ends.
#[derive(Clone, Copy, Default, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "lowercase")]
pub(super) enum Revoked {
    Access,
    Refresh,
    #[default]
    All,
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct Revocation {
    #[serde(default)]
    kind: Revoked,
}

pub(super) async fn route(
    sandbox: &Sandbox,
    parts: Parts,
    host: &str,
    path: &Path,
    body: Body,
) -> Answer {
    gate::same_origin(&parts.headers, host)?;
    let query = Pairs::parse(parts.uri.query().unwrap_or_default().as_bytes());
    let segments = path.segments();
    let path = segments.get(1..).unwrap_or_default();
    if streams::is_echo(&parts.method, path) {
        return Ok(streams::echo(&parts.headers, body));
    }
    let method = if parts.method == Method::HEAD { Method::GET } else { parts.method };
    let order = read(body, LARGEST_ORDER).await?;
    match (method.as_str(), path) {
        ("GET", []) => Ok(Reply::json(json!({
            "sandbox": "hubspot-proxy", "hubId": demo::HUB_ID, "time": super::time::iso(sandbox.clock.now()),
        }))),
        ("POST", ["tokens", "expire"]) => {
            sandbox.grants.lock().expire_all(sandbox.clock.now());
            Ok(Reply::no_content())
        }
        ("POST", ["tokens", "revoke"]) => {
            let order: Revocation =
                if order.is_empty() { Revocation::default() } else { parsed(&order)? };
            let mut grants = sandbox.grants.lock();
            if order.kind != Revoked::Refresh {
                grants.revoke_access();
            }
            if order.kind != Revoked::Access {
                grants.revoke_refresh();
            }
            Ok(Reply::no_content())
        }
        ("GET", ["faults"]) => Ok(Reply::json(sandbox.faults.lock().report())),
        ("POST", ["faults"]) => {
            let faults: Vec<Fault> = parsed(&order)?;
            sandbox.faults.lock().add(faults);
            Ok(Reply::json(sandbox.faults.lock().report()))
        }
        ("DELETE", ["faults"]) => {
            sandbox.faults.lock().clear();
            Ok(Reply::no_content())
        }
        ("GET", ["limits"]) => Ok(Reply::json(sandbox.limits.lock().report())),
        ("POST", ["limits"]) => {
            let limits: Enforced = parsed(&order)?;
            sandbox.limits.lock().enforce(limits);
            Ok(Reply::json(sandbox.limits.lock().report()))
        }
        ("DELETE", ["limits"]) => {
            sandbox.limits.lock().enforce(Enforced::default());
            Ok(Reply::no_content())
        }
        ("GET", ["requests"]) => Ok(Reply::json(sandbox.ledger.lock().report())),
        ("DELETE", ["requests"]) => {
            sandbox.ledger.lock().clear();
            Ok(Reply::no_content())
        }
        ("GET", ["files", id]) => files::signed_download(sandbox, id, &query),
        ("GET", path) => streams::route(path, &query).ok_or_else(unknown),
        _ => Err(unknown()),
    }
}

fn unknown() -> Problem {
    Problem::missing(
        "There is no such control; GET /sandbox/requests, faults and limits show some.",
    )
}

/// An order as JSON; serde's message names the key that is wrong.
fn parsed<T: DeserializeOwned>(order: &Bytes) -> Result<T, Problem> {
    serde_json::from_slice(order).map_err(|error| Problem::invalid(format!("{error}.")))
}
