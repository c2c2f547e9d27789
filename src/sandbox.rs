//! An emulator of HubSpot's API, for the demo, for tests, and for anyone who develops offline.
//!
//! It keeps everything in memory, makes the same data from the same seed, and takes its time from
//! the clock it is handed. It knows nothing of the proxy: `types` is all it imports. Where it
//! listens, and that this is a loopback address, is decided by whoever calls [`Sandbox::serve`].
//!
//! Its parts: [`exchange`] takes a request through the steps below; `gate` keeps web pages out;
//! `access` finds out who calls; `oauth`, `crm`, `files` and `account` are the API; `limits`,
//! `faults`, `ledger` and `controls` are what makes it useful in a test.

pub mod demo;

mod access;
mod account;
mod answer;
mod bodies;
mod controls;
mod crm;
mod exchange;
mod faults;
mod files;
mod gate;
mod ledger;
mod limits;
mod oauth;
mod path;
mod scopes;
mod server;
mod streams;
mod time;
mod webhooks;

#[cfg(test)]
mod tests;

use std::fmt;
use std::future::Future;
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use thiserror::Error;
use tokio::net::TcpListener;

use crate::types::clock::SharedClock;

/// What a refresh does to the refresh token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rotation {
    /// The same one comes back, as at HubSpot.
    Fixed,
    /// A new one comes back; the old one works until the new one is first used.
    Grace,
    /// A new one comes back; use of an old one revokes the whole family.
    Strict,
}

/// Why a text is not a [`Rotation`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("the rotation of refresh tokens is `fixed`, `grace` or `strict`")]
pub struct InvalidRotation;

impl FromStr for Rotation {
    type Err = InvalidRotation;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            "fixed" => Ok(Self::Fixed),
            "grace" => Ok(Self::Grace),
            "strict" => Ok(Self::Strict),
            _ => Err(InvalidRotation),
        }
    }
}

impl fmt::Display for Rotation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Fixed => "fixed",
            Self::Grace => "grace",
            Self::Strict => "strict",
        })
    }
}

/// How the sandbox behaves.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Options {
    /// Life of an access token.
    pub token_ttl: Duration,
    pub rotation: Rotation,
    /// The same seed makes the same records.
    pub seed: u64,
}

impl Default for Options {
    fn default() -> Self {
        Self { token_ttl: Duration::from_secs(1800), rotation: Rotation::Fixed, seed: 0 }
    }
}

/// The emulator's state: one portal, one app.
pub struct Sandbox {
    clock: SharedClock,
    grants: Mutex<oauth::grants::Grants>,
    crm: Mutex<crm::Crm>,
    files: Mutex<files::Files>,
    webhooks: Mutex<webhooks::Webhooks>,
    limits: Mutex<limits::Limits>,
    faults: Mutex<faults::Faults>,
    ledger: Mutex<ledger::Ledger>,
    ids: Mutex<fastrand::Rng>,
}

impl Sandbox {
    /// A sandbox with its seed data and the demo credentials.
    pub fn new(options: Options, clock: SharedClock) -> Arc<Self> {
        let Options { token_ttl, rotation, seed } = options;
        // Not the seed alone: a token issued before a restart must not be valid after it.
        let start = seed ^ clock.now().0.rotate_left(20);
        Arc::new(Self {
            grants: Mutex::new(oauth::grants::Grants::new(token_ttl, rotation, start)),
            crm: Mutex::new(crm::Crm::seeded(seed)),
            files: Mutex::default(),
            webhooks: Mutex::default(),
            limits: Mutex::default(),
            faults: Mutex::default(),
            ledger: Mutex::default(),
            // Another series than that of the tokens: an id is shown, and must not spell one.
            ids: Mutex::new(fastrand::Rng::with_seed(!start)),
            clock,
        })
    }

    /// Serves HTTP/1.1 and HTTP/2 with prior knowledge on every listener until `shutdown` is
    /// ready, then lets what is under way finish for a short time.
    pub async fn serve<F>(self: Arc<Self>, listeners: Vec<TcpListener>, shutdown: F)
    where
        F: Future<Output = ()> + Send,
    {
        server::serve(self, listeners, shutdown).await;
    }
}
