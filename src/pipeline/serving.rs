//! The accounts as one request finds them, and the one that it is for.
//!
//! Accounts are replaced as a whole when a login, a logout or an import changes them; a request that
//! is under way goes on with those that it began with. A token is had through the account that it
//! belongs to and no other way, so that it cannot be put on another account's request.

use std::cell::{OnceCell, RefCell};
use std::rc::Rc;
use std::sync::Arc;

use arc_swap::Cache;
use http::header::{AUTHORIZATION, HeaderMap, HeaderValue};

use super::Settings;
use crate::accounts::{Account, Accounts, Shared};
use crate::credential::hot::{Freshness, HotToken};
use crate::telemetry::traffic::{AccountTraffic, Traffic};
use crate::types::clock::SharedClock;

/// One core's view of the accounts: what is current, and this core's copies of the tokens.
pub struct Current {
    newest: RefCell<Cache<Shared, Arc<Accounts>>>,
    serving: RefCell<Rc<Serving>>,
    settings: Settings,
    clock: SharedClock,
}

/// One generation of the accounts, and the settings that came with them.
pub struct Serving {
    accounts: Arc<Accounts>,
    settings: Settings,
    tokens: RefCell<Vec<HotToken>>,
    /// Where each account's requests are counted, once it has one.
    traffic: Vec<OnceCell<Rc<AccountTraffic>>>,
    clock: SharedClock,
}

/// The account of one request.
#[derive(Clone)]
pub struct Served {
    serving: Rc<Serving>,
    index: usize,
}

/// The token of the account that a request is served as: nobody but [`Served`] makes one.
pub struct AccountToken(HeaderValue);

impl AccountToken {
    /// Sets it as the only `Authorization`.
    pub fn put_on(self, headers: &mut HeaderMap) {
        headers.insert(AUTHORIZATION, self.0);
    }
}

impl Current {
    /// The view of one core.
    pub fn new(accounts: &Shared, settings: Settings, clock: SharedClock) -> Self {
        let newest = Cache::new(Shared::clone(accounts));
        let serving = Serving::of(accounts.load_full(), &settings, Arc::clone(&clock));
        Self { newest: RefCell::new(newest), serving: RefCell::new(serving), settings, clock }
    }

    /// The accounts as they are now: an atomic read where nothing has changed.
    pub fn serving(&self) -> Rc<Serving> {
        let mut newest = self.newest.borrow_mut();
        let newest = newest.load();
        let mut serving = self.serving.borrow_mut();
        if !Arc::ptr_eq(newest, &serving.accounts) {
            *serving = Serving::of(Arc::clone(newest), &self.settings, Arc::clone(&self.clock));
        }
        Rc::clone(&serving)
    }
}

impl Serving {
    fn of(accounts: Arc<Accounts>, at_start: &Settings, clock: SharedClock) -> Rc<Self> {
        let settings = match accounts.config() {
            // The parser of the connections was made for the limits of the start.
            Some(config) => Settings { head_limits: at_start.head_limits, ..Settings::of(config) },
            None => at_start.clone(),
        };
        let tokens = accounts.all().iter().map(|a| HotToken::new(Arc::clone(&a.credential)));
        let tokens = RefCell::new(tokens.collect());
        let traffic = accounts.all().iter().map(|_| OnceCell::new()).collect();
        Rc::new(Self { accounts, settings, tokens, traffic, clock })
    }

    /// All of them.
    pub fn accounts(&self) -> &Accounts {
        &self.accounts
    }

    /// What applies to requests that begin now.
    pub fn settings(&self) -> &Settings {
        &self.settings
    }

    /// The one at `index`, which has to be one of [`Accounts::all`].
    pub fn serve(self: Rc<Self>, index: usize) -> Served {
        Served { serving: self, index }
    }
}

impl Served {
    /// The settings that its request began with.
    pub fn settings(&self) -> &Settings {
        self.serving.settings()
    }

    /// The account itself.
    pub fn account(&self) -> &Account {
        &self.serving.accounts.all()[self.index]
    }

    /// Where its requests are counted on this core.
    pub fn traffic(&self, all: &Traffic) -> Rc<AccountTraffic> {
        let traffic = &self.serving.traffic[self.index];
        Rc::clone(traffic.get_or_init(|| all.of(&self.account().name)))
    }

    /// How its token stands, and the token.
    pub fn token(&self) -> (Freshness, Option<AccountToken>) {
        let token = &mut self.serving.tokens.borrow_mut()[self.index];
        let freshness = token.freshness(|| self.serving.clock.moment());
        (freshness, token.authorization().map(AccountToken))
    }

    /// The generation of the token that [`Self::token`] returned last on this core.
    pub fn generation(&self) -> u64 {
        self.serving.tokens.borrow()[self.index].generation()
    }
}
