//! The last check of the gate: the client key, wherever a client can put one.
//!
//! A key is known by how it begins. What has that form and is no key of ours is refused wherever it
//! stands, and so is whatever a path names as one; any other value in the place of a credential is a
//! placeholder, which many clients have to send. None at all is fine unless keys are required:
//! absent is not wrong.

use std::borrow::Cow;
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::header::{AUTHORIZATION, HeaderName};
use http::request::Parts;

use crate::pipeline::authorize;
use crate::types::client_key::{ClientKey, ClientKeys, PREFIX};
use crate::types::clock::WallTime;
use crate::types::refusal::Refusal;

static X_HUBSPOT_PROXY_KEY: HeaderName = HeaderName::from_static("x-hubspot-proxy-key");

/// What begins a path that names a key: `/@key:KEY/`.
pub const IN_PATH: &str = "/@key:";

/// What a client shows.
enum Shown<'a> {
    /// Where it is said to be one.
    Key(Cow<'a, [u8]>),
    /// Where any credential may stand.
    Credential(Cow<'a, [u8]>),
}

/// The key of a request, if it has one; `now` is asked for where the key has an end.
pub fn check(
    head: &Parts,
    keys: &ClientKeys,
    now: impl Fn() -> WallTime,
) -> Result<Option<Arc<ClientKey>>, Refusal> {
    let mut found: Option<Arc<ClientKey>> = None;
    for shown in shown_in(head) {
        let key = match &shown {
            Shown::Credential(value) => match known(value, keys, &now)? {
                Some(key) => key,
                None => continue,
            },
            Shown::Key(value) => valid(value, keys, &now)?,
        };
        if found.as_ref().is_some_and(|before| !Arc::ptr_eq(before, &key)) {
            return Err(Refusal::ClientKeyInvalid("the request shows two different keys"));
        }
        found = Some(key);
    }
    Ok(found)
}

/// The key that a value is which may be another credential, or a placeholder; `None` where it has not
/// the form of a key.
pub fn known(
    value: &[u8],
    keys: &ClientKeys,
    now: &impl Fn() -> WallTime,
) -> Result<Option<Arc<ClientKey>>, Refusal> {
    match value.starts_with(PREFIX.as_bytes()) {
        true => valid(value, keys, now).map(Some),
        false => Ok(None),
    }
}

fn valid(
    value: &[u8],
    keys: &ClientKeys,
    now: &impl Fn() -> WallTime,
) -> Result<Arc<ClientKey>, Refusal> {
    let Some(key) = keys.find(value) else {
        return Err(Refusal::ClientKeyInvalid(match keys.has_revoked(value) {
            true => "it has been revoked",
            false => "it is not known",
        }));
    };
    match key.has_expired(now()) {
        true => Err(Refusal::ClientKeyInvalid("its time is over")),
        false => Ok(Arc::clone(key)),
    }
}

fn shown_in(head: &Parts) -> impl Iterator<Item = Shown<'_>> {
    let path = key_in_path(head.uri.path()).map(|key| Shown::Key(key.as_bytes().into()));
    let own = head.headers.get_all(&X_HUBSPOT_PROXY_KEY).iter();
    let own = own.map(|value| Shown::Credential(value.as_bytes().trim_ascii().into()));
    let authorization = head.headers.get_all(AUTHORIZATION).iter();
    let authorization = authorization.flat_map(|value| in_authorization(value.as_bytes()));
    let query = head.uri.query().unwrap_or_default();
    let query = authorize::credentials_in(query).map(Shown::Credential);
    path.into_iter().chain(own).chain(authorization).chain(query)
}

/// The key that a path begins with, if it does.
pub fn key_in_path(path: &str) -> Option<&str> {
    path.strip_prefix(IN_PATH)?.split('/').next()
}

/// A Bearer token, or user name and password of Basic, which some tools have one field for.
fn in_authorization(value: &[u8]) -> Vec<Shown<'_>> {
    let scheme_ends = value.iter().position(|b| *b == b' ').unwrap_or(value.len());
    let (scheme, rest) = value.split_at(scheme_ends);
    let rest = rest.trim_ascii();
    if scheme.eq_ignore_ascii_case(b"bearer") {
        return vec![Shown::Credential(rest.into())];
    }
    if !scheme.eq_ignore_ascii_case(b"basic") {
        // A key alone, as a header that was meant for a token may hold it.
        return vec![Shown::Credential(scheme.into())];
    }
    let pair = STANDARD.decode(rest).unwrap_or_default();
    let parts = pair.splitn(2, |b| *b == b':');
    parts.map(|part| Shown::Credential(part.to_vec().into())).collect()
}

