//! The grants and tokens that exist, and what a refresh, a revocation and time do to them.
//!
//! A family is what came from one consent: its refresh tokens and the access tokens issued for
//! them. Forms, statuses and bodies are `token`'s and `inspect`'s business.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;
use std::time::Duration;

use super::super::access::{Caller, Kind};
use super::super::{Rotation, demo, scopes};
use crate::types::clock::WallTime;

/// An authorization code lives this long, as RFC 6749, section 4.1.2 allows.
const CODE_LIFE: Duration = Duration::from_secs(60);
/// With more access tokens than this, those expired for an hour are forgotten.
const MANY: usize = 20_000;
const FORGOTTEN_AFTER: Duration = Duration::from_secs(3600);

pub(in crate::sandbox) type Scopes = Arc<BTreeSet<String>>;

/// What a Bearer token is worth.
pub(in crate::sandbox) enum Standing {
    Valid(Caller),
    Expired(WallTime),
    Unknown,
}

/// An access token that came from a grant or from client credentials.
#[derive(Clone)]
pub(in crate::sandbox) struct Access {
    family: Option<u64>,
    pub(super) kind: Kind,
    pub(super) scopes: Scopes,
    pub(super) expires: WallTime,
}

struct Refresh {
    family: u64,
    scopes: Scopes,
    state: State,
}

enum State {
    Live,
    /// Another one took its place: in mode `grace` it works until that one is used.
    Replaced(String),
    Dead,
}

/// What a consent gave, until it is exchanged.
pub(super) struct Code {
    pub(super) redirect_uri: String,
    pub(super) challenge: Option<String>,
    pub(super) scopes: Scopes,
    pub(super) expires: WallTime,
}

/// A token as it is answered.
pub(super) struct Issued {
    pub(super) access_token: String,
    pub(super) refresh_token: Option<String>,
    pub(super) life: Duration,
    pub(super) scopes: Scopes,
}

pub(in crate::sandbox) struct Grants {
    ttl: Duration,
    rotation: Rotation,
    random: fastrand::Rng,
    families: u64,
    access: HashMap<String, Access>,
    refresh: HashMap<String, Refresh>,
    codes: HashMap<String, Code>,
    static_scopes: Scopes,
}

impl Grants {
    /// With the demo credentials: a static token and one grant.
    pub(in crate::sandbox) fn new(ttl: Duration, rotation: Rotation, seed: u64) -> Self {
        let scopes = scopes::of_demo();
        let grant = Refresh { family: 0, scopes: scopes.clone(), state: State::Live };
        Self {
            ttl,
            rotation,
            random: fastrand::Rng::with_seed(seed),
            families: 1,
            access: HashMap::new(),
            refresh: HashMap::from([(demo::REFRESH_TOKEN.to_owned(), grant)]),
            codes: HashMap::new(),
            static_scopes: scopes,
        }
    }

    pub(in crate::sandbox) fn look_up(&self, token: &str, now: WallTime) -> Standing {
        if token == demo::ACCESS_TOKEN {
            let scopes = self.static_scopes.clone();
            return Standing::Valid(Caller { kind: Kind::Static, scopes });
        }
        match self.access.get(token) {
            None => Standing::Unknown,
            Some(access) if access.expires <= now => Standing::Expired(access.expires),
            Some(access) => {
                Standing::Valid(Caller { kind: access.kind, scopes: access.scopes.clone() })
            }
        }
    }

    /// The token itself, if it is still valid.
    pub(super) fn active(&self, token: &str, now: WallTime) -> Option<&Access> {
        self.access.get(token).filter(|access| access.expires > now)
    }

    /// The scopes of a refresh token that still works.
    pub(super) fn refresh_scopes(&self, token: &str) -> Option<Scopes> {
        self.works(token).then(|| self.refresh.get(token).map(|grant| grant.scopes.clone()))?
    }

    fn works(&self, token: &str) -> bool {
        match self.refresh.get(token).map(|grant| &grant.state) {
            Some(State::Live) => true,
            Some(State::Replaced(_)) => self.rotation == Rotation::Grace,
            Some(State::Dead) | None => false,
        }
    }

    /// A code for a consent, to be exchanged once.
    pub(super) fn add_code(
        &mut self,
        redirect_uri: String,
        challenge: Option<String>,
        scopes: Scopes,
        now: WallTime,
    ) -> String {
        self.codes.retain(|_, code| code.expires.after(FORGOTTEN_AFTER) > now);
        let name = self.new_name(demo::ISSUED_CODE);
        let expires = now.after(CODE_LIFE);
        self.codes.insert(name.clone(), Code { redirect_uri, challenge, scopes, expires });
        name
    }

