//! What a request is answered with: JSON, nothing or a stream, or HubSpot's error envelope.
//!
//! Turning it into bytes, with the headers that every answer bears, is done here as well; what to
//! answer is the handlers' business.

use std::io::Write;

use axum::body::Body;
use bytes::Bytes;
use flate2::{Compression, write::GzEncoder};
use http::header::{self, HeaderMap, HeaderName, HeaderValue};
use http::{Response, StatusCode};
use serde_json::{Map, Value, json};

/// The name under which HubSpot sends the id of a request.
const CORRELATION_ID: HeaderName = HeaderName::from_static("x-hubspot-correlation-id");
/// Smaller bodies are not worth compressing.
const GZIP_FROM: usize = 256;

/// What a handler gives back.
pub(super) type Answer = Result<Reply, Problem>;

/// An answer that is no error envelope.
pub(super) struct Reply {
    pub(super) status: StatusCode,
    pub(super) headers: HeaderMap,
    pub(super) payload: Payload,
}

pub(super) enum Payload {
    Nothing,
    Json(Value),
    Page(String),
    /// With its content type; its length is what the body says of itself.
    Stream(Body, HeaderValue),
}

impl Reply {
    pub(super) fn of(status: StatusCode, payload: Payload) -> Self {
        Self { status, headers: HeaderMap::new(), payload }
    }

    pub(super) fn json(value: Value) -> Self {
        Self::of(StatusCode::OK, Payload::Json(value))
    }

    pub(super) fn created(value: Value) -> Self {
        Self::of(StatusCode::CREATED, Payload::Json(value))
    }

    pub(super) fn no_content() -> Self {
        Self::of(StatusCode::NO_CONTENT, Payload::Nothing)
    }

    pub(super) fn stream(body: Body, content_type: &str) -> Self {
        let octets = HeaderValue::from_static("application/octet-stream");
        let content_type = HeaderValue::from_str(content_type).unwrap_or(octets);
        Self::of(StatusCode::OK, Payload::Stream(body, content_type))
    }

    /// Adds a header; one that cannot be written as a header is left out.
    pub(super) fn with(mut self, name: HeaderName, value: &str) -> Self {
        if let Ok(value) = HeaderValue::from_str(value) {
            self.headers.insert(name, value);
        }
        self
    }

    pub(super) fn into_response(self, id: &str, gzip: bool) -> Response<Body> {
        let json = HeaderValue::from_static("application/json;charset=utf-8");
        let mut compressed = false;
        let (body, content_type) = match self.payload {
            Payload::Nothing => (Body::empty(), json),
            Payload::Json(value) => {
                let mut bytes = value.to_string().into_bytes();
                if gzip
                    && bytes.len() >= GZIP_FROM
                    && let Some(smaller) = gzipped(&bytes)
                {
                    bytes = smaller;
                    compressed = true;
                }
                (Body::from(Bytes::from(bytes)), json)
            }
            Payload::Page(text) => {
                (Body::from(text), HeaderValue::from_static("text/html; charset=utf-8"))
            }
            Payload::Stream(body, content_type) => (body, content_type),
        };
        let mut response = Response::new(body);
        *response.status_mut() = self.status;
        *response.headers_mut() = self.headers;
        let headers = response.headers_mut();
        if compressed {
            headers.insert(header::CONTENT_ENCODING, HeaderValue::from_static("gzip"));
            headers.insert(header::VARY, HeaderValue::from_static("Accept-Encoding"));
        }
        headers.insert(header::CONTENT_TYPE, content_type);
        if let Ok(id) = HeaderValue::from_str(id) {
            headers.insert(CORRELATION_ID, id);
        }
        response
    }
}

fn gzipped(bytes: &[u8]) -> Option<Vec<u8>> {
    let mut encoder = GzEncoder::new(Vec::with_capacity(bytes.len() / 4), Compression::fast());
    encoder.write_all(bytes).ok()?;
    encoder.finish().ok()
}

/// Whether the client takes gzip: named, and not with a weight of zero.
pub(super) fn takes_gzip(headers: &HeaderMap) -> bool {
    let values = headers.get_all(header::ACCEPT_ENCODING).iter();
    values.filter_map(|value| value.to_str().ok()).flat_map(|value| value.split(',')).any(
        |coding| {
            let (name, weight) = coding.split_once(';').unwrap_or((coding, "q=1"));
            let weight =
                weight.trim().strip_prefix("q=").and_then(|q| q.trim().parse::<f32>().ok());
            name.trim().eq_ignore_ascii_case("gzip") && weight != Some(0.0)
        },
    )
}

/// An error as HubSpot writes it; the correlation id comes with the answer.
#[derive(Debug)]
pub(super) struct Problem {
    pub(super) status: StatusCode,
    pub(super) body: Map<String, Value>,
}

impl Problem {
    pub(super) fn new(status: StatusCode, category: &str, message: impl Into<String>) -> Self {
        let mut body = Map::new();
        body.insert("status".into(), "error".into());
        body.insert("category".into(), category.into());
        body.insert("message".into(), message.into().into());
        Self { status, body }
    }

    /// 400: the request as such cannot be met.
    pub(super) fn invalid(message: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "VALIDATION_ERROR", message)
    }

    /// 404: there is no such thing.
    pub(super) fn missing(message: impl Into<String>) -> Self {
        Self::new(StatusCode::NOT_FOUND, "OBJECT_NOT_FOUND", message)
    }

    pub(super) fn with(mut self, key: &str, value: Value) -> Self {
        self.body.insert(key.into(), value);
        self
    }

    pub(super) fn context(self, key: &str, values: Value) -> Self {
        self.with("context", json!({ key: values }))
    }

    pub(super) fn into_reply(mut self, id: &str) -> Reply {
        self.body.insert("correlationId".into(), id.into());
        Reply::of(self.status, Payload::Json(Value::Object(self.body)))
    }
}
