//! The admin key: who can read it may see and steer the proxy.
//!
//! It is made anew at each start and lies in the runtime folder, where this user alone can read it.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use http::HeaderMap;
use http::header::AUTHORIZATION;
use ring::rand::{SecureRandom, SystemRandom};
use subtle::ConstantTimeEq;
use zeroize::Zeroizing;

use crate::types::secret::Secret;

/// What it begins with, so that it is not taken for a client key.
const PREFIX: &str = "hspadmin_";
/// Random bytes of a key.
const LENGTH: usize = 32;

/// The key of this run.
pub struct AdminKey(Secret);

impl AdminKey {
    /// A new one. Fails only where the system has no random numbers.
    pub fn generate() -> Result<Self, String> {
        random(PREFIX).map(Self)
    }

    /// To be written where this user alone can read it.
    pub fn secret(&self) -> &Secret {
        &self.0
    }

    /// Whether a request shows it as `Authorization: Bearer`.
    pub fn is_shown_in(&self, headers: &HeaderMap) -> bool {
        bearer(headers).is_some_and(|key| key.ct_eq(self.0.expose().as_bytes()).into())
    }
}

/// 256 random bits as text behind `prefix`. Fails only where the system has no random numbers.
pub(super) fn random(prefix: &str) -> Result<Secret, String> {
    let mut bytes = Zeroizing::new([0; LENGTH]);
    SystemRandom::new()
        .fill(bytes.as_mut())
        .map_err(|_| "the system gives no random numbers".to_owned())?;
    let text = Zeroizing::new(URL_SAFE_NO_PAD.encode(bytes.as_ref()));
    Ok(Secret::new([prefix, &text].concat()))
}

/// What a request shows as its only `Authorization`, a `Bearer` one.
pub(super) fn bearer(headers: &HeaderMap) -> Option<&[u8]> {
    let mut shown = headers.get_all(AUTHORIZATION).iter();
    let (Some(value), None) = (shown.next(), shown.next()) else { return None };
    let (scheme, key) = value.as_bytes().split_at_checked("Bearer ".len())?;
    scheme.eq_ignore_ascii_case(b"Bearer ").then_some(key)
}

#[cfg(test)]
mod tests {
    use http::HeaderMap;
    use http::header::{AUTHORIZATION, HeaderValue};

    use super::AdminKey;

    #[test]
    fn only_the_key_of_this_run_opens() {
        let (key, other) = (AdminKey::generate().unwrap(), AdminKey::generate().unwrap());
        let shown = |text: String| {
            let mut headers = HeaderMap::new();
            headers.insert(AUTHORIZATION, HeaderValue::from_str(&text).unwrap());
            key.is_shown_in(&headers)
        };
        let text = key.secret().expose();
        assert!(shown(format!("Bearer {text}")));
        assert!(shown(format!("bearer {text}")));
        for wrong in [
            format!("Bearer {}", other.secret().expose()),
            format!("Bearer {text} "),
            format!("Bearer {}", &text[..text.len() - 1]),
            format!("Basic {text}"),
            text.to_owned(),
            "Bearer ".to_owned(),
            "B".to_owned(),
        ] {
            assert!(!shown(wrong.clone()), "{}", wrong.len());
        }
        assert!(!key.is_shown_in(&HeaderMap::new()));
    }
}
