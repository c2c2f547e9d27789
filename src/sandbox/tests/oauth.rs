//! Tokens and grants: from consent to uninstall, and what a caller is told of a bad one.

use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};

use super::super::{Options, Rotation, demo};
use super::{Bench, request, text};

const DETAILS: &str = "/account-info/v3/details";

#[tokio::test]
async fn a_refresh_gives_a_token_that_works_until_it_expires() {
    let bench = Bench::with(Options { token_ttl: Duration::from_secs(60), ..Options::default() });
    let got = bench.refresh(demo::REFRESH_TOKEN).await;
    let issued = got.json();
    assert_eq!(got.code(), 200);
    assert_eq!(issued["expires_in"], 60);
    assert_eq!(issued["refresh_token"], demo::REFRESH_TOKEN);
    assert_eq!(issued["token_use"], "access_token");
    assert_eq!(issued["hub_id"], demo::HUB_ID);
    let token = text(&issued, "access_token");
    assert!(token.starts_with("sandbox-issued-"), "{token}");
    assert_eq!(bench.call_as(&token, "GET", DETAILS, Value::Null).await.code(), 200);

    bench.clock.pass(Duration::from_secs(65));
    let expired = bench.call_as(&token, "GET", DETAILS, Value::Null).await;
    let body = expired.json();
    assert_eq!(expired.code(), 401);
    assert_eq!(body["category"], "EXPIRED_AUTHENTICATION");
    let words = "The OAuth token used to make this call expired 5 second(s) ago.";
    assert_eq!(body["message"], words);
    assert_eq!(body["context"]["expire time"], json!(["2026-11-25T02:01:00.000Z"]));
    assert_eq!(body["correlationId"], expired.header("x-hubspot-correlation-id"));
}

#[tokio::test]
async fn no_id_of_an_answer_spells_a_token() {
    let bench = Bench::new();
    let mut ids = String::new();
    for _ in 0..20 {
        let got = bench.call_as("", "GET", DETAILS, Value::Null).await;
        ids.push_str(&got.header("x-hubspot-correlation-id").replace('-', ""));
    }
    let token = text(&bench.refresh(demo::REFRESH_TOKEN).await.json(), "access_token");
    assert!(!ids.contains(token.trim_start_matches("sandbox-issued-")));
}

#[tokio::test]
async fn what_is_no_valid_token_is_401_and_a_missing_scope_403() {
    let bench = Bench::new();
    let pak = demo::PERSONAL_ACCESS_KEY;
    for token in ["", "garbage", "sandbox-issued-00000000000000000000000000000000", pak] {
        let got = bench.call_as(token, "GET", DETAILS, Value::Null).await;
        assert_eq!(
            (got.code(), text(&got.json(), "category").as_str()),
            (401, "INVALID_AUTHENTICATION")
        );
        assert!(text(&got.json(), "message").starts_with("Authentication credentials not found"));
    }
    let got = bench.call("GET", "/automation/v4/flows", Value::Null).await;
    assert_eq!((got.code(), text(&got.json(), "category").as_str()), (403, "MISSING_SCOPES"));
    let needed = &got.json()["errors"][0]["context"]["requiredGranularScopes"];
    assert_eq!(needed, &json!(["automation"]));
}

#[tokio::test]
async fn a_developer_key_opens_webhooks_and_nothing_else() {
    let bench = Bench::new();
    let cases = [
        ("/webhooks/v3/7654321/subscriptions?hapikey=sandbox-hapikey", "", 200),
        ("/webhooks/2026-09/7654321/subscriptions?hapikey=sandbox-hapikey", "", 200),
        ("/webhooks/v3/7654321/subscriptions?hapikey=other", "", 401),
        ("/account-info/v3/details?hapikey=sandbox-hapikey", "", 401),
        ("/account-info/v3/details?hapikey=sandbox-hapikey", demo::ACCESS_TOKEN, 401),
        ("/webhooks/v3/7654321/subscriptions", demo::ACCESS_TOKEN, 403),
    ];
    for (path, token, status) in cases {
        assert_eq!(bench.call_as(token, "GET", path, Value::Null).await.code(), status, "{path}");
    }
    let path = "/webhooks/v3/7/subscriptions?hapikey=sandbox-hapikey";
    let wish = json!({ "eventType": "contact.creation", "active": true });
    assert_eq!(bench.call_as("", "POST", path, wish).await.code(), 201);
    let listed = bench.call_as("", "GET", path, Value::Null).await.json();
    assert_eq!(listed["results"][0]["eventType"], "contact.creation");
}

