//! `audit` without a proxy: what it says where there is no log, no store, or no sense in a file.

use super::Run;

const TOKEN: &str =
    "[accounts.acme]\ntype = \"access_token\"\ntoken = { env = \"HUBSPOT_TOKEN\" }\n";

#[test]
fn each_mistake_names_the_file_or_the_setting() {
    let no_log = Run::of(&["audit", "tail"]).file("proxy.toml", TOKEN).error(2);
    assert!(no_log.contains("set audit.file"), "{no_log}");
    for command in ["tail", "summary"] {
        let missing = Run::of(&["audit", command, "nowhere.log"]).error(1);
        assert!(missing.contains("nowhere.log cannot be read"), "{missing}");
    }
    let no_store = Run::of(&["audit", "verify", "a.log"]).file("a.log", "");
    let said = no_store.error(1);
    assert!(said.contains("there is no store here") && said.contains("--config"), "{said}");
    let file = format!("[audit]\nmax_size = \"1KiB\"\n{TOKEN}");
    let said = Run::of(&["audit", "tail"]).file("proxy.toml", &file).error(2);
    assert!(said.contains("line 2") && said.contains("from 4KiB to 1024GiB"), "{said}");
}

#[test]
fn lines_that_are_none_are_passed_over_and_cannot_move_the_cursor() {
    let mac = "0".repeat(64);
    let line = format!(
        "{{\"seq\":1,\"time\":\"2026-11-25T10:00:00.000Z\",\"event\":\"request\",\"account\":\"a\\u001b[2J\",\"method\":\"GET\",\"path\":\"/x\",\"status\":500,\"mac\":\"{mac}\"}}"
    );
    let text = format!("nonsense\n{line}\n{{\"seq\":2,\"time\":\"20");
    for arguments in [
        &["audit", "tail", "a.log"][..],
        &["audit", "tail", "--failed", "a.log"],
        &["audit", "summary", "--since", "87600h", "a.log"],
    ] {
        let output = Run::of(arguments).file("a.log", &text).output();
        let printed = String::from_utf8(output.stdout).unwrap();
        assert_eq!(output.status.code(), Some(0), "{arguments:?}");
        assert!(printed.contains("500") || printed.contains("1  "), "{printed}");
        assert!(!printed.contains('\u{1b}'), "{printed:?}");
    }
    let json = Run::of(&["audit", "tail", "--json", "a.log"]).file("a.log", &text).output();
    assert_eq!(String::from_utf8(json.stdout).unwrap(), line + "\n");
}
