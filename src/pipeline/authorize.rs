//! Fourth stage: the caller's credentials off, ours on.
//!
//! This is the one place where a token is put on a request. What a client sent in the place of a
//! credential goes nowhere: not upstream, not into a log.

use std::borrow::Cow;

use bytes::Bytes;
use http::header::{CONTENT_LOCATION, EXPECT, HeaderMap, HeaderValue, LINK, LOCATION};
use http::uri::PathAndQuery;

use super::serving::{AccountToken, Served};
use crate::credential::Unavailable;
use crate::credential::hot::Freshness;
use crate::types::account::AccountName;
use crate::types::path::{MOST_DECODINGS, percent_decoded};
use crate::types::refusal::Refusal;
use crate::types::secret::Secret;
use crate::upstream::hop_headers;

/// Query parameters that carry a credential.
const CREDENTIAL_PARAMETERS: [&[u8]; 2] = [b"hapikey", b"access_token"];

/// Removes what ends at this hop and what is the client's alone.
pub fn clean_headers(headers: &mut HeaderMap) {
    // `Expect` is answered by this hop, when the body is first wanted (RFC 9110, section 10.1.1).
    hop_headers::remove(headers, |name| hop_headers::is_client_only(name) || *name == EXPECT);
}

/// The target without credentials in its query, in whatever spelling; all else byte for byte.
pub fn clean_target(target: PathAndQuery) -> PathAndQuery {
    match without_credentials(target.as_str()) {
        Cow::Borrowed(_) => target,
        // A target with parts of its query left out is still a target.
        Cow::Owned(cleaned) => {
            PathAndQuery::from_maybe_shared(Bytes::from(cleaned)).unwrap_or(target)
        }
    }
}

/// A URL, or what follows its authority, without credentials in its query.
pub fn without_credentials(url: &str) -> Cow<'_, str> {
    let (rest, fragment) = url.split_at(url.find('#').unwrap_or(url.len()));
    let Some((path, query)) = rest.split_once('?') else { return Cow::Borrowed(url) };
    if !query.split('&').any(is_credential) {
        return Cow::Borrowed(url);
    }
    let left: Vec<&str> = query.split('&').filter(|part| !is_credential(part)).collect();
    let mark = if left.is_empty() { "" } else { "?" };
    Cow::Owned([path, mark, &left.join("&"), fragment].concat())
}

/// The decoded values of all credentials in a query.
pub fn credentials_in(query: &str) -> impl Iterator<Item = Cow<'_, [u8]>> {
    let parts = query.split(['&', ';']).filter(|part| names_credential(part));
    parts.map(|part| {
        let value = part.split_once('=').map_or("", |(_, value)| value);
        percent_decoded(value.trim_matches('+').as_bytes())
    })
}

/// A server may take `;` for a separator and `+` for a blank, decode a name more than once, and end
/// it at a NUL or, as for a list, at a bracket.
fn is_credential(parameter: &str) -> bool {
    parameter.split(';').any(names_credential)
}

fn names_credential(part: &str) -> bool {
    let mut name = Cow::Borrowed(part.split('=').next().unwrap_or_default().as_bytes());
    for _ in 0..MOST_DECODINGS {
        if !name.contains(&b'%') {
            break;
        }
        name = Cow::Owned(percent_decoded(&name).into_owned());
    }
    let ends = |b: &u8| matches!(b, b'=' | b'[' | b';' | 0);
    let name = trimmed(name.split(ends).next().unwrap_or_default());
    CREDENTIAL_PARAMETERS.iter().any(|known| name.eq_ignore_ascii_case(known))
}

fn trimmed(name: &[u8]) -> &[u8] {
    let is_blank = |b: &u8| b.is_ascii_whitespace() || *b == b'+';
    let start = name.iter().position(|b| !is_blank(b)).unwrap_or(name.len());
    let end = name.iter().rposition(|b| !is_blank(b)).map_or(start, |last| last + 1);
    &name[start..end]
}

