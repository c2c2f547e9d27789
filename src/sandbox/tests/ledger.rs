//! What is recorded, and above all what is not.

use axum::body::Body;
use serde_json::{Value, json};

use super::super::demo;
use super::{Bench, request, text};

async fn requests(bench: &Bench) -> Vec<Value> {
    let got = bench.call_as("", "GET", "/sandbox/requests", Value::Null).await.json();
    got.as_array().unwrap().clone()
}

#[tokio::test]
async fn requests_are_recorded_in_order_with_what_became_of_them() {
    let bench = Bench::new();
    bench.get("/crm/v3/objects/contacts?limit=3&properties=a&properties=b").await;
    bench.call_as("", "POST", "/crm/v3/objects/contacts", json!({ "a": 1 })).await;
    let seen = requests(&bench).await;
    assert_eq!(seen.len(), 2, "controls are not recorded");
    assert_eq!(seen[0]["query"], json!({ "limit": "3", "properties": ["a", "b"] }));
    assert_eq!(seen[0]["status"], 200);
    assert_eq!(seen[0]["version"], "HTTP/1.1");
    assert_eq!(seen[0]["time"], "2026-11-25T02:00:00.000Z");
    assert_eq!(seen[1]["method"], "POST");
    assert_eq!(seen[1]["path"], "/crm/v3/objects/contacts");
    assert_eq!(seen[1]["bodyLength"], 7);
    assert_eq!(seen[1]["status"], 401);
    bench.call_as("", "DELETE", "/sandbox/requests", Value::Null).await;
    assert!(requests(&bench).await.is_empty());
}

#[tokio::test]
async fn only_demo_credentials_are_shown() {
    let bench = Bench::new();
    let issued = text(&bench.refresh(demo::REFRESH_TOKEN).await.json(), "access_token");
    let shown = [
        (
            "authorization",
            "Bearer sandbox-access-token".to_owned(),
            "Bearer sandbox-access-token".to_owned(),
        ),
        ("authorization", format!("Bearer {issued}"), format!("Bearer {issued}")),
        ("authorization", "Bearer pat-na1-real".into(), "Bearer [redacted]".into()),
        ("authorization", "Basic c2VjcmV0".into(), "Basic [redacted]".into()),
        ("authorization", "pat-na1-real".into(), "[redacted]".into()),
        ("authorization", "Bearer sandbox-issued-but-not-by-us".into(), "Bearer [redacted]".into()),
        ("private-app", "pat-na1-real".into(), "[redacted]".into()),
        ("private-app-legacy", "real".into(), "[redacted]".into()),
        ("x-hubspot-proxy-key", "hsp_real".into(), "[redacted]".into()),
        ("cookie", "a=real".into(), "[redacted]".into()),
        ("x-whatever", "pat-na1-real".into(), "[redacted]".into()),
        ("referer", "http://localhost/?hapikey=real".into(), "[redacted]".into()),
        ("accept", "application/json".into(), "application/json".into()),
    ];
    for (name, sent, expected) in shown {
        let request = request("GET", "/crm/v3/owners").header(name, sent).body(Body::empty());
        bench.send(request.unwrap()).await;
        let last = requests(&bench).await.pop().unwrap();
        assert_eq!(last["headers"][name], expected, "{name}");
    }
    let paths = [
        ("/x?hapikey=real", "/x", json!({ "hapikey": "[redacted]" })),
        ("/x?hapikey=sandbox-hapikey", "/x", json!({ "hapikey": "sandbox-hapikey" })),
        (
            "/x?h%61pikey=real&access_token=real",
            "/x",
            json!({ "hapikey": "[redacted]", "access_token": "[redacted]" }),
        ),
        (
            "/oauth/v1/token?client_secret=real&grant_type=g&x=real",
            "/oauth/v1/token",
            json!({ "client_secret": "[redacted]", "grant_type": "g", "x": "[redacted]" }),
        ),
        ("/oauth/v1/access-tokens/real", "/oauth/v1/access-tokens/[redacted]", json!({})),
        (
            "/oauth/v1/refresh-tokens/sandbox-refresh-token",
            "/oauth/v1/refresh-tokens/sandbox-refresh-token",
            json!({}),
        ),
        ("/x/p%61t-na1-real?pat-na1-real", "/x/[redacted]", json!({ "[redacted]": "" })),
        ("/x/pat-na1-real?q=CiRreal", "/x/[redacted]", json!({ "q": "[redacted]" })),
    ];
    for (sent, path, query) in paths {
        bench.call("GET", sent, Value::Null).await;
        let last = requests(&bench).await.pop().unwrap();
        assert_eq!((&last["path"], &last["query"]), (&json!(path), &query));
    }
    let all = bench.call_as("", "GET", "/sandbox/requests", Value::Null).await.text();
    assert!(!all.contains("real"), "{all}");
}

#[tokio::test]
async fn the_record_does_not_grow_without_end() {
    let bench = Bench::new();
    for number in 0..10_001 {
        bench.call_as("", "GET", &format!("/x/{number}"), Value::Null).await;
    }
    let seen = requests(&bench).await;
    assert_eq!(seen.len(), 10_000);
    assert_eq!(seen[0]["path"], "/x/1");
}
