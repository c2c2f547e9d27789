//! Gate, route and policy together, on targets that nobody thought of.

use std::sync::Arc;

use http::{Method, Request};
use proptest::prelude::*;

use super::gate::allowed::Allowed;
use super::gate::{self, Entrance, HeadLimits};
use super::policy;
use super::route::{self, Destination, Reserved, Route};
use crate::accounts::{Account, Accounts, Kind};
use crate::credential::Credential;
use crate::types::account::About;
use crate::types::path::percent_decoded;
use crate::types::refusal::Refusal;
use crate::types::target::Target;

const LIMITS: HeadLimits = HeadLimits { size: 64 * 1024, count: 100 };

fn accounts() -> Accounts {
    let account = |name: &str| {
        let name: crate::types::account::AccountName = name.parse().unwrap();
        let credential = Credential::none(name.clone());
        let policy = crate::types::policy::Policy::default();
        let (policy, about) = (policy.into(), About::default());
        let (hub_id, kind, epoch) = (None, Kind::Portal, None);
        Arc::new(Account {
            name,
            hub_id,
            kind,
            credential,
            policy,
            epoch,
            about,
            secrets: Arc::default(),
        })
    };
    Accounts::new(vec![account("main"), account("other")], Some(&"main".parse().unwrap()))
}

/// What the three stages make of a request; `None` for a local path.
fn judged(method: &Method, request: Request<()>) -> Result<Option<Target>, Refusal> {
    let mut head = request.into_parts().0;
    let accounts = accounts();
    gate::admit(&head, &Entrance::at(1), LIMITS, &Allowed::default())?;
    match route::choose(&mut head, &accounts, Reserved::default())? {
        Route::Local(_) => Ok(None),
        Route::Upstream(Destination { account, target, .. }) => {
            policy::check(method, &target, &accounts.all()[account], None)?;
            Ok(Some(target))
        }
    }
}

fn request(method: &Method, target: &str) -> Option<Request<()>> {
    Request::builder().method(method).uri(target).header("host", "localhost:1").body(()).ok()
}

/// What is to be sent of an accepted target, by the contract's words.
fn to_be_sent(target: &str) -> String {
    let target = target.split('#').next().unwrap();
    let rest = match target.strip_prefix("/@") {
        Some(rest) => &rest[rest.find(['/', '?']).unwrap_or(rest.len())..],
        None => target,
    };
    format!("/{}", rest.trim_start_matches('/'))
}

/// The path as a server might understand it.
fn understood(path: &str, cuts_first: bool, decodings: usize, cuts_after: bool) -> Vec<u8> {
    let cut = |path: &[u8]| -> Vec<u8> {
        let names = path.split(|b| *b == b'/');
        names
            .map(|s| s.split(|b| matches!(b, b';' | 0)).next().unwrap())
            .collect::<Vec<_>>()
            .join(&b'/')
    };
    let mut path = path.as_bytes().to_vec();
    if cuts_first {
        path = cut(&path);
    }
    for _ in 0..decodings {
        path = percent_decoded(&path).into_owned();
    }
    if cuts_after {
        path = cut(&path);
    }
    let segments = path.split(|b| *b == b'/').filter(|segment| !segment.is_empty());
    segments.flat_map(|s| [b"/", s].concat()).map(|b| b.to_ascii_lowercase()).collect()
}

fn targets() -> impl Strategy<Value = String> {
    let part = prop_oneof![
        Just("/"),
        Just("/"),
        Just("/"),
        Just("%2F"),
        Just("%252f"),
        Just("oauth"),
        Just("o%61uth"),
        Just("%6Fauth"),
        Just("%256fauth"),
        Just("OAUTH"),
        Just("localdevauth"),
        Just("external-install"),
        Just("external%2Dinstall"),
        Just("external%252dinstall"),
        Just(";"),
        Just("%3B"),
        Just("%253b"),
        Just("."),
        Just(".."),
        Just("%2e"),
        Just("%252e"),
        Just("%00"),
        Just("%2500"),
        Just("\\"),
        Just("%5c"),
        Just("@main"),
        Just("@other"),
        Just("a"),
        Just("v3"),
        Just("%"),
        Just("%25"),
        Just("?"),
        Just("#"),
        Just("%c0%ae"),
        Just("_proxy"),
    ];
    let start = prop_oneof![Just("/"), Just("/@main/"), Just("/@other"), Just("//")];
    (start, proptest::collection::vec(part, 0..9))
        .prop_map(|(s, parts)| s.to_owned() + &parts.concat())
}

fn methods() -> impl Strategy<Value = Method> {
    prop_oneof![Just(Method::GET), Just(Method::POST), Just(Method::DELETE)]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 4096, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn what_was_judged_is_what_is_sent(method in methods(), target in targets()) {
        let Some(request) = request(&method, &target) else { return Ok(()) };
        if let Ok(Some(judged)) = judged(&method, request) {
            prop_assert_eq!(judged.into_sent().to_string(), to_be_sent(&target));
        }
    }

    #[test]
    fn no_reader_finds_a_guarded_path_or_dots_in_what_passes(
        method in methods(),
        target in targets(),
        (cuts_first, decodings, cuts_after) in (any::<bool>(), 0..4_usize, any::<bool>()),
    ) {
        let Some(request) = request(&method, &target) else { return Ok(()) };
        let Ok(Some(judged)) = judged(&method, request) else { return Ok(()) };
        let path = understood(judged.path(), cuts_first, decodings, cuts_after);
        let first = path.split(|b| *b == b'/').nth(1).unwrap_or_default().to_vec();
        let shown = String::from_utf8_lossy(&path).into_owned();
        prop_assert!(first != b"oauth" && first != b"localdevauth", "{target} is {shown}");
        prop_assert!(method == Method::GET || !path.ends_with(b"/external-install"), "{target} is {shown}");
        let dots = path.split(|b| *b == b'/').any(|s| s == b"." || s == b"..");
        prop_assert!(!dots, "{target} is {shown}");
    }

    #[test]
    fn nothing_makes_a_stage_panic(
        method in "[!-~]{1,12}",
        target in "\\PC{0,40}|/[ -~]{0,40}",
        host in "\\PC{0,20}|localhost:1",
        lines in proptest::collection::vec(("origin|referer|sec-fetch-site|x-hubspot-account|transfer-encoding|host", "[ -~\u{80}-\u{ff}]{0,24}"), 0..4),
    ) {
        let mut request = Request::builder().method(method.as_str()).uri(target).header("host", host);
        for (name, value) in lines {
            request = request.header(name, value);
        }
        let Ok(request) = request.body(()) else { return Ok(()) };
        let method = request.method().clone();
        let _ = judged(&method, request);
    }
}
