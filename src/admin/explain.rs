//! What `explain` shows of one request: what was decided at each stage, when, and why it failed.

mod cause;
mod stages;

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::status::millis;
use crate::accounts::Accounts;
use crate::telemetry::record::{Authorized, ChosenBy, Ending, Record, Via};
use crate::telemetry::upstream_answer::UpstreamAnswer;
use crate::types::account::AccountName;
use crate::types::client_key::KeyName;
use crate::types::clock::WallTime;
use crate::types::refusal::Refusal;
use crate::types::request_id::RequestId;

/// A copy of a record that other threads may have. Its path is fit to be shown.
pub struct Told {
    pub ended_at: Instant,
    id: RequestId,
    ended: Duration,
    method: String,
    http2: bool,
    path: String,
    account: Option<AccountName>,
    chosen_by: ChosenBy,
    key: Option<KeyName>,
    authorized: Authorized,
    waited: Duration,
    sent: Option<Duration>,
    via: Option<Via>,
    replay: Option<&'static str>,
    answered: Option<Duration>,
    status: u16,
    refusal: Option<Refusal>,
    correlation_id: Option<String>,
    answer: UpstreamAnswer,
    bytes: u64,
    ending: Ending,
    failed: bool,
}

impl Told {
    /// Copies what is on record.
    pub fn of(record: &Record) -> Self {
        Self {
            ended_at: record.began + record.ended,
            id: record.id,
            ended: record.ended,
            method: record.method.as_str().chars().take(20).collect(),
            http2: record.http2,
            path: record.path(),
            account: record.account.as_ref().map(|account| account.name.clone()),
            chosen_by: record.chosen_by,
            key: record.key.as_ref().map(|key| key.name.clone()),
            authorized: record.authorized,
            waited: record.waited,
            sent: record.sent,
            via: record.via,
            replay: record.replay,
            answered: record.answered,
            status: record.answered.map_or(0, |_| record.status.as_u16()),
            refusal: record.refusal.clone(),
            correlation_id: record.correlation_id().map(str::to_owned),
            answer: UpstreamAnswer::of(record),
            bytes: record.bytes,
            ending: record.ending,
            failed: record.has_failed(),
        }
    }

    /// Whether it failed.
    pub fn has_failed(&self) -> bool {
        self.failed
    }

    /// Whether it was for one of the proxy's own paths.
    pub fn is_of_the_proxys_own(&self) -> bool {
        self.account.is_none() && self.path.starts_with("/_proxy/")
    }

    /// Whether it got as far as the upstream and the answer is the upstream's.
    fn is_upstreams(&self) -> bool {
        self.sent.is_some() && self.refusal.is_none()
    }

    /// As JSON; `now` and `wall` are the same moment.
    pub fn explained(&self, accounts: &Accounts, now: Instant, wall: WallTime) -> Value {
        let began = self.ended_at - self.ended;
        let began = WallTime(wall.0.saturating_sub(millis(now.duration_since(began))));
        let cause = cause::of(self, accounts);
        json!({
            "id": self.id.as_str(),
            "began_at": began.to_string(),
            "method": self.method,
            "path": self.path,
            "client": protocol(self.http2),
            "account": self.account.as_ref().map(AccountName::as_str),
            "key": self.key.as_ref().map(KeyName::as_str),
            "status": self.status,
            "error": self.refusal.as_ref().map(Refusal::code),
            "outcome": match self.ending {
                Ending::Done => "done",
                Ending::ClientGone => "client-gone",
                Ending::BrokeOff => "broke-off",
            },
            "replay": self.replay.map(|note| note.trim_start_matches("; ")),
            "total_ms": tenths(self.ended),
            "bytes": self.bytes,
            "upstream": self.sent.filter(|_| self.via.is_some()).map(|sent| json!({
                "protocol": self.via.map(|via| protocol(via.http2)),
                "reused_connection": self.via.map(|via| via.reused),
                "second_attempt": self.via.map(|via| via.second_attempt),
                "ms": self.answered.map(|answered| tenths(answered.saturating_sub(sent))),
                "correlation_id": self.correlation_id,
                "category": self.answer.category,
            })),
            "stages": stages::of(self),
            "cause": cause.as_ref().map(|cause| &cause.what),
            "mend": cause.as_ref().and_then(|cause| cause.mend.as_ref()),
        })
    }
}

fn protocol(http2: bool) -> &'static str {
    if http2 { "HTTP/2" } else { "HTTP/1.1" }
}

/// Milliseconds, to the tenth.
fn tenths(span: Duration) -> f64 {
    (span.as_secs_f64() * 10_000.0).round() / 10.0
}
