//! Policies with the real program in front of the emulator: what is denied never arrives there.

use serde_json::Value;

use crate::client::{Answer, exchange};
use crate::proxy::{Proxy, Setup};

const OBJECTS: &str = "/crm/v3/objects/contacts";

/// Two accounts of the emulator's portal; `file` goes before them.
fn start(sandbox: &Proxy, file: &str, more: &str) -> Proxy {
    let account = |name: &str| {
        format!(
            "[accounts.{name}]\ntype = \"access_token\"\ntoken = {{ env = \"SANDBOX_TOKEN\" }}\n"
        )
    };
    let file = format!(
        "default_account = \"acme\"\n{file}{}{more}\n{}",
        account("acme"),
        account("other")
    );
    Setup::without_account(&sandbox.url())
        .env("SANDBOX_TOKEN", "sandbox-access-token")
        .file("proxy.toml", &file)
        .start()
}

fn send(port: u16, method: &str, target: &str, body: &str) -> Answer {
    let length = body.len();
    exchange(
        port,
        format!(
            "{method} {target} HTTP/1.1\r\nHost: {{host}}\r\nConnection: close\r\n\
             Content-Type: application/json\r\nContent-Length: {length}\r\n\r\n{body}"
        ),
    )
}

/// What has arrived at the emulator so far, but for its own controls.
fn arrived(sandbox: &Proxy) -> Vec<String> {
    let all = send(sandbox.port, "GET", "/sandbox/requests", "").json();
    let line = |entry: &Value| {
        let word = |key: &str| entry[key].as_str().unwrap().to_owned();
        format!("{} {}", word("method"), word("path"))
    };
    all.as_array().unwrap().iter().map(line).filter(|l| !l.contains(" /sandbox/")).collect()
}

/// Sends each request and checks that it is denied, or answered with a status below 300, and that
/// the emulator saw those that are not denied and no other.
fn check(sandbox: &Proxy, proxy: &Proxy, requests: &[(&str, &str, &str, bool)]) {
    for (method, target, body, passes) in requests {
        let before = arrived(sandbox).len();
        let answer = send(proxy.port, method, target, body);
        let arrived = arrived(sandbox).len() - before;
        if *passes {
            assert!(answer.status() < 300, "{method} {target}: {answer:?}");
            assert_eq!(arrived, 1, "{method} {target}");
        } else {
            assert_eq!(
                (answer.status(), answer.refusal()),
                (403, Some("policy-denied")),
                "{method} {target}: {answer:?}"
            );
            assert_eq!(answer.header("x-should-retry"), Some("false"));
            assert_eq!(arrived, 0, "{method} {target}");
        }
    }
}

fn first_contacts(sandbox: &Proxy) -> Vec<String> {
    let page = Setup::in_front_of(&sandbox.url())
        .env("HUBSPOT_ACCESS_TOKEN", "sandbox-access-token")
        .start();
    let page = send(page.port, "GET", &format!("{OBJECTS}?limit=4"), "").json();
    let results = page["results"].as_array().unwrap();
    results.iter().map(|contact| contact["id"].as_str().unwrap().to_owned()).collect()
}

const NEW: &str = r#"{"properties":{"email":"new@example.com"}}"#;
const SEARCH: &str = r#"{"filterGroups":[],"limit":1}"#;

