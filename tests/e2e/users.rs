//! Who may connect: users of this machine, told apart over TCP.
//!
//! The tests that need a second user start a child process as one, which only root can do.
#![cfg(target_os = "linux")]

use std::io::{BufRead, BufReader, Write};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Instant;

use crate::client::{Client, get, post};
use crate::proxy::Setup;
use crate::upstream::{OK, Upstream};

/// `nobody` on the usual Linux.
const STRANGER: u32 = 65534;

const PYTHON: &str = "/usr/bin/python3";

/// Said past the test harness, which keeps what a test that passes has printed to itself.
pub fn say_skipped() {
    let why = format!("skipped: it takes root and {PYTHON} to run a client as another user\n");
    std::io::stderr().write_all(why.as_bytes()).unwrap();
}

/// Whether this machine lets a test run a client as another user.
pub fn has_stranger() -> bool {
    rustix::process::geteuid().is_root() && Path::new(PYTHON).exists()
}

/// Python, about to run `script` as another user; `None` where that cannot be done.
fn stranger(script: &str, port: u16) -> Option<Command> {
    if !has_stranger() {
        say_skipped();
        return None;
    }
    let mut command = Command::new(PYTHON);
    command.args(["-I", "-c", script, &port.to_string()]).env_clear();
    command.uid(STRANGER).gid(STRANGER).current_dir("/");
    Some(command)
}

/// Runs `script` as another user, and returns what it prints.
fn as_stranger(script: &str, port: u16) -> Option<String> {
    let output = stranger(script, port)?.output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    Some(String::from_utf8(output.stdout).unwrap())
}

/// Sends one request, and prints all that comes until the end.
const ONE_REQUEST: &str = r#"
import socket, sys
port = int(sys.argv[1])
for address in ("127.0.0.1", "::1"):
    try:
        s = socket.create_connection((address, port), 10)
    except OSError:
        continue
    s.sendall(b"POST /a HTTP/1.1\r\nHost: localhost:%d\r\nContent-Length: 2\r\n\r\nhi" % port)
    while part := s.recv(65536):
        sys.stdout.write(part.decode())
    print("\n<end>")
"#;

#[test]
fn another_user_is_refused_by_name_and_the_owner_is_served() {
    let upstream = Upstream::answering(OK);
    let proxy = Setup::in_front_of(&upstream.url()).start();
    assert_eq!(get(proxy.port, "/a").status(), 200);
    let seen = upstream.requests().len();
    let Some(text) = as_stranger(ONE_REQUEST, proxy.port) else { return };
    let answers: Vec<&str> =
        text.split("<end>").filter(|answer| !answer.trim().is_empty()).collect();
    assert!(!answers.is_empty());
    for answer in answers {
        let answer = answer.trim_start().to_ascii_lowercase();
        assert!(answer.starts_with("http/1.1 403 forbidden"), "{answer}");
        assert!(answer.contains("x-hubspot-proxy-error: user-not-allowed"), "{answer}");
        assert!(answer.contains("connection: close"), "{answer}");
        assert!(answer.contains("65534") && answer.contains("server.allowed_users"), "{answer}");
    }
    assert_eq!(upstream.requests().len(), seen);
    assert!(proxy.stderr().contains("65534"), "{}", proxy.stderr());
    assert_eq!(get(proxy.port, "/a").status(), 200);
}

#[test]
fn a_user_who_sends_all_and_leaves_at_once_gets_nothing_through() {
    let upstream = Upstream::answering(OK);
    // One thread takes its connections in their order.
    let proxy =
        Setup::in_front_of(&upstream.url()).env("HUBSPOT_PROXY_SERVER__THREADS", "1").start();
    // Every second one resets the connection, so that its port is free at once.
    let script = r#"
import socket, struct, sys
port = int(sys.argv[1])
whole = b"POST /stolen HTTP/1.1\r\nHost: localhost:%d\r\nContent-Length: 2\r\n\r\nhi" % port
for i in range(1000):
    s = socket.create_connection(("127.0.0.1", port), 10)
    if i % 2:
        s.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    try:
        s.sendall(whole)
    except ConnectionError:
        pass
    s.close()
"#;
    if as_stranger(script, proxy.port).is_none() {
        return;
    }
    for _ in 0..10 {
        assert_eq!(post(proxy.port, "/mine", "hi").status(), 200);
    }
    let requests = upstream.requests();
    assert_eq!(requests.len(), 10);
    assert!(requests.iter().all(|request| request.target() == "/mine"));
}

#[test]
fn strangers_who_hold_connections_take_no_place_from_the_owner() {
    let upstream = Upstream::answering(OK);
    let proxy = Setup::in_front_of(&upstream.url())
        .env("HUBSPOT_PROXY_SERVER__MAX_CONNECTIONS", "4")
        .start();
    let script = r#"
import socket, sys
port = int(sys.argv[1])
held = [socket.create_connection(("127.0.0.1", port), 10) for _ in range(100)]
print("held", flush=True)
sys.stdin.read()
"#;
    let Some(mut command) = stranger(script, proxy.port) else { return };
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    let mut line = String::new();
    BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
    assert_eq!(line, "held\n");
    let mut held: Vec<_> = (0..4).map(|_| Client::connect(proxy.port)).collect();
    for client in &mut held {
        client.send("GET /a HTTP/1.1\r\nHost: {host}\r\n\r\n");
        assert_eq!(client.answer_to("GET").status(), 200);
    }
    drop(child.stdin.take());
    assert!(child.wait().unwrap().success());
}

