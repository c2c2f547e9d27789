use std::sync::Arc;
use std::time::Instant;

use http::uri::PathAndQuery;
use http::{Method, Request};
use proptest::prelude::*;

use super::{check, judge};
use crate::accounts::{Account, Accounts, Kind};
use crate::credential::Credential;
use crate::pipeline::{authorize, route};
use crate::types::account::{About, AccountName};
use crate::types::path;
use crate::types::policy::{Mode, Part, Policy, Rule};
use crate::types::refusal::Refusal;
use crate::types::secret::Secret;
use crate::types::target::Target;

fn account(policy: Policy) -> Account {
    let name: AccountName = "acme".parse().unwrap();
    let credential = Credential::none(name.clone());
    let policy = Arc::new(policy);
    Account {
        name,
        hub_id: None,
        kind: Kind::Portal,
        credential,
        policy,
        epoch: None,
        about: About::default(),
        secrets: Arc::default(),
    }
}

fn policy(mode: Mode, allow: &[&str], deny: &[&str]) -> Policy {
    let rules = |texts: &[&str], key: &str| Part {
        value: texts.iter().map(|text| Rule::parse(text).unwrap()).collect(),
        key: key.into(),
        set_in: "proxy.toml".into(),
    };
    Policy {
        mode: Part { value: mode, key: "policy.mode".into(), set_in: "proxy.toml".into() },
        allow: rules(allow, "policy.allow"),
        deny: rules(deny, "policy.deny"),
    }
}

fn target(path: &str) -> Target {
    Target::new(path.parse::<PathAndQuery>().unwrap())
}

/// The code of a refusal, empty when there is none.
fn outcome(policy: Policy, method: &str, path: &str) -> &'static str {
    let method: Method = method.parse().unwrap();
    let outcome = check(&method, &target(path), &account(policy), None);
    outcome.map_or_else(|refusal| refusal.code(), |()| "")
}

#[test]
fn credential_paths_are_blocked_in_every_spelling() {
    let blocked = [
        ("POST", "/oauth/v1/token"),
        ("POST", "/oauth/2026-03/token/introspect"),
        ("GET", "/oauth/v1/access-tokens/abc"),
        ("POST", "/OAUTH/v1/token"),
        ("POST", "/oauth"),
        ("POST", "/%6Fauth/v1/token"),
        ("POST", "/oauth%2Fv1%2Ftoken"),
        ("POST", "/oauth;a=b/v1/token"),
        ("POST", "/localdevauth/v1/auth/refresh"),
        ("DELETE", "/appinstalls/v3/external-install"),
        ("DELETE", "/appinstalls/v3/external-install/"),
        ("DELETE", "/appinstalls/2026-03/External%2Dinstall"),
    ];
    for (method, path) in blocked {
        for open in [Policy::default(), policy(Mode::ReadWrite, &["* /**"], &[])] {
            assert_eq!(outcome(open, method, path), "credential-path-blocked", "{method} {path}");
        }
        // The guard comes first: what it blocks is blocked by every policy.
        let closed = policy(Mode::ReadOnly, &["GET /x"], &["* /**"]);
        assert_eq!(outcome(closed, method, path), "credential-path-blocked", "{method} {path}");
    }
    let open = [
        ("GET", "/oauthx/y"),
        ("GET", "/crm/v3/objects/contacts"),
        ("POST", "/crm/oauth/x"),
        ("GET", "/appinstalls/v3/external-install"),
    ];
    for (method, path) in open {
        assert_eq!(outcome(Policy::default(), method, path), "", "{method} {path}");
    }
}

