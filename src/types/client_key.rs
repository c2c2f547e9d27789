//! Client keys: what a program may show the proxy to be served for one account, or under a stricter
//! policy.
//!
//! A key is 256 random bits behind `hsp_`. It is shown once, when it is made, and known afterwards by
//! its SHA-256 alone: nothing that is kept lets anybody in.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ring::digest::{SHA256, digest};
use ring::rand::{SecureRandom, SystemRandom};
use subtle::ConstantTimeEq;
use thiserror::Error;
use zeroize::Zeroizing;

use super::account::AccountName;
use super::clock::WallTime;
use super::policy::Policy;
use super::secret::Secret;

/// What a key begins with, so that it is known for one wherever it turns up.
pub const PREFIX: &str = "hsp_";
/// Random bytes of a key.
const LENGTH: usize = 32;
/// One part in so many of all places is kept back, in equal shares for the keys that are valid.
const KEPT_BACK: usize = 4;

/// A key as it is kept: its SHA-256.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct KeyHash([u8; 32]);

/// The name of a key, in lists and logs: 1 to 63 characters of a-z, A-Z, 0-9, `.`, `_` and `-`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct KeyName(Box<str>);

/// Why a text is no name of a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("a key's name has 1 to 63 letters, digits and `.`, `_`, `-`, and is no key itself")]
pub struct InvalidKeyName;

/// A key that lets its holder in.
#[derive(Clone, Debug)]
pub struct ClientKey {
    pub name: KeyName,
    pub hash: KeyHash,
    /// The only account that it is for.
    pub account: Option<AccountName>,
    /// What it may do beside what the account may.
    pub policy: Option<Arc<Policy>>,
    pub expires: Option<WallTime>,
    /// Connections whose latest request showed it. Shared with what it was before the keys were read
    /// anew.
    connections: Arc<AtomicUsize>,
}

/// Counts a connection of one key for as long as it lives.
pub struct Holding(Arc<AtomicUsize>);

/// All keys of the proxy.
#[derive(Debug, Default, PartialEq)]
pub struct ClientKeys {
    valid: Vec<Arc<ClientKey>>,
    /// Hashes of those that were taken away.
    revoked: Vec<KeyHash>,
}

/// A new key. Fails only where the system has no random numbers.
pub fn generate() -> Result<Secret, String> {
    let mut bytes = Zeroizing::new([0; LENGTH]);
    SystemRandom::new()
        .fill(bytes.as_mut())
        .map_err(|_| "the system gives no random numbers".to_owned())?;
    let text = Zeroizing::new(URL_SAFE_NO_PAD.encode(bytes.as_ref()));
    Ok(Secret::new([PREFIX, &text].concat()))
}

impl KeyHash {
    /// Of a key as a client shows it.
    pub fn of(key: &[u8]) -> Self {
        let mut hash = [0; 32];
        hash.copy_from_slice(digest(&SHA256, key).as_ref());
        Self(hash)
    }

    /// One that was kept.
    pub fn kept(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// As it is kept.
    pub fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

impl fmt::Debug for KeyHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("KeyHash(..)")
    }
}

impl KeyName {
    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for KeyName {
    type Err = InvalidKeyName;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let legal = |b: u8| b.is_ascii_alphanumeric() || b"._-".contains(&b);
        let fits = (1..=63).contains(&text.len());
        if !fits || !text.bytes().all(legal) || text.starts_with(PREFIX) {
            return Err(InvalidKeyName);
        }
        Ok(Self(text.into()))
    }
}

impl fmt::Display for KeyName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl ClientKeys {
    /// These keys, and no others.
    pub fn new(keys: Vec<ClientKey>) -> Self {
        Self { valid: keys.into_iter().map(Arc::new).collect(), revoked: Vec::new() }
    }

    /// The same, and what was taken away.
    pub fn without(self, revoked: Vec<KeyHash>) -> Self {
        Self { revoked, ..self }
    }

    /// Each of them.
    pub fn all(&self) -> impl Iterator<Item = &ClientKey> {
        self.valid.iter().map(AsRef::as_ref)
    }

    /// The same, those that were there `before` with the connections that they have.
    pub fn carrying_on(mut self, before: &Self) -> Self {
        for key in &mut self.valid {
            if let Some(old) = before.valid.iter().find(|old| old.hash == key.hash) {
                let connections = Arc::clone(&old.connections);
                *key = Arc::new(ClientKey { connections, ..ClientKey::clone(key) });
            }
        }
        self
    }

