use std::sync::Arc;

use http::Request;

use super::{Reserved, Route, choose};
use crate::accounts::{Account, Accounts, Kind};
use crate::credential::Credential;
use crate::types::account::{About, AccountName};
use crate::types::secret::Secret;

fn account(name: &str, kind: Kind) -> Arc<Account> {
    let name: AccountName = name.parse().unwrap();
    let credential = Credential::none(name.clone());
    let policy = Arc::default();
    Arc::new(Account {
        name,
        hub_id: None,
        kind,
        credential,
        policy,
        epoch: None,
        about: About::default(),
        secrets: Arc::default(),
    })
}

fn developer(name: &str) -> Arc<Account> {
    account(name, Kind::Developer { key: Secret::new("k".to_owned()) })
}

fn accounts(named: &[(&str, Option<u64>)], default: Option<&str>) -> Accounts {
    let account = |(name, hub_id): &(&str, Option<u64>)| {
        let name: AccountName = name.parse().unwrap();
        let credential = Credential::fixed(name.clone(), &Secret::new("t".to_owned()), None);
        let (hub_id, kind) = (*hub_id, Kind::Portal);
        let policy = Arc::default();
        Arc::new(Account {
            name,
            hub_id,
            kind,
            credential,
            policy,
            epoch: None,
            about: About::default(),
            secrets: Arc::default(),
        })
    };
    let default = default.map(|name| name.parse::<AccountName>().unwrap());
    Accounts::new(named.iter().map(account).collect(), default.as_ref())
}

fn route(accounts: &Accounts, target: &str, header: &[&str]) -> Result<String, &'static str> {
    route_at(None, accounts, target, header)
}

fn route_at(
    reserved: Option<&str>,
    accounts: &Accounts,
    target: &str,
    header: &[&str],
) -> Result<String, &'static str> {
    let mut request = Request::get(target);
    for value in header {
        request = request.header("x-hubspot-account", *value);
    }
    let mut head = request.body(()).unwrap().into_parts().0;
    let reserved = reserved.map(|name| name.parse::<AccountName>().unwrap());
    let reserved = Reserved { listener: reserved.as_ref(), key: None };
    match choose(&mut head, accounts, reserved) {
        Ok(Route::Local(path)) => Ok(format!("local {path}")),
        Ok(Route::Upstream(to)) => {
            Ok(format!("{} {}", accounts.all()[to.account].name, to.target.into_sent()))
        }
        Err(refusal) => Err(refusal.code()),
    }
}

#[test]
fn the_account_is_named_by_path_or_header_or_is_the_default() {
    let two = accounts(&[("acme", Some(7)), ("beta", Some(8)), ("beta2", Some(8))], Some("beta"));
    let cases = [
        ("/crm/x", &[][..], Ok("beta /crm/x")),
        ("/@acme/crm/x?q=1", &[], Ok("acme /crm/x?q=1")),
        ("/@7/crm/x", &[], Ok("acme /crm/x")),
        ("/@acme", &[], Ok("acme /")),
        ("/@acme?q=1", &[], Ok("acme /?q=1")),
        ("/@acme//crm/x", &[], Ok("acme /crm/x")),
        ("/crm/x", &["acme"], Ok("acme /crm/x")),
        ("/crm/x", &[" 7 "], Ok("acme /crm/x")),
        ("/@acme/x", &["7"], Ok("acme /x")),
        ("/@acme/x", &["beta"], Err("account-conflict")),
        ("/x", &["acme", "beta"], Err("account-conflict")),
        ("/x", &["8"], Err("account-conflict")),
        ("/x", &["9"], Err("unknown-account")),
        ("/x", &[""], Err("unknown-account")),
        ("/@nobody/x", &[], Err("unknown-account")),
        ("/@ACME/x", &[], Err("unknown-account")),
        ("/@/x", &[], Err("unknown-account")),
        ("/@acme/@beta/x", &[], Err("bad-request-target")),
        ("//@acme/x", &[], Err("bad-request-target")),
    ];
    for (target, header, expected) in cases {
        let expected = expected.map(str::to_owned);
        assert_eq!(route(&two, target, header), expected, "{target} {header:?}");
    }
}

#[test]
fn without_a_default_a_request_has_to_name_its_account() {
    let two = accounts(&[("acme", None), ("beta", None)], None);
    assert_eq!(route(&two, "/x", &[]), Err("account-required"));
    let one = accounts(&[("acme", None)], None);
    assert_eq!(route(&one, "/x", &[]), Ok("acme /x".to_owned()));
}

