//! What keeps a login from its end.

use std::net::TcpListener;

use super::{Case, Fails, SERVE};

const LOGIN: &[&str] = &["login", "acme", "--no-browser", "--timeout", "1s"];

pub const CASES: &[Case] = &[
    Case {
        name: "a redirect port that is taken on IPv4",
        break_it: |bench| {
            bench.app();
            let holder = TcpListener::bind("127.0.0.1:0").unwrap();
            let port = holder.local_addr().unwrap().port();
            bench.var("HUBSPOT_PROXY_OAUTH__REDIRECT_URI", &format!("http://localhost:{port}/cb"));
            bench.keep(holder);
        },
        fails: Fails::Command(LOGIN, 1),
        told: &["oauth.redirect_uri is taken", "--paste"],
        check: "redirect-port",
        seen: &["oauth.redirect_uri is taken on 127.0.0.1, by process"],
        mend: &["--paste"],
    },
    Case {
        name: "a redirect port that is taken on IPv6",
        break_it: |bench| {
            bench.app();
            let holder = TcpListener::bind("[::1]:0").unwrap();
            let port = holder.local_addr().unwrap().port();
            bench.var("HUBSPOT_PROXY_OAUTH__REDIRECT_URI", &format!("http://localhost:{port}/cb"));
            bench.keep(holder);
        },
        fails: Fails::Command(LOGIN, 1),
        told: &["oauth.redirect_uri is taken", "--paste"],
        check: "redirect-port",
        seen: &["oauth.redirect_uri is taken on ::1, by process"],
        mend: &["--paste"],
    },
    Case {
        name: "a redirect URI with an IP address",
        break_it: |bench| {
            bench.app();
            bench.var("HUBSPOT_PROXY_OAUTH__REDIRECT_URI", "http://127.0.0.1:3000/oauth-callback");
        },
        fails: Fails::Command(LOGIN, 2),
        told: &["oauth.redirect_uri", "an IP address is not", "write what the app has registered"],
        check: "configuration",
        seen: &["oauth.redirect_uri", "an IP address is not"],
        mend: &["write what the app has registered"],
    },
    Case {
        name: "a scope that other vendors have",
        break_it: |bench| {
            bench.app_with(
                "sandbox-client",
                "sandbox-secret",
                "scopes = [\"oauth\", \"offline\"]\n",
            );
        },
        fails: Fails::Command(LOGIN, 2),
        told: &["no scope `offline`", "remove it"],
        check: "login-scopes",
        seen: &["accounts.acme.scopes", "no scope `offline`"],
        mend: &["remove it"],
    },
    Case {
        name: "an introspection elsewhere",
        break_it: |bench| {
            bench.app();
            bench
                .var("HUBSPOT_PROXY_OAUTH__INTROSPECT_URL", "https://elsewhere.example/introspect");
        },
        fails: Fails::Command(LOGIN, 2),
        told: &["oauth.introspect_url", "no credential is sent", "correct it"],
        check: "login-endpoints",
        seen: &["oauth.introspect_url", "no credential is sent"],
        mend: &["correct it"],
    },
    Case {
        name: "a token endpoint that HubSpot ends",
        break_it: |bench| {
            bench.app();
            bench.seed("sandbox-refresh-token");
            let url = format!("{}/oauth/v1/token", bench.url);
            bench.var("HUBSPOT_PROXY_OAUTH__TOKEN_URL", &url);
        },
        fails: Fails::Logged,
        told: &["oauth.token_url is of version 1", "2027-02-16", "/oauth/2026-03/"],
        check: "endpoint-versions",
        seen: &["oauth.token_url is of version 1", "2027-02-16"],
        mend: &["take the one of /oauth/2026-03/"],
    },
    Case {
        name: "a token endpoint that is none",
        break_it: |bench| {
            bench.app();
            bench.seed("sandbox-refresh-token");
            let url = format!("{}/oauth/2026-03/tokens", bench.url);
            bench.var("HUBSPOT_PROXY_OAUTH__TOKEN_URL", &url);
        },
        fails: Fails::Request("misconfigured"),
        told: &["acme", "404", "oauth.token_url"],
        check: "token-endpoint",
        seen: &["/oauth/2026-03/tokens", "404"],
        mend: &["correct oauth.token_url"],
    },
    Case {
        name: "a client id with a blank",
        break_it: |bench| bench.app_with("sandbox client", "sandbox-secret", ""),
        fails: SERVE,
        told: &["accounts.acme.client_id", "a space"],
        check: "configuration",
        seen: &["accounts.acme.client_id", "a space"],
        mend: &["correct"],
    },
];
