//! Text that others choose, on its way to a person's terminal: a path, a correlation id, the name of a
//! scope. Nothing of it may move a cursor, set a title or turn a line around.

use std::io::{Read, Write};
use std::os::unix::net::UnixListener;
use std::thread;

use crate::client::exchange;
use crate::home::{Home, Ran};
use crate::proxy::Setup;
use crate::upstream::Upstream;

/// What a terminal, or what lays out the line, takes for more than a letter.
fn is_hostile(letter: char) -> bool {
    let turns = matches!(letter, '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    letter != '\n' && letter.is_control() || turns
}

fn assert_harmless(what: &str, text: &str) {
    let found: Vec<_> = text.chars().filter(|letter| is_hostile(*letter)).collect();
    assert!(found.is_empty(), "{what}: {found:?} in {text:?}");
}

fn run(home: &Home, arguments: &[&str]) -> Ran {
    let ran = home.run(arguments, &[], "");
    assert_harmless(&format!("{arguments:?}"), &format!("{}{}", ran.stdout, ran.stderr));
    ran
}

#[test]
fn a_path_or_a_correlation_id_commands_no_terminal() {
    let home = Home::new();
    let body = "{\"category\":\"\\u001b[2J\",\"message\":\"\\u009b2J\",\"errors\":[{\"context\":{\"requiredScopes\":[\"\\u001b]0;x\\u0007\"]}}]}";
    let answer = format!(
        "HTTP/1.1 403 \u{9b}2J\r\nX-HubSpot-Correlation-Id: a\tb\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    );
    let upstream = Upstream::answering(answer);
    let proxy = Setup::in_front_of(&upstream.url())
        .in_home(&home)
        .arg("--log-requests")
        .env("HUBSPOT_PROXY_POLICY__DENY", "GET /denied/**")
        .start();
    for path in [
        "/crm/\u{9b}2J",
        "/crm/\u{202e}gpj.exe",
        "/crm/\u{2028}x",
        "/denied/\u{9b}31m\u{202e}",
        "/crm/\u{7f}",
        "/crm/%1b[2J%9b",
        "/@\u{9b}2J/crm",
    ] {
        exchange(proxy.port, format!("GET {path} HTTP/1.1\r\nHost: {{host}}\r\n\r\n"));
        assert!(run(&home, &["explain", "--last"]).stdout.contains("GET /"), "{path:?}");
        run(&home, &["explain", "--last", "--json"]);
    }
    run(&home, &["explain", "--failed"]);
    run(&home, &["status"]);
    run(&home, &["status", "--json"]);
    assert_harmless("log", &proxy.stderr());
}

#[test]
fn what_hubspot_says_of_a_token_commands_no_terminal() {
    let home = Home::new();
    let body = "{\"userId\":1,\"hubId\":2,\"appId\":3,\"scopes\":[\"\\u001b]0;owned\\u0007\",\"a\\u009b2J\\u202e\",\"oauth\"]}";
    let answer = format!(
        "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    );
    let upstream = Upstream::answering(answer);
    let url = [("HUBSPOT_PROXY_UPSTREAM__URL", upstream.url())];
    let url: Vec<_> = url.iter().map(|(name, value)| (*name, value.as_str())).collect();
    let arguments = ["accounts", "import", "acme", "--kind", "access_token"];
    let imported = home.run(&arguments, &url, "pat-na1-of-nobody");
    assert_eq!(imported.status, 0, "{}", imported.stderr);
    for arguments in [&["accounts", "show", "acme"][..], &["accounts", "show", "acme", "--json"]] {
        let shown = home.run(arguments, &url, "");
        assert!(shown.stdout.contains("oauth"), "{shown:?}");
        assert_harmless(&format!("{arguments:?}"), &format!("{}{}", shown.stdout, shown.stderr));
    }
    let _proxy = Setup::without_account(&upstream.url()).in_home(&home).start();
    assert!(run(&home, &["status", "--json"]).stdout.contains("oauth"));
}

#[test]
fn who_answers_at_the_control_socket_commands_no_terminal() {
    let home = Home::new();
    let folder = home.path().join("hubspot-proxy/4711");
    std::fs::create_dir_all(&folder).unwrap();
    let socket = UnixListener::bind(folder.join("control.sock")).unwrap();
    thread::spawn(move || {
        for mut stream in socket.incoming().map_while(Result::ok) {
            // The request is one segment.
            let _ = stream.read(&mut [0; 4096]);
            let body =
                "{\"version\":\"\\u001b[2J\",\"listen\":[\"\\u009b2J\"],\"message\":\"\\u001bc\"}";
            let length = body.len();
            let _ = write!(stream, "HTTP/1.1 200 OK\r\nContent-Length: {length}\r\n\r\n{body}");
        }
    });
    assert!(run(&home, &["status"]).stdout.contains("hubspot-proxy "));
    run(&home, &["status", "--json"]);
}