    /// The code, used up whatever comes of it.
    pub(super) fn take_code(&mut self, code: &str) -> Option<Code> {
        self.codes.remove(code)
    }

    /// A new family for an exchanged code.
    pub(super) fn start_family(&mut self, scopes: Scopes, now: WallTime) -> Issued {
        let family = self.families;
        self.families += 1;
        let name = self.add_refresh(family, scopes.clone());
        self.issue(Some(family), Kind::Oauth, scopes, Some(name), now)
    }

    /// A token for a refresh token, by the mode of rotation; `None` if it does not work.
    pub(super) fn refresh(&mut self, token: &str, now: WallTime) -> Option<Issued> {
        let grant = self.refresh.get(token)?;
        let (family, scopes) = (grant.family, grant.scopes.clone());
        if !self.works(token) {
            if self.rotation == Rotation::Strict {
                self.revoke_family(family);
            }
            return None;
        }
        let back = match self.rotation {
            Rotation::Fixed => token.to_owned(),
            Rotation::Grace => {
                self.end_predecessors(token);
                match self.refresh.get(token).map(|grant| &grant.state) {
                    // Asked twice with the old one: the successor is still waiting to be used.
                    Some(State::Replaced(successor)) => successor.clone(),
                    _ => self.replace(token, family, scopes.clone()),
                }
            }
            Rotation::Strict => self.replace(token, family, scopes.clone()),
        };
        Some(self.issue(Some(family), Kind::Oauth, scopes, Some(back), now))
    }

    /// A token of the app itself, which no refresh token belongs to.
    pub(super) fn for_client(&mut self, scopes: Scopes, now: WallTime) -> Issued {
        self.issue(None, Kind::ClientCredentials, scopes, None, now)
    }

    /// Ends one refresh token; access tokens live on until they expire.
    pub(super) fn revoke_one(&mut self, token: &str) -> bool {
        match self.refresh.get_mut(token) {
            Some(grant) => {
                grant.state = State::Dead;
                true
            }
            None => false,
        }
    }

    /// Every issued access token expires now.
    pub(in crate::sandbox) fn expire_all(&mut self, now: WallTime) {
        for access in self.access.values_mut() {
            access.expires = access.expires.min(now);
        }
    }

    /// No issued access token is known any more.
    pub(in crate::sandbox) fn revoke_access(&mut self) {
        self.access.clear();
    }

    /// No refresh token and no code works any more.
    pub(in crate::sandbox) fn revoke_refresh(&mut self) {
        self.codes.clear();
        for grant in self.refresh.values_mut() {
            grant.state = State::Dead;
        }
    }

    /// A token of the personal access key, which names no grant.
    pub(super) fn for_access_key(&mut self, now: WallTime) -> (Issued, WallTime) {
        let scopes = self.static_scopes.clone();
        let issued = self.issue(None, Kind::Oauth, scopes, None, now);
        let expires = now.after(issued.life);
        (issued, expires)
    }

    fn issue(
        &mut self,
        family: Option<u64>,
        kind: Kind,
        scopes: Scopes,
        refresh_token: Option<String>,
        now: WallTime,
    ) -> Issued {
        if self.access.len() >= MANY {
            self.access.retain(|_, access| access.expires.after(FORGOTTEN_AFTER) > now);
        }
        let name = self.new_name(demo::ISSUED_ACCESS);
        let access = Access { family, kind, scopes: scopes.clone(), expires: now.after(self.ttl) };
        self.access.insert(name.clone(), access);
        Issued { access_token: name, refresh_token, life: self.ttl, scopes }
    }

    fn replace(&mut self, token: &str, family: u64, scopes: Scopes) -> String {
        let successor = self.add_refresh(family, scopes);
        if let Some(grant) = self.refresh.get_mut(token) {
            grant.state = State::Replaced(successor.clone());
        }
        successor
    }

    fn add_refresh(&mut self, family: u64, scopes: Scopes) -> String {
        let name = self.new_name(demo::ISSUED_REFRESH);
        let grant = Refresh { family, scopes, state: State::Live };
        self.refresh.insert(name.clone(), grant);
        name
    }

    /// First use of a successor ends the token it replaced.
    fn end_predecessors(&mut self, token: &str) {
        for grant in self.refresh.values_mut() {
            if matches!(&grant.state, State::Replaced(successor) if successor == token) {
                grant.state = State::Dead;
            }
        }
    }

    fn revoke_family(&mut self, family: u64) {
        self.access.retain(|_, access| access.family != Some(family));
        for grant in self.refresh.values_mut().filter(|grant| grant.family == family) {
            grant.state = State::Dead;
        }
    }

    fn new_name(&mut self, start: &str) -> String {
        let random = self.random.u128(..);
        format!("{start}{random:0digits$x}", digits = demo::ISSUED_DIGITS)
    }
}
