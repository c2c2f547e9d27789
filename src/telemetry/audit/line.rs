//! A line of the log: its fields, in the order in which they are written, and what makes them of an
//! event.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};

use super::event::{Change, Request, What};
use crate::telemetry::record::Ending;
use crate::telemetry::redact;
use crate::types::clock::WallTime;

/// Of what is written; raised when a reader of before would misread it.
pub const VERSION: u32 = 1;

type Text<'a> = Option<Cow<'a, str>>;

/// All fields that a line can have, but for its MAC.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Line<'a> {
    /// Counts the lines of a chain, from 1.
    pub seq: u64,
    /// RFC 3339, in UTC.
    pub time: Cow<'a, str>,
    pub event: Cow<'a, str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub account: Text<'a>,
    /// Name of the client key.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub key: Text<'a>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub method: Text<'a>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub path: Text<'a>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub status: Option<u16>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Text<'a>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub request_id: Text<'a>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub correlation_id: Text<'a>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub token_generation: Option<u64>,
    /// Of the answer's body.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub bytes: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ms: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub replay: Text<'a>,
    /// Why an answer did not end as it should.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ending: Text<'a>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub detail: Text<'a>,
    /// Lines that were not written.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub lost: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub chain: Option<Place>,
}

/// What a line says that begins a file or a run: where in which chain it stands.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Place {
    pub id: String,
    pub format: u32,
    /// Id of the key that the MACs from here on are made with.
    pub key: String,
    /// MAC of the line before.
    pub previous: String,
    /// What `audit.keep` has taken away ends before this line.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub kept_from: Option<u64>,
    /// What a killed process has left of a line, just before this one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub torn: Option<Torn>,
}

/// A part of a line.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Torn {
    pub bytes: u64,
    pub sha256: String,
}

impl Torn {
    /// Of a part of a line, if it is one.
    pub fn of(part: &[u8]) -> Option<Self> {
        if part.is_empty() {
            return None;
        }
        let digest = ring::digest::digest(&ring::digest::SHA256, part);
        let sha256 = digest.as_ref().iter().map(|byte| format!("{byte:02x}")).collect();
        Some(Self { bytes: part.len() as u64, sha256 })
    }
}

impl<'a> Line<'a> {
    /// A line about something that was at `time`.
    pub fn about(event: &'a str, time: WallTime) -> Self {
        Self { time: shown_time(time).into(), event: event.into(), ..Self::default() }
    }

    /// What is written of a request that has ended.
    pub fn of_request(request: &'a Request, now: WallTime) -> Self {
        let began = WallTime(now.0.saturating_sub(millis(request.began.elapsed())));
        let event = if request.error.is_some() { What::Refusal } else { What::Request };
        let ending = match request.ending {
            Ending::Done => None,
            Ending::ClientGone => Some("client-gone".into()),
            Ending::BrokeOff => Some("broke-off".into()),
        };
        let account = request.account.as_ref();
        Self {
            account: account.map(|account| account.as_str().into()),
            key: request.key.as_ref().map(|key| key.name.as_str().into()),
            method: Some(known_method(request.method.as_str()).into()),
            path: Some(redact::path(&request.path).into()),
            status: Some(request.status.as_u16()),
            error: request.error.map(Cow::from),
            detail: request.detail.map(Cow::from),
            request_id: Some(request.id.to_string().into()),
            correlation_id: request.correlation_id.as_deref().map(Cow::from),
            token_generation: request.generation,
            bytes: Some(request.bytes),
            ms: Some(request.took.as_micros() as f64 / 1000.0),
            replay: request.replay.map(|replay| replay.trim_start_matches("; ").into()),
            ending,
            ..Self::about(event.name(), began)
        }
    }

    /// What is written of anything else.
    pub fn of_change(change: &'a Change, now: WallTime) -> Self {
        Self {
            account: change.account.as_ref().map(|account| account.as_str().into()),
            key: change.key.as_ref().map(|key| key.as_str().into()),
            error: change.error.map(Cow::from),
            token_generation: change.generation,
            detail: change.detail.as_deref().map(Cow::from),
            ..Self::about(change.what.name(), change.time.unwrap_or(now))
        }
    }

    /// The line as a JSON object.
    pub fn to_json(&self) -> String {
        // There are numbers and texts in it and nothing that JSON could not hold.
        serde_json::to_string(self).unwrap_or_default()
    }

    /// A line as it was written; `None` where it is none.
    pub fn parse(line: &[u8]) -> Option<Line<'static>> {
        let (fields, _) = super::chain::split(line)?;
        serde_json::from_slice(&[fields, b"}"].concat()).ok()
    }
}

/// A name of a method that clients make up could hold anything.
fn known_method(method: &str) -> &str {
    let known = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "CONNECT"];
    if known.contains(&method) { method } else { "OTHER" }
}

fn millis(span: std::time::Duration) -> u64 {
    u64::try_from(span.as_millis()).unwrap_or(u64::MAX)
}

/// As RFC 3339 has it, in milliseconds.
pub fn shown_time(time: WallTime) -> String {
    let millis = i64::try_from(time.0).unwrap_or(i64::MAX);
    let time = jiff::Timestamp::from_millisecond(millis).unwrap_or(jiff::Timestamp::MAX);
    format!("{time:.3}")
}