#[tokio::test]
async fn a_fixed_refresh_token_works_again_and_again() {
    let bench = Bench::rotating(Rotation::Fixed);
    for _ in 0..3 {
        let issued = bench.refresh(demo::REFRESH_TOKEN).await.json();
        assert_eq!(issued["refresh_token"], demo::REFRESH_TOKEN);
    }
}

#[tokio::test]
async fn with_grace_the_old_refresh_token_works_until_the_new_one_is_used() {
    let bench = Bench::rotating(Rotation::Grace);
    let second = text(&bench.refresh(demo::REFRESH_TOKEN).await.json(), "refresh_token");
    assert!(second.starts_with("sandbox-refresh-"));
    let again = text(&bench.refresh(demo::REFRESH_TOKEN).await.json(), "refresh_token");
    assert_eq!(again, second);
    let third = text(&bench.refresh(&second).await.json(), "refresh_token");
    assert_ne!(third, second);
    let refused = bench.refresh(demo::REFRESH_TOKEN).await;
    assert_eq!(
        (refused.code(), text(&refused.json(), "status").as_str()),
        (400, "BAD_REFRESH_TOKEN")
    );
    assert_eq!(bench.refresh(&second).await.code(), 200);
    assert_eq!(bench.refresh(&third).await.code(), 200);
    assert_eq!(bench.refresh(&second).await.code(), 400);
}

#[tokio::test]
async fn with_strict_rotation_reuse_revokes_the_family() {
    let bench = Bench::rotating(Rotation::Strict);
    let issued = bench.refresh(demo::REFRESH_TOKEN).await.json();
    let token = text(&issued, "access_token");
    assert_eq!(bench.call_as(&token, "GET", DETAILS, Value::Null).await.code(), 200);
    let refused = bench.refresh(demo::REFRESH_TOKEN).await;
    assert_eq!(refused.code(), 400);
    assert_eq!(refused.json()["error"], "invalid_grant");
    assert_eq!(bench.refresh(&text(&issued, "refresh_token")).await.code(), 400);
    let dead = bench.call_as(&token, "GET", DETAILS, Value::Null).await;
    assert_eq!(dead.json()["category"], "INVALID_AUTHENTICATION");
    assert_eq!(bench.call("GET", DETAILS, Value::Null).await.code(), 200, "the static token lives");
}

#[tokio::test]
async fn token_requests_are_refused_with_the_status_that_says_why() {
    let bench = Bench::new();
    let id = ("client_id", demo::CLIENT_ID);
    let secret = ("client_secret", demo::CLIENT_SECRET);
    let refresh = ("grant_type", "refresh_token");
    type Case<'a> = (Vec<(&'a str, &'a str)>, &'a str, &'a str);
    let cases: [Case; 6] = [
        (vec![("client_id", "x"), secret, refresh], "invalid_client", "BAD_CLIENT_ID"),
        (vec![id, ("client_secret", "x"), refresh], "invalid_client", "BAD_CLIENT_SECRET"),
        (vec![id, secret, refresh], "invalid_grant", "BAD_REFRESH_TOKEN"),
        (vec![id, secret, ("grant_type", "authorization_code")], "invalid_grant", "BAD_AUTH_CODE"),
        (vec![id, secret, ("grant_type", "password")], "unsupported_grant_type", "BAD_GRANT_TYPE"),
        (
            vec![id, secret, ("grant_type", "client_credentials"), ("scope", "files")],
            "invalid_scope",
            "BAD_SCOPE",
        ),
    ];
    for (fields, error, status) in cases {
        let got = bench.form("/oauth/v3/token", &fields).await;
        let body = got.json();
        assert_eq!(got.code(), 400, "{status}");
        assert_eq!(body["error"], error);
        assert_eq!(body["status"], status);
        assert_eq!(body["error_description"], body["message"]);
        assert!(body["correlationId"].is_string());
    }
    let json = bench.call_as("", "POST", "/oauth/v3/token", json!({})).await;
    assert_eq!(json.code(), 415);
}

