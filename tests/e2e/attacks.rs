//! A table of attacks: what is sent, what comes back, and what the upstream may see of it.
//!
//! Rows stand in the files below, by kind. Each is a connection of its own; behind each request
//! stands a second one, which must be answered as a request or not at all.

mod client_keys;
mod confusion;
mod credential_paths;
mod cross_site;
mod headers;
mod http2;
mod policy;
mod rebinding;
mod smuggling;
mod target;

use crate::client::{Answer, Client, find};
use crate::proxy::{Proxy, Setup};
use crate::upstream::{OK, Received, Upstream};

/// Stands in every credential that an attacking client sends.
const CLIENTS: &str = "clientsecret";
const INNER: &str = "GET /behind HTTP/1.1\r\nHost: {host}\r\n\r\n";

/// Accounts `main`, which is the default, and `other`, and one for each kind of policy.
const FILE: &str = r#"default_account = "main"
[accounts.main]
type = "access_token"
token = { env = "MAIN_TOKEN" }
[accounts.other]
type = "access_token"
token = { env = "OTHER_TOKEN" }
[accounts.reader]
type = "access_token"
token = { env = "READER_TOKEN" }
policy = { mode = "read-only" }
[accounts.keeper]
type = "access_token"
token = { env = "KEEPER_TOKEN" }
policy = { mode = "no-destructive" }
[accounts.denied]
type = "access_token"
token = { env = "DENIED_TOKEN" }
policy = { deny = ["* /crm/v3/objects/contacts/**", "POST /crm/v3/lists/search"] }
[accounts.listed]
type = "access_token"
token = { env = "LISTED_TOKEN" }
policy = { allow = ["GET /crm/**"] }
"#;

