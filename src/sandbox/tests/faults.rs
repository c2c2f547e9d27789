//! Faults and limits as a client meets them, over a real socket where connections end.

use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tokio::io::AsyncWriteExt;

use super::super::{Rotation, demo};
use super::serving::{Served, read_all};
use super::{Bench, text};

async fn order(served: &Served, faults: Value) {
    let got = served.bench.call_as("", "POST", "/sandbox/faults", faults).await;
    assert_eq!(got.code(), 200, "{}", got.text());
}

#[tokio::test]
async fn a_status_fault_answers_in_hubspots_form_as_often_as_ordered() {
    let bench = Bench::new();
    let faults = json!([{ "path": "/crm/**", "times": 2, "status": 429 }, { "path": "/account-info/**", "status": 401, "times": 1 }]);
    bench.call_as("", "POST", "/sandbox/faults", faults).await;
    for expected in [429, 429, 200] {
        let got = bench.call("GET", "/crm/v3/owners", Value::Null).await;
        assert_eq!(got.code(), expected);
        if expected == 429 {
            assert_eq!(got.json()["policyName"], "TEN_SECONDLY_ROLLING");
            assert_eq!(got.json()["errorType"], "RATE_LIMIT");
        }
    }
    let got = bench.call("GET", "/account-info/v3/details", Value::Null).await;
    assert_eq!(got.json()["category"], "EXPIRED_AUTHENTICATION");
    let left = bench.call_as("", "GET", "/sandbox/faults", Value::Null).await.json();
    assert_eq!(left, json!([]));
}

#[tokio::test]
async fn a_mistaken_order_is_refused_with_the_name_of_the_mistake() {
    let bench = Bench::new();
    let wrong = json!([{ "path": "/**", "tiems": 1 }]);
    let got = bench.call_as("", "POST", "/sandbox/faults", wrong).await;
    assert_eq!(got.code(), 400);
    assert!(got.text().contains("tiems"));
    let got = bench.call_as("", "POST", "/sandbox/limits", json!({ "dayly": 1 })).await;
    assert!(got.code() == 400 && got.text().contains("dayly"));
    let forged = super::request("POST", "/sandbox/faults").header("sec-fetch-site", "cross-site");
    let forged = forged.body(axum::body::Body::from("[]")).unwrap();
    assert_eq!(bench.send(forged).await.code(), 403);
}

#[tokio::test]
async fn each_kind_of_drop_ends_the_connection_where_it_says() {
    let path = "/crm/v3/objects/contacts?limit=100";
    let cases = [("before-head", false), ("after-issue", false), ("mid-body", true)];
    for (drop, head) in cases {
        let served = Served::start().await;
        order(&served, json!([{ "path": "/crm/**", "times": 1, "drop": drop }])).await;
        let got = read_all(served.connect_and_send("GET", path, demo::ACCESS_TOKEN).await).await;
        let got = String::from_utf8_lossy(&got).into_owned();
        assert_eq!(got.starts_with("HTTP/1.1 200"), head, "{drop}: {got}");
        if head {
            let (head, body) = got.split_once("\r\n\r\n").unwrap();
            let length = head.to_lowercase();
            let length = length.lines().find_map(|line| line.strip_prefix("content-length: "));
            let length: usize = length.unwrap().parse().unwrap();
            assert_eq!(body.len(), length / 2);
        } else {
            assert_eq!(got, "");
        }
        let seen = served.bench.call_as("", "GET", "/sandbox/requests", Value::Null).await.json();
        assert_eq!(seen[0]["dropped"], drop);
        let next = read_all(served.connect_and_send("GET", path, demo::ACCESS_TOKEN).await).await;
        assert!(next.starts_with(b"HTTP/1.1 200"), "used up");
        served.stop().await;
    }
}

#[tokio::test]
async fn after_issue_loses_the_answer_but_not_the_change() {
    let served = Served::start().await;
    order(&served, json!([{ "path": "/crm/**", "times": 1, "drop": "after-issue" }])).await;
    let path = "/crm/v3/objects/contacts/1001";
    let got = read_all(served.connect_and_send("DELETE", path, demo::ACCESS_TOKEN).await).await;
    assert!(got.is_empty());
    assert_eq!(served.bench.call("GET", path, Value::Null).await.code(), 404);
    served.stop().await;
}

