//! One request and its answer, from the first byte of the head to the last of the body: counted
//! for its connection, and written into the log where that is asked for.

use std::cell::Cell;
use std::rc::Rc;
use std::time::Instant;

use bytes::Bytes;
use http::{Method, StatusCode};
use tracing::info;

use super::response::old_paths::OldPath;
use crate::telemetry::redact;
use crate::types::account::AccountName;
use crate::types::request_id::RequestId;

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
    record: Option<Box<Record>>,
    old_path: Option<OldPath>,
}

/// What the log line of a request says.
struct Record {
    method: Method,
    path: String,
    account: Option<AccountName>,
    began: Instant,
    head_after_ms: Option<u64>,
    status: Option<StatusCode>,
    bytes: u64,
    broke_off: bool,
    completed: bool,
}

impl Exchange {
    /// Begins an exchange; `has_body` tells whether the client has more to send than the head.
    pub fn begin(id: RequestId, activity: Rc<Activity>, has_body: bool) -> Self {
        activity.in_flight.set(activity.in_flight.get() + 1);
        activity.begun.set(activity.begun.get() + 1);
        activity.unread.set(has_body);
        Self { id, activity, record: None, old_path: None }
    }

    /// Has the exchange logged when it ends.
    pub fn keep_record(&mut self, method: &Method, path: &str) {
        self.record = Some(Box::new(Record {
            method: method.clone(),
            path: redact::path(path),
            account: None,
            began: Instant::now(),
            head_after_ms: None,
            status: None,
            bytes: 0,
            broke_off: false,
            completed: false,
        }));
    }

    /// Becomes false once the client has sent its whole body.
    pub fn unread(&self) -> Rc<Cell<bool>> {
        Rc::clone(&self.activity.unread)
    }

    /// Whose token the request gets, and whether what it asks for is an old path of HubSpot's.
    pub fn serves(&mut self, account: &AccountName, old_path: Option<OldPath>) {
        self.old_path = old_path;
        if let Some(record) = &mut self.record {
            record.account = Some(account.clone());
        }
    }

    /// The old path that the request asks for.
    pub fn old_path(&self) -> Option<OldPath> {
        self.old_path
    }

    /// The head of the answer is there.
    pub fn answered(&mut self, status: StatusCode) {
        if let Some(record) = &mut self.record {
            record.head_after_ms = Some(millis_since(record.began));
            record.status = Some(status);
        }
    }

    /// A part of the answer's body goes to the client.
    pub fn passed(&mut self, data: Option<&Bytes>) {
        if let (Some(record), Some(data)) = (&mut self.record, data) {
            record.bytes += data.len() as u64;
        }
    }

    /// The whole answer has been handed to the client's connection.
    pub fn completed(&mut self) {
        if let Some(record) = &mut self.record {
            record.completed = true;
        }
    }

    /// The upstream's answer broke off.
    pub fn broke_off(&mut self) {
        if let Some(record) = &mut self.record {
            record.broke_off = true;
        }
    }
}

impl Drop for Exchange {
    fn drop(&mut self) {
        self.activity.in_flight.set(self.activity.in_flight.get() - 1);
        if let Some(record) = self.record.take() {
            record.log(&self.id);
        }
    }
}

impl Record {
    fn log(&self, id: &RequestId) {
        let outcome = match (self.broke_off, self.completed) {
            (true, _) => "broke-off",
            (false, true) => "done",
            (false, false) => "client-gone",
        };
        info!(
            %id,
            account = self.account.as_ref().map_or("-", AccountName::as_str),
            method = %self.method,
            path = %self.path,
            status = self.status.map_or(0, |status| status.as_u16()),
            head_ms = self.head_after_ms.unwrap_or_default(),
            total_ms = millis_since(self.began),
            bytes = self.bytes,
            outcome,
            "request"
        );
    }
}

fn millis_since(began: Instant) -> u64 {
    u64::try_from(began.elapsed().as_millis()).unwrap_or(u64::MAX)
}