#[tokio::test]
async fn only_v1_takes_credentials_from_the_query() {
    let bench = Bench::new();
    let query = "grant_type=refresh_token&client_id=sandbox-client&client_secret=sandbox-secret\
                 &refresh_token=sandbox-refresh-token";
    for (version, status) in [("v1", 200), ("v3", 400), ("2026-03", 400), ("2026-09", 400)] {
        let got = bench.form(&format!("/oauth/{version}/token?{query}"), &[]).await;
        assert_eq!(got.code(), status, "{version}");
    }
}

#[tokio::test]
async fn client_credentials_open_the_journal_only() {
    let bench = Bench::new();
    let fields = [
        ("grant_type", "client_credentials"),
        ("client_id", demo::CLIENT_ID),
        ("client_secret", demo::CLIENT_SECRET),
    ];
    assert_eq!(bench.form("/oauth/2026-09/token", &fields).await.code(), 400);
    let issued = bench.form("/oauth/2026-03/token", &fields).await.json();
    assert_eq!(issued["token_use"], "client_credentials");
    assert!(issued.get("refresh_token").is_none());
    let token = text(&issued, "access_token");
    let journal = "/webhooks-journal/journal/2026-03/earliest";
    assert_eq!(bench.call_as(&token, "GET", journal, Value::Null).await.code(), 204);
    assert_eq!(bench.call_as(&token, "GET", DETAILS, Value::Null).await.code(), 403);
    assert_eq!(bench.call("GET", journal, Value::Null).await.code(), 403);
}

async fn allow(bench: &Bench, more: &[(&str, &str)]) -> String {
    let fields = [
        ("client_id", demo::CLIENT_ID),
        ("redirect_uri", "http://localhost:3000/oauth-callback"),
        ("state", "a b&c"),
        ("decision", "allow"),
    ];
    let got = bench.form("/oauth/authorize", &[&fields, more].concat()).await;
    assert_eq!(got.code(), 302, "{}", got.text());
    let query = got.header("location").split_once('?').unwrap().1.to_owned();
    assert!(got.header("location").starts_with("http://localhost:3000/oauth-callback?code="));
    let pairs = super::super::path::Pairs::parse(query.as_bytes());
    assert_eq!(pairs.get("state"), Some("a b&c"));
    pairs.get("code").unwrap().to_owned()
}

async fn exchange(bench: &Bench, code: &str, more: &[(&str, &str)]) -> super::Got {
    let fields = [("grant_type", "authorization_code"), ("code", code)];
    let redirect = [("redirect_uri", "http://localhost:3000/oauth-callback")];
    bench.token(&[&fields[..], &redirect, more].concat()).await
}

#[tokio::test]
async fn a_login_grants_what_was_asked_for_once() {
    let bench = Bench::new();
    let page = "/oauth/authorize?client_id=sandbox-client&scope=oauth%20files&state=%22%3E%3Cb%3E\
                &redirect_uri=http%3A%2F%2Flocalhost%3A3000%2Foauth-callback";
    let shown = bench.call_as("", "GET", page, Value::Null).await;
    assert_eq!(shown.code(), 200);
    assert!(shown.text().contains("value=\"&quot;&gt;&lt;b&gt;\""));

    let scopes = [("scope", "oauth files"), ("optional_scope", "automation unheard.of")];
    let code = allow(&bench, &scopes).await;
    let issued = exchange(&bench, &code, &[]).await.json();
    assert_eq!(issued["scopes"], json!(["automation", "files", "oauth"]));
    let token = text(&issued, "access_token");
    for (path, status) in
        [("/automation/v4/flows", 200), ("/files/v3/files/search", 200), ("/crm/v3/owners", 403)]
    {
        assert_eq!(bench.call_as(&token, "GET", path, Value::Null).await.code(), status, "{path}");
    }
    assert_eq!(exchange(&bench, &code, &[]).await.json()["status"], "BAD_AUTH_CODE");
    assert_eq!(bench.refresh(&text(&issued, "refresh_token")).await.code(), 200);
}

