//! Client keys: made, used in every place, and revoked while the proxy runs.

use crate::client::exchange;
use crate::home::Home;
use crate::proxy::{Proxy, Setup, TOKEN};
use crate::upstream::{OK, Upstream};
use crate::waiting::until;

const FILE: &str = "
[accounts.acme]
type = \"access_token\"
token = { env = \"ACME_TOKEN\" }

[accounts.beta]
type = \"access_token\"
token = { env = \"BETA_TOKEN\" }
";

pub fn create(home: &Home, arguments: &[&str]) -> String {
    let ran = home.run(&[&["keys", "create"], arguments].concat(), &[], "");
    assert_eq!(ran.status, 0, "{}", ran.stderr);
    let key = ran.stdout.trim().to_owned();
    assert!(key.starts_with("hsp_") && key.len() == 47, "{key}");
    assert!(!ran.stderr.contains(&key));
    key
}

fn two_accounts(home: &Home, upstream: &Upstream, more: &str) -> Proxy {
    Setup::without_account(&upstream.url())
        .in_home(home)
        .file("proxy.toml", &format!("default_account = \"acme\"\n{more}{FILE}"))
        .env("ACME_TOKEN", "acme-token-4711")
        .env("BETA_TOKEN", "beta-token-4711")
        .start()
}

fn get(proxy: &Proxy, target: &str, headers: &str) -> (u16, String) {
    let request = format!("GET {target} HTTP/1.1\r\nHost: {{host}}\r\n{headers}\r\n");
    let answer = exchange(proxy.port, request);
    (answer.status(), answer.refusal().unwrap_or_default().to_owned())
}

#[test]
fn a_key_works_in_every_place_and_goes_no_further() {
    let (home, upstream) = (Home::new(), Upstream::answering(OK));
    let key = create(&home, &["--name", "ci"]);
    let more = "[server]\nclient_keys = \"required\"\n";
    let proxy = two_accounts(&home, &upstream, more);
    let basic = base64_of(&format!("anybody:{key}"));
    let served = [
        ("/a".to_owned(), format!("Authorization: Bearer {key}\r\n")),
        ("/a".to_owned(), format!("Authorization: Basic {basic}\r\n")),
        ("/a".to_owned(), format!("X-HubSpot-Proxy-Key: {key}\r\n")),
        (format!("/a?hapikey={key}"), String::new()),
        (format!("/a?b=1&access_token={key}"), String::new()),
        (format!("/@key:{key}/a"), String::new()),
        (format!("/@key:{key}/@beta/a"), "Cookie: a=b\r\n".to_owned()),
    ];
    for (target, headers) in &served {
        assert_eq!(get(&proxy, target, headers), (200, String::new()), "{target}");
    }
    let refused = [
        ("/a", "", "client-key-required"),
        ("/a", "Authorization: Bearer pat-na1-placeholder\r\n", "client-key-required"),
        ("/a?hapikey=demo", "", "client-key-required"),
        ("/a", "Authorization: Bearer hsp_nobody\r\n", "client-key-invalid"),
        ("/a?hapikey=hsp_nobody", "", "client-key-invalid"),
        ("/@key:nobody/a", "", "client-key-invalid"),
    ];
    for (target, headers, expected) in refused {
        assert_eq!(get(&proxy, target, headers), (401, expected.to_owned()), "{target}");
    }
    assert_eq!(upstream.requests().len(), served.len());
    let seen = String::from_utf8(upstream.bytes()).unwrap();
    assert!(!seen.contains("hsp_") && !seen.contains("apikey"), "{seen}");
    assert!(!format!("{}{}", proxy.stdout(), proxy.stderr()).contains(&key));
}

#[test]
fn without_keys_required_none_is_fine_and_a_wrong_one_is_not() {
    let (home, upstream) = (Home::new(), Upstream::answering(OK));
    let proxy = Setup::in_front_of(&upstream.url()).in_home(&home).start();
    for (headers, expected) in [
        ("", (200, "")),
        ("Authorization: Bearer placeholder\r\n", (200, "")),
        ("Authorization: Bearer hsp_wrong\r\n", (401, "client-key-invalid")),
    ] {
        let (status, refusal) = get(&proxy, "/a", headers);
        assert_eq!((status, refusal.as_str()), expected, "{headers}");
    }
    assert!(
        upstream.requests().iter().all(|r| r.all("authorization") == [format!("Bearer {TOKEN}")])
    );
    assert!(!home.path().join("state").exists(), "a static account needs no store");
}

#[test]
fn a_key_is_bound_to_its_account_policy_and_time() {
    let (home, upstream) = (Home::new(), Upstream::answering(OK));
    let beta = create(&home, &["--name", "beta", "--account", "beta"]);
    let reader = create(&home, &["--name", "reader", "--policy", "read-only"]);
    let brief = create(&home, &["--name", "brief", "--expires", "1ms"]);
    let proxy = two_accounts(&home, &upstream, "");
    let cases = [
        (&beta, "GET", "/a", "", 200, ""),
        (&beta, "GET", "/@beta/a", "", 200, ""),
        (&beta, "GET", "/@acme/a", "", 400, "account-conflict"),
        (&beta, "GET", "/a", "X-HubSpot-Account: acme\r\n", 400, "account-conflict"),
        (&beta, "DELETE", "/crm/v3/objects/contacts/1", "", 200, ""),
        (&reader, "DELETE", "/crm/v3/objects/contacts/1", "", 403, "policy-denied"),
        (&reader, "POST", "/crm/v3/objects/contacts/search", "", 200, ""),
        (&brief, "GET", "/a", "", 401, "client-key-invalid"),
    ];
    for (key, method, target, headers, status, expected) in cases {
        let answer = exchange(
            proxy.port,
            format!(
                "{method} {target} HTTP/1.1\r\nHost: {{host}}\r\nX-HubSpot-Proxy-Key: {key}\r\n{headers}Content-Length: 0\r\n\r\n"
            ),
        );
        let refusal = answer.refusal().unwrap_or_default();
        assert_eq!((answer.status(), refusal), (status, expected), "{method} {target} {headers}");
        if status == 403 {
            assert!(answer.text().contains("client key reader"), "{}", answer.text());
        }
    }
    assert_eq!(upstream.requests()[0].all("authorization"), ["Bearer beta-token-4711"]);
}

#[test]
fn a_key_is_made_and_revoked_while_the_proxy_runs() {
    let (home, upstream) = (Home::new(), Upstream::answering(OK));
    create(&home, &["--name", "first"]);
    let proxy = two_accounts(&home, &upstream, "[server]\nclient_keys = \"required\"\n");
    let key = create(&home, &["--name", "second"]);
    let headers = format!("Authorization: Bearer {key}\r\n");
    until("the new key works", || get(&proxy, "/a", &headers).0 == 200);
    let listed = home.run(&["keys", "list", "--json"], &[], "");
    assert!(listed.stdout.contains("\"second\"") && !listed.stdout.contains(&key[4..12]));
    let again = home.run(&["keys", "create", "--name", "second"], &[], "");
    assert_eq!(again.status, 1);
    assert!(again.stderr.contains("there is a key called second already"), "{}", again.stderr);
    assert_eq!(home.run(&["keys", "revoke", "second"], &[], "").status, 0);
    let since = std::time::Instant::now();
    until("the revoked key is refused", || get(&proxy, "/a", &headers).0 == 401);
    assert!(since.elapsed() < std::time::Duration::from_secs(1), "{:?}", since.elapsed());
    let unknown = home.run(&["keys", "revoke", "second"], &[], "");
    assert_eq!(unknown.status, 1);
    assert!(unknown.stderr.contains("there is no key called second"), "{}", unknown.stderr);
}

#[test]
fn what_is_known_of_accounts_is_for_holders_of_a_key_where_keys_are_required() {
    let (home, upstream) = (Home::new(), Upstream::answering(OK));
    let key = create(&home, &["--name", "ci"]);
    let proxy = two_accounts(&home, &upstream, "[server]\nclient_keys = \"required\"\n");
    let ready = |headers: &str| {
        let request = format!("GET /_proxy/ready HTTP/1.1\r\nHost: {{host}}\r\n{headers}\r\n");
        exchange(proxy.port, request).text().to_owned()
    };
    assert_eq!(ready(""), "{\"status\":\"ready\"}");
    assert!(ready(&format!("X-HubSpot-Proxy-Key: {key}\r\n")).contains("acme"));
}

#[test]
fn an_old_client_that_refreshes_by_itself_gets_its_own_key_back() {
    let (home, upstream) = (Home::new(), Upstream::answering(OK));
    let key = create(&home, &["--name", "old", "--account", "beta"]);
    let proxy = two_accounts(&home, &upstream, "legacy_oauth_shim = true\n");
    let ask = |target: &str, form: &str| {
        let length = form.len();
        exchange(
            proxy.port,
            format!(
                "POST {target} HTTP/1.1\r\nHost: {{host}}\r\nContent-Type: application/x-www-form-urlencoded\r\nContent-Length: {length}\r\n\r\n{form}"
            ),
        )
    };
    let form = format!("grant_type=refresh_token&client_id=x&client_secret=y&refresh_token={key}");
    let answer = ask("/oauth/v1/token", &form);
    assert_eq!(answer.status(), 200);
    assert_eq!(answer.json()["access_token"], key);
    assert_eq!(answer.json()["expires_in"], 1800);
    let placeholder = ask("/oauth/v3/token", "grant_type=refresh_token&refresh_token=anything");
    let token = placeholder.json()["access_token"].as_str().unwrap().to_owned();
    assert_eq!(get(&proxy, "/a", &format!("Authorization: Bearer {token}\r\n")).0, 200);
    let wrong = ask("/oauth/v1/token", "refresh_token=hsp_nobody");
    assert_eq!((wrong.status(), wrong.refusal()), (401, Some("client-key-invalid")));
    let info = ask("/oauth/v2/private-apps/get/access-token-info", "{\"tokenKey\":\"x\"}");
    assert_eq!(info.status(), 200);
    assert!(info.json().get("scopes").is_some() && !info.text().contains("token-4711"));
    let revoke = ask("/oauth/v3/token/revoke", "token=x");
    assert_eq!(revoke.refusal(), Some("credential-path-blocked"));
    assert_eq!(upstream.requests().len(), 1, "only the request with the placeholder");
}

fn base64_of(text: &str) -> String {
    use base64::Engine as _;
    base64::engine::general_purpose::STANDARD.encode(text)
}
