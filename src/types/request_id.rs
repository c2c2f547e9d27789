//! The id of a request, in the form of a UUID (RFC 9562, version 8: a form for own use).

use std::cell::Cell;
use std::str::FromStr;

use thiserror::Error;

/// The id of one request, as its 36 ASCII characters.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct RequestId([u8; 36]);

/// Why a text is no request id.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("a request id is a UUID, as the header X-HubSpot-Proxy shows it after `id=`")]
pub struct InvalidRequestId;

/// Makes ids that no other runtime of this process, and hardly any other process, makes: 64
/// random bits drawn once, and a counter.
pub struct RequestIds {
    random: u64,
    next: Cell<u64>,
}

impl RequestIds {
    /// A new series.
    pub fn new() -> Self {
        Self { random: fastrand::u64(..), next: Cell::new(fastrand::u32(..).into()) }
    }

    /// The next id of this series.
    pub fn next(&self) -> RequestId {
        let count = self.next.get();
        self.next.set(count.wrapping_add(1));
        RequestId::from_parts(self.random, count)
    }
}

impl Default for RequestIds {
    fn default() -> Self {
        Self::new()
    }
}

impl RequestId {
    /// Stands where no request is yet.
    pub fn none() -> Self {
        Self::from_parts(0, 0)
    }

    fn from_parts(random: u64, count: u64) -> Self {
        const DIGITS: &[u8; 16] = b"0123456789abcdef";
        let mut bytes = [0; 16];
        bytes[..8].copy_from_slice(&random.to_be_bytes());
        bytes[8..].copy_from_slice(&count.to_be_bytes());
        bytes[6] = bytes[6] & 0x0f | 0x80;
        bytes[8] = bytes[8] & 0x3f | 0x80;
        let mut text = [b'-'; 36];
        let mut at = 0;
        for (index, byte) in bytes.iter().enumerate() {
            at += usize::from(matches!(index, 4 | 6 | 8 | 10));
            text[at] = DIGITS[usize::from(byte >> 4)];
            text[at + 1] = DIGITS[usize::from(byte & 15)];
            at += 2;
        }
        Self(text)
    }

    /// The id as text.
    pub fn as_str(&self) -> &str {
        // Only ASCII digits, letters and hyphens are ever written.
        std::str::from_utf8(&self.0).unwrap_or_default()
    }
}

impl FromStr for RequestId {
    type Err = InvalidRequestId;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let id: [u8; 36] = text.as_bytes().try_into().map_err(|_| InvalidRequestId)?;
        let is_legal = |(at, byte): (usize, &u8)| match at {
            8 | 13 | 18 | 23 => *byte == b'-',
            _ => byte.is_ascii_hexdigit(),
        };
        if !id.iter().enumerate().all(is_legal) {
            return Err(InvalidRequestId);
        }
        Ok(Self(id.map(|byte| byte.to_ascii_lowercase())))
    }
}

impl std::fmt::Debug for RequestId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.as_str())
    }
}

impl std::fmt::Display for RequestId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::{RequestId, RequestIds};

    #[test]
    fn an_id_has_the_form_of_a_uuid_and_differs_from_the_one_before() {
        let id = RequestId::from_parts(0x0123_4567_89ab_cdef, 0x11);
        assert_eq!(id.as_str(), "01234567-89ab-8def-8000-000000000011");
        assert_eq!("01234567-89AB-8DEF-8000-000000000011".parse(), Ok(id));
        for bad in ["", "01234567-89ab-8def-8000-00000000001", "0123456789ab8def8000000000000011"] {
            assert!(bad.parse::<RequestId>().is_err(), "{bad}");
        }
        let ids = RequestIds::new();
        assert_ne!(ids.next().as_str(), ids.next().as_str());
    }
}