#[tokio::test]
async fn a_code_is_bound_to_its_redirect_its_verifier_and_a_minute() {
    let bench = Bench::new();
    let scope = [("scope", "oauth")];
    let code = allow(&bench, &scope).await;
    let elsewhere = [("redirect_uri", "http://localhost:3000/")];
    let got = exchange(&bench, &code, &elsewhere).await;
    assert_eq!(got.json()["status"], "MISMATCH_REDIRECT_URI_AUTH_CODE");

    let code = allow(&bench, &scope).await;
    bench.clock.pass(Duration::from_secs(61));
    assert_eq!(exchange(&bench, &code, &[]).await.json()["status"], "EXPIRED_AUTH_CODE");

    let verifier = "a-verifier-of-at-least-forty-three-characters-0";
    let digest = ring::digest::digest(&ring::digest::SHA256, verifier.as_bytes());
    let challenge = URL_SAFE_NO_PAD.encode(digest);
    let pkce =
        [scope[0], ("code_challenge", challenge.as_str()), ("code_challenge_method", "S256")];
    for (given, status) in [(verifier, 200), ("another", 400), ("", 400)] {
        let code = allow(&bench, &pkce).await;
        assert_eq!(exchange(&bench, &code, &[("code_verifier", given)]).await.code(), status);
    }
}

#[tokio::test]
async fn what_cannot_be_allowed_shows_a_page_and_calls_nobody_back() {
    let bench = Bench::new();
    let good = [
        ("client_id", demo::CLIENT_ID),
        ("redirect_uri", "http://localhost:3000/cb"),
        ("scope", "oauth"),
        ("decision", "allow"),
    ];
    let cases = [
        ("client_id", "other", 400),
        ("redirect_uri", "http://127.0.0.1:3000/cb", 400),
        ("redirect_uri", "http://example.com/cb", 400),
        ("redirect_uri", "https://192.0.2.1/cb", 400),
        ("scope", "files", 400),
        ("scope", "oauth offline", 400),
        ("scope", "oauth no.such.scope", 400),
        ("decision", "deny", 200),
    ];
    for (name, value, status) in cases {
        let got = bench.form("/oauth/authorize", &[&good[..], &[(name, value)]].concat()).await;
        assert_eq!(got.code(), status, "{name}={value}");
        assert_eq!(got.header("location"), "");
    }
    let forged = request("POST", "/oauth/authorize")
        .header("origin", "http://evil.example")
        .body(axum::body::Body::from("decision=allow"));
    assert_eq!(bench.send(forged.unwrap()).await.code(), 403);
}

#[tokio::test]
async fn introspection_tells_each_kind_of_token_apart() {
    let bench = Bench::new();
    let access = text(&bench.refresh(demo::REFRESH_TOKEN).await.json(), "access_token");
    for (token, expected) in [
        (access.as_str(), Some("access_token")),
        (demo::REFRESH_TOKEN, Some("refresh_token")),
        ("x", None),
    ] {
        for version in ["v3", "2026-03", "2026-09"] {
            let path = format!("/oauth/{version}/token/introspect");
            let client = [("client_id", demo::CLIENT_ID), ("client_secret", demo::CLIENT_SECRET)];
            let got = bench.form(&path, &[&client[..], &[("token", token)]].concat()).await;
            let body = got.json();
            assert_eq!(got.code(), 200);
            assert_eq!(body["active"], expected.is_some());
            assert_eq!(body["token_use"].as_str(), expected);
        }
    }
    let by_path = bench.get(&format!("/oauth/v1/access-tokens/{access}")).await;
    assert_eq!(by_path["expires_in"], 1800);
    let by_path = bench.get(&format!("/oauth/v1/refresh-tokens/{}", demo::REFRESH_TOKEN)).await;
    assert_eq!(by_path["token_type"], "refresh");
    let info = json!({ "tokenKey": demo::ACCESS_TOKEN });
    let path = "/oauth/v2/private-apps/get/access-token-info";
    assert_eq!(bench.call_as("", "POST", path, info).await.json()["hubId"], demo::HUB_ID);
    assert_eq!(bench.call_as("", "POST", path, json!({ "tokenKey": "x" })).await.code(), 404);
}