#[test]
fn mode_and_rules_all_have_to_let_a_request_pass() {
    use Mode::{NoDestructive, ReadOnly, ReadWrite};
    type Rules = &'static [&'static str];
    let cases: &[(Mode, Rules, Rules, &str, &str, bool)] = &[
        (ReadWrite, &[], &[], "DELETE", "/a", true),
        (NoDestructive, &[], &[], "POST", "/a", true),
        (NoDestructive, &[], &[], "DELETE", "/a", false),
        (NoDestructive, &[], &[], "POST", "/crm/v3/objects/x/merge", false),
        (NoDestructive, &[], &[], "POST", "/crm/v3/objects/x/batch%2Farchive", false),
        (ReadOnly, &[], &[], "GET", "/a", true),
        (ReadOnly, &[], &[], "POST", "/a", false),
        (ReadOnly, &[], &[], "POST", "/crm/v3/objects/x/search", true),
        (ReadOnly, &[], &[], "POST", "/crm/v3/objects/x/merge", false),
        (ReadOnly, &["* /**"], &[], "POST", "/a", false),
        (ReadWrite, &["GET /a/**"], &[], "GET", "/a/b", true),
        (ReadWrite, &["GET /a/**"], &[], "HEAD", "/a/b", true),
        (ReadWrite, &["GET /a/**"], &[], "POST", "/a/b", false),
        (ReadWrite, &["GET /a/**"], &[], "GET", "/b", false),
        (ReadWrite, &["GET /a/**"], &[], "GET", "/A/b", false),
        (ReadWrite, &["GET /a/**"], &["GET /a/b"], "GET", "/a/b", false),
        (ReadWrite, &["GET /a/**"], &["GET /a/b"], "GET", "/a/c", true),
        (ReadWrite, &[], &["* /a/b"], "GET", "/a%2Fb", false),
        (ReadWrite, &[], &["* /a/b"], "GET", "/a/b/c", true),
    ];
    for (mode, allow, deny, method, path, passes) in cases {
        let found = outcome(policy(*mode, allow, deny), method, path);
        let expected = if *passes { "" } else { "policy-denied" };
        assert_eq!(found, expected, "{mode} {allow:?} {deny:?} on {method} {path}");
    }
}

#[test]
fn a_denial_says_what_denies_and_how_to_change_it_and_no_secret() {
    let said = |policy: Policy, method: Method, path: &str| {
        let refusal = check(&method, &target(path), &account(policy), None).unwrap_err();
        assert!(!refusal.may_be_repeated());
        assert_eq!(refusal.status(), 403);
        refusal.message()
    };
    let secret = "/crm/v3/pat-na1-secret?hapikey=secret";
    assert_eq!(
        said(policy(Mode::ReadWrite, &[], &["DELETE /crm/**"]), Method::DELETE, secret),
        "The policy of account acme denies DELETE /crm/v3/{redacted}: rule `DELETE /crm/**` in policy.deny; change it in proxy.toml."
    );
    assert_eq!(
        said(policy(Mode::ReadOnly, &[], &[]), Method::POST, "/crm/v3/objects/contacts"),
        "The policy of account acme denies POST /crm/v3/objects/contacts, which may change data: policy.mode is `read-only`; change it in proxy.toml."
    );
    assert_eq!(
        said(policy(Mode::NoDestructive, &[], &[]), Method::DELETE, "/crm/v3/objects/contacts/1"),
        "The policy of account acme denies DELETE /crm/v3/objects/contacts/1, which can destroy data: policy.mode is `no-destructive`; change it in proxy.toml."
    );
    let allow = || policy(Mode::ReadWrite, &["GET /crm/**"], &[]);
    assert_eq!(
        said(allow(), Method::GET, "/cms"),
        "The policy of account acme denies GET /cms: no rule in policy.allow allows it; add one in proxy.toml."
    );
    assert_eq!(
        said(allow(), Method::GET, "/CRM/v3"),
        "The policy of account acme denies GET /CRM/v3: a rule in policy.allow allows it in another spelling only; send method and path as they stand there."
    );
    let long_method = "pat-na1-secret".parse().unwrap();
    assert!(!said(policy(Mode::ReadOnly, &[], &[]), long_method, "/a").contains("secret"));
    let long = format!("/cms{}", "/ü".repeat(1000).replace('ü', "%C3%BC"));
    assert!(said(allow(), Method::GET, &long).len() < 400);
}

