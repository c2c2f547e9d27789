//! What is known of one request, from its first byte to the last of its answer.
//!
//! Every request is recorded, so a record costs no allocation: its box, and the text in it, come from
//! a request that is no longer remembered. It holds no query, no client key, no header but the upstream's correlation
//! id, and of a body no more than the beginning of an answer that failed. What else of a path may not be
//! written down is redacted when it is read.

use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};

use http::header::USER_AGENT;
use http::request::Parts;
use http::{HeaderValue, Method, StatusCode, Version};

use super::redact;
use super::traffic::AccountTraffic;
use crate::types::client_key::ClientKey;
use crate::types::refusal::Refusal;
use crate::types::request_id::RequestId;

/// More of a path is not kept, in bytes.
const LONGEST_PATH: usize = 512;
/// More of what a client calls itself is not kept, in bytes.
const LONGEST_AGENT: usize = 64;
/// More of a correlation id is not kept, in bytes.
const LONGEST_CORRELATION_ID: usize = 64;
/// So much of an answer that failed is kept, to tell why.
const LONGEST_EXCERPT: usize = 4 * 1024;

/// Puts `new`, and no more of it than `longest` bytes, in the place of `text`.
fn overwrite(text: &mut String, new: &str, longest: usize) {
    text.clear();
    text.push_str(&new[..new.floor_char_boundary(longest)]);
}

/// As much of a path as is kept. Cut between two segments: from a part of one it cannot be told whether it
/// may be shown.
fn beginning(path: &str) -> &str {
    if path.len() <= LONGEST_PATH {
        return path;
    }
    let kept = &path[..path.floor_char_boundary(LONGEST_PATH)];
    kept.rfind('/').map_or("", |end| &kept[..end])
}

/// How a request came by its account.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ChosenBy {
    /// It named none and got the default.
    #[default]
    Default,
    ClientKey,
    Listener,
    Path,
    Header,
    /// The only one with a developer key, on an operation that takes such a key.
    Operation,
}

/// What a request was given to authenticate with.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Authorized {
    /// It did not get that far.
    #[default]
    Not,
    /// The published token of this generation.
    WithToken { generation: u64 },
    /// A developer key in the query.
    WithDeveloperKey,
}

/// The upstream connection that brought the answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Via {
    pub http2: bool,
    /// Whether it had carried requests before.
    pub reused: bool,
    /// Whether a first attempt met a connection that had gone stale.
    pub second_attempt: bool,
}

/// How an exchange ended.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Ending {
    /// The client went away before it had the whole answer.
    #[default]
    ClientGone,
    /// The whole answer was handed to the client's connection.
    Done,
    /// The upstream's answer broke off.
    BrokeOff,
}

/// One request.
#[derive(Debug)]
pub struct Record {
    pub id: RequestId,
    pub began: Instant,
    pub method: Method,
    /// Whether the client speaks HTTP/2.
    pub http2: bool,
    path: String,
    /// What the client calls itself.
    agent: String,
    pub account: Option<Rc<AccountTraffic>>,
    pub chosen_by: ChosenBy,
    pub key: Option<Arc<ClientKey>>,
    pub authorized: Authorized,
    /// How long it waited for a token; zero when one was at hand.
    pub waited: Duration,
    /// After `began`, like those below: when it was sent to the upstream.
    pub sent: Option<Duration>,
    pub via: Option<Via>,
    /// What became of it after a 401, as `X-HubSpot-Proxy` shows it.
    pub replay: Option<&'static str>,
    /// When the head of the answer was there.
    pub answered: Option<Duration>,
    pub status: StatusCode,
    /// Why the answer is the proxy's own.
    pub refusal: Option<Refusal>,
    correlation_id: String,
    /// Whether the answer is compressed, and so its excerpt.
    pub gzip: bool,
    excerpt: Vec<u8>,
    /// Of the answer's body.
    pub bytes: u64,
    pub ended: Duration,
    pub ending: Ending,
    /// Whether it is to be logged when it ends.
    pub logged: bool,
}

