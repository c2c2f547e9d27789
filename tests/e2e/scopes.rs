//! Least privilege: what `scopes` learns from traffic lets just that traffic pass.

use std::collections::BTreeSet;
use std::fmt::Write;

use serde_json::Value;

use crate::client::exchange;
use crate::home::Home;
use crate::login::{free_port, log_in, serve};
use crate::proxy::{Proxy, Setup};

/// What a job does in a day: method, path and body.
const TRAFFIC: [(&str, &str, &str); 9] = [
    ("GET", "/crm/v3/objects/contacts?limit=1", ""),
    ("POST", "/crm/v3/objects/contacts/search", "{}"),
    ("GET", "/crm/v3/objects/companies?limit=1", ""),
    ("POST", "/crm/v3/objects/companies", r#"{"properties":{"name":"Acme"}}"#),
    ("GET", "/crm/v3/objects/tickets?limit=1", ""),
    ("GET", "/crm/v3/properties/deals", ""),
    ("GET", "/crm/v3/owners", ""),
    ("GET", "/account-info/v3/details", ""),
    ("GET", "/automation/v4/flows", ""),
];

fn home_with(sandbox: &str, scopes: &BTreeSet<&str>) -> Home {
    let home = Home::new();
    let listed = scopes.iter().fold(String::new(), |mut text, scope| {
        let _ = write!(text, "\"{scope}\", ");
        text
    });
    let text = format!(
        "[upstream]\nurl = \"{sandbox}\"\n[oauth]\nauthorize_url = \"{sandbox}/oauth/authorize\"\n\
         redirect_uri = \"http://localhost:{}/oauth-callback\"\n[accounts.acme]\ntype = \"oauth\"\n\
         client_id = \"sandbox-client\"\nclient_secret = {{ env = \"ACME_SECRET\" }}\nscopes = [{listed}]\n",
        free_port()
    );
    std::fs::write(home.path().join("proxy.toml"), text).unwrap();
    home
}

/// The statuses of the whole traffic.
fn statuses(proxy: &Proxy) -> Vec<u16> {
    let send = |(method, path, body): &(&str, &str, &str)| {
        let length = body.len();
        let request = format!(
            "{method} {path} HTTP/1.1\r\nHost: {{host}}\r\nContent-Type: application/json\r\nContent-Length: {length}\r\n\r\n{body}"
        );
        exchange(proxy.port, request).status()
    };
    TRAFFIC.iter().map(send).collect()
}

/// The statuses of the whole traffic with these scopes, and what `scopes` says afterwards.
fn run_with(sandbox: &Proxy, scopes: &BTreeSet<&str>) -> (Vec<u16>, Value, String) {
    let home = home_with(&sandbox.url(), scopes);
    log_in(&home);
    let proxy = serve(&home);
    let statuses = statuses(&proxy);
    let told = home.run(&["scopes", "--json"], &[], "");
    let told: Value = serde_json::from_str(&told.stdout).unwrap();
    let text = home.run(&["scopes", "--account", "acme"], &[], "").stdout;
    (statuses, told["accounts"][0].clone(), text)
}

fn strings(list: &Value) -> BTreeSet<&str> {
    list.as_array().unwrap().iter().map(|scope| scope.as_str().unwrap()).collect()
}

#[test]
fn the_scopes_it_names_let_the_traffic_pass_and_one_fewer_does_not() {
    let sandbox = Setup::sandbox().start();
    // Much that is not needed, and one that is needed is lacking.
    let granted = BTreeSet::from([
        "oauth",
        "crm.objects.contacts.read",
        "crm.objects.contacts.write",
        "crm.objects.companies.read",
        "crm.objects.companies.write",
        "crm.objects.deals.read",
        "crm.objects.owners.read",
        "crm.schemas.contacts.read",
        "crm.schemas.deals.read",
        "files",
        "tickets",
    ]);
    let (statuses, told, text) = run_with(&sandbox, &granted);
    assert_eq!(statuses, [200, 200, 200, 201, 200, 200, 200, 200, 403]);
    assert_eq!(strings(&told["missing"]), BTreeSet::from(["automation"]));
    assert_eq!(
        strings(&told["unused"]),
        BTreeSet::from([
            "crm.objects.contacts.write",
            "crm.objects.deals.read",
            "crm.schemas.contacts.read",
            "files"
        ])
    );
    let login = told["login"].as_str().unwrap();
    assert!(login.contains("--scope automation") && text.contains(login), "{text}");
    assert!(text.contains("GET /automation/v4/flows"), "{text}");

    let needed = strings(&told["needed"]);
    let (statuses, again, text) = run_with(&sandbox, &needed);
    assert!(statuses.iter().all(|status| *status < 300), "{needed:?}: {statuses:?}");
    assert_eq!(strings(&again["needed"]), needed);
    assert!(text.contains("Granted is just what was needed"), "{text}");

    // Without `oauth` HubSpot lets nobody log in.
    for left_out in needed.iter().filter(|scope| **scope != "oauth") {
        let fewer = needed.iter().copied().filter(|scope| scope != left_out).collect();
        let (statuses, told, _) = run_with(&sandbox, &fewer);
        assert!(statuses.contains(&403), "{left_out}: {statuses:?}");
        assert_eq!(strings(&told["missing"]), BTreeSet::from([*left_out]));
    }
}

#[test]
fn an_account_that_the_proxy_does_not_have_is_named() {
    let home = Home::new();
    let sandbox = Setup::sandbox().start();
    let _proxy = Setup::without_account(&sandbox.url())
        .env("HUBSPOT_ACCESS_TOKEN", "sandbox-access-token")
        .in_home(&home)
        .start();
    let ran = home.run(&["scopes", "--account", "acme"], &[], "");
    assert_eq!(ran.status, 1);
    assert!(ran.stderr.contains("has no account acme"), "{}", ran.stderr);
    let text = home.run(&["scopes"], &[], "").stdout;
    assert!(text.contains("nothing to learn from yet"), "{text}");
}
