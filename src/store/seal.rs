//! Encryption of single secrets, so that neither a copy of the store nor a swap of its rows is of any
//! use.
//!
//! A sealed value is a version byte, the id of the key, a nonce of its own and what AES-256-GCM makes
//! of the secret. Bound to it as associated data are the store, the account and the column: in any
//! other place it does not open.

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ring::aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use ring::digest::{SHA256, digest};
use ring::hkdf::{HKDF_SHA256, Prk, Salt};
use ring::rand::{SecureRandom, SystemRandom};
use zeroize::{Zeroize, Zeroizing};

use crate::types::account::AccountName;
use crate::types::secret::Secret;

/// The salt that sets audit keys apart from whatever else may come from a store key.
const AUDIT_LABEL: &[u8] = b"hubspot-proxy audit log";
/// Of what follows it.
const FORMAT: u8 = 1;
/// Bytes of a key.
pub const KEY_LENGTH: usize = 32;
const ID_LENGTH: usize = 8;
const HEADER: usize = 1 + ID_LENGTH + NONCE_LEN;

/// Tells one key from another, and nothing about it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KeyId([u8; ID_LENGTH]);

/// A store key, ready for use.
pub struct Key {
    id: KeyId,
    cipher: LessSafeKey,
    /// What the key of audit logs is derived from.
    audit: Prk,
}

/// The place of a sealed value.
#[derive(Clone, Copy, Debug)]
pub struct Cell<'a> {
    pub store: &'a [u8],
    pub account: &'a AccountName,
    pub column: &'static str,
}

/// Why a value did not open; says nothing of what is in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SealError {
    /// It is sealed with another key.
    OtherKey,
    /// It is not what was sealed for this place.
    Damaged,
}

impl KeyId {
    /// As it is stored.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}

impl Key {
    /// A new key, and the text to keep it as. Fails only where the system has no random numbers.
    pub fn generate() -> Result<(Self, Secret), String> {
        let mut bytes = Zeroizing::new([0; KEY_LENGTH]);
        random(bytes.as_mut())?;
        let text = Secret::new(STANDARD.encode(bytes.as_ref()));
        let key = Self::parse(text.expose()).ok_or("a new key is not one")?;
        Ok((key, text))
    }

    /// A key as it is kept: 32 bytes in base64.
    pub fn parse(text: &str) -> Option<Self> {
        let bytes = Zeroizing::new(STANDARD.decode(text.trim()).ok()?);
        if bytes.len() != KEY_LENGTH {
            return None;
        }
        let unbound = UnboundKey::new(&AES_256_GCM, &bytes).ok()?;
        let labelled = Zeroizing::new([b"hubspot-proxy store key id\0", bytes.as_slice()].concat());
        let mut id = [0; ID_LENGTH];
        id.copy_from_slice(&digest(&SHA256, &labelled).as_ref()[..ID_LENGTH]);
        let audit = Salt::new(HKDF_SHA256, AUDIT_LABEL).extract(&bytes);
        Some(Self { id: KeyId(id), cipher: LessSafeKey::new(unbound), audit })
    }

    /// The key of the audit logs of one store, by HKDF (RFC 5869): it tells nothing of this one.
    pub fn audit_key(&self, store: &[u8]) -> Option<Zeroizing<[u8; KEY_LENGTH]>> {
        let mut bytes = Zeroizing::new([0; KEY_LENGTH]);
        let info = [store];
        self.audit.expand(&info, HKDF_SHA256).ok()?.fill(bytes.as_mut()).ok()?;
        Some(bytes)
    }

    /// Which key it is.
    pub fn id(&self) -> KeyId {
        self.id
    }

    /// Seals `secret` for one place. Fails only where the system has no random numbers.
    pub fn seal(&self, cell: Cell<'_>, secret: &Secret) -> Result<Vec<u8>, String> {
        let mut nonce = [0; NONCE_LEN];
        random(&mut nonce)?;
        let plain = secret.expose().as_bytes();
        let mut sealed = Vec::with_capacity(HEADER + plain.len() + AES_256_GCM.tag_len());
        sealed.push(FORMAT);
        sealed.extend_from_slice(&self.id.0);
        sealed.extend_from_slice(&nonce);
        sealed.extend_from_slice(plain);
        let nonce = Nonce::assume_unique_for_key(nonce);
        let body = &mut sealed[HEADER..];
        match self.cipher.seal_in_place_separate_tag(nonce, cell.associated_data(), body) {
            Ok(tag) => {
                sealed.extend_from_slice(tag.as_ref());
                Ok(sealed)
            }
            Err(_) => {
                sealed.zeroize();
                Err("the secret is too long to be encrypted".to_owned())
            }
        }
    }