    /// How many of `most` places whoever shows `key` may find taken, its own place included, before
    /// the rest is for other keys. Up to half as many keys as there are places are each kept one at
    /// least, and more are kept none.
    pub fn places(
        &self,
        key: Option<&ClientKey>,
        most: usize,
        now: impl FnOnce() -> WallTime,
    ) -> usize {
        if self.valid.is_empty() {
            return most;
        }
        let now = now();
        let valid = || self.valid.iter().filter(|key| !key.has_expired(now));
        let count = valid().count();
        let least = usize::from(count <= most / 2);
        let each = (most / KEPT_BACK).checked_div(count).unwrap_or(0).max(least);
        if key.is_some_and(|key| key.connections() <= each) {
            return most;
        }
        let others = valid().filter(|other| key.is_none_or(|key| key != &***other));
        let kept: usize = others.map(|other| each.saturating_sub(other.connections())).sum();
        most.saturating_sub(kept)
    }

    /// The key that `presented` is. All are looked at, each in the same time.
    pub fn find(&self, presented: &[u8]) -> Option<&Arc<ClientKey>> {
        let hash = KeyHash::of(presented);
        let is_it = |key: &&Arc<ClientKey>| bool::from(key.hash.0.ct_eq(&hash.0));
        self.valid.iter().fold(None, |found, key| if is_it(&key) { Some(key) } else { found })
    }

    /// Whether `presented` was a key and has been taken away.
    pub fn has_revoked(&self, presented: &[u8]) -> bool {
        let hash = KeyHash::of(presented);
        self.revoked.iter().any(|revoked| revoked.0.ct_eq(&hash.0).into())
    }
}

impl PartialEq for ClientKey {
    /// A key never changes but by being revoked, and what it is known by is its hash.
    fn eq(&self, other: &Self) -> bool {
        self.hash == other.hash
    }
}

impl ClientKey {
    /// A key that no connection has shown yet.
    pub fn new(
        name: KeyName,
        hash: KeyHash,
        account: Option<AccountName>,
        policy: Option<Arc<Policy>>,
        expires: Option<WallTime>,
    ) -> Self {
        Self { name, hash, account, policy, expires, connections: Arc::default() }
    }

    /// Counts a connection whose latest request showed it.
    pub fn hold(&self) -> Holding {
        self.connections.fetch_add(1, Ordering::Relaxed);
        Holding(Arc::clone(&self.connections))
    }

    fn connections(&self) -> usize {
        self.connections.load(Ordering::Relaxed)
    }

    /// Whether its time is over at `now`.
    pub fn has_expired(&self, now: WallTime) -> bool {
        self.expires.is_some_and(|end| now >= end)
    }
}

impl Holding {
    /// Whether it is a connection of `key`.
    pub fn is_of(&self, key: &ClientKey) -> bool {
        Arc::ptr_eq(&self.0, &key.connections)
    }
}

impl Drop for Holding {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::{ClientKey, ClientKeys, KeyHash, KeyName, generate};
    use crate::types::clock::WallTime;

    fn key(name: &str, presented: &str) -> ClientKey {
        let hash = KeyHash::of(presented.as_bytes());
        let expires = Some(WallTime(10));
        ClientKey::new(name.parse().unwrap(), hash, None, None, expires)
    }

    #[test]
    fn a_key_is_found_by_itself_alone() {
        let keys = ClientKeys::new(vec![key("a", "hsp_a"), key("b", "hsp_b")]);
        assert_eq!(keys.find(b"hsp_b").unwrap().name.as_str(), "b");
        for other in ["", "hsp_", "hsp_c", "hsp_a ", "HSP_a"] {
            assert!(keys.find(other.as_bytes()).is_none(), "{other}");
        }
        let found = keys.find(b"hsp_a").unwrap();
        assert!(!found.has_expired(WallTime(9)) && found.has_expired(WallTime(10)));
        assert!(!format!("{keys:?}").contains("hsp_"));
    }

    #[test]
    fn each_key_is_new_and_has_256_bits() {
        let (one, two) = (generate().unwrap(), generate().unwrap());
        assert!(!one.same_as(&two));
        assert_eq!(one.expose().len(), "hsp_".len() + 43);
        assert!(one.expose().starts_with("hsp_"));
    }

    #[test]
    fn a_name_is_a_word_and_no_key() {
        let long = "a".repeat(64);
        for bad in ["", "a b", "a/b", "é", "hsp_abc", "a\n", long.as_str()] {
            assert!(bad.parse::<KeyName>().is_err(), "{bad}");
        }
        assert!("CI.deploy_1-x".parse::<KeyName>().is_ok());
    }
}
