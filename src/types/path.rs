//! The path of a request in its two forms: as it came, and decoded.
//!
//! The upstream gets the first, byte for byte; guards and policy judge both, so that no spelling
//! of a path slips past a rule. This module refuses what could mean one thing here and another
//! thing there; it decides nothing else.

use std::borrow::Cow;

use super::refusal::Refusal;

/// Refuses a path that two readers could take for two different paths: dot segments in any
/// spelling, backslashes, control bytes, malformed percent-encoding, and an encoded `%`, `;` or
/// NUL before the last segment. `%2F` and raw `;` are legal: HubSpot's `{path}` parameters hold
/// several segments.
pub fn check(path: &str) -> Result<(), Refusal> {
    if is_surely_plain(path.as_bytes()) {
        return Ok(());
    }
    if !path.starts_with('/') {
        return Err(Refusal::BadRequestTarget("it must begin with a slash"));
    }
    let last = path.rfind('/').unwrap_or(0);
    check_bytes(path.as_bytes(), last)?;
    let decoded = percent_decoded(path.as_bytes());
    let has_dots = decoded.split(|b| *b == b'/').map(without_parameters).any(is_dot_segment);
    if has_dots {
        return Err(Refusal::BadRequestTarget("it holds a `.` or `..` segment"));
    }
    Ok(())
}

/// The decoded form that rules are matched against: percent-decoded, `;...` cut from each segment,
/// slashes collapsed, ASCII case folded, a trailing slash dropped.
pub fn decoded_form(path: &str) -> Cow<'_, [u8]> {
    if is_decoded(path.as_bytes()) {
        return Cow::Borrowed(path.as_bytes());
    }
    let mut form = Vec::with_capacity(path.len());
    for segment in percent_decoded(path.as_bytes()).split(|b| *b == b'/') {
        let segment = without_parameters(segment);
        if !segment.is_empty() {
            form.push(b'/');
            form.extend(segment.iter().map(u8::to_ascii_lowercase));
        }
    }
    if form.is_empty() {
        form.push(b'/');
    }
    Cow::Owned(form)
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

fn escaped_byte(rest: &[u8]) -> Option<u8> {
    let [b'%', high, low, ..] = rest else { return None };
    let digit = |b: &u8| char::from(*b).to_digit(16);
    u8::try_from(digit(high)? * 16 + digit(low)?).ok()
}

fn without_parameters(segment: &[u8]) -> &[u8] {
    segment.split(|b| *b == b';').next().unwrap_or_default()
}

fn is_dot_segment(segment: &[u8]) -> bool {
    matches!(segment, b"." | b"..")
}

#[cfg(test)]
mod tests {
    use super::{check, decoded_form};

    #[test]
    fn paths_that_can_be_read_in_two_ways_are_refused() {
        let refused = [
            "/a/../b",
            "/a/./b",
            "/..",
            "/.",
            "/a/..",
            "/a/%2e%2e/b",
            "/a/%2E./b",
            "/a/.%2e",
            "/a/..;x=1/b",
            "/a/.;/b",
            "/a%2f..%2fb",
            "/a/%2e%2e%2f",
            "/a/..%3bx",
            "/a\\b",
            "/a/..\\..\\b",
            "/a%5cb",
            "/a%",
            "/a%2",
            "/a%zz",
            "/a%g0/b",
            "/a%25/b",
            "/a%3b/b",
            "/a%3B/",
            "/a%00/b",
            "/a%0d%0ab",
            "/a%7f",
            "/a\u{7f}",
            "*",
            "a",
        ];
        for path in refused {
            assert!(check(path).is_err(), "{path}");
        }
    }

    #[test]
    fn paths_that_hubspot_takes_pass() {
        let accepted = [
            "/",
            "//",
            "/crm/v3/objects/contacts",
            "/cms/v3/source-code/draft/content/a%2Fb.html",
            "/files/v3/folders/a/b/c",
            "/a/%25",
            "/a/x%3By",
            "/a/x%00",
            "/.well-known",
            "/a/...",
            "/a/.b",
            "/a/b.",
            "/a;v=1/b",
            "/a/%E2%82%AC",
            "/a/ü",
            "/crm//x/",
            "/a/%2Fb",
        ];
        for path in accepted {
            assert!(check(path).is_ok(), "{path}");
        }
    }

    #[test]
    fn the_decoded_form_is_the_same_for_every_spelling() {
        let cases = [
            ("/oauth/v1/token", "/oauth/v1/token"),
            ("/OAuth/V1/Token/", "/oauth/v1/token"),
            ("//oauth///v1//token", "/oauth/v1/token"),
            ("/%6fauth/v1;a=b/token", "/oauth/v1/token"),
            ("/oauth%2Fv1%2Ftoken", "/oauth/v1/token"),
            ("/;x/oauth", "/oauth"),
            ("/", "/"),
            ("//", "/"),
        ];
        for (path, expected) in cases {
            assert_eq!(decoded_form(path).as_ref(), expected.as_bytes(), "{path}");
        }
    }
}