#[cfg(test)]
mod tests {
    use http::Request;

    use super::check;
    use crate::types::client_key::{ClientKey, ClientKeys, KeyHash};
    use crate::types::clock::WallTime;

    fn keys() -> ClientKeys {
        let key = |name: &str, expires| {
            let hash = KeyHash::of(format!("hsp_{name}").as_bytes());
            ClientKey::new(name.parse().unwrap(), hash, None, None, expires)
        };
        ClientKeys::new(vec![key("one", None), key("two", None), key("old", Some(WallTime(5)))])
    }

    fn seen(target: &str, headers: &[(&str, &str)]) -> Result<String, &'static str> {
        let mut request = Request::builder().uri(target);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let (head, ()) = request.body(()).unwrap().into_parts();
        match check(&head, &keys(), || WallTime(5)) {
            Ok(key) => Ok(key.map_or("none".to_owned(), |key| key.name.to_string())),
            Err(refusal) => Err(refusal.code()),
        }
    }

    #[test]
    fn a_key_is_found_in_each_place_and_a_placeholder_is_none() {
        let invalid = Err("client-key-invalid");
        const BASIC: &str = "Basic dXNlcjpoc3Bfb25l"; // user:hsp_one
        const BASIC_USER: &str = "bAsIc aHNwX29uZTo="; // hsp_one:
        const BASIC_WRONG: &str = "Basic dXNlcjpoc3BfeA=="; // user:hsp_x
        // Target, headers, and the key or the error.
        type Case = (
            &'static str,
            &'static [(&'static str, &'static str)],
            Result<&'static str, &'static str>,
        );
        let cases: &[Case] = &[
            ("/a", &[], Ok("none")),
            ("/a", &[("authorization", "Bearer hsp_one")], Ok("one")),
            ("/a", &[("authorization", "bearer  hsp_one ")], Ok("one")),
            ("/a", &[("authorization", "hsp_one")], Ok("one")),
            ("/a", &[("authorization", BASIC)], Ok("one")),
            ("/a", &[("authorization", BASIC_USER)], Ok("one")),
            ("/a", &[("authorization", BASIC_WRONG)], invalid),
            ("/a", &[("authorization", "Bearer hsp_")], invalid),
            ("/a", &[("authorization", "Bearer hsp_One")], invalid),
            ("/a", &[("authorization", "Bearer pat-na1-x")], Ok("none")),
            ("/a", &[("authorization", "Basic ???")], Ok("none")),
            ("/a", &[("authorization", "")], Ok("none")),
            ("/a", &[("x-hubspot-proxy-key", "hsp_one")], Ok("one")),
            ("/a", &[("x-hubspot-proxy-key", "hsp_x")], invalid),
            ("/a", &[("x-hubspot-proxy-key", "anything")], Ok("none")),
            ("/a?hapikey=hsp_one", &[], Ok("one")),
            ("/a?b=1&HAPI%4bey=%68sp_one", &[], Ok("one")),
            ("/a?access_token=hsp_two", &[], Ok("two")),
            ("/a?hapikey=demo", &[], Ok("none")),
            ("/a?hapikey=hsp_x", &[], invalid),
            ("/a?hapikey=demo&hapikey=hsp_x", &[], invalid),
            ("/a?b=hsp_x", &[], Ok("none")),
            ("/@key:hsp_one/a", &[], Ok("one")),
            ("/@key:hsp_one", &[], Ok("one")),
            ("/@key:anything/a", &[], invalid),
            ("/@key:/a", &[], invalid),
            ("/a?hapikey=hsp_one", &[("authorization", "Bearer hsp_one")], Ok("one")),
            ("/a?hapikey=hsp_one", &[("authorization", "Bearer hsp_two")], invalid),
            (
                "/a",
                &[("authorization", "Bearer x"), ("authorization", "Bearer hsp_one")],
                Ok("one"),
            ),
            ("/a", &[("authorization", "Bearer hsp_old")], invalid),
        ];
        for (target, headers, expected) in cases {
            assert_eq!(seen(target, headers), expected.map(str::to_owned), "{target} {headers:?}");
        }
    }
}
