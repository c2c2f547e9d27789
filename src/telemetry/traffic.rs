//! What one core has counted: requests for each account, and the proxy's own answers.
//!
//! Plain cells, written by the one core that they belong to; whoever wants the sum asks each core.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::ops::AddAssign;
use std::rc::Rc;
use std::time::{Duration, Instant};

use http::header::HeaderValue;
use http::{HeaderMap, StatusCode};

use super::denials::{self, Denials};
use super::histogram::Histogram;
use super::operations::{self, Operations, Templates};
use super::rate_limits::RateLimits;
use super::record::{Ending, Record};
use super::retiring::{self, Retiring};
use crate::types::account::AccountName;

/// Rate limits are read from an answer at most so often.
const SAMPLED_EVERY: Duration = Duration::from_millis(200);

/// What was counted of one account's requests, or of those of no account.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Requests that have ended.
    pub requests: u64,
    /// Of them, by the class of their status: 1xx to 5xx.
    pub by_class: [u64; 5],
    /// Answered by the proxy itself.
    pub refused: u64,
    /// Sent a second time after a 401.
    pub replayed: u64,
    /// The upstream's answer broke off.
    pub broke_off: u64,
    /// The client did not wait for the whole answer.
    pub client_gone: u64,
    /// Bytes of answers.
    pub bytes: u64,
    /// From a request's sending to the head of its answer; a connection that had to be made counts.
    pub upstream_time: Histogram,
    /// From a request's first byte to its sending; the wait for a token counts.
    pub time_before: Histogram,
    /// Answers over a connection that was new, and over one that had carried others: by HTTP/1.1, then
    /// by HTTP/2.
    pub connections: [[u64; 2]; 2],
}

/// The traffic of one account on one core.
#[derive(Debug)]
pub struct AccountTraffic {
    pub name: AccountName,
    counts: RefCell<Counts>,
    operations: RefCell<Operations>,
    denials: RefCell<Denials>,
    limits: Cell<Option<RateLimits>>,
}

/// All that one core has counted.
#[derive(Debug, Default)]
pub struct Traffic {
    accounts: RefCell<HashMap<AccountName, Rc<AccountTraffic>>>,
    /// Requests that got no account: refused before, or for the proxy's own paths.
    unassigned: RefCell<Counts>,
    refusals: RefCell<HashMap<&'static str, u64>>,
    templates: RefCell<Templates>,
    retiring: RefCell<Retiring>,
}

/// The same of one account, for other threads.
#[derive(Clone, Debug, Default)]
pub struct AccountSummary {
    pub counts: Counts,
    pub limits: Option<RateLimits>,
    /// One for each operation and status, and for each core that has seen it.
    pub operations: Vec<operations::Told>,
    /// Operations that lacked a scope.
    pub denials: Vec<denials::Told>,
}

/// A copy of what a core has counted, for other threads.
#[derive(Clone, Debug, Default)]
pub struct TrafficSummary {
    pub accounts: HashMap<AccountName, AccountSummary>,
    pub unassigned: Counts,
    /// By `X-HubSpot-Proxy-Error`.
    pub refusals: HashMap<&'static str, u64>,
    /// Requests to what HubSpot retires.
    pub retiring: Vec<retiring::Told>,
}

impl Counts {
    fn count(&mut self, record: &Record) {
        self.requests += 1;
        let class = usize::from(record.status.as_u16() / 100);
        if let Some(count) = class.checked_sub(1).and_then(|class| self.by_class.get_mut(class)) {
            *count += 1;
        }
        self.refused += u64::from(record.refusal.is_some());
        self.replayed += u64::from(record.replay == Some(super::REPLAYED));
        self.broke_off += u64::from(record.ending == Ending::BrokeOff);
        self.client_gone += u64::from(record.ending == Ending::ClientGone);
        self.bytes += record.bytes;
        let (Some(sent), Some(answered), None) = (record.sent, record.answered, &record.refusal)
        else {
            return;
        };
        self.upstream_time.observe(answered.saturating_sub(sent));
        self.time_before.observe(sent);
        if let Some(via) = record.via {
            self.connections[usize::from(via.http2)][usize::from(via.reused)] += 1;
        }
    }
}