#[tokio::test]
async fn a_lost_refresh_costs_the_grant_only_where_rotation_is_strict() {
    for (rotation, status) in
        [(Rotation::Fixed, 200), (Rotation::Grace, 200), (Rotation::Strict, 400)]
    {
        let bench = Bench::rotating(rotation);
        let faults = json!([{ "path": "/oauth/**", "times": 1, "drop": "after-issue" }]);
        bench.call_as("", "POST", "/sandbox/faults", faults).await;
        let body = "grant_type=refresh_token&client_id=sandbox-client\
                    &client_secret=sandbox-secret&refresh_token=sandbox-refresh-token";
        let request = super::request("POST", "/oauth/2026-03/token")
            .header("content-type", "application/x-www-form-urlencoded")
            .body(axum::body::Body::from(body));
        assert!(bench.sandbox.clone().answer(request.unwrap()).await.is_err());
        assert_eq!(bench.refresh(demo::REFRESH_TOKEN).await.code(), status, "{rotation}");
    }
}

#[tokio::test]
async fn a_hanging_request_gets_nothing_and_does_not_hold_up_the_end() {
    let served = Served::start().await;
    order(&served, json!([{ "path": "/crm/**", "drop": "hang" }])).await;
    let hanging = served.connect_and_send("GET", "/crm/v3/owners", demo::ACCESS_TOKEN).await;
    let waited = tokio::time::timeout(Duration::from_millis(100), read_all(hanging)).await;
    assert!(waited.is_err(), "nothing came");
    let started = Instant::now();
    served.stop().await;
    assert!(started.elapsed() < Duration::from_secs(5));
}

#[tokio::test(start_paused = true)]
async fn a_delayed_answer_comes_late_but_comes() {
    let bench = Bench::new();
    let faults = json!([{ "path": "/oauth/**", "delay": "2s" }]);
    bench.call_as("", "POST", "/sandbox/faults", faults).await;
    let started = tokio::time::Instant::now();
    let issued = bench.refresh(demo::REFRESH_TOKEN).await.json();
    assert!(text(&issued, "access_token").starts_with("sandbox-issued-"));
    assert!(started.elapsed() >= Duration::from_secs(2));
    bench.call_as("", "DELETE", "/sandbox/faults", Value::Null).await;
    let started = tokio::time::Instant::now();
    bench.refresh(demo::REFRESH_TOKEN).await;
    assert!(started.elapsed() < Duration::from_secs(1));
}

#[tokio::test]
async fn limits_are_told_always_and_enforced_when_switched_on() {
    let bench = Bench::new();
    let issued = text(&bench.refresh(demo::REFRESH_TOKEN).await.json(), "access_token");
    let owners = "/crm/v3/owners";
    let own = bench.call("GET", owners, Value::Null).await;
    assert_eq!(own.header("x-hubspot-ratelimit-max"), "190");
    assert_eq!(own.header("x-hubspot-ratelimit-remaining"), "189");
    assert_eq!(own.header("x-hubspot-ratelimit-interval-milliseconds"), "10000");
    assert_eq!(own.header("x-hubspot-ratelimit-daily-remaining"), "999999");
    let oauth = bench.call_as(&issued, "GET", owners, Value::Null).await;
    assert_eq!(oauth.header("x-hubspot-ratelimit-max"), "110");
    assert_eq!(oauth.header("x-hubspot-ratelimit-daily"), "");

    let limits = json!({ "per_ten_seconds": 2, "search_per_second": 1, "daily": 4 });
    bench.call_as("", "POST", "/sandbox/limits", limits).await;
    let search = "/crm/v3/objects/contacts/search";
    for (path, wait, status, policy) in [
        (owners, 0, 200, ""),
        (owners, 0, 200, ""),
        (owners, 0, 429, "TEN_SECONDLY_ROLLING"),
        (search, 0, 200, ""),
        (search, 0, 429, "SECONDLY"),
        (search, 1, 200, ""),
        (owners, 10, 200, ""),
        (owners, 0, 200, ""),
        (owners, 10, 429, "DAILY"),
    ] {
        bench.clock.pass(Duration::from_secs(wait));
        let method = if path == search { "POST" } else { "GET" };
        let got = bench.call(method, path, Value::Null).await;
        assert_eq!((got.code(), text(&got.json(), "policyName").as_str()), (status, policy));
    }
    bench.call_as("", "DELETE", "/sandbox/limits", Value::Null).await;
    assert_eq!(bench.call("GET", owners, Value::Null).await.code(), 200);
}

#[tokio::test]
async fn an_upload_that_is_refused_early_still_hears_why() {
    let served = Served::start().await;
    let mut stream = served.connect().await;
    let length = 8 * 1024 * 1024;
    let head = format!(
        "POST /files/v3/files HTTP/1.1\r\nHost: localhost\r\nContent-Length: {length}\r\n\
         Connection: close\r\n\r\n"
    );
    stream.write_all(head.as_bytes()).await.unwrap();
    stream.write_all(&vec![0; length]).await.unwrap();
    let got = String::from_utf8(read_all(stream).await).unwrap();
    assert!(got.starts_with("HTTP/1.1 401") && got.contains("INVALID_AUTHENTICATION"), "{got}");
    served.stop().await;
}