impl Record {
    /// A record to be filled by [`Self::begin`].
    pub fn blank() -> Self {
        Self {
            id: RequestId::none(),
            began: Instant::now(),
            method: Method::GET,
            http2: false,
            path: String::new(),
            agent: String::new(),
            account: None,
            chosen_by: ChosenBy::default(),
            key: None,
            authorized: Authorized::default(),
            waited: Duration::ZERO,
            sent: None,
            via: None,
            replay: None,
            answered: None,
            status: StatusCode::OK,
            refusal: None,
            correlation_id: String::new(),
            gzip: false,
            excerpt: Vec::new(),
            bytes: 0,
            ended: Duration::ZERO,
            ending: Ending::default(),
            logged: false,
        }
    }

    /// Forgets the request before and begins with this one. Field by field, and none left out: a new
    /// record moved over the old one would be written twice.
    pub fn begin(&mut self, new_id: RequestId, head: &Parts) {
        #[rustfmt::skip]
        let Self {
            id, began, method, http2, path, agent, account, chosen_by, key, authorized, waited, sent, via,
            replay, answered, status, refusal, correlation_id, gzip, excerpt, bytes, ended, ending,
            logged,
        } = self;
        overwrite(path, beginning(redact::without_account(head.uri.path())), LONGEST_PATH);
        let named = head.headers.get(USER_AGENT).and_then(|agent| agent.to_str().ok());
        overwrite(agent, named.unwrap_or_default(), LONGEST_AGENT);
        correlation_id.clear();
        // Room for a body is not kept: most requests need none.
        if excerpt.capacity() > 0 {
            *excerpt = Vec::new();
        }
        *id = new_id;
        *began = Instant::now();
        *method = head.method.clone();
        *http2 = head.version >= Version::HTTP_2;
        *account = None;
        *chosen_by = ChosenBy::default();
        *key = None;
        *authorized = Authorized::default();
        *waited = Duration::ZERO;
        *sent = None;
        *via = None;
        *replay = None;
        *answered = None;
        *status = StatusCode::OK;
        *refusal = None;
        *gzip = false;
        *bytes = 0;
        *ended = Duration::ZERO;
        *ending = Ending::default();
        *logged = false;
    }

    /// The path, without what may not stand on record.
    pub fn path(&self) -> String {
        redact::path(&self.path)
    }

    /// The path as it came, for counting alone.
    pub(super) fn raw_path(&self) -> &str {
        &self.path
    }

    /// What the client calls itself, in so far as that can be shown.
    pub fn agent(&self) -> &str {
        &self.agent
    }

    /// The time since it began.
    pub fn elapsed(&self) -> Duration {
        self.began.elapsed()
    }

    /// Notes what tells the upstream's support which request it was.
    pub fn correlates(&mut self, id: &HeaderValue) {
        let is_id = |text: &&str| text.len() <= LONGEST_CORRELATION_ID;
        if let Some(id) = id.to_str().ok().filter(is_id) {
            self.correlation_id.clear();
            self.correlation_id.push_str(id);
        }
    }

    /// The upstream's name for the request, where it gave one.
    pub fn correlation_id(&self) -> Option<&str> {
        Some(self.correlation_id.as_str()).filter(|id| !id.is_empty())
    }

    /// Whether the answer says that the request failed.
    pub fn has_failed(&self) -> bool {
        let status = self.status;
        status.is_client_error() || status.is_server_error() || self.ending == Ending::BrokeOff
    }

    /// A part of the answer's body goes by.
    pub fn passes(&mut self, data: &[u8]) {
        self.bytes += data.len() as u64;
        if self.refusal.is_none()
            && (self.status.is_client_error() || self.status.is_server_error())
        {
            let room = LONGEST_EXCERPT.saturating_sub(self.excerpt.len());
            self.excerpt.extend_from_slice(&data[..data.len().min(room)]);
        }
    }

    /// The beginning of the body of an answer that failed, as it came.
    pub fn excerpt(&self) -> &[u8] {
        &self.excerpt
    }
}
