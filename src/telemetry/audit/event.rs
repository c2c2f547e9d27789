//! What can be told to the log: owned, small, and formatted by nobody before the writer does it.

use std::sync::Arc;
use std::time::{Duration, Instant};

use http::{Method, StatusCode};

use crate::telemetry::record::{Authorized, Ending, Record};
use crate::types::account::AccountName;
use crate::types::client_key::{ClientKey, KeyName};
use crate::types::clock::WallTime;
use crate::types::refusal::Refusal;
use crate::types::request_id::RequestId;

/// One thing that goes on record.
#[derive(Debug)]
pub enum Event {
    Request(Box<Request>),
    Change(Box<Change>),
}

/// A request that has ended.
#[derive(Debug)]
pub struct Request {
    pub(super) id: RequestId,
    pub(super) began: Instant,
    pub(super) took: Duration,
    pub(super) method: Method,
    /// Not yet redacted.
    pub(super) path: String,
    pub(super) account: Option<AccountName>,
    pub(super) key: Option<Arc<ClientKey>>,
    pub(super) generation: Option<u64>,
    pub(super) status: StatusCode,
    pub(super) error: Option<&'static str>,
    /// What is wrong with a client key.
    pub(super) detail: Option<&'static str>,
    pub(super) correlation_id: Option<String>,
    pub(super) bytes: u64,
    pub(super) replay: Option<&'static str>,
    pub(super) ending: Ending,
}

/// The names of events, as they stand in the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum What {
    Request,
    Refusal,
    Start,
    Stop,
    Rotated,
    Lost,
    Login,
    Logout,
    Import,
    Seeded,
    AccountRemoved,
    KeyCreated,
    KeyRevoked,
    Refresh,
    RefreshFailed,
    NeedsLogin,
    Reloaded,
    PolicyChanged,
}

/// Anything but a request.
#[derive(Debug)]
pub struct Change {
    pub(super) what: What,
    pub(super) account: Option<AccountName>,
    pub(super) key: Option<KeyName>,
    pub(super) error: Option<&'static str>,
    pub(super) generation: Option<u64>,
    pub(super) detail: Option<String>,
    /// When it was, where that is not now.
    pub(super) time: Option<WallTime>,
    /// Its number in the store, where it was noted there.
    pub(super) noted: Option<u64>,
}

impl What {
    /// What the store notes of accounts and client keys.
    pub const OF_ACCOUNTS: [Self; 7] = [
        Self::Login,
        Self::Logout,
        Self::Import,
        Self::Seeded,
        Self::AccountRemoved,
        Self::KeyCreated,
        Self::KeyRevoked,
    ];

    /// The name as it is written.
    pub fn name(self) -> &'static str {
        match self {
            Self::Request => "request",
            Self::Refusal => "refusal",
            Self::Start => "start",
            Self::Stop => "stop",
            Self::Rotated => "rotated",
            Self::Lost => "lost",
            Self::Login => "login",
            Self::Logout => "logout",
            Self::Import => "import",
            Self::Seeded => "seeded",
            Self::AccountRemoved => "account-removed",
            Self::KeyCreated => "key-created",
            Self::KeyRevoked => "key-revoked",
            Self::Refresh => "refresh",
            Self::RefreshFailed => "refresh-failed",
            Self::NeedsLogin => "needs-login",
            Self::Reloaded => "reloaded",
            Self::PolicyChanged => "policy-changed",
        }
    }
}

impl Request {
    pub(super) fn of(record: &Record) -> Self {
        let generation = match record.authorized {
            Authorized::WithToken { generation } => Some(generation),
            Authorized::Not | Authorized::WithDeveloperKey => None,
        };
        Self {
            id: record.id,
            began: record.began,
            took: record.ended,
            method: record.method.clone(),
            path: record.raw_path().to_owned(),
            account: record.account.as_ref().map(|account| account.name.clone()),
            key: record.key.clone(),
            generation,
            status: record.status,
            error: record.refusal.as_ref().map(Refusal::code),
            detail: match record.refusal {
                Some(Refusal::ClientKeyInvalid(what)) => Some(what),
                _ => None,
            },
            correlation_id: record.correlation_id().map(str::to_owned),
            bytes: record.bytes,
            replay: record.replay,
            ending: record.ending,
        }
    }
}

impl Change {
    /// Something that happened, without more to say of it.
    pub fn new(what: What) -> Self {
        Self {
            what,
            account: None,
            key: None,
            error: None,
            generation: None,
            detail: None,
            time: None,
            noted: None,
        }
    }

    /// To this account.
    pub fn of(self, account: &AccountName) -> Self {
        Self { account: Some(account.clone()), ..self }
    }

    /// To this client key.
    pub fn of_key(self, key: &KeyName) -> Self {
        Self { key: Some(key.clone()), ..self }
    }

    /// For this reason: a code, never a text from elsewhere.
    pub fn because(self, error: &'static str) -> Self {
        Self { error: Some(error), ..self }
    }

    /// With the token of this generation.
    pub fn with_generation(self, generation: u64) -> Self {
        Self { generation: Some(generation), ..self }
    }

    /// As the store has noted it, at `time` and under this number.
    pub fn noted(self, time: WallTime, number: u64) -> Self {
        Self { time: Some(time), noted: Some(number), ..self }
    }

    /// Its number in the store, if it was noted there.
    pub fn number(&self) -> Option<u64> {
        self.noted
    }

    /// With a word more, which holds no secret.
    pub fn with_detail(self, detail: impl Into<String>) -> Self {
        Self { detail: Some(detail.into()), ..self }
    }
}
