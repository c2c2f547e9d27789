//! Mistakes in the configuration, the environment and the command line.

use std::net::TcpListener;

use super::Run;

#[test]
fn each_mistake_in_the_file_is_named_with_its_line_and_its_mend() {
    let cases: &[(&str, &[&str])] = &[
        ("[server]\nlistne = [\"localhost:0\"]\n", &["line 2", "listne", "listen"]),
        ("[sever]\nlisten = [\"localhost:0\"]\n", &["line 1", "sever", "server"]),
        ("[upstream]\ntimeout = \"3s\"\n", &["line 2", "timeout"]),
        ("[server]\nidle_timeout = \"90\"\n", &["line 2", "idle_timeout", "75s"]),
        ("[server]\nidle_timeout = 90\n", &["line 2", "idle_timeout"]),
        ("[server]\nidle_timeout = \"-1s\"\n", &["line 2", "idle_timeout"]),
        ("[server]\nidle_timeout = \"5 parsecs\"\n", &["line 2", "idle_timeout"]),
        ("[server]\nmax_header_size = \"64 furlongs\"\n", &["line 2", "max_header_size"]),
        ("[server]\nlisten = [\"0.0.0.0:8787\"]\n", &["line 2", "0.0.0.0", "loopback"]),
        ("[server]\nlisten = [\"192.168.1.1:8787\"]\n", &["line 2", "loopback"]),
        ("[server]\nlisten = [\"[::]:8787\"]\n", &["line 2", "loopback"]),
        ("[server]\nlisten = [\"localhost:99999\"]\n", &["line 2", "99999"]),
        ("[server]\nlisten = \"localhost\"\n", &["line 2", "listen"]),
        ("[upstream]\nurl = \"http://api.hubapi.com\"\n", &["line 2", "https"]),
        ("[upstream]\nurl = \"ftp://api.hubapi.com\"\n", &["line 2", "http"]),
        ("[upstream]\nurl = \"https://api.hubapi.com/crm\"\n", &["line 2", "path"]),
        ("[accounts.acme]\ntype = \"acess_token\"\n", &["line 2", "access_token"]),
        ("[accounts.acme]\ntoken = { env = \"ACME\" }\n", &["acme", "type"]),
        ("[accounts.acme]\ntype = \"access_token\"\n", &["acme", "token"]),
        ("[accounts.acme]\ntype = \"oauth\"\nclient_id = \"x\"\n", &["acme", "client_secret"]),
        ("[accounts.\"Not OK\"]\ntype = \"access_token\"\n", &["line 1"]),
        ("[accounts.\"123\"]\ntype = \"access_token\"\n", &["line 1", "123"]),
        ("default_account = \"acme\"\n", &["acme"]),
        ("[server\n", &["line 1"]),
        ("[server]\nlisten = [\n", &["line"]),
        ("x = \"\u{1}\"\n", &["line 1"]),
        ("[server]\nthreads = 0\n", &["line 2", "threads"]),
        ("[server]\nthreads = 1\nthreads = 2\n", &["line 3", "duplicate"]),
    ];
    let mut wrong = Vec::new();
    for (text, words) in cases {
        // Without --listen, which would take the place of what the file says.
        let run = Run::of(&["serve"]).env("HUBSPOT_ACCESS_TOKEN", "pat-na1-x");
        let output = run.file("proxy.toml", text).output();
        let said = String::from_utf8(output.stderr).unwrap();
        let named = said.starts_with("error: proxy.toml") && words.iter().all(|w| said.contains(w));
        if output.status.code() != Some(2) || said.lines().count() != 1 || !named {
            wrong.push(format!("{text:?}: {:?} {said:?}, wanted {words:?}", output.status.code()));
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn a_file_that_cannot_be_read_is_named() {
    let said = Run::of_serve().arg("--config").arg("nowhere.toml").error(2);
    assert!(said.contains("nowhere.toml"), "{said}");
    let said = Run::of_serve().arg("--config").arg(".").error(2);
    assert!(said.contains("configuration"), "{said}");
    let binary = Run::of_serve();
    std::fs::write(binary.path().join("proxy.toml"), [0xff, 0xfe, 0x00]).unwrap();
    let said = binary.mode("proxy.toml", 0o600).error(2);
    assert!(said.contains("proxy.toml"), "{said}");
}

#[test]
fn each_mistake_in_the_environment_names_the_variable() {
    let cases: &[(&str, &str, &[&str])] = &[
        ("HUBSPOT_PROXY_SERVER__IDLE_TIMEOUT", "soon", &[]),
        ("HUBSPOT_PROXY_SERVER__IDEL_TIMEOUT", "5s", &["HUBSPOT_PROXY_SERVER__IDLE_TIMEOUT"]),
        ("HUBSPOT_PROXY_UPSTREAM__URL", "api.hubapi.com", &[]),
        ("HUBSPOT_PROXY_UPSTREAM__URL", "https://user:pw-4711@api.hubapi.com", &[]),
        ("HUBSPOT_PROXY_UPSTREAM__CA_FILE", "/nowhere/roots.pem", &[]),
        ("HUBSPOT_PROXY_SERVER__LISTEN", "0.0.0.0:0", &["loopback"]),
        ("HUBSPOT_PROXY_LOG__REQUESTS", "perhaps", &["true"]),
        ("HUBSPOT_PROXY_SERVER__MAX_HEADERS", "0", &["1"]),
    ];
    for (name, value, words) in cases {
        let run = Run::of(&["serve"])
            .env("HUBSPOT_ACCESS_TOKEN", "pat-na1-x")
            .env("HUBSPOT_PROXY_SERVER__LISTEN", "localhost:0")
            .env(name, value);
        let https = *name == "HUBSPOT_PROXY_UPSTREAM__CA_FILE";
        let said = run.error(2);
        assert!(said.contains(if https { "/nowhere/roots.pem" } else { name }), "{name}: {said}");
        for word in *words {
            assert!(said.contains(word), "{name}: {said} lacks {word}");
        }
        assert!(!said.contains("4711"), "{said}");
    }
}

#[test]
fn without_an_account_it_says_what_to_do() {
    let said = Run::of(&["--listen", "localhost:0"]).error(2);
    assert!(said.contains("HUBSPOT_ACCESS_TOKEN") && said.contains("--sandbox"), "{said}");
    let said = Run::of(&["--listen", "localhost:0"]).env("HUBSPOT_CLIENT_ID", "x").error(2);
    assert!(said.contains("HUBSPOT_CLIENT_SECRET"), "{said}");
    let said = Run::of_serve().arg("--account").arg("other").error(2);
    assert!(said.contains("other"), "{said}");
}

#[test]
fn an_address_that_others_can_reach_is_refused() {
    for address in ["0.0.0.0:0", "[::]:0", "192.168.0.1:0", "example.com:80", "8787", ""] {
        let run = Run::of(&["serve", "--listen", address]).env("HUBSPOT_ACCESS_TOKEN", "pat-na1-x");
        let said = run.error(2);
        assert!(said.contains("--listen"), "{address}: {said}");
    }
    for address in ["0.0.0.0:0", "[::]:0", "192.168.0.1:0"] {
        let said = Run::of(&["sandbox", "--listen", address]).error(2);
        assert!(said.contains("--listen"), "{address}: {said}");
    }
}

#[test]
fn a_port_that_is_taken_is_a_failure_and_not_a_mistake() {
    for taken in ["127.0.0.1:0", "[::1]:0"] {
        let Ok(holder) = TcpListener::bind(taken) else { continue };
        let port = holder.local_addr().unwrap().port();
        let listen = format!("localhost:{port}");
        let serve =
            Run::of(&["serve", "--listen", &listen]).env("HUBSPOT_ACCESS_TOKEN", "pat-na1-x");
        for run in [serve, Run::of(&["sandbox", "--listen", &listen])] {
            let said = run.error(1);
            assert!(said.contains(&port.to_string()), "{said}");
        }
    }
}

#[test]
fn wrong_usage_is_told_from_failure() {
    for arguments in [
        &["--no-such-flag"][..],
        &["no-such-command"],
        &["serve", "--listen"],
        &["serve", "--log-format", "xml"],
        &["sandbox", "--token-ttl", "soon"],
        &["sandbox", "--rotation", "sometimes"],
        &["sandbox", "--seed", "x"],
        &["sandbox", "extra"],
        &["--sandbox", "sandbox"],
    ] {
        let output = Run::of(arguments).output();
        let said = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(2), "{arguments:?}: {said}");
        assert!(said.starts_with("error: "), "{arguments:?}: {said}");
    }
    let output = Run::of(&["serve", "--lisen", "localhost:0"]).output();
    assert!(String::from_utf8(output.stderr).unwrap().contains("--listen"));
}
