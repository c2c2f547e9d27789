//! A value that must never be shown: tokens, client secrets, keys.
//!
//! It has no `Display`, no `PartialEq` and no `Clone`; `Debug` prints a placeholder; the bytes
//! are wiped on drop. [`Secret::expose`] is the one way out, so that a search for it lists every
//! place where a credential can reach the wire.

use std::fmt;

use serde::{Deserialize, Deserializer};
use subtle::ConstantTimeEq;
use zeroize::Zeroizing;

/// A credential in memory.
pub struct Secret(Zeroizing<String>);

impl Secret {
    /// Takes ownership of `value`; the caller should hold no other copy.
    pub fn new(value: String) -> Self {
        Self(Zeroizing::new(value))
    }

    /// The credential itself. Only for code that puts it on the wire or derives from it.
    pub fn expose(&self) -> &str {
        &self.0
    }

    /// Whether both hold the same bytes, in time that depends on the length alone.
    pub fn same_as(&self, other: &Secret) -> bool {
        self.0.as_bytes().ct_eq(other.0.as_bytes()).into()
    }

    /// A second copy, named so that it is seen: each copy is one more place to wipe.
    pub fn duplicate(&self) -> Self {
        Self(self.0.clone())
    }

    /// Whether there is nothing in it.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[redacted]")
    }
}

impl<'de> Deserialize<'de> for Secret {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer).map(Self::new)
    }
}

#[cfg(test)]
mod tests {
    use super::Secret;

    #[test]
    fn debug_output_hides_the_value() {
        let secret = Secret::new("pat-na1-11112222".to_owned());
        assert_eq!(format!("{secret:?}"), "[redacted]");
        assert_eq!(format!("{:?}", Some(&secret)), "Some([redacted])");
    }

    #[test]
    fn comparison_sees_content_and_length() {
        let secret = Secret::new("abc".to_owned());
        assert!(secret.same_as(&secret.duplicate()));
        assert!(!secret.same_as(&Secret::new("abd".to_owned())));
        assert!(!secret.same_as(&Secret::new("abcd".to_owned())));
    }
}
