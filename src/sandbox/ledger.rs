//! What arrived, in order, for tests to look at: never a credential that is not a demo one.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicU16, AtomicU64, Ordering::Relaxed};

use http::request::Parts;
use http::{HeaderName, Version};
use parking_lot::Mutex;
use percent_encoding::percent_decode_str;
use serde_json::{Map, Value, json};

use super::demo::is_demo;
use super::path::Pairs;
use super::time::iso;
use crate::types::clock::WallTime;

/// The oldest entry makes room for a new one beyond this many.
const KEPT: usize = 10_000;
const REDACTED: &str = "[redacted]";

#[derive(Default)]
pub(super) struct Ledger(VecDeque<Arc<Entry>>);

/// One request; status and body length are filled in as they become known.
pub(super) struct Entry {
    time: WallTime,
    method: String,
    path: String,
    query: Vec<(String, String)>,
    version: Version,
    headers: Vec<(HeaderName, String)>,
    pub(super) body_length: AtomicU64,
    pub(super) status: AtomicU16,
    pub(super) dropped: Mutex<Option<&'static str>>,
}

impl Ledger {
    pub(super) fn record(&mut self, parts: &Parts, time: WallTime) -> Arc<Entry> {
        let path = parts.uri.path();
        let sensitive = path.contains("/oauth") || path.contains("/localdevauth");
        let query = Pairs::parse(parts.uri.query().unwrap_or_default().as_bytes());
        let entry = Arc::new(Entry {
            time,
            method: parts.method.to_string(),
            path: redacted_path(path),
            query: query
                .iter()
                .map(|(key, value)| {
                    let value = redacted_parameter(key, value, sensitive);
                    let hidden = looks_like_credential(key);
                    (if hidden { REDACTED } else { key }.to_owned(), value)
                })
                .collect(),
            version: parts.version,
            headers: parts
                .headers
                .iter()
                .map(|(name, value)| (name.clone(), redacted_header(name, value.as_bytes())))
                .collect(),
            body_length: AtomicU64::new(0),
            status: AtomicU16::new(0),
            dropped: Mutex::new(None),
        });
        if self.0.len() == KEPT {
            self.0.pop_front();
        }
        self.0.push_back(entry.clone());
        entry
    }

    pub(super) fn clear(&mut self) {
        self.0.clear();
    }

    pub(super) fn report(&self) -> Value {
        self.0.iter().map(|entry| entry.report()).collect()
    }
}

impl Entry {
    fn report(&self) -> Value {
        let status = self.status.load(Relaxed);
        let mut query: Map<String, Value> = Map::new();
        for (key, value) in &self.query {
            add(&mut query, key, value);
        }
        let mut headers: Map<String, Value> = Map::new();
        for (name, value) in &self.headers {
            add(&mut headers, name.as_str(), value);
        }
        json!({
            "time": iso(self.time),
            "method": self.method,
            "path": self.path,
            "query": query,
            "version": format!("{:?}", self.version),
            "headers": headers,
            "bodyLength": self.body_length.load(Relaxed),
            "status": (status != 0).then_some(status),
            "dropped": *self.dropped.lock(),
        })
    }
}

/// A name that comes more than once has a list.
fn add(map: &mut Map<String, Value>, name: &str, value: &str) {
    match map.get_mut(name) {
        None => {
            map.insert(name.to_owned(), value.into());
        }
        Some(Value::Array(list)) => list.push(value.into()),
        Some(single) => *single = json!([single.take(), value]),
    }
}

/// Whether a name says that the value is a credential.
fn names_credential(name: &str) -> bool {
    let name = name.to_ascii_lowercase();
    ["auth", "cookie", "hapikey", "key", "password", "private-app", "secret", "signature", "token"]
        .iter()
        .any(|part| name.contains(part))
        || matches!(name.as_str(), "code" | "code_verifier" | "client_assertion")
}

/// Whether a value looks like a credential of HubSpot, of the proxy or of an OAuth server,
/// whatever it is called.
fn looks_like_credential(value: &str) -> bool {
    ["pat-", "CiR", "hsp_", "eyJ", "na1-", "eu1-"].iter().any(|start| value.starts_with(start))
        || value.contains("hsp_")
}

fn redacted_parameter(name: &str, value: &str, sensitive: bool) -> String {
    const HARMLESS: [&str; 8] = [
        "client_id",
        "grant_type",
        "optional_scope",
        "portalId",
        "redirect_uri",
        "response_type",
        "scope",
        "token_type_hint",
    ];
    let credential = names_credential(name) || sensitive;
    let harmless = HARMLESS.contains(&name);
    if is_demo(value) || (harmless || !credential) && !looks_like_credential(value) {
        return value.to_owned();
    }
    REDACTED.to_owned()
}

fn redacted_header(name: &HeaderName, value: &[u8]) -> String {
    let Ok(value) = std::str::from_utf8(value) else { return "[not text]".to_owned() };
    let (scheme, credential) = value.split_once(' ').unwrap_or(("", value));
    let credential = credential.trim();
    if !names_credential(name.as_str()) {
        // A Referer, say, holds a whole query.
        let suspect = value.split([' ', ',', ';', '=', '/']).any(looks_like_credential)
            || ["key=", "token=", "secret=", "code="].iter().any(|part| value.contains(part));
        return if suspect { REDACTED.to_owned() } else { value.to_owned() };
    }
    match (is_demo(credential), scheme.to_ascii_lowercase().as_str()) {
        (true, _) => value.to_owned(),
        (false, "bearer" | "basic") => format!("{scheme} {REDACTED}"),
        (false, _) => REDACTED.to_owned(),
    }
}

/// Hides the token in the path of v1's token information, and whatever else looks like one.
fn redacted_path(path: &str) -> String {
    let mut hide_next = false;
    let segments = path.split('/').map(|segment| {
        let decoded = percent_decode_str(segment).decode_utf8_lossy();
        let credential = std::mem::take(&mut hide_next) || looks_like_credential(&decoded);
        hide_next = matches!(segment, "access-tokens" | "refresh-tokens");
        if credential && !is_demo(segment) { REDACTED } else { segment }
    });
    segments.collect::<Vec<_>>().join("/")
}
