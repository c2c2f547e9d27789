//! Requests that name two accounts, or one that there is not.

use super::Expected::Refused;
use super::{ask, row, run, sent_with};

#[test]
fn a_request_is_served_as_one_account_or_not_at_all() {
    let mut rows = Vec::new();
    let header = |name: &str| format!("X-HubSpot-Account: {name}\r\n");
    for (target, lines, account) in [
        ("/a", String::new(), "main"),
        ("/@other/a", String::new(), "other"),
        ("/a", header("other"), "other"),
        ("/a", header(" other\t"), "other"),
        ("/@other/a", header("other") + &header("other"), "other"),
        ("/a?account=other&@other", String::new(), "main"),
        ("/a", "X-HubSpot-Accounts: other\r\n".to_owned(), "main"),
    ] {
        let line = format!("GET {}", target.trim_start_matches("/@other"));
        let extra: &[&str] =
            if lines.contains("Accounts") { &["x-hubspot-accounts: other"] } else { &[] };
        rows.push(row(ask("GET", target, &lines), sent_with(&line, account, extra, "")));
    }
    for (target, lines, code) in [
        ("/@main/a", header("other"), "account-conflict"),
        ("/a", header("main") + &header("other"), "account-conflict"),
        ("/@other/a", header("other") + &header("main"), "account-conflict"),
        ("/a", header("main, other"), "unknown-account"),
        ("/a", header(""), "unknown-account"),
        ("/a", header("Main"), "unknown-account"),
        ("/a", header("0"), "unknown-account"),
        ("/a", header("99999999999999999999999"), "unknown-account"),
        ("/a", header("ma\u{ed}n"), "unknown-account"),
        ("/@/a", String::new(), "unknown-account"),
        ("/@", String::new(), "unknown-account"),
        ("/@nobody/a", String::new(), "unknown-account"),
        ("/@MAIN/a", String::new(), "unknown-account"),
        ("/@m%61in/a", String::new(), "unknown-account"),
        ("/@main;x/a", String::new(), "unknown-account"),
        ("/@main%2Fa", String::new(), "unknown-account"),
        ("/@@main/a", String::new(), "unknown-account"),
        ("/@main@other/a", String::new(), "unknown-account"),
    ] {
        rows.push(row(ask("GET", target, &lines), Refused(400, code)));
    }
    run(|setup| setup, &rows);
}
