//! Secrets that cannot be had where they are said to be, or that are others than they should be.

use super::{Bench, Case, Fails, SERVE};

const FILE: &str = "[accounts.acme]\ntype = \"access_token\"\n";

fn token(bench: &mut Bench, place: &str) {
    bench.upstream();
    bench.var("PATH", "/usr/bin:/bin");
    bench.config(&format!("{FILE}token = {place}\n"));
}

pub const CASES: &[Case] = &[
    Case {
        name: "a variable that is not set",
        break_it: |bench| token(bench, "{ env = \"ACME_TOKEN\" }"),
        fails: SERVE,
        told: &["accounts.acme.token", "ACME_TOKEN is not set", "set it to the secret"],
        check: "secrets",
        seen: &["accounts.acme.token", "ACME_TOKEN is not set"],
        mend: &["set it to the secret"],
    },
    Case {
        name: "a secret file that is not there",
        break_it: |bench| token(bench, "{ file = \"acme.token\" }"),
        fails: SERVE,
        told: &["accounts.acme.token", "acme.token", "No such file", "put the secret there"],
        check: "secrets",
        seen: &["accounts.acme.token", "No such file"],
        mend: &["put the secret there"],
    },
    Case {
        name: "a secret file that others can read",
        break_it: |bench| {
            token(bench, "{ file = \"acme.token\" }");
            bench.file("acme.token", "sandbox-access-token");
            bench.mode("acme.token", 0o644);
        },
        fails: SERVE,
        told: &["others can read", "acme.token", "chmod 600"],
        check: "secrets",
        seen: &["others can read", "acme.token"],
        mend: &["chmod 600"],
    },
    Case {
        name: "a secret file with nothing in it",
        break_it: |bench| {
            token(bench, "{ file = \"acme.token\" }");
            bench.file("acme.token", "\n");
        },
        fails: SERVE,
        told: &["acme.token is empty", "put the secret there"],
        check: "secrets",
        seen: &["acme.token is empty"],
        mend: &["put the secret there"],
    },
    Case {
        name: "a secret in two words",
        break_it: |bench| {
            token(bench, "{ file = \"acme.token\" }");
            bench.file("acme.token", "two words");
        },
        fails: SERVE,
        told: &["acme.token", "cannot be in a header", "no spaces"],
        check: "secrets",
        seen: &["acme.token", "cannot be in a header"],
        mend: &["put the secret there"],
    },
    Case {
        name: "a program that is not installed",
        break_it: |bench| token(bench, "{ command = [\"op-that-nobody-has\", \"read\"] }"),
        fails: SERVE,
        told: &["cannot run `op-that-nobody-has`", "install it"],
        check: "secrets",
        seen: &["cannot run `op-that-nobody-has`"],
        mend: &["install it"],
    },
    Case {
        name: "a program that fails",
        break_it: |bench| token(bench, "{ command = [\"false\"] }"),
        fails: SERVE,
        told: &["`false` failed", "run it by itself"],
        check: "secrets",
        seen: &["`false` failed"],
        mend: &["run it by itself"],
    },
    Case {
        name: "a keyring that is not there",
        break_it: |bench| token(bench, "{ keyring = \"acme\" }"),
        fails: SERVE,
        told: &["accounts.acme.token", "the keyring cannot be used", "start or unlock it"],
        check: "keyring",
        seen: &["the keyring cannot be used"],
        mend: &["start or unlock it", "in a file"],
    },
    Case {
        name: "a client key where HubSpot's token belongs",
        break_it: |bench| {
            bench.upstream();
            bench.var("HUBSPOT_ACCESS_TOKEN", "hsp_0123456789abcdefghijklmnop");
        },
        fails: Fails::Explained(super::CONTACTS),
        told: &["HubSpot refused the account's static token", "Copy the new token"],
        check: "credential-form",
        seen: &["accounts.default.token is a client key"],
        mend: &["put HubSpot's own there", "HUBSPOT_ACCESS_TOKEN"],
    },
    Case {
        name: "a static token where a personal access key belongs",
        break_it: |bench| {
            bench.upstream();
            bench
                .var("HUBSPOT_PERSONAL_ACCESS_KEY", "pat-na1-11111111-2222-3333-4444-555555555555");
        },
        fails: Fails::Request("needs-login"),
        told: &["default", "personal access key", "refused"],
        check: "credential-form",
        seen: &["accounts.default.key is a static access token"],
        mend: &["set `type = \"access_token\"`", "HUBSPOT_ACCESS_TOKEN"],
    },
];