/// What is to come of a row.
#[derive(Clone, Debug)]
enum Expected {
    /// The proxy's own answer: status and code. The upstream sees nothing.
    Refused(u16, &'static str),
    /// Answered 400 or closed, and no whole request upstream.
    Malformed,
    /// An answer of the proxy's own that is none of its errors.
    Local(u16),
    /// The upstream sees just this.
    Sent(Seen),
}

/// A request as the upstream has to see it.
#[derive(Clone, Debug)]
struct Seen {
    line: String,
    account: &'static str,
    /// All headers but `Host`, `Authorization` and the framing, as `name: value`, in order.
    headers: Vec<String>,
    body: &'static str,
}

/// One attack over HTTP/1.
struct Row {
    /// `{host}` and `{port}` stand for the proxy's own.
    bytes: Vec<u8>,
    expected: Expected,
}

fn row(bytes: impl AsRef<[u8]>, expected: Expected) -> Row {
    Row { bytes: bytes.as_ref().to_vec(), expected }
}

/// A request with the proxy's own name and `lines`, each ending in CRLF.
fn ask(method: &str, target: &str, lines: &str) -> String {
    format!("{method} {target} HTTP/1.1\r\nHost: {{host}}\r\n{lines}\r\n")
}

fn sent(line: &str) -> Expected {
    sent_with(line, "main", &[], "")
}

fn sent_with(line: &str, account: &'static str, headers: &[&str], body: &'static str) -> Expected {
    let headers = headers.iter().map(|header| (*header).to_owned()).collect();
    Expected::Sent(Seen { line: format!("{line} HTTP/1.1"), account, headers, body })
}

fn token(account: &str) -> String {
    format!("pat-na1-{account}-4711-of-the-proxy")
}

fn start(upstream: &Upstream) -> Setup {
    ["main", "other", "reader", "keeper", "denied", "listed"]
        .iter()
        .fold(Setup::without_account(&upstream.url()).file("proxy.toml", FILE), |setup, name| {
            setup.env(&format!("{}_TOKEN", name.to_uppercase()), &token(name))
        })
}

/// What is wrong with what the upstream has seen; empty where all is right.
fn wrong_upstream(upstream: &Upstream, seen: Option<&Seen>, behind: bool) -> Vec<String> {
    let mut wrong = Vec::new();
    let bytes = upstream.bytes();
    if find(&bytes, CLIENTS.as_bytes()).is_some() {
        wrong.push("the upstream sees a client's credential".to_owned());
    }
    let mut whole: Vec<_> = upstream.requests().into_iter().filter(|r| r.whole).collect();
    if behind {
        match whole.pop() {
            Some(last) if last.line == "GET /behind HTTP/1.1" => {}
            last => wrong.push(format!("the request behind it is {last:?}")),
        }
    }
    match (seen, whole.as_slice()) {
        (None, []) => {}
        (Some(seen), [request]) => wrong.extend(difference(upstream, seen, request)),
        (seen, requests) => wrong.push(format!("expected {seen:?}, seen {requests:?}")),
    }
    wrong
}

fn difference(upstream: &Upstream, seen: &Seen, request: &Received) -> Option<String> {
    let own = ["host", "authorization", "content-length", "transfer-encoding"];
    let others = request.headers.iter().filter(|(n, _)| !own.contains(&n.to_lowercase().as_str()));
    let mut headers: Vec<_> = others.map(|(n, v)| format!("{}: {v}", n.to_lowercase())).collect();
    headers.sort();
    let right = request.line == seen.line
        && headers == seen.headers
        && request.body == seen.body.as_bytes()
        && request.all("host") == [format!("localhost:{}", upstream.port)]
        && request.all("authorization") == [format!("Bearer {}", token(seen.account))];
    (!right).then(|| format!("expected {seen:?}, seen {request:?}"))
}

/// What is wrong with the form of a refusal.
fn wrong_refusal(answer: &Answer, code: &str) -> Option<String> {
    let body = answer.json();
    let category = format!("PROXY_{}", code.replace('-', "_").to_uppercase());
    let id = body["correlationId"].as_str().unwrap_or("none").to_owned();
    let may_speak_of_origins = answer.header("access-control-allow-origin").is_none();
    let right = body["status"] == "error"
        && body["category"] == category.as_str()
        && answer.header("content-type") == Some("application/json;charset=utf-8")
        && answer.header("x-should-retry") == Some("false")
        && answer.header("x-hubspot-proxy").is_some_and(|header| header.contains(&id))
        && may_speak_of_origins
        && !answer.text().contains(CLIENTS);
    (!right).then(|| format!("a refusal of another form: {answer:?}"))
}

fn with_port(text: &[u8], port: u16) -> Vec<u8> {
    match find(text, b"{port}") {
        None => text.to_vec(),
        Some(at) => {
            let rest = with_port(&text[at + b"{port}".len()..], port);
            [&text[..at], port.to_string().as_bytes(), &rest].concat()
        }
    }
}

fn attack(proxy: &Proxy, upstream: &Upstream, row: &Row) -> Vec<String> {
    upstream.forget();
    let text = with_port(&[&row.bytes[..], INNER.as_bytes()].concat(), proxy.port);
    let mut client = Client::connect(proxy.port);
    // The proxy may have closed before all was written.
    let _ = client.try_send(text);
    let method = row.bytes.split(|b| *b == b' ').next().unwrap_or_default();
    let first = client.try_answer_to(&String::from_utf8_lossy(method));
    // A client that closes its side too early has its second request cancelled.
    if first.as_ref().is_none_or(|answer| answer.header("connection") == Some("close")) {
        let _ = client.stream.shutdown(std::net::Shutdown::Write);
    }
    let behind = first.as_ref().and_then(|_| client.try_answer_to("GET"));
    let _ = client.stream.shutdown(std::net::Shutdown::Write);
    let further = client.try_head();
    let seen = match &row.expected {
        Expected::Sent(seen) => Some(seen),
        _ => None,
    };
    let mut wrong = wrong_upstream(upstream, seen, behind.is_some());
    let status = first.as_ref().map(Answer::status);
    let refusal = first.as_ref().and_then(Answer::refusal);
    let right = match &row.expected {
        Expected::Refused(expected, code) => (status, refusal) == (Some(*expected), Some(*code)),
        Expected::Malformed => {
            matches!((status, refusal), (None | Some(400), None | Some("bad-request")))
                && behind.is_none()
        }
        Expected::Local(expected) => (status, refusal) == (Some(*expected), None),
        Expected::Sent(_) => (status, refusal) == (Some(200), None),
    };
    if !right || further.is_some() || behind.is_some_and(|answer| answer.status() != 200) {
        wrong.push(format!("answered {status:?} {refusal:?}, then {further:?}"));
    }
    if let (Expected::Refused(..), Some(answer), Some(code)) = (&row.expected, &first, refusal)
        && method != b"HEAD"
    {
        wrong.extend(wrong_refusal(answer, code));
    }
    wrong
}

/// Runs a table and says everything that is wrong with it at once.
fn run(setup: impl FnOnce(Setup) -> Setup, rows: &[Row]) {
    eprintln!("{} attacks", rows.len());
    let upstream = Upstream::answering(OK);
    let proxy = setup(start(&upstream)).start();
    let mut all = Vec::new();
    for row in rows {
        let wrong = attack(&proxy, &upstream, row);
        if !wrong.is_empty() {
            let bytes = String::from_utf8_lossy(&row.bytes);
            all.push(format!("{bytes:?} is to be {:?}: {wrong:?}", row.expected));
        }
    }
    let printed = proxy.stdout() + &proxy.stderr();
    assert!(!printed.contains(CLIENTS), "the log holds a client's credential");
    assert!(all.is_empty(), "{} of {} rows: {all:#?}", all.len(), rows.len());
}