#[test]
fn users_can_be_added_and_the_check_switched_off() {
    for allowed in ["any", "self,nobody", "65534"] {
        let upstream = Upstream::answering(OK);
        let proxy = Setup::in_front_of(&upstream.url())
            .env("HUBSPOT_PROXY_SERVER__ALLOWED_USERS", allowed)
            .start();
        let script = ONE_REQUEST.replace("Content-", "Connection: close\\r\\nContent-");
        let Some(text) = as_stranger(&script, proxy.port) else { return };
        assert!(text.starts_with("HTTP/1.1 200"), "{allowed}: {text}");
        let own = get(proxy.port, "/a");
        let expected = if allowed == "65534" { Some("user-not-allowed") } else { None };
        assert_eq!(own.refusal(), expected, "{allowed}");
    }
}

#[test]
fn the_owner_is_refused_where_only_others_are_listed_and_told_so_on_http_2_too() {
    use crate::h2_client::{block_on, connect, request, send};

    let upstream = Upstream::answering(OK);
    let other = (rustix::process::geteuid().as_raw() + 4711).to_string();
    let proxy = Setup::in_front_of(&upstream.url())
        .env("HUBSPOT_PROXY_SERVER__ALLOWED_USERS", &other)
        .start();
    let mut client = Client::connect(proxy.port);
    client.send("GET /a HTTP/1.1\r\nHost: {host}\r\n\r\nGET /b HTTP/1.1\r\nHost: {host}\r\n\r\n");
    let answer = client.answer_to("GET");
    assert_eq!((answer.status(), answer.refusal()), (403, Some("user-not-allowed")));
    assert_eq!(answer.header("connection"), Some("close"));
    assert_eq!(answer.header("x-should-retry"), Some("false"));
    assert!(client.is_closed());
    // The proxy's own paths are no exception.
    assert_eq!(get(proxy.port, "/_proxy/health").refusal(), Some("user-not-allowed"));
    block_on(async {
        let client = connect(proxy.port).await;
        let first = request("GET", proxy.port, "/a").body(()).unwrap();
        assert_eq!(send(&client, first, None).await.unwrap().status, 403);
    });
    assert!(upstream.requests().is_empty());
}

/// Prints what the check adds to a connection: run with `--ignored --nocapture`.
#[test]
#[ignore = "a measurement"]
fn cost_of_the_check_for_each_connection() {
    let upstream = Upstream::answering(OK);
    for allowed in ["any", "self", "any", "self"] {
        let proxy = Setup::in_front_of(&upstream.url())
            .env("HUBSPOT_PROXY_SERVER__ALLOWED_USERS", allowed)
            .start();
        get(proxy.port, "/_proxy/health");
        let began = Instant::now();
        for _ in 0..3000 {
            assert_eq!(get(proxy.port, "/_proxy/health").status(), 200);
        }
        eprintln!("{allowed}: {:?} a connection with one request", began.elapsed() / 3000);
    }
}

#[test]
fn a_user_who_takes_all_places_leaves_some_to_the_others() {
    let upstream = Upstream::answering(OK);
    let proxy = Setup::in_front_of(&upstream.url())
        .env("HUBSPOT_PROXY_SERVER__ALLOWED_USERS", &format!("self,{STRANGER}"))
        .env("HUBSPOT_PROXY_SERVER__MAX_CONNECTIONS", "16")
        .start();
    let Some(mut command) = stranger(ALL_PLACES, proxy.port) else { return };
    let mut child =
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("python runs");
    let mut served = String::new();
    BufReader::new(child.stdout.take().unwrap()).read_line(&mut served).unwrap();
    // Of 16 places two are kept for the other user.
    assert_eq!(served.trim(), "14 served, 26 overloaded");
    let mut mine: Vec<_> = (0..2).map(|_| Client::connect(proxy.port)).collect();
    for client in &mut mine {
        client.send("GET /a HTTP/1.1\r\nHost: {host}\r\n\r\n");
        assert_eq!(client.answer_to("GET").status(), 200);
    }
    let beyond = get(proxy.port, "/a");
    assert_eq!((beyond.status(), beyond.refusal()), (503, Some("overloaded")));
    assert!(beyond.header("retry-after").is_some());
    drop(child.stdin.take());
    assert!(child.wait().unwrap().success());
    crate::waiting::until("there is room again", || get(proxy.port, "/a").status() == 200);
}

/// Opens 40 connections and keeps those that are served until its input ends.
const ALL_PLACES: &str = r#"
import socket, sys
port = int(sys.argv[1])
held, overloaded = [], 0
for i in range(40):
    s = socket.create_connection(("127.0.0.1", port), 10)
    s.sendall(b"GET /a HTTP/1.1\r\nHost: localhost:%d\r\n\r\n" % port)
    answer = s.recv(65536)
    if answer.startswith(b"HTTP/1.1 200"):
        held.append(s)
    elif b"overloaded" in answer:
        overloaded += 1
        s.close()
print("%d served, %d overloaded" % (len(held), overloaded), flush=True)
sys.stdin.read()
"#;
