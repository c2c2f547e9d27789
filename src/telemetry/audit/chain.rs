//! What binds each line to all lines before it: an HMAC over the MAC of the line before and the line's
//! own bytes. Whoever has not the key can neither change a line nor make one.

use std::fmt;

use ring::hmac;

/// Bytes of a MAC.
pub const LENGTH: usize = 32;
/// Between a line's fields and its MAC, and after that.
const BEFORE: &str = ",\"mac\":\"";
const AFTER: &str = "\"}";

/// The MAC of a line.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Mac([u8; LENGTH]);

/// A place in a chain: the number of a line and its MAC. The one before the first line is 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Position {
    pub seq: u64,
    pub mac: Mac,
}

/// What MACs are made with.
#[derive(Clone)]
pub struct ChainKey {
    /// Tells which store key it comes from, and nothing about it.
    pub id: String,
    key: hmac::Key,
}

impl Mac {
    /// One that was kept.
    pub fn kept(bytes: &[u8]) -> Option<Self> {
        bytes.try_into().ok().map(Self)
    }

    /// One as it stands in a line; there is one way only to write it.
    pub fn parse(text: &str) -> Option<Self> {
        let digit = |b: u8| match b {
            b'0'..=b'9' => Some(b - b'0'),
            b'a'..=b'f' => Some(b - b'a' + 10),
            _ => None,
        };
        let mut bytes = [0; LENGTH];
        let (pairs, rest) = text.as_bytes().as_chunks::<2>();
        if pairs.len() != LENGTH || !rest.is_empty() {
            return None;
        }
        for (byte, [high, low]) in bytes.iter_mut().zip(pairs) {
            *byte = digit(*high)? << 4 | digit(*low)?;
        }
        Some(Self(bytes))
    }

    /// As it is kept.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}

impl fmt::Display for Mac {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for Mac {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl Position {
    /// Before the first line.
    pub fn beginning() -> Self {
        Self { seq: 0, mac: Mac([0; LENGTH]) }
    }
}

impl ChainKey {
    /// The key that `bytes` are, derived from the store key called `id`.
    pub fn new(id: &[u8], bytes: &[u8]) -> Self {
        let id = id.iter().map(|byte| format!("{byte:02x}")).collect();
        Self { id, key: hmac::Key::new(hmac::HMAC_SHA256, bytes) }
    }

    /// The MAC of a line whose fields are `fields`, after the line that has `previous`.
    pub fn mac(&self, previous: Mac, fields: &[u8]) -> Mac {
        let mut context = hmac::Context::with_key(&self.key);
        context.update(&previous.0);
        context.update(fields);
        let mut mac = [0; LENGTH];
        mac.copy_from_slice(context.sign().as_ref());
        Mac(mac)
    }

    /// What proves that the chain called `chain` was at `at` when that was saved.
    pub fn tag(&self, chain: &str, at: Position) -> Vec<u8> {
        hmac::sign(&self.key, &saved(chain, at)).as_ref().to_vec()
    }

    /// Whether `tag` is that of the chain at `at`.
    pub fn proves(&self, tag: &[u8], chain: &str, at: Position) -> bool {
        hmac::verify(&self.key, &saved(chain, at), tag).is_ok()
    }

    /// Adds a line, given as a JSON object without MAC, behind `at`; returns the place of the new line.
    pub fn append(&self, at: Position, object: &str, to: &mut Vec<u8>) -> Position {
        let fields = object.strip_suffix('}').unwrap_or(object);
        let mac = self.mac(at.mac, fields.as_bytes());
        to.extend_from_slice(fields.as_bytes());
        to.extend_from_slice(format!("{BEFORE}{mac}{AFTER}\n").as_bytes());
        Position { seq: at.seq + 1, mac }
    }
}

impl fmt::Debug for ChainKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ChainKey({})", self.id)
    }
}

/// No line begins like this: what is saved of one chain is no MAC of another.
fn saved(chain: &str, at: Position) -> Vec<u8> {
    [b"saved\0", chain.as_bytes(), b"\0", &at.seq.to_be_bytes(), &at.mac.0].concat()
}

/// A line without its end, as the fields that its MAC is over, and that MAC; `None` where it has none.
pub fn split(line: &[u8]) -> Option<(&[u8], Mac)> {
    let before_end = line.strip_suffix(AFTER.as_bytes())?;
    let (before_mac, mac) =
        before_end.split_at_checked(before_end.len().checked_sub(2 * LENGTH)?)?;
    let fields = before_mac.strip_suffix(BEFORE.as_bytes())?;
    Some((fields, Mac::parse(std::str::from_utf8(mac).ok()?)?))
}

#[cfg(test)]
mod tests {
    use super::{ChainKey, Mac, Position, split};

    #[test]
    fn a_line_is_split_as_it_was_put_together() {
        let key = ChainKey::new(&[1, 2], &[7; 32]);
        let mut line = Vec::new();
        let at = key.append(Position::beginning(), "{\"seq\":1}", &mut line);
        assert_eq!(at.seq, 1);
        assert_eq!(line.pop(), Some(b'\n'));
        let (fields, mac) = split(&line).unwrap();
        assert_eq!((fields, mac), (&b"{\"seq\":1"[..], at.mac));
        assert_eq!(key.mac(Position::beginning().mac, fields), mac);
        let other = ChainKey::new(&[1, 2], &[8; 32]);
        assert_ne!(other.mac(Position::beginning().mac, fields), mac);
        for cut in 0..line.len() {
            assert!(split(&line[..cut]).is_none());
        }
        assert_eq!(format!("{key:?}"), "ChainKey(0102)");
    }

    #[test]
    fn a_mac_is_written_in_one_way_only() {
        let mac = Mac::kept(&[0xab; 32]).unwrap();
        let text = mac.to_string();
        assert_eq!(Mac::parse(&text), Some(mac));
        for bad in [text.to_uppercase(), text[1..].to_owned(), format!("{text}0"), " ".repeat(64)] {
            assert_eq!(Mac::parse(&bad), None, "{bad}");
        }
    }
}
