//! The path of a request in its two forms: as it came, and decoded.
//!
//! The upstream gets the first, byte for byte; guards and policy judge both, so that no spelling
//! of a path slips past a rule. This module refuses what could mean one thing here and another
//! thing there; it decides nothing else.

use std::borrow::Cow;

use super::refusal::Refusal;

/// Nobody encodes a name more often than this.
pub const MOST_DECODINGS: usize = 3;

/// Refuses a path that two readers could take for two different paths: dot segments in any
/// spelling, backslashes, control bytes, malformed percent-encoding, and an encoded `%`, `;` or
/// NUL before the last segment. `%2F` and raw `;` are legal: HubSpot's `{path}` parameters hold
/// several segments. A slash encoded behind a `;` is not: whether it ends the parameters depends on
/// whether they are cut off before decoding or after it.
pub fn check(path: &str) -> Result<(), Refusal> {
    if is_surely_plain(path.as_bytes()) {
        return Ok(());
    }
    if !path.starts_with('/') {
        return Err(Refusal::BadRequestTarget("it must begin with a slash"));
    }
    let last = path.rfind('/').unwrap_or(0);
    check_bytes(path.as_bytes(), last)?;
    check_parameters(path)?;
    let decoded = percent_decoded(path.as_bytes());
    if has_dot_segment(&decoded) {
        return Err(Refusal::BadRequestTarget("it holds a `.` or `..` segment"));
    }
    check_encoded_twice(&decoded)
}

/// The decoded form that rules are matched against: percent-decoded, `;...` cut from each segment,
/// slashes collapsed, ASCII case folded, a trailing slash dropped.
pub fn decoded_form(path: &str) -> Cow<'_, [u8]> {
    if is_decoded(path.as_bytes()) {
        return Cow::Borrowed(path.as_bytes());
    }
    Cow::Owned(normalized(&percent_decoded(path.as_bytes())))
}

/// The decoded form for a reader that decodes more than once, given the usual one; `None` where they
/// are the same.
pub fn twice_decoded_form(decoded: &[u8]) -> Option<Vec<u8>> {
    let (mut form, mut differs) = (Cow::Borrowed(decoded), false);
    for _ in 0..MOST_DECODINGS {
        let further = percent_decoded(&form).into_owned();
        if further == *form {
            break;
        }
        (form, differs) = (Cow::Owned(further), true);
    }
    differs.then(|| normalized(&form))
}

/// `;...` cut from each segment, slashes collapsed, ASCII case folded, no slash at the end.
fn normalized(decoded: &[u8]) -> Vec<u8> {
    let mut form = Vec::with_capacity(decoded.len());
    for segment in decoded.split(|b| *b == b'/') {
        let segment = without_parameters(segment);
        if !segment.is_empty() {
            form.push(b'/');
            form.extend(segment.iter().map(u8::to_ascii_lowercase));
        }
    }
    if form.is_empty() {
        form.push(b'/');
    }
    form
}

/// The first segment of a path below which everything is about credentials, given its decoded form.
pub fn credential_prefix(decoded: &[u8]) -> Option<&'static str> {
    ["/oauth", "/localdevauth"].into_iter().find(|prefix| {
        let rest = decoded.strip_prefix(prefix.as_bytes());
        rest.is_some_and(|rest| rest.is_empty() || rest[0] == b'/')
    })
}

/// Whether a segment in its decoded form is a version of an API: `v3`, `2026-03`, `2026-09-beta`.
/// Never told by a list, since new ones come twice a year.
pub fn is_version(segment: &[u8]) -> bool {
    let digits = |text: &[u8]| !text.is_empty() && text.iter().all(u8::is_ascii_digit);
    let dated = segment.strip_suffix(b"-beta").unwrap_or(segment);
    let is_dated = match dated {
        [b'2', b'0', decade, year, b'-', tens, month] => digits(&[*decade, *year, *tens, *month]),
        _ => false,
    };
    is_dated || segment.strip_prefix(b"v").is_some_and(digits)
}

/// Bytes as percent-decoding leaves them; what is not a valid escape stays (RFC 3986, 2.1).
pub fn percent_decoded(text: &[u8]) -> Cow<'_, [u8]> {
    if !text.contains(&b'%') {
        return Cow::Borrowed(text);
    }
    let mut decoded = Vec::with_capacity(text.len());
    let mut at = 0;
    while at < text.len() {
        match escaped_byte(&text[at..]) {
            Some(byte) => {
                decoded.push(byte);
                at += 3;
            }
            None => {
                decoded.push(text[at]);
                at += 1;
            }
        }
    }
    Cow::Owned(decoded)
}

/// True for nearly every path: nothing in it can be read in two ways.
fn is_surely_plain(path: &[u8]) -> bool {
    let suspicious = |b: &u8| matches!(b, b'%' | b';' | b'\\' | 0..=0x20 | 0x7f);
    path.first() == Some(&b'/')
        && !path.iter().any(suspicious)
        && !path.windows(2).any(|pair| pair == b"/.")
}

