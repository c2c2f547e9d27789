//! Behaviour of the sandbox as a whole, by requests; what is needed for them is here.

mod crm;
mod faults;
mod files;
mod ledger;
mod oauth;
mod serving;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use axum::body::Body;
use bytes::Bytes;
use http::{HeaderMap, Request, StatusCode};
use http_body_util::BodyExt;
use serde_json::Value;

use super::{Options, Rotation, Sandbox, demo};
use crate::types::clock::{Clock, WallTime};

/// 2026-11-25T02:00:00Z.
const START: u64 = 1_795_572_000_000;

struct ManualClock(AtomicU64);

impl ManualClock {
    fn pass(&self, span: Duration) {
        self.0.fetch_add(u64::try_from(span.as_millis()).unwrap(), Relaxed);
    }
}

impl Clock for ManualClock {
    fn steady(&self) -> Duration {
        Duration::from_millis(self.now().0)
    }

    fn now(&self) -> WallTime {
        WallTime(self.0.load(Relaxed))
    }
}

/// A sandbox and the clock it goes by.
struct Bench {
    sandbox: Arc<Sandbox>,
    clock: Arc<ManualClock>,
}

struct Got {
    status: StatusCode,
    headers: HeaderMap,
    bytes: Bytes,
}

impl Got {
    fn json(&self) -> Value {
        serde_json::from_slice(&self.bytes).unwrap_or(Value::Null)
    }

    fn text(&self) -> String {
        String::from_utf8_lossy(&self.bytes).into_owned()
    }

    fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }

    fn code(&self) -> u16 {
        self.status.as_u16()
    }
}

impl Bench {
    fn new() -> Self {
        Self::with(Options::default())
    }

    fn with(options: Options) -> Self {
        let clock = Arc::new(ManualClock(AtomicU64::new(START)));
        Self { sandbox: Sandbox::new(options, clock.clone()), clock }
    }

    fn rotating(rotation: Rotation) -> Self {
        Self::with(Options { rotation, ..Options::default() })
    }

    async fn send(&self, request: Request<Body>) -> Got {
        let response = self.sandbox.clone().answer(request).await.expect("no fault is set");
        let (parts, body) = response.into_parts();
        let bytes = body.collect().await.unwrap().to_bytes();
        Got { status: parts.status, headers: parts.headers, bytes }
    }

    /// A request with a Bearer token (none if empty) and a JSON body (none if null).
    async fn call_as(&self, token: &str, method: &str, path: &str, body: Value) -> Got {
        let mut request = request(method, path);
        if !token.is_empty() {
            request = request.header("authorization", format!("Bearer {token}"));
        }
        let body = if body.is_null() { Body::empty() } else { Body::from(body.to_string()) };
        self.send(request.header("content-type", "application/json").body(body).unwrap()).await
    }

    async fn call(&self, method: &str, path: &str, body: Value) -> Got {
        self.call_as(demo::ACCESS_TOKEN, method, path, body).await
    }

    async fn get(&self, path: &str) -> Value {
        self.call("GET", path, Value::Null).await.json()
    }

    async fn form(&self, path: &str, fields: &[(&str, &str)]) -> Got {
        let body = form_urlencoded::Serializer::new(String::new()).extend_pairs(fields).finish();
        let request = request("POST", path)
            .header("content-type", "application/x-www-form-urlencoded")
            .body(Body::from(body));
        self.send(request.unwrap()).await
    }

    /// The token endpoint with the demo client.
    async fn token(&self, fields: &[(&str, &str)]) -> Got {
        let client = [("client_id", demo::CLIENT_ID), ("client_secret", demo::CLIENT_SECRET)];
        self.form("/oauth/2026-03/token", &[&client, fields].concat()).await
    }

    async fn refresh(&self, token: &str) -> Got {
        self.token(&[("grant_type", "refresh_token"), ("refresh_token", token)]).await
    }
}

fn request(method: &str, path: &str) -> http::request::Builder {
    Request::builder().method(method).uri(path).header("host", "localhost:8788")
}

fn text(value: &Value, name: &str) -> String {
    value[name].as_str().unwrap_or_default().to_owned()
}