/// The account's token, where there is one that may be used at once.
pub fn token_at_hand(served: &Served) -> Option<AccountToken> {
    match served.token() {
        (Freshness::Fresh, value) => value,
        (Freshness::Stale, value) => {
            served.account().credential.refresh_soon();
            value
        }
        (Freshness::Expired | Freshness::Missing, _) => None,
    }
}

/// Puts a developer account's key into the query (`hapikey`): the operations that take one take no
/// `Authorization`.
pub fn with_developer_key(target: PathAndQuery, key: &Secret) -> Result<PathAndQuery, Refusal> {
    let key = encoded(key);
    let with_key = match target.query() {
        None | Some("") => [target.path(), "?hapikey=", &key].concat(),
        Some(_) => [target.as_str(), "&hapikey=", &key].concat(),
    };
    let with_key = Bytes::from(with_key);
    // An encoded key leaves a target what it was.
    PathAndQuery::from_maybe_shared(with_key).map_err(|_| Refusal::Internal)
}

/// A developer key as it stands in a query.
fn encoded(key: &Secret) -> String {
    form_urlencoded::byte_serialize(key.expose().as_bytes()).collect()
}

/// Takes a developer key out of an answer's headers: an upstream that redirects quotes the query,
/// and the client would get to see the key and send it on.
pub fn conceal_developer_key(headers: &mut HeaderMap, key: &Secret) {
    let key = encoded(key);
    for name in [LOCATION, CONTENT_LOCATION, LINK] {
        let quotes = |value: &HeaderValue| {
            let text = value.as_bytes();
            text.windows(key.len()).any(|part| part == key.as_bytes())
        };
        if !headers.get_all(&name).iter().any(quotes) {
            continue;
        }
        let url = headers.remove(&name).filter(|_| name != LINK);
        let cleaned = url.as_ref().and_then(|url| url.to_str().ok()).map(without_credentials);
        let cleaned = cleaned.and_then(|cleaned| HeaderValue::from_str(&cleaned).ok());
        if let Some(cleaned) = cleaned.filter(|value| !quotes(value)) {
            headers.insert(name, cleaned);
        }
    }
}

/// Waits for a new token, for a request that cannot be sent without. A token that is about to end is
/// used all the same when no newer one can be had.
pub async fn wait_for_token(served: &Served) -> Result<AccountToken, Refusal> {
    let account = served.account();
    let refreshed = account.credential.newer_than(served.generation()).await;
    if let (standing, Some(value)) = served.token()
        && standing != Freshness::Missing
    {
        return Ok(value);
    }
    Err(match refreshed {
        Err(why) => refusal(&account.name, why),
        Ok(()) => Refusal::TokenUnavailable(
            account.name.clone(),
            "the token that was issued has already expired".into(),
            std::time::Duration::from_secs(1),
        ),
    })
}

/// What a client is told when there is no token.
pub fn refusal(account: &AccountName, why: Unavailable) -> Refusal {
    let account = account.clone();
    match why {
        Unavailable::NeedsLogin(what) => Refusal::NeedsLogin(account, what),
        Unavailable::Misconfigured(what) => Refusal::Misconfigured(account, what),
        Unavailable::WrongPortal { found, configured } => {
            Refusal::WrongPortal(account, found, configured)
        }
        Unavailable::Trouble(what, wait) => Refusal::TokenUnavailable(account, what, wait),
    }
}

#[cfg(test)]
mod tests {
    use http::HeaderMap;
    use http::header::{HeaderName, HeaderValue};

    use super::{clean_headers, clean_target, conceal_developer_key, with_developer_key};
    use crate::types::secret::Secret;

