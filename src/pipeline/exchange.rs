//! One request and its answer, from the first byte of the head to the last of the body: counted
//! for its connection and its account, remembered, and written into the log where that is asked for.

use std::cell::Cell;
use std::rc::Rc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use http::StatusCode;
use http::header::{CONTENT_ENCODING, HeaderMap, HeaderName};
use http::request::Parts;
use tracing::info;

use super::response::old_paths::OldPath;
use crate::accounts::Kind;
use crate::telemetry::cores::Observer;
use crate::telemetry::record::{Authorized, ChosenBy, Ending, Record};
use crate::telemetry::traffic::AccountTraffic;
use crate::types::refusal::Refusal;
use crate::types::request_id::RequestId;

static X_HUBSPOT_CORRELATION_ID: HeaderName = HeaderName::from_static("x-hubspot-correlation-id");

/// What happens on one client connection, for whoever has to know whether it is idle.
#[derive(Default)]
pub struct Activity {
    in_flight: Cell<usize>,
    begun: Cell<u64>,
    unread: Rc<Cell<bool>>,
}

impl Activity {
    /// Requests whose answers are not through.
    pub fn in_flight(&self) -> usize {
        self.in_flight.get()
    }

    /// Requests that have begun so far.
    pub fn begun(&self) -> u64 {
        self.begun.get()
    }

    /// HTTP/1.1: whether the client is still sending the body of the latest request.
    pub fn is_body_unread(&self) -> bool {
        self.unread.get()
    }
}

/// One request on its way.
pub struct Exchange {
    pub id: RequestId,
    activity: Rc<Activity>,
    observer: Rc<Observer>,
    /// `None` only while it is being dropped.
    record: Option<Box<Record>>,
    old_path: Option<OldPath>,
}

impl Exchange {
    /// Begins an exchange; `has_body` tells whether the client has more to send than the head.
    pub fn begin(
        id: RequestId,
        activity: Rc<Activity>,
        observer: Rc<Observer>,
        head: &Parts,
        has_body: bool,
    ) -> Self {
        activity.in_flight.set(activity.in_flight.get() + 1);
        activity.begun.set(activity.begun.get() + 1);
        activity.unread.set(has_body);
        let mut record = observer.blank();
        record.begin(id, head);
        Self { id, activity, observer, record: Some(record), old_path: None }
    }

    /// Changes what is on record.
    pub fn note(&mut self, change: impl FnOnce(&mut Record)) {
        if let Some(record) = &mut self.record {
            change(record);
        }
    }

    /// Becomes false once the client has sent its whole body.
    pub fn unread(&self) -> Rc<Cell<bool>> {
        Rc::clone(&self.activity.unread)
    }

    /// The old path of HubSpot's that the request asks for, if it is one.
    pub fn asks_for(&mut self, old_path: Option<OldPath>) {
        self.old_path = old_path;
    }

    /// The old path that the request asks for.
    pub fn old_path(&self) -> Option<OldPath> {
        self.old_path
    }

    /// Which account the request is for.
    pub fn serves(&mut self, account: Rc<AccountTraffic>, chosen_by: ChosenBy) {
        self.note(|record| {
            record.account = Some(account);
            record.chosen_by = chosen_by;
        });
    }

    /// Waits for a token; how long that takes is noted.
    pub async fn waiting<T>(&mut self, token: impl Future<Output = T>) -> T {
        let began = Instant::now();
        let token = token.await;
        self.note(|record| record.waited = began.elapsed());
        token
    }

    /// It goes to the upstream now, with a credential of this kind and generation.
    pub fn sending(&mut self, kind: &Kind, generation: u64) {
        self.note(|record| {
            record.sent = Some(record.elapsed());
            record.authorized = match kind {
                Kind::Developer { .. } => Authorized::WithDeveloperKey,
                Kind::Portal | Kind::App => Authorized::WithToken { generation },
            };
        });
    }

    /// The proxy answers by itself.
    pub fn refused(&mut self, refusal: Refusal) {
        self.note(|record| record.refusal = Some(refusal));
    }

    /// The head of the upstream's answer is there.
    pub fn answered(&mut self, status: StatusCode, headers: &HeaderMap) {
        self.note(|record| {
            let elapsed = record.elapsed();
            record.answered = Some(elapsed);
            record.status = status;
            if let Some(account) = &record.account {
                account.see_limits(headers, record.began + elapsed);
            }
            if status.is_client_error() || status.is_server_error() {
                record.gzip = headers.get(CONTENT_ENCODING).is_some_and(|value| value == "gzip");
                if let Some(id) = headers.get(&X_HUBSPOT_CORRELATION_ID) {
                    record.correlates(id);
                }
            }
        });
    }

    /// The answer is the proxy's own.
    pub fn answered_here(&mut self, status: StatusCode) {
        self.note(|record| {
            record.answered = Some(record.elapsed());
            record.status = status;
        });
    }

    /// A part of the answer's body goes to the client.
    pub fn passed(&mut self, data: Option<&Bytes>) {
        if let (Some(record), Some(data)) = (&mut self.record, data) {
            record.passes(data);
        }
    }

    /// The whole answer has been handed to the client's connection.
    pub fn completed(&mut self) {
        self.note(|record| {
            if record.ending == Ending::ClientGone {
                record.ending = Ending::Done;
            }
        });
    }

    /// The upstream's answer broke off.
    pub fn broke_off(&mut self) {
        self.note(|record| record.ending = Ending::BrokeOff);
    }
}

impl Drop for Exchange {
    fn drop(&mut self) {
        self.activity.in_flight.set(self.activity.in_flight.get() - 1);
        if let Some(mut record) = self.record.take() {
            record.ended = record.elapsed();
            if record.logged {
                log(&record);
            }
            self.observer.ended(record);
        }
    }
}

fn log(record: &Record) {
    let outcome = match record.ending {
        Ending::BrokeOff => "broke-off",
        Ending::Done => "done",
        Ending::ClientGone => "client-gone",
    };
    info!(
        id = %record.id,
        account = record.account.as_ref().map_or("-", |account| account.name.as_str()),
        method = %record.method,
        path = %record.path(),
        status = record.answered.map_or(0, |_| record.status.as_u16()),
        head_ms = millis(record.answered.unwrap_or_default()),
        total_ms = millis(record.ended),
        bytes = record.bytes,
        outcome,
        "request"
    );
}

fn millis(span: Duration) -> u64 {
    u64::try_from(span.as_millis()).unwrap_or(u64::MAX)
}