#[test]
fn several_slashes_at_the_start_become_one_and_the_rest_is_left_alone() {
    let one = accounts(&[("acme", None)], None);
    for (target, expected) in [
        ("//crm/v3//x/?a=//b", "acme /crm/v3//x/?a=//b"),
        ("///", "acme /"),
        ("//evil.example/x", "acme /evil.example/x"),
        ("/cms/a%2Fb;c/%7Ed", "acme /cms/a%2Fb;c/%7Ed"),
    ] {
        assert_eq!(route(&one, target, &[]), Ok(expected.to_owned()), "{target}");
    }
}

#[test]
fn local_paths_are_local_in_every_spelling_and_behind_an_account() {
    let one = accounts(&[("acme", None)], None);
    for target in [
        "/_proxy/health",
        "//_proxy/health",
        "/%5Fproxy/health",
        "/_PROXY//health",
        "/@acme/_proxy/health",
    ] {
        assert_eq!(route(&one, target, &[]), Ok("local /_proxy/health".to_owned()), "{target}");
    }
    assert_eq!(route(&one, "/_proxy", &[]), Ok("local /_proxy".to_owned()));
    assert_eq!(route(&one, "/favicon.ico", &[]), Ok("local /favicon.ico".to_owned()));
    assert_eq!(route(&one, "/_proxyx", &[]), Ok("acme /_proxyx".to_owned()));
}

#[test]
fn an_apps_token_and_a_developers_key_go_to_the_operations_that_take_them_and_to_no_other() {
    let default: AccountName = "portal".parse().unwrap();
    let all = vec![account("portal", Kind::Portal), account("app", Kind::App), developer("dev")];
    let accounts = Accounts::new(all, Some(&default));
    let cases = [
        ("/crm/v3/objects/contacts", &[][..], Ok("portal /crm/v3/objects/contacts")),
        ("/webhooks/v3/7/settings", &[], Ok("dev /webhooks/v3/7/settings")),
        ("/WEBHOOKS/v3/7/settings", &[], Ok("dev /WEBHOOKS/v3/7/settings")),
        ("/webhooks/v3/7/settings", &["portal"], Ok("portal /webhooks/v3/7/settings")),
        ("/@dev/crm/v3/objects/contacts", &[], Err("credential-kind")),
        ("/@app/crm/v3/objects/contacts", &[], Err("credential-kind")),
        ("/@app/webhooks/v3/7/settings", &[], Err("credential-kind")),
        ("/@dev/webhooks-journal/journal/2026-03/latest", &[], Err("credential-kind")),
        (
            "/@app/webhooks-journal/journal/2026-03/latest",
            &[],
            Ok("app /webhooks-journal/journal/2026-03/latest"),
        ),
    ];
    for (target, header, expected) in cases {
        let expected = expected.map(str::to_owned);
        assert_eq!(route(&accounts, target, header), expected, "{target} {header:?}");
    }
    let two = vec![account("portal", Kind::Portal), developer("dev"), developer("dev2")];
    let accounts = Accounts::new(two, Some(&default));
    let expected = Ok("portal /webhooks/v3/7/settings".to_owned());
    assert_eq!(route(&accounts, "/webhooks/v3/7/settings", &[]), expected);
}

#[test]
fn a_listener_of_one_account_serves_no_other() {
    let two = accounts(&[("acme", Some(7)), ("beta", Some(8))], Some("beta"));
    let cases = [
        ("/crm/x", &[][..], Ok("acme /crm/x")),
        ("/@acme/crm/x", &[], Ok("acme /crm/x")),
        ("/@7/crm/x", &["acme"], Ok("acme /crm/x")),
        ("/crm/x", &["acme", "7"], Ok("acme /crm/x")),
        ("/@beta/crm/x", &[], Err("account-conflict")),
        ("/crm/x", &["beta"], Err("account-conflict")),
        ("/@acme/crm/x", &["8"], Err("account-conflict")),
        ("/crm/x", &["acme", "beta"], Err("account-conflict")),
        ("/@nobody/crm/x", &[], Err("unknown-account")),
        ("/_proxy/health", &[], Ok("local /_proxy/health")),
    ];
    for (target, header, expected) in cases {
        let seen = route_at(Some("acme"), &two, target, header);
        assert_eq!(seen, expected.map(str::to_owned), "{target} {header:?}");
    }
    let webhooks = accounts_with_developer();
    let seen = route_at(Some("portal"), &webhooks, "/webhooks/v3/7/settings", &[]);
    assert_eq!(seen, Ok("portal /webhooks/v3/7/settings".to_owned()));
}

fn accounts_with_developer() -> Accounts {
    Accounts::new(vec![account("portal", Kind::Portal), developer("dev")], None)
}
