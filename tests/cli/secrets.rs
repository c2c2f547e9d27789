//! Where secrets may stand, and that no mistake prints one.

use super::Run;

const SECRET: &str = "pat-na1-00000000-4711-4711-4711-000000000000";

fn config(token: &str) -> String {
    format!("[accounts.acme]\ntype = \"access_token\"\ntoken = {token}\n")
}

fn run(token: &str) -> Run {
    Run::of(&["--listen", "localhost:0"]).file("proxy.toml", &config(token))
}

#[test]
fn a_literal_secret_is_refused_and_not_printed() {
    for key in ["token", "client_secret", "refresh_token"] {
        let kind = if key == "token" { "access_token" } else { "oauth" };
        let text = format!("[accounts.acme]\ntype = \"{kind}\"\n{key} = \"{SECRET}\"\n");
        let said = Run::of(&["--listen", "localhost:0"]).file("proxy.toml", &text).error(2);
        assert!(said.contains("line 3") && said.contains(key), "{said}");
        assert!(said.contains("env"), "it says where a secret may stand: {said}");
        assert!(!said.contains("4711"), "{said}");
    }
}

#[test]
fn a_secret_in_a_place_that_is_not_for_secrets_is_not_printed() {
    for text in [
        config(&format!("{{ env = \"{SECRET}\" }}")),
        config(&format!("{{ file = \"{SECRET}\" }}")),
        config(&format!("{{ literal = \"{SECRET}\" }}")),
        config(&format!("\"{SECRET}")),
        config(SECRET),
        format!("[accounts.acme]\ntype = \"{SECRET}\"\n"),
        format!("{SECRET} = 1\n"),
        format!("[upstream]\nurl = \"{SECRET}\"\n"),
        format!("[server]\nlisten = [\"{SECRET}\"]\n"),
    ] {
        let said = Run::of(&["--listen", "localhost:0"]).file("proxy.toml", &text).error(2);
        assert!(!said.contains("4711"), "{text}: {said}");
    }
}

#[test]
fn a_secret_that_was_pasted_as_a_name_is_not_printed() {
    let text = format!("[accounts.{SECRET}]\ntype = \"access_token\"\n");
    let said = Run::of(&["--listen", "localhost:0"]).file("proxy.toml", &text).error(2);
    assert!(!said.contains("4711"), "{said}");
}

#[test]
fn a_variable_that_is_missing_or_empty_is_named() {
    let said = run("{ env = \"ACME_TOKEN\" }").error(2);
    assert!(said.contains("ACME_TOKEN") && said.contains("acme"), "{said}");
    let said = run("{ env = \"ACME_TOKEN\" }").env("ACME_TOKEN", "").error(2);
    assert!(said.contains("ACME_TOKEN"), "{said}");
    let said = run("{ env = \"ACME_TOKEN\" }").env("ACME_TOKEN", "with 4711\ninside").error(2);
    assert!(said.contains("ACME_TOKEN") && !said.contains("4711"), "{said}");
}

#[cfg(unix)]
#[test]
fn a_secret_file_that_others_can_read_is_refused() {
    for mode in [0o644, 0o640, 0o604] {
        let run =
            run("{ file = \"acme.token\" }").file("acme.token", SECRET).mode("acme.token", mode);
        let said = run.error(2);
        assert!(said.contains("acme.token") && said.contains("chmod"), "{mode:o}: {said}");
        assert!(!said.contains("4711"), "{said}");
    }
}

#[test]
fn a_secret_file_that_is_not_there_or_holds_nothing_is_named() {
    let said = run("{ file = \"acme.token\" }").error(2);
    assert!(said.contains("acme.token"), "{said}");
    let said = run("{ file = \"acme.token\" }").file("acme.token", "\n").error(2);
    assert!(said.contains("acme.token"), "{said}");
}

#[cfg(unix)]
#[test]
fn a_program_that_gives_no_secret_is_named_and_what_it_says_is_not_repeated() {
    let said = run("{ command = [\"/nowhere/op\"] }").error(2);
    assert!(said.contains("/nowhere/op"), "{said}");
    let said = run("{ command = [\"/bin/sh\", \"-c\", \"echo x4711; exit 3\"] }").error(2);
    assert!(said.contains("/bin/sh") && !said.contains("x4711\n"), "{said}");
}

#[cfg(unix)]
#[test]
fn a_configuration_that_others_can_write_is_refused() {
    let said =
        run("{ env = \"ACME_TOKEN\" }").env("ACME_TOKEN", "x").mode("proxy.toml", 0o666).error(2);
    assert!(said.contains("proxy.toml") && said.contains("chmod"), "{said}");
}
