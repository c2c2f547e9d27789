//! Logging in: the real command against the sandbox, with a browser that is scripted.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::process::{Child, Stdio};

use crate::client::{Answer, exchange};
use crate::home::{Home, Ran};
use crate::proxy::{Proxy, Setup};
use crate::upstream::Upstream;
use crate::waiting::until;

pub const FILE: &str = "
[accounts.acme]
type = \"oauth\"
client_id = \"sandbox-client\"
client_secret = { env = \"ACME_SECRET\" }
scopes = [\"oauth\", \"crm.objects.contacts.read\"]
";

/// A home with a `proxy.toml` for an app of the sandbox at `url`.
pub fn home_for(url: &str, redirect: u16, more: &str) -> Home {
    let home = Home::new();
    let text = format!(
        "[upstream]\nurl = \"{url}\"\n[oauth]\nauthorize_url = \"{url}/oauth/authorize\"\n\
         redirect_uri = \"http://localhost:{redirect}/oauth-callback\"\n{FILE}{more}"
    );
    std::fs::write(home.path().join("proxy.toml"), text).unwrap();
    home
}

/// A port that nobody listens on, in either family.
pub fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

/// A login that waits for its answer.
struct Waiting {
    child: Child,
    url: String,
}

impl Waiting {
    fn begin(home: &Home, arguments: &[&str]) -> Self {
        let mut child = home
            .command()
            .args(["login", "acme", "--no-browser"])
            .args(arguments)
            .env("ACME_SECRET", "sandbox-secret")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut line = String::new();
        let mut stdout = BufReader::new(child.stdout.take().unwrap());
        stdout.read_line(&mut line).unwrap();
        if line.is_empty() {
            let mut why = String::new();
            child.stderr.take().unwrap().read_to_string(&mut why).unwrap();
            panic!("no URL: {why}");
        }
        child.stdout = Some(stdout.into_inner());
        Self { child, url: line.trim().to_owned() }
    }

    /// See [`consented`].
    fn consent(&self, decision: &str) -> Option<String> {
        consented(&self.url, decision)
    }

    fn end(self) -> Ran {
        self.child.wait_with_output().unwrap().into()
    }
}

/// Presses a button of the consent page at `url`; the address that the browser is sent to.
pub fn consented(url: &str, decision: &str) -> Option<String> {
    let (origin, query) = url.split_once("/oauth/authorize?").unwrap();
    let authority = origin.strip_prefix("http://").unwrap();
    let form = format!("{query}&decision={decision}");
    let port = authority.rsplit(':').next().unwrap().parse().unwrap();
    let answer = exchange(
        port,
        format!(
            "POST /oauth/authorize HTTP/1.1\r\nHost: {{host}}\r\nOrigin: {origin}\r\nContent-Type: application/x-www-form-urlencoded\r\nContent-Length: {}\r\n\r\n{form}",
            form.len()
        ),
    );
    answer.header("location").map(str::to_owned)
}

/// A browser that goes to `address`.
pub fn visit(address: &str) -> Answer {
    let rest = address.strip_prefix("http://localhost:").unwrap();
    let (port, target) = rest.split_once('/').unwrap();
    exchange(port.parse().unwrap(), format!("GET /{target} HTTP/1.1\r\nHost: {{host}}\r\n\r\n"))
}

pub fn log_in(home: &Home) {
    let login = Waiting::begin(home, &[]);
    let address = login.consent("allow").unwrap();
    let page = visit(&address);
    assert!(page.text().contains("You are logged in"), "{}", page.text());
    let ran = login.end();
    assert_eq!(ran.status, 0, "{}", ran.stderr);
}

pub fn serve(home: &Home) -> Proxy {
    Setup::serving().in_home(home).env("ACME_SECRET", "sandbox-secret").start()
}

pub fn get(proxy: &Proxy, target: &str) -> Answer {
    exchange(proxy.port, format!("GET {target} HTTP/1.1\r\nHost: {{host}}\r\n\r\n"))
}

pub const CONTACTS: &str = "/crm/v3/objects/contacts?limit=1";

#[test]
fn a_login_is_shown_kept_and_used_and_its_page_tells_nothing_secret() {
    let sandbox = Setup::sandbox().start();
    let home = home_for(&sandbox.url(), free_port(), "pkce = true\nhub_id = 1234567\n");
    let proxy = serve(&home);
    assert_eq!(get(&proxy, CONTACTS).refusal(), Some("needs-login"));
    let login = Waiting::begin(&home, &[]);
    assert!(login.url.contains("code_challenge="));
    let address = login.consent("allow").unwrap();
    let page = visit(&address);
    let code = address.split("code=").nth(1).unwrap().split('&').next().unwrap();
    assert!(page.text().contains("acme") && page.text().contains("1234567"), "{}", page.text());
    assert!(!page.text().contains(code) && !page.text().contains("<script"));
    assert_eq!(page.header("referrer-policy"), Some("no-referrer"));
    assert_eq!(page.header("cache-control"), Some("no-store"));
    let ran = login.end();
    assert_eq!(ran.status, 0, "{}", ran.stderr);
    for part in ["Hub ID 1234567", "user501@example.com", "crm.objects.contacts.read"] {
        assert!(ran.stdout.contains(part), "{}", ran.stdout);
    }
    for said in [&ran.stdout, &ran.stderr] {
        assert!(!said.contains("sandbox-issued") && !said.contains("sandbox-secret"), "{said}");
    }
    until("the running proxy serves", || get(&proxy, CONTACTS).status() == 200);
    drop(proxy);
    assert_eq!(get(&serve(&home), CONTACTS).status(), 200, "after a restart as well");
}

#[test]
fn a_user_who_cancels_ends_the_login_and_the_one_before_still_works() {
    let sandbox = Setup::sandbox().start();
    let home = home_for(&sandbox.url(), free_port(), "");
    log_in(&home);
    let login = Waiting::begin(&home, &["--timeout", "1s"]);
    assert_eq!(login.consent("deny"), None, "nothing comes back from HubSpot");
    let ran = login.end();
    assert_eq!(ran.status, 1);
    assert!(ran.stderr.contains("no answer came from HubSpot within 1 s"), "{}", ran.stderr);
    let login = Waiting::begin(&home, &[]);
    let state = login.url.split("state=").nth(1).unwrap().split('&').next().unwrap().to_owned();
    let redirect = home.path().join("proxy.toml");
    let redirect = std::fs::read_to_string(redirect).unwrap();
    let redirect = redirect.split("redirect_uri = \"").nth(1).unwrap().split('"').next().unwrap();
    let page = visit(&format!("{redirect}?error=access_denied&error_description=No&state={state}"));
    assert!(page.text().contains("choose to connect it"), "{}", page.text());
    let ran = login.end();
    assert_eq!(ran.status, 1);
    assert!(ran.stderr.contains("choose to connect it (access_denied: No)"), "{}", ran.stderr);
    assert_eq!(get(&serve(&home), CONTACTS).status(), 200);
}

#[test]
fn ten_thousand_other_callbacks_neither_end_nor_hold_up_a_login() {
    let sandbox = Setup::sandbox().start();
    let port = free_port();
    let home = home_for(&sandbox.url(), port, "");
    let login = Waiting::begin(&home, &[]);
    let state = login.url.split("state=").nth(1).unwrap().split('&').next().unwrap();
    let cases = [
        ("GET", format!("/oauth-callback?code=x&state={state}x"), 400),
        ("GET", "/oauth-callback?code=x&state=other".to_owned(), 400),
        ("GET", "/oauth-callback?code=x".to_owned(), 400),
        ("GET", format!("/oauth-callback?state={state}"), 400),
        ("GET", format!("/oauth-callback?code=x&code=y&state={state}"), 400),
        ("GET", "/oauth-callback?error=access_denied&state=other".to_owned(), 400),
        ("GET", "/".to_owned(), 404),
        ("POST", format!("/oauth-callback?code=x&state={state}"), 405),
    ];
    // Some that connect and say nothing stay open all the while, on both addresses.
    let mut idle: Vec<TcpStream> = Vec::new();
    idle.extend((0..20).map(|_| TcpStream::connect(("127.0.0.1", port)).unwrap()));
    idle.extend((0..20).filter_map(|_| TcpStream::connect(("::1", port)).ok()));
    for round in 0..1250 {
        for (method, target, expected) in &cases {
            let request = format!(
                "{method} {target} HTTP/1.1\r\nHost: localhost:{port}\r\nContent-Length: 0\r\n\r\n"
            );
            let mut stream = TcpStream::connect(("127.0.0.1", port)).unwrap();
            stream.write_all(request.as_bytes()).unwrap();
            let mut answer = String::new();
            stream.read_to_string(&mut answer).unwrap();
            let status: u16 = answer[9..12].parse().unwrap();
            assert_eq!(status, *expected, "round {round}: {method} {target}");
        }
    }
    let elsewhere = exchange(port, "GET /oauth-callback HTTP/1.1\r\nHost: evil.example\r\n\r\n");
    assert_eq!(elsewhere.status(), 403);
    let page = visit(&login.consent("allow").unwrap());
    assert!(page.text().contains("You are logged in"), "{}", page.text());
    assert_eq!(login.end().status, 0);
    assert!(TcpStream::connect(("127.0.0.1", port)).is_err(), "nobody listens any more");
}

#[test]
fn a_login_for_another_portal_or_without_a_usable_answer_leaves_the_old_one() {
    let sandbox = Setup::sandbox().start();
    let home = home_for(&sandbox.url(), free_port(), "");
    log_in(&home);
    let file = home.path().join("proxy.toml");
    let text = std::fs::read_to_string(&file).unwrap();
    std::fs::write(&file, format!("{text}hub_id = 7\n")).unwrap();
    let login = Waiting::begin(&home, &[]);
    let page = visit(&login.consent("allow").unwrap());
    assert!(page.text().contains("Hub ID 1234567") && page.text().contains("failed"));
    let ran = login.end();
    assert_eq!(ran.status, 1);
    assert!(ran.stderr.contains("hub_id of account acme is 7"), "{}", ran.stderr);
    // Answers of the token endpoint that are of no use.
    let answers = [
        "HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\n<html>",
        "HTTP/1.1 200 OK\r\nContent-Length: 21\r\n\r\n{\"access_token\":\"abc\"}",
        "HTTP/1.1 400 Bad Request\r\nContent-Length: 34\r\n\r\n{\"status\":\"EXPIRED_AUTH_CODE\"}    ",
        "HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\n\r\n",
        "HTTP/1.1 302 Found\r\nLocation: /x\r\nContent-Length: 0\r\n\r\n",
    ];
    for answer in answers {
        let broken = Upstream::answering(answer);
        let text = text.replace(
            "[oauth]",
            &format!("[oauth]\ntoken_url = \"{}/oauth/2026-03/token\"", broken.url()),
        );
        std::fs::write(&file, text).unwrap();
        let login = Waiting::begin(&home, &[]);
        let page = visit(&login.consent("allow").unwrap());
        assert!(page.text().contains("The login has failed"), "{}", page.text());
        let ran = login.end();
        assert_eq!(ran.status, 1, "{answer}");
        assert!(!ran.stderr.contains("abc\""), "{}", ran.stderr);
    }
    std::fs::write(&file, text).unwrap();
    assert_eq!(get(&serve(&home), CONTACTS).status(), 200, "the first login still works");
}

#[test]
fn a_pasted_address_is_taken_and_that_of_another_login_is_not() {
    let sandbox = Setup::sandbox().start();
    let home = home_for(&sandbox.url(), free_port(), "");
    for (mine, expected) in [(false, 1), (true, 0)] {
        let mut login = Waiting::begin(&home, &["--paste"]);
        let other = Waiting::begin(&home, &["--paste"]);
        let address = if mine { &login } else { &other }.consent("allow").unwrap();
        let (start, end) = address.split_at(40);
        writeln!(login.child.stdin.take().unwrap(), "\n {start} {end} ").unwrap();
        let ran = login.end();
        assert_eq!(ran.status, expected, "{}", ran.stderr);
        assert!(mine || ran.stderr.contains("belongs to another login"), "{}", ran.stderr);
        drop(other.end());
    }
    assert_eq!(get(&serve(&home), CONTACTS).status(), 200);
}

#[test]
fn what_stands_in_the_way_of_a_login_is_said_at_once() {
    let sandbox = Setup::sandbox().start();
    let taken = TcpListener::bind("[::1]:0").or_else(|_| TcpListener::bind("127.0.0.1:0")).unwrap();
    let port = taken.local_addr().unwrap().port();
    let url = sandbox.url();
    let mistakes: [(Home, &[&str], i32, &str); 7] = [
        (home_for(&url, port, ""), &["acme"], 1, "is taken by another program"),
        (
            home_for(&url, free_port(), ""),
            &["acme", "--scope", "offline"],
            2,
            "HubSpot has no scope `offline`",
        ),
        (home_for(&url, free_port(), ""), &["new"], 2, "has no client id"),
        (home_for(&url, free_port(), ""), &["new", "--client-id", "x"], 2, "has no client secret"),
        (home_for(&url, free_port(), ""), &["acme", "--client-id", "x"], 2, "another client_id"),
        (home_for(&url, free_port(), ""), &["a/b"], 2, "an account name has"),
        (home_for(&url, free_port(), ""), &["a\u{1b}[2J"], 2, "an account name has"),
    ];
    for (home, arguments, status, expected) in mistakes {
        let ran = home.run(
            &[&["login", "--no-browser"], arguments].concat(),
            &[("ACME_SECRET", "s")],
            "",
        );
        assert_eq!(ran.status, status, "{arguments:?}: {}", ran.stderr);
        assert!(ran.stderr.contains(expected), "{arguments:?}: {}", ran.stderr);
        assert!(!ran.stderr.contains('\u{1b}'), "{:?}", ran.stderr);
    }
    let long = "a".repeat(300);
    let ran = Home::new().run(&["login", &long], &[], "");
    assert_eq!(ran.status, 2);
}