    /// Opens what was sealed for this place.
    pub fn open(&self, cell: Cell<'_>, sealed: &[u8]) -> Result<Secret, SealError> {
        if key_id(sealed)? != self.id {
            return Err(SealError::OtherKey);
        }
        let (header, body) = sealed.split_at(HEADER);
        let nonce = Nonce::try_assume_unique_for_key(&header[1 + ID_LENGTH..]);
        let nonce = nonce.map_err(|_| SealError::Damaged)?;
        let mut body = Zeroizing::new(body.to_vec());
        let plain = self.cipher.open_in_place(nonce, cell.associated_data(), &mut body);
        let plain = plain.map_err(|_| SealError::Damaged)?;
        let text = std::str::from_utf8(plain).map_err(|_| SealError::Damaged)?;
        Ok(Secret::new(text.to_owned()))
    }
}

/// The key that a value was sealed with.
pub fn key_id(sealed: &[u8]) -> Result<KeyId, SealError> {
    if sealed.len() < HEADER || sealed[0] != FORMAT {
        return Err(SealError::Damaged);
    }
    let mut id = [0; ID_LENGTH];
    id.copy_from_slice(&sealed[1..=ID_LENGTH]);
    Ok(KeyId(id))
}

impl Cell<'_> {
    /// No two places have the same: names of accounts and columns hold no byte 0.
    fn associated_data(self) -> Aad<Vec<u8>> {
        let Self { store, account, column } = self;
        let account = account.as_str().as_bytes();
        Aad::from([&[FORMAT], store, account, b"\0", column.as_bytes()].concat())
    }
}

fn random(bytes: &mut [u8]) -> Result<(), String> {
    SystemRandom::new().fill(bytes).map_err(|_| "the system gives no random numbers".to_owned())
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Key([redacted])")
    }
}

#[cfg(test)]
mod tests {
    use super::{Cell, Key, SealError};
    use crate::types::account::AccountName;
    use crate::types::secret::Secret;

    const KEY: &str = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=";

    fn cell<'a>(account: &'a AccountName, column: &'static str) -> Cell<'a> {
        Cell { store: &[7; 16], account, column }
    }

    #[test]
    fn a_value_opens_in_its_own_place_alone() {
        let (acme, beta): (AccountName, AccountName) =
            ("acme".parse().unwrap(), "beta".parse().unwrap());
        let key = Key::parse(KEY).unwrap();
        let secret = Secret::new("the refresh token".to_owned());
        let sealed = key.seal(cell(&acme, "secret"), &secret).unwrap();
        assert!(key.open(cell(&acme, "secret"), &sealed).unwrap().same_as(&secret));
        let elsewhere = Cell { store: &[8; 16], account: &acme, column: "secret" };
        for other in [cell(&beta, "secret"), cell(&acme, "access_token"), elsewhere] {
            assert_eq!(key.open(other, &sealed).unwrap_err(), SealError::Damaged);
        }
        let (another, _) = Key::generate().unwrap();
        assert_eq!(another.open(cell(&acme, "secret"), &sealed).unwrap_err(), SealError::OtherKey);
        let again = key.seal(cell(&acme, "secret"), &secret).unwrap();
        assert_ne!(sealed, again, "each has a nonce of its own");
    }

    #[test]
    fn a_change_of_any_byte_is_noticed() {
        let acme: AccountName = "acme".parse().unwrap();
        let key = Key::parse(KEY).unwrap();
        let sealed = key.seal(cell(&acme, "secret"), &Secret::new("x".to_owned())).unwrap();
        for at in 0..sealed.len() {
            let mut changed = sealed.clone();
            changed[at] ^= 1;
            assert!(key.open(cell(&acme, "secret"), &changed).is_err(), "byte {at}");
            assert!(key.open(cell(&acme, "secret"), &sealed[..at]).is_err(), "first {at}");
        }
    }

    #[test]
    fn what_this_format_has_sealed_still_opens() {
        use base64::Engine as _;
        let sealed = super::STANDARD
            .decode("AaV/+XIZlZG5PfkQOWTNFqAotqvOTXynaFXcpxaV2cuTPCPqjLXnRN3vPoMDA4mEijFsAIvvdQ==")
            .unwrap();
        let acme: AccountName = "acme".parse().unwrap();
        let key = Key::parse(KEY).unwrap();
        let opened = key.open(cell(&acme, "secret"), &sealed).unwrap();
        assert_eq!(opened.expose(), "sealed by format 1");
    }

    #[test]
    fn only_32_bytes_in_base64_are_a_key() {
        for bad in ["", "AAEC", "not base64 at all", &KEY[1..], &format!("{KEY}AA")] {
            assert!(Key::parse(bad).is_none(), "{bad}");
        }
        let (key, text) = Key::generate().unwrap();
        assert_eq!(Key::parse(text.expose()).unwrap().id(), key.id());
        assert_eq!(format!("{key:?}"), "Key([redacted])");
    }
}
