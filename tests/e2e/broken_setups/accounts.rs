//! Credentials that HubSpot refuses, or that are for another portal, app or origin.

use std::fs;

use super::{Bench, CONTACTS, Case, Fails};

const FLOWS: &str = "/automation/v4/flows";

/// An app with a wrong id or secret.
fn app(bench: &mut Bench, id: &str, secret: &str) {
    bench.app_with(id, secret, "");
    bench.seed("sandbox-refresh-token");
}

pub const CASES: &[Case] = &[
    Case {
        name: "a static token that HubSpot does not know",
        break_it: |bench| {
            bench.upstream();
            bench.var("HUBSPOT_ACCESS_TOKEN", "pat-na1-11111111-2222-3333-4444-555555555555");
        },
        fails: Fails::Explained(CONTACTS),
        told: &["static token", "rotated, revoked or deactivated"],
        check: "token",
        seen: &["does not know its token", "rotated, revoked or deactivated"],
        mend: &["copy the present one from HubSpot"],
    },
    Case {
        name: "a personal access key that HubSpot refuses",
        break_it: |bench| {
            bench.upstream();
            bench.var("HUBSPOT_PERSONAL_ACCESS_KEY", "CiRuYTEtwrong");
        },
        fails: Fails::Request("needs-login"),
        told: &["default", "personal access key", "refused"],
        check: "token",
        seen: &["does not know its token or key"],
        mend: &["copy the present one from HubSpot"],
    },
    Case {
        name: "a token of another portal",
        break_it: |bench| {
            bench.token();
            bench.config("[accounts.default]\nhub_id = 7654321\n");
        },
        fails: Fails::Request("wrong-portal"),
        told: &["1234567", "7654321", "hub_id"],
        check: "hub-id",
        seen: &["1234567", "7654321"],
        mend: &["set accounts.default.hub_id = 1234567"],
    },
    Case {
        name: "an app that nobody has logged in to",
        break_it: |bench| bench.app(),
        fails: Fails::Request("needs-login"),
        told: &["acme", "hubspot-proxy login acme"],
        check: "token",
        seen: &["there is no login yet"],
        mend: &["run `hubspot-proxy login acme`"],
    },
    Case {
        name: "a refresh token that HubSpot refuses",
        break_it: |bench| {
            bench.app();
            bench.seed("refresh-that-was-revoked");
        },
        fails: Fails::Request("needs-login"),
        told: &["acme", "refresh token", "hubspot-proxy login acme"],
        check: "token",
        seen: &["HubSpot refuses its refresh token"],
        mend: &["run `hubspot-proxy login acme`"],
    },
    Case {
        name: "a wrong client secret",
        break_it: |bench| app(bench, "sandbox-client", "another-secret"),
        fails: Fails::Request("misconfigured"),
        told: &["acme", "client_id", "client_secret"],
        check: "token",
        seen: &["refuses the client id or the client secret"],
        mend: &["copy both anew", "accounts.acme.client_secret"],
    },
    Case {
        name: "client id and secret swapped",
        break_it: |bench| app(bench, "sandbox-secret", "sandbox-client"),
        fails: Fails::Request("misconfigured"),
        told: &["acme", "client_id", "client_secret", "swapped"],
        check: "token",
        seen: &["client id and client secret are swapped"],
        mend: &["set accounts.acme.client_id to what is now the secret"],
    },
    Case {
        name: "an app id for a client id",
        break_it: |bench| app(bench, "1234567", "sandbox-secret"),
        fails: Fails::Request("misconfigured"),
        told: &["acme", "client_id"],
        check: "credential-form",
        seen: &["accounts.acme.client_id is a number, as app ids are"],
        mend: &["write the client id into accounts.acme.client_id"],
    },
    Case {
        name: "a scope that was not granted",
        break_it: |bench| {
            bench.app_with(
                "sandbox-client",
                "sandbox-secret",
                "scopes = [\"oauth\", \"automation\"]\n",
            );
            bench.seed("sandbox-refresh-token");
        },
        fails: Fails::Explained(FLOWS),
        told: &["lacks the scope automation", "hubspot-proxy login acme"],
        check: "scopes",
        seen: &["configured and not granted: automation"],
        mend: &["hubspot-proxy login acme"],
    },
    Case {
        name: "a login for another upstream",
        break_it: |bench| {
            bench.import();
            bench.var("HUBSPOT_PROXY_UPSTREAM__URL", "http://localhost:1");
        },
        fails: Fails::Request("misconfigured"),
        told: &["shop", "upstream.url", "set"],
        check: "token",
        seen: &["http://localhost:1"],
        mend: &["hubspot-proxy"],
    },
    Case {
        name: "an account that was logged out",
        break_it: |bench| {
            bench.import();
            bench.upstream();
            let ran = bench.home.run(&["logout", "shop"], &[], "");
            assert_eq!(ran.status, 0, "{}", ran.stderr);
        },
        fails: Fails::Request("needs-login"),
        told: &["shop", "logged out", "hubspot-proxy login shop"],
        check: "token",
        seen: &["it has been logged out"],
        mend: &["hubspot-proxy login shop", "accounts import shop"],
    },
    Case {
        name: "an account whose store is gone",
        break_it: |bench| {
            bench.import();
            bench.upstream();
            bench.config("[accounts.shop]\nhub_id = 1234567\n");
            fs::remove_dir_all(bench.path("state/hubspot-proxy")).unwrap();
        },
        fails: Fails::Request("needs-login"),
        told: &["shop", "no credential yet", "hubspot-proxy login shop"],
        check: "token",
        seen: &["it has no credential yet"],
        mend: &["hubspot-proxy login shop", "accounts import shop"],
    },
];
