//! Fourth stage: the caller's credentials off, ours on.
//!
//! This is the one place where a token is put on a request. What a client sent in the place of a
//! credential goes nowhere: not upstream, not into a log.

use std::borrow::Cow;

use bytes::Bytes;
use http::header::{AUTHORIZATION, EXPECT, HeaderMap, HeaderValue};
use http::uri::PathAndQuery;

use super::Pipeline;
use crate::credential::Unavailable;
use crate::credential::hot::Freshness;
use crate::types::account::AccountName;
use crate::types::path::percent_decoded;
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
    let Some(query) = target.query() else { return target };
    if !query.split('&').any(is_credential) {
        return target;
    }
    let left: Vec<&str> = query.split('&').filter(|part| !is_credential(part)).collect();
    let cleaned = match left.is_empty() {
        true => target.path().to_owned(),
        false => [target.path(), "?", &left.join("&")].concat(),
    };
    // A target with parts of its query left out is still a target.
    PathAndQuery::from_maybe_shared(Bytes::from(cleaned)).unwrap_or(target)
}

/// A server may take `;` for a separator, and `+` for a blank.
fn is_credential(parameter: &str) -> bool {
    parameter.split(';').any(|part| {
        let name = part.split('=').next().unwrap_or_default();
        let name: Cow<'_, [u8]> = percent_decoded(name.as_bytes());
        let name = trimmed(&name);
        CREDENTIAL_PARAMETERS.iter().any(|known| name.eq_ignore_ascii_case(known))
    })
}

fn trimmed(name: &[u8]) -> &[u8] {
    let is_blank = |b: &u8| b.is_ascii_whitespace() || *b == b'+';
    let start = name.iter().position(|b| !is_blank(b)).unwrap_or(name.len());
    let end = name.iter().rposition(|b| !is_blank(b)).map_or(start, |last| last + 1);
    &name[start..end]
}

/// The value of `Authorization`, where the account has a token that may be used at once.
pub fn token_at_hand(pipeline: &Pipeline, account: usize) -> Option<HeaderValue> {
    match pipeline.token(account) {
        (Freshness::Fresh, value) => value,
        (Freshness::Stale, value) => {
            pipeline.accounts.all()[account].credential.refresh_soon();
            value
        }
        (Freshness::Expired | Freshness::Missing, _) => None,
    }
}

/// Sets the token, as the only `Authorization`.
pub fn set_authorization(headers: &mut HeaderMap, token: HeaderValue) {
    headers.insert(AUTHORIZATION, token);
}

/// Puts a developer account's key into the query (`hapikey`): the operations that take one take no
/// `Authorization`.
pub fn with_developer_key(target: PathAndQuery, key: &Secret) -> Result<PathAndQuery, Refusal> {
    let query = target.query().unwrap_or_default();
    let separator = if query.is_empty() { "" } else { "&" };
    let key = form_urlencoded::byte_serialize(key.expose().as_bytes()).collect::<String>();
    let with_key = [target.path(), "?", query, separator, "hapikey=", &key].concat();
    let with_key = Bytes::from(with_key);
    // An encoded key leaves a target what it was.
    PathAndQuery::from_maybe_shared(with_key).map_err(|_| Refusal::Internal)
}

/// Waits for a new token, for a request that cannot be sent without.
/// A token that is about to end is used all the same when no newer one can be had.
pub async fn wait_for_token(pipeline: &Pipeline, account: usize) -> Result<HeaderValue, Refusal> {
    let configured = &pipeline.accounts.all()[account];
    let refreshed = configured.credential.newer_than(pipeline.generation(account)).await;
    if let (standing, Some(value)) = pipeline.token(account)
        && standing != Freshness::Missing
    {
        return Ok(value);
    }
    Err(match refreshed {
        Err(why) => refusal(&configured.name, why),
        Ok(()) => Refusal::TokenUnavailable(
            configured.name.clone(),
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

    use super::{clean_headers, clean_target, with_developer_key};
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
        ] {
            let target = with_developer_key(given.parse().unwrap(), &key).unwrap();
            assert_eq!(target.as_str(), expected);
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
