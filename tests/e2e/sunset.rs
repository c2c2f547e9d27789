//! What clients still call that HubSpot retires, as `sunset` tells it.

use serde_json::Value;

use crate::client::exchange;
use crate::home::Home;
use crate::proxy::Setup;
use crate::upstream::{OK, Upstream};

#[test]
fn calls_to_what_is_retired_are_told_by_operation_and_client() {
    let (home, upstream) = (Home::new(), Upstream::answering(OK));
    let proxy = Setup::in_front_of(&upstream.url()).in_home(&home).start();
    let none = home.run(&["sunset"], &[], "");
    assert_eq!((none.status, none.stdout.as_str()), (0, ""));
    assert!(none.stderr.contains("No call to anything that HubSpot retires"), "{}", none.stderr);
    for (path, agent) in [
        ("/crm/v3/objects/contacts/1", "billing-job/2"),
        ("/crm/v3/objects/contacts/2", "billing-job/2"),
        ("/crm/v3/objects/contacts/2?hapikey=x", "curl/8"),
        ("/contacts/v1/lists/7", "billing-job/2"),
        ("/crm/objects/2026-03/contacts/1", "billing-job/2"),
        // What the proxy refuses is no call to HubSpot.
        ("/oauth/v1/access-tokens/x", "billing-job/2"),
    ] {
        exchange(
            proxy.port,
            format!("GET {path} HTTP/1.1\r\nHost: {{host}}\r\nUser-Agent: {agent}\r\n\r\n"),
        );
    }
    let told = home.run(&["sunset", "--json"], &[], "");
    let told: Value = serde_json::from_str(&told.stdout).unwrap();
    let calls: Vec<_> = told["calls"].as_array().unwrap().iter().collect();
    let call = |number: usize| {
        let text = |key: &str| calls[number][key].as_str().unwrap();
        (text("operation"), text("user_agent"), calls[number]["count"].as_u64().unwrap())
    };
    assert_eq!(call(0), ("/crm/v3/objects/contacts/{id}", "billing-job/2", 2));
    assert!(calls.iter().all(|call| call["until"].is_string() && call["successor"].is_string()));
    let operations: Vec<_> = (0..calls.len()).map(call).collect();
    assert!(operations.contains(&("/contacts/v1/lists/{id}", "billing-job/2", 1)));
    let text = home.run(&["sunset"], &[], "").stdout;
    assert!(text.contains("September 2027") && text.contains("/crm/lists/2026-03"), "{text}");
}