#[test]
fn judging_by_two_hundred_rules_takes_no_time_that_a_request_would_notice() {
    let texts: Vec<String> =
        (0..200).map(|n| format!("DELETE,POST /crm/v3/objects/kind{n}/**/archive")).collect();
    let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
    let policy = policy(Mode::NoDestructive, &["* /**"], &texts);
    let path = target("/crm/v3/objects/contacts/123456/associations");
    let began = Instant::now();
    let rounds: u32 = 1_000;
    for _ in 0..rounds {
        assert!(judge(&policy, &Method::POST, &path).is_ok());
    }
    let each = began.elapsed() / rounds;
    println!("{each:?} a request");
    // Far above what it takes without optimisation on a busy machine.
    assert!(each.as_micros() < 2_000, "{each:?}");
}

/// Targets of all sorts, more of them odd than in life.
fn targets() -> impl Strategy<Value = String> {
    let part = prop_oneof![
        Just("crm"),
        Just("CRM"),
        Just("oauth"),
        Just("merge"),
        Just("%2F"),
        Just("%2f%2F"),
        Just("/"),
        Just("//"),
        Just(";a=b"),
        Just("@acme"),
        Just("@"),
        Just(".."),
        Just("%2e"),
        Just("%25"),
        Just("%3B"),
        Just("_proxy"),
        Just("?"),
        Just("hapikey=x"),
        Just("&"),
        Just("access_token=/y"),
        Just("a"),
        Just("%"),
        Just("\\"),
        Just("*"),
    ];
    proptest::collection::vec(part, 0..12).prop_map(|parts| format!("/{}", parts.concat()))
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2_000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn what_is_judged_is_what_is_sent(asked in prop_oneof![targets(), "/[ -~]{0,30}"]) {
        let Ok(request) = Request::delete(asked.as_str()).body(()) else { return Ok(()) };
        let mut head = request.into_parts().0;
        prop_assume!(path::check(head.uri.path()).is_ok());
        let accounts = Accounts::new(vec![Arc::new(account(Policy::default()))], None);
        let Ok(route::Route::Upstream(to)) = route::choose(&mut head, &accounts, route::Reserved::default()) else {
            return Ok(());
        };
        let judged = to.target.path().to_owned();
        let decoded = path::decoded_form(&judged).into_owned();
        prop_assert_eq!(to.target.decoded(), decoded.as_slice());
        // A rule that names no more than the decoded form denies it.
        let text = String::from_utf8_lossy(&decoded).into_owned();
        let written = format!("DELETE {text}");
        // Blanks around a rule are no part of it, so no rule names a path that ends in one.
        let is_named = |rule: &Rule| rule.to_string() == written && !text.contains('*');
        if let Some(rule) = Rule::parse(&written).ok().filter(is_named) {
            let denies = policy(Mode::ReadWrite, &[], &[&rule.to_string()]);
            let refusal = check(&Method::DELETE, &to.target, &account(denies), None).unwrap_err();
            let is_blocked = matches!(
                refusal, Refusal::PolicyDenied(..) | Refusal::CredentialPathBlocked
            );
            prop_assert!(is_blocked);
        }
        let sent = authorize::clean_target(to.target.into_sent());
        prop_assert_eq!(sent.path(), judged.as_str());
        let keyed = authorize::with_developer_key(sent, &Secret::new("k".to_owned())).unwrap();
        prop_assert_eq!(keyed.path(), judged.as_str());
        // And that is the client's own path, but for the account's name and slashes at the start.
        let uri = asked.split(['?', '#']).next().unwrap();
        prop_assert!(uri.ends_with(&judged[1..]), "{} of {}", judged, uri);
    }
}
