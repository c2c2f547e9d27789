use std::time::Duration;

use super::Refusal;
use crate::types::account::AccountName;

/// One of each kind, with its code, its status, and whether a client may repeat.
fn all() -> Vec<(Refusal, &'static str, u16, bool)> {
    let acme: AccountName = "acme".parse().unwrap();
    vec![
        (Refusal::BadRequest(""), "bad-request", 400, false),
        (Refusal::BadRequestTarget(""), "bad-request-target", 400, false),
        (Refusal::AccountRequired, "account-required", 400, false),
        (Refusal::UnknownAccount(None), "unknown-account", 400, false),
        (Refusal::AccountConflict(""), "account-conflict", 400, false),
        (Refusal::CredentialKind(acme.clone(), ""), "credential-kind", 400, false),
        (Refusal::ClientKeyRequired, "client-key-required", 401, false),
        (Refusal::ClientKeyInvalid(""), "client-key-invalid", 401, false),
        (Refusal::AdminKeyRequired, "admin-key-required", 401, false),
        (Refusal::UserNotAllowed(String::new()), "user-not-allowed", 403, false),
        (Refusal::HostNotAllowed, "host-not-allowed", 403, false),
        (Refusal::OriginNotAllowed(""), "origin-not-allowed", 403, false),
        (Refusal::CredentialPathBlocked, "credential-path-blocked", 403, false),
        (Refusal::PolicyDenied(String::new(), String::new()), "policy-denied", 403, false),
        (Refusal::NotFound, "not-found", 404, false),
        (Refusal::MethodNotAllowed { allow: "GET" }, "method-not-allowed", 405, false),
        (Refusal::PayloadTooLarge(1), "payload-too-large", 413, false),
        (Refusal::HeadersTooLarge, "headers-too-large", 431, false),
        (Refusal::NeedsLogin(acme.clone(), ""), "needs-login", 503, false),
        (Refusal::Misconfigured(acme.clone(), String::new()), "misconfigured", 503, false),
        (
            Refusal::TokenUnavailable(acme, "".into(), Duration::from_millis(1)),
            "token-unavailable",
            503,
            true,
        ),
        (Refusal::WrongPortal("acme".parse().unwrap(), 1, 2), "wrong-portal", 503, false),
        (Refusal::Overloaded, "overloaded", 503, true),
        (Refusal::Internal, "internal", 500, false),
        (Refusal::UpstreamUnreachable(String::new()), "upstream-unreachable", 502, true),
        (Refusal::UpstreamClosed { what: "", repeatable: false }, "upstream-closed", 502, false),
        (Refusal::UpstreamTimeout { repeatable: true }, "upstream-timeout", 504, true),
    ]
}

#[test]
fn codes_statuses_and_repeatability_are_those_of_the_contract() {
    for (refusal, code, status, repeatable) in all() {
        assert_eq!(refusal.code(), code);
        assert_eq!(refusal.status().as_u16(), status, "{code}");
        assert_eq!(refusal.may_be_repeated(), repeatable, "{code}");
    }
}

#[test]
fn docs_errors_md_has_each_code_once_with_its_status() {
    let page = include_str!("../../../docs/errors.md");
    let rows = page.lines().filter_map(|line| {
        let mut cells = line.strip_prefix("| `")?.split(" | ");
        let (code, status, todo) = (cells.next()?, cells.next()?, cells.next()?);
        let status: u16 = status.parse().ok()?;
        assert!(todo.len() > 10, "{line}: nothing says what to do");
        Some((code.trim_end_matches('`').to_owned(), status))
    });
    let mut documented: Vec<(String, u16)> = rows.collect();
    let mut real: Vec<(String, u16)> =
        all().into_iter().map(|(_, code, status, _)| (code.to_owned(), status)).collect();
    documented.sort();
    real.sort();
    assert_eq!(documented, real);
}

/// [`all`] has as many as the enum: whoever adds a refusal adds it there.
#[test]
fn the_table_of_this_test_is_whole() {
    let source = include_str!("../refusal.rs");
    let codes =
        source.split("pub fn code(").nth(1).unwrap().split("pub fn status(").next().unwrap();
    assert_eq!(codes.matches("=> \"").count(), all().len());
}