#[tokio::test]
async fn a_revoked_grant_gives_no_more_tokens_but_those_issued_live_on() {
    for first_version in [false, true] {
        let bench = Bench::new();
        let access = text(&bench.refresh(demo::REFRESH_TOKEN).await.json(), "access_token");
        if first_version {
            let path = format!("/oauth/v1/refresh-tokens/{}", demo::REFRESH_TOKEN);
            assert_eq!(bench.call_as("", "DELETE", &path, Value::Null).await.code(), 204);
        } else {
            let client = [("client_id", demo::CLIENT_ID), ("client_secret", demo::CLIENT_SECRET)];
            let token = [("token", demo::REFRESH_TOKEN)];
            let path = "/oauth/2026-03/token/revoke";
            assert_eq!(bench.form(path, &[client.as_slice(), &token].concat()).await.code(), 204);
        }
        assert_eq!(bench.refresh(demo::REFRESH_TOKEN).await.code(), 400);
        assert_eq!(bench.call_as(&access, "GET", DETAILS, Value::Null).await.code(), 200);
    }
}

#[tokio::test]
async fn uninstalling_the_app_ends_its_grants_and_tokens() {
    let bench = Bench::new();
    let access = text(&bench.refresh(demo::REFRESH_TOKEN).await.json(), "access_token");
    let path = "/appinstalls/v3/external-install";
    assert_eq!(bench.call_as(&access, "DELETE", path, Value::Null).await.code(), 204);
    assert_eq!(bench.call_as(&access, "GET", DETAILS, Value::Null).await.code(), 401);
    assert_eq!(bench.refresh(demo::REFRESH_TOKEN).await.code(), 400);
}

#[tokio::test]
async fn controls_expire_and_revoke_what_was_issued_but_not_the_static_token() {
    let cases = [
        ("expire", Value::Null, "EXPIRED_AUTHENTICATION", 200),
        ("revoke", json!({ "kind": "access" }), "INVALID_AUTHENTICATION", 200),
        ("revoke", json!({ "kind": "refresh" }), "", 400),
        ("revoke", Value::Null, "INVALID_AUTHENTICATION", 400),
    ];
    for (control, order, category, refresh) in cases {
        let bench = Bench::new();
        let access = text(&bench.refresh(demo::REFRESH_TOKEN).await.json(), "access_token");
        let path = format!("/sandbox/tokens/{control}");
        assert_eq!(bench.call_as("", "POST", &path, order).await.code(), 204);
        let got = bench.call_as(&access, "GET", DETAILS, Value::Null).await.json();
        assert_eq!(text(&got, "category"), category);
        assert_eq!(bench.refresh(demo::REFRESH_TOKEN).await.code(), refresh);
        assert_eq!(bench.call("GET", DETAILS, Value::Null).await.code(), 200);
    }
}

#[tokio::test]
async fn a_personal_access_key_is_exchanged_for_a_token() {
    let bench = Bench::new();
    let path = "/localdevauth/v1/auth/refresh";
    let key = |key: &str| json!({ "encodedOAuthRefreshToken": key });
    let got = bench.call_as("", "POST", path, key(demo::PERSONAL_ACCESS_KEY)).await.json();
    assert_eq!(got["expiresAtMillis"], super::START + 1_800_000);
    let token = text(&got, "oauthAccessToken");
    assert_eq!(bench.call_as(&token, "GET", DETAILS, Value::Null).await.code(), 200);
    assert_eq!(bench.call_as("", "POST", path, key("x")).await.code(), 401);
}