impl AddAssign for Counts {
    fn add_assign(&mut self, other: Self) {
        self.requests += other.requests;
        for (sum, more) in self.by_class.iter_mut().zip(other.by_class) {
            *sum += more;
        }
        self.refused += other.refused;
        self.replayed += other.replayed;
        self.broke_off += other.broke_off;
        self.client_gone += other.client_gone;
        self.bytes += other.bytes;
        self.upstream_time += other.upstream_time;
        self.time_before += other.time_before;
        for (sum, more) in self.connections.iter_mut().zip(other.connections) {
            sum[0] += more[0];
            sum[1] += more[1];
        }
    }
}

impl AccountTraffic {
    /// Looks at what an answer says of the account's rate limits, unless that was done just now.
    pub fn see_limits(&self, headers: &HeaderMap<HeaderValue>, now: Instant) {
        let is_recent = |last: RateLimits| now.duration_since(last.seen) < SAMPLED_EVERY;
        if self.limits.get().is_some_and(is_recent) {
            return;
        }
        if let Some(limits) = RateLimits::of(headers, now) {
            self.limits.set(Some(limits));
        }
    }
}

impl Traffic {
    /// The place where requests of `account` are counted.
    pub fn of(&self, account: &AccountName) -> Rc<AccountTraffic> {
        let mut accounts = self.accounts.borrow_mut();
        if let Some(traffic) = accounts.get(account) {
            return Rc::clone(traffic);
        }
        let traffic = AccountTraffic {
            name: account.clone(),
            counts: RefCell::default(),
            operations: RefCell::default(),
            denials: RefCell::default(),
            limits: Cell::default(),
        };
        Rc::clone(accounts.entry(account.clone()).or_insert(Rc::new(traffic)))
    }

    /// Counts a request that has ended.
    pub fn count(&self, record: &Record) {
        match &record.account {
            Some(account) => {
                account.counts.borrow_mut().count(record);
                let template = self.templates.borrow_mut().of(record.raw_path());
                account.operations.borrow_mut().count(&record.method, template, record.status);
                if record.status == StatusCode::FORBIDDEN && record.refusal.is_none() {
                    account.denials.borrow_mut().look(&record.method, template, record);
                }
                let retirement = self.templates.borrow().retirement(template);
                if retirement.is_some() && record.refusal.is_none() {
                    self.retiring.borrow_mut().count(template, record.agent());
                }
            }
            None => self.unassigned.borrow_mut().count(record),
        }
        if let Some(refusal) = &record.refusal {
            *self.refusals.borrow_mut().entry(refusal.code()).or_default() += 1;
        }
    }

    /// A copy for other threads.
    pub fn summary(&self) -> TrafficSummary {
        self.copy(|traffic, templates, summary| {
            summary.operations = traffic.operations.borrow().told(templates);
            summary.denials = traffic.denials.borrow().told(templates);
        })
    }

    /// The same without the operations and denials, which are many.
    pub fn counts(&self) -> TrafficSummary {
        self.copy(|_, _, _| {})
    }

    fn copy(
        &self,
        add: impl Fn(&AccountTraffic, &Templates, &mut AccountSummary),
    ) -> TrafficSummary {
        let (accounts, templates) = (self.accounts.borrow(), self.templates.borrow());
        let copied = accounts.values().map(|traffic| {
            let mut summary = AccountSummary {
                counts: *traffic.counts.borrow(),
                limits: traffic.limits.get(),
                ..AccountSummary::default()
            };
            add(traffic, &templates, &mut summary);
            (traffic.name.clone(), summary)
        });
        TrafficSummary {
            accounts: copied.collect(),
            unassigned: *self.unassigned.borrow(),
            refusals: self.refusals.borrow().clone(),
            retiring: self.retiring.borrow().told(&templates),
        }
    }
}

impl TrafficSummary {
    /// Of all requests, whichever account they were for.
    pub fn all(&self) -> Counts {
        let mut all = self.unassigned;
        for account in self.accounts.values() {
            all += account.counts;
        }
        all
    }
}

impl AddAssign for TrafficSummary {
    fn add_assign(&mut self, other: Self) {
        self.unassigned += other.unassigned;
        for (name, account) in other.accounts {
            let sum = self.accounts.entry(name).or_default();
            sum.counts += account.counts;
            sum.limits = RateLimits::later(sum.limits, account.limits);
            sum.operations.extend(account.operations);
            sum.denials.extend(account.denials);
        }
        for (code, count) in other.refusals {
            *self.refusals.entry(code).or_default() += count;
        }
        self.retiring.extend(other.retiring);
    }
}
