//! What of a path may be written down.

use crate::types::path;
use crate::types::visible::visible;

/// Stands for a segment that could be a credential.
const REDACTED: &str = "{redacted}";
/// A segment of so many token characters could be one.
const LONGEST_HARMLESS: usize = 31;

/// A path as it stands on record: without `/@.../` and query, a credential path only up to its
/// first segment, and no segment that looks like a key or token.
pub fn path(raw: &str) -> String {
    let path = without_account(raw.split(['?', '#']).next().unwrap_or_default());
    let path = &path[path.bytes().take_while(|b| *b == b'/').count().saturating_sub(1)..];
    let decoded = path::decoded_form(path);
    if let Some(prefix) = path::credential_prefix(&decoded) {
        return format!("{prefix}/...");
    }
    let segments = path.split('/').map(|part| if looks_secret(part) { REDACTED } else { part });
    visible(&segments.collect::<Vec<_>>().join("/")).into_owned()
}

/// A word that a client chose, unless it looks like a key or token.
pub fn word(raw: &str) -> String {
    let word = if looks_secret(raw) { REDACTED } else { raw };
    word.chars().map(|char| if char.is_control() { '?' } else { char }).collect()
}

/// A path behind `/@.../`.
pub fn without_account(mut path: &str) -> &str {
    while let Some(after) = path.strip_prefix("/@") {
        path = after.find('/').map_or("/", |at| &after[at..]);
    }
    path
}

fn looks_secret(segment: &str) -> bool {
    let decoded = path::percent_decoded(segment.as_bytes());
    let is_token_char =
        |b: &u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.' | b'~');
    let longest = decoded.split(|b| !is_token_char(b)).map(<[u8]>::len).max().unwrap_or(0);
    let holds = |needle: &[u8]| decoded.windows(needle.len()).any(|part| part == needle);
    longest > LONGEST_HARMLESS || holds(b"hsp_") || holds(b"pat-")
}

#[cfg(test)]
mod tests {
    use super::path;

    #[test]
    fn no_account_query_or_credential_is_on_record() {
        let token = "a".repeat(32);
        let cases = [
            ("/crm/v3/objects/contacts/123?hapikey=x", "/crm/v3/objects/contacts/123"),
            ("/@acme/crm/v3", "/crm/v3"),
            ("/@key:hsp_abc/crm/v3", "/crm/v3"),
            ("/@key:hsp_abc", "/"),
            ("/@key:hsp_abc/@acme/crm/v3", "/crm/v3"),
            ("/oauth/v1/access-tokens/abc", "/oauth/..."),
            ("/OAuth%2Fv1/x", "/oauth/..."),
            ("/a/hsp_x/b", "/a/{redacted}/b"),
            ("/a/pat-na1-x", "/a/{redacted}"),
            ("/a/pat%2Dna1", "/a/{redacted}"),
            (&format!("/a/{token}"), "/a/{redacted}"),
            (&format!("/a/{}", &token[1..]), &format!("/a/{}", &token[1..])),
            ("/", "/"),
            ("/a\u{9b}2J", "/a\\u009b2J"),
            ("//crm/v3//x", "/crm/v3//x"),
        ];
        for (given, expected) in cases {
            assert_eq!(path(given), expected, "{given}");
        }
    }
}