fn is_decoded(path: &[u8]) -> bool {
    let changes = |b: &u8| matches!(b, b'%' | b';' | b'A'..=b'Z');
    path.first() == Some(&b'/')
        && (path.len() == 1 || path.last() != Some(&b'/'))
        && !path.iter().any(changes)
        && !path.windows(2).any(|pair| pair == b"//")
}

fn check_bytes(path: &[u8], last_slash: usize) -> Result<(), Refusal> {
    for (at, byte) in path.iter().enumerate() {
        match byte {
            b'\\' => return Err(Refusal::BadRequestTarget("it holds a backslash")),
            0..=0x20 | 0x7f => return Err(Refusal::BadRequestTarget("it holds a control byte")),
            b'%' => check_escape(&path[at..], at < last_slash)?,
            _ => {}
        }
    }
    Ok(())
}

fn check_escape(rest: &[u8], before_last_segment: bool) -> Result<(), Refusal> {
    let Some(byte) = escaped_byte(rest) else {
        return Err(Refusal::BadRequestTarget("its percent-encoding is malformed"));
    };
    match byte {
        b'\\' => Err(Refusal::BadRequestTarget("it holds an encoded backslash")),
        1..=0x1f | 0x7f => Err(Refusal::BadRequestTarget("it holds an encoded control byte")),
        b'%' | b';' | 0 if before_last_segment => Err(Refusal::BadRequestTarget(
            "it holds an encoded `%`, `;` or NUL before its last segment",
        )),
        _ => Ok(()),
    }
}

/// `/a;x%2Fy` is `/a` to who cuts parameters first and `/a/y` to who decodes first.
fn check_parameters(path: &str) -> Result<(), Refusal> {
    for segment in path.split('/') {
        let decoded = percent_decoded(segment.as_bytes());
        let parameters = decoded.iter().position(ends_name).map_or(&[][..], |at| &decoded[at..]);
        if parameters.contains(&b'/') {
            return Err(Refusal::BadRequestTarget("it holds an encoded slash behind a `;` or NUL"));
        }
    }
    Ok(())
}

/// What is left of an encoded `%` must not turn into structure when it is decoded again; a mere `%`,
/// as in a name, may stay.
fn check_encoded_twice(decoded: &[u8]) -> Result<(), Refusal> {
    const TWICE: Refusal = Refusal::BadRequestTarget("it is percent-encoded more than once");
    let mut form = Cow::Borrowed(decoded);
    let marks = |text: &[u8]| text.iter().filter(|b| is_structure(b)).count();
    for _ in 0..MOST_DECODINGS {
        let further = percent_decoded(&form).into_owned();
        if further == *form {
            return if is_overlong(&form) { Err(OVERLONG) } else { Ok(()) };
        }
        if marks(&further) != marks(decoded) || has_dot_segment(&further) {
            return Err(TWICE);
        }
        form = Cow::Owned(further);
    }
    Err(TWICE)
}

const OVERLONG: Refusal = Refusal::BadRequestTarget("it holds an overlong encoding of a character");

/// Whether a lax UTF-8 decoder would find ASCII where a strict one finds nothing valid.
fn is_overlong(text: &[u8]) -> bool {
    let is_tail = |b: u8| (0x80..0xc0).contains(&b);
    let two = |w: &[u8]| matches!(w[0], 0xc0 | 0xc1) && is_tail(w[1]);
    let three = |w: &[u8]| w[0] == 0xe0 && matches!(w[1], 0x80 | 0x81) && is_tail(w[2]);
    text.windows(2).any(two)
        || text.windows(3).any(three)
        || text.windows(2).any(|w| w == [0xf0, 0x80])
}

fn is_structure(byte: &u8) -> bool {
    matches!(byte, b'/' | b'\\' | b';' | 0..=0x1f | 0x7f)
}

fn has_dot_segment(decoded: &[u8]) -> bool {
    decoded.split(|b| *b == b'/').map(without_parameters).any(is_dot_segment)
}

fn escaped_byte(rest: &[u8]) -> Option<u8> {
    let [b'%', high, low, ..] = rest else { return None };
    let digit = |b: &u8| char::from(*b).to_digit(16);
    u8::try_from(digit(high)? * 16 + digit(low)?).ok()
}

/// A NUL ends a name as well, to readers in C.
fn without_parameters(segment: &[u8]) -> &[u8] {
    segment.split(ends_name).next().unwrap_or_default()
}

fn ends_name(byte: &u8) -> bool {
    matches!(byte, b';' | 0)
}

fn is_dot_segment(segment: &[u8]) -> bool {
    matches!(segment, b"." | b"..")
}

#[cfg(test)]
mod tests;