#[test]
fn a_read_only_account_lists_and_searches_and_changes_nothing() {
    let sandbox = Setup::sandbox().start();
    let ids = first_contacts(&sandbox);
    let (one, inputs) = (format!("{OBJECTS}/{}", ids[0]), inputs(&ids[..2]));
    let merge = format!(r#"{{"primaryObjectId":"{}","objectIdToMerge":"{}"}}"#, ids[0], ids[1]);
    let proxy = start(&sandbox, "[policy]\nmode = \"read-only\"\n", "");
    let at = |end: &str| format!("{OBJECTS}{end}");
    check(
        &sandbox,
        &proxy,
        &[
            ("GET", &at("?limit=1"), "", true),
            ("HEAD", &one, "", true),
            ("POST", &at("/search"), SEARCH, true),
            ("POST", "/crm/objects/2026-03/contacts/search", SEARCH, true),
            ("POST", &at("/batch/read"), &inputs, true),
            ("POST", OBJECTS, NEW, false),
            ("PATCH", &one, NEW, false),
            ("DELETE", &one, "", false),
            ("delete", &one, "", false),
            ("POST", &at("/merge"), &merge, false),
            ("POST", &at("/batch/archive"), &inputs, false),
            ("POST", &at("/batch%2Farchive"), &inputs, false),
            ("POST", &at("/merge;/search"), &merge, false),
            ("POST", &at("/%6Derge"), &merge, false),
            ("POST", &at("/gdpr-delete"), &merge, false),
        ],
    );
    // A header that a server might take for the method is not sent on.
    let text = format!(
        "GET {one} HTTP/1.1\r\nHost: {{host}}\r\nX-HTTP-Method-Override: DELETE\r\nConnection: close\r\n\r\n"
    );
    assert_eq!(exchange(proxy.port, text).status(), 200);
    assert_eq!(send(proxy.port, "GET", &one, "").status(), 200);
    let message = send(proxy.port, "POST", &at("?hapikey=secret"), NEW).json();
    assert_eq!(message["category"], "PROXY_POLICY_DENIED");
    let message = message["message"].as_str().unwrap();
    assert!(message.contains("account acme denies POST /crm/v3/objects/contacts,"), "{message}");
    assert!(message.contains("policy.mode is `read-only`; change it in proxy.toml"), "{message}");
    assert!(!message.contains("secret"), "{message}");
}

fn inputs(ids: &[String]) -> String {
    let ids = ids.iter().map(|id| format!(r#"{{"id":"{id}"}}"#)).collect::<Vec<_>>();
    format!(r#"{{"inputs":[{}],"properties":["email"]}}"#, ids.join(","))
}

#[test]
fn an_account_that_may_not_destroy_creates_and_updates() {
    let sandbox = Setup::sandbox().start();
    let ids = first_contacts(&sandbox);
    let (one, inputs) = (format!("{OBJECTS}/{}", ids[0]), inputs(&ids[..1]));
    let proxy = start(&sandbox, "[policy]\nmode = \"no-destructive\"\n", "");
    let merge = format!(r#"{{"primaryObjectId":"{}","objectIdToMerge":"{}"}}"#, ids[0], ids[1]);
    check(
        &sandbox,
        &proxy,
        &[
            ("GET", &one, "", true),
            ("POST", OBJECTS, NEW, true),
            ("PATCH", &one, r#"{"properties":{"firstname":"Ada"}}"#, true),
            ("DELETE", &one, "", false),
            ("POST", &format!("{OBJECTS}/merge"), &merge, false),
            ("POST", &format!("{OBJECTS}/MERGE"), &merge, false),
            ("POST", &format!("{OBJECTS}/batch/archive"), &inputs, false),
            ("POST", &format!("{OBJECTS}/batch//archive/"), &inputs, false),
        ],
    );
}

#[test]
fn a_list_of_rules_that_allow_refuses_all_else_and_leaves_local_paths_alone() {
    let sandbox = Setup::sandbox().start();
    let file = "[policy]\nallow = [\"GET /crm/**\", \"POST /crm/*/objects/*/search\"]\n\
                deny = [\"* /crm/v3/objects/deals/**\"]\n";
    let proxy = start(&sandbox, file, "");
    check(
        &sandbox,
        &proxy,
        &[
            ("GET", OBJECTS, "", true),
            ("HEAD", OBJECTS, "", true),
            ("POST", "/crm/v3/objects/contacts/search", SEARCH, true),
            ("POST", OBJECTS, NEW, false),
            ("GET", "/crm/v3/objects/deals", "", false),
            ("GET", "/account-info/v3/details", "", false),
            ("GET", "/CRM/v3/objects/contacts", "", false),
            ("GET", "/crm%2Fv3/objects/contacts", "", false),
        ],
    );
    let blocked = send(proxy.port, "POST", "/oauth/v1/token", "");
    assert_eq!(blocked.refusal(), Some("credential-path-blocked"));
    assert_eq!(send(proxy.port, "GET", "/_proxy/health", "").status(), 200);
}

#[test]
fn an_accounts_own_policy_replaces_that_of_all() {
    let sandbox = Setup::sandbox().start();
    let file = "[policy]\nmode = \"read-only\"\ndeny = [\"GET /crm/v3/objects/deals\"]\n";
    let own = "policy = { deny = [\"POST /crm/v3/objects/contacts\"] }\n";
    let proxy = start(&sandbox, file, own);
    check(
        &sandbox,
        &proxy,
        &[
            ("POST", OBJECTS, NEW, false),
            ("GET", "/crm/v3/objects/deals?limit=1", "", true),
            ("POST", "/crm/v3/objects/companies", r#"{"properties":{"name":"x"}}"#, true),
            ("GET", "/@other/crm/v3/objects/deals", "", false),
            ("POST", "/@other/crm/v3/objects/companies", r#"{"properties":{"name":"x"}}"#, false),
            ("GET", "/@other/crm/v3/objects/companies?limit=1", "", true),
        ],
    );
    let answer = send(proxy.port, "POST", OBJECTS, NEW).json();
    let message = answer["message"].as_str().unwrap();
    assert!(
        message.contains("rule `POST /crm/v3/objects/contacts` in accounts.acme.policy.deny"),
        "{message}"
    );
}

#[test]
fn a_policy_can_come_from_the_environment_and_holds_for_the_built_in_sandbox() {
    let proxy =
        Setup::serving().arg("--sandbox").env("HUBSPOT_PROXY_POLICY__MODE", "read-only").start();
    assert_eq!(send(proxy.port, "GET", OBJECTS, "").status(), 200);
    let denied = send(proxy.port, "POST", OBJECTS, NEW);
    assert_eq!(denied.refusal(), Some("policy-denied"));
    assert!(denied.text().contains("change it in HUBSPOT_PROXY_POLICY__MODE"), "{denied:?}");
}