    #[test]
    fn credentials_in_the_query_are_removed_and_all_else_stays_as_it_was() {
        let cases = [
            ("/a", "/a"),
            ("/a?", "/a?"),
            ("/a?b=1&c=%7E&&d", "/a?b=1&c=%7E&&d"),
            ("/a?hapikey=x", "/a"),
            ("/a?hapikey", "/a"),
            ("/a?b=1&hapikey=x&c=2", "/a?b=1&c=2"),
            ("/a?hapikey=x&b=1&hapikey=y", "/a?b=1"),
            ("/a?HapiKey=x&b=1", "/a?b=1"),
            ("/a?hapi%6Bey=x&%68apikey=y&b=1", "/a?b=1"),
            ("/a?access_token=x&b=1", "/a?b=1"),
            ("/a?access%5Ftoken=x&b=1", "/a?b=1"),
            ("/a?myhapikey=1&hapikey2=3", "/a?myhapikey=1&hapikey2=3"),
            ("/a?b=hapikey", "/a?b=hapikey"),
            ("/a?hapikey+=x&+hapikey=y&%20hapikey=z&b=1", "/a?b=1"),
            ("/a?b=1;hapikey=x&c=2;d", "/a?c=2;d"),
            ("/a?hapikey[]=x&hapikey%5B0%5D=y&hapikey%00=z&b=1", "/a?b=1"),
            ("/a?hapikey%3Dx&%2568apikey=y&b=1", "/a?b=1"),
            ("/a?hapikey%20x=1&my[hapikey]=2", "/a?hapikey%20x=1&my[hapikey]=2"),
        ];
        for (given, expected) in cases {
            assert_eq!(clean_target(given.parse().unwrap()).as_str(), expected, "{given}");
        }
    }

    #[test]
    fn a_developer_key_is_added_to_the_query() {
        let key = Secret::new("a b&c".to_owned());
        for (given, expected) in [
            ("/a", "/a?hapikey=a+b%26c"),
            ("/a?", "/a?hapikey=a+b%26c"),
            ("/a?b=1", "/a?b=1&hapikey=a+b%26c"),
            ("/a??", "/a??&hapikey=a+b%26c"),
            ("/a?b=1?", "/a?b=1?&hapikey=a+b%26c"),
        ] {
            let target = with_developer_key(given.parse().unwrap(), &key).unwrap();
            assert_eq!(target.as_str(), expected);
        }
    }

    #[test]
    fn a_developer_key_that_an_answer_quotes_is_taken_out_again() {
        let key = Secret::new("a b&c".to_owned());
        let cases = [
            ("location", "/b?hapikey=a+b%26c", Some("/b")),
            ("location", "https://h/b?x=1&hapikey=a+b%26c&y=2#f", Some("https://h/b?x=1&y=2#f")),
            ("location", "/b/a+b%26c", None),
            ("location", "/b?x=1", Some("/b?x=1")),
            ("content-location", "/b?hapikey=a+b%26c", Some("/b")),
            ("link", "</b?hapikey=a+b%26c>; rel=next", None),
        ];
        for (name, given, expected) in cases {
            let mut headers = HeaderMap::new();
            headers.insert(HeaderName::from_static(name), HeaderValue::from_static(given));
            conceal_developer_key(&mut headers, &key);
            let seen = headers.get(name).map(|value| value.to_str().unwrap());
            assert_eq!(seen, expected, "{name}: {given}");
        }
    }

    #[test]
    fn nothing_of_the_client_is_left_in_the_headers() {
        let mut headers = HeaderMap::new();
        let sent = [
            ("authorization", "Bearer a"),
            ("authorization", "Basic b"),
            ("cookie", "c=d"),
            ("private-app", "pat-na1-x"),
            ("x-hubspot-proxy-key", "k"),
            ("expect", "100-continue"),
            ("connection", "authorization, x-mine"),
            ("x-mine", "1"),
            ("accept", "*/*"),
            ("content-length", "3"),
        ];
        for (name, value) in sent {
            headers.append(HeaderName::from_static(name), HeaderValue::from_static(value));
        }
        clean_headers(&mut headers);
        let mut left: Vec<_> = headers.keys().map(HeaderName::as_str).collect();
        left.sort_unstable();
        assert_eq!(left, ["accept", "content-length"]);
    }
}
