//! HTTP/2 heads that no client library sends, written byte by byte.

use std::io::{Read, Write};
use std::net::TcpStream;

use super::{start, wrong_upstream};
use crate::client::find;
use crate::upstream::{OK, Upstream};
use crate::waiting::PATIENCE;

type Lines<'a> = Vec<(&'a str, &'a str)>;

const OURS: [(&str, &str); 4] =
    [(":method", "GET"), (":scheme", "http"), (":path", "/a"), (":authority", "{host}")];

fn frame(kind: u8, flags: u8, stream: u8, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
    [&length[1..], &[kind, flags, 0, 0, 0, stream], payload].concat()
}

/// Literals without indexing and without Huffman coding (RFC 7541, section 6.2.2).
fn encoded(lines: &Lines, host: &str) -> Vec<u8> {
    let mut block = Vec::new();
    for (name, value) in lines {
        let value = value.replace("{host}", host);
        block.push(0);
        for text in [*name, value.as_str()] {
            block.push(u8::try_from(text.len()).unwrap());
            block.extend(text.as_bytes());
        }
    }
    block
}

/// All bytes of DATA that come back, until the stream or the connection ends.
fn answer(port: u16, lines: &Lines) -> Option<String> {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    let block = encoded(lines, &format!("localhost:{port}"));
    let head = frame(1, 5, 1, &block);
    stream.write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n").unwrap();
    stream.write_all(&[frame(4, 0, 0, &[]), head].concat()).unwrap();
    let mut body = Vec::new();
    loop {
        let mut head = [0; 9];
        stream.read_exact(&mut head).ok()?;
        let length = usize::from(head[1]) << 8 | usize::from(head[2]);
        let mut payload = vec![0; length];
        stream.read_exact(&mut payload).ok()?;
        match (head[3], head[8]) {
            (0, 1) => body.extend(payload),
            (3, 1) | (7, _) => return None,
            _ => {}
        }
        if head[8] == 1 && head[3] <= 1 && head[4] & 1 != 0 {
            return Some(String::from_utf8(body).unwrap());
        }
    }
}

/// [`OURS`] with some of it replaced, and `more` behind it.
fn with<'a>(replaced: &[(&'a str, &'a str)], more: &[(&'a str, &'a str)]) -> Lines<'a> {
    let of = |name: &str| replaced.iter().find(|(known, _)| *known == name).copied();
    let ours = OURS.iter().map(|line| of(line.0).unwrap_or(*line));
    ours.chain(more.iter().copied()).filter(|(_, value)| *value != "none").collect()
}

#[test]
fn a_head_of_http_2_is_judged_like_one_of_http_1() {
    let upstream = Upstream::answering(OK);
    let proxy = start(&upstream).start();
    let mut wrong = Vec::new();
    // What comes back: part of a body, or `None` for a reset.
    let cases: Vec<(Lines, Option<&str>)> = vec![
        (with(&[], &[]), Some("ok")),
        (with(&[], &[("te", "trailers")]), Some("ok")),
        (with(&[], &[("host", "{host}")]), Some("ok")),
        (with(&[(":scheme", "https")], &[]), Some("ok")),
        (with(&[(":authority", "none")], &[("host", "{host}")]), Some("ok")),
        (with(&[], &[("authorization", "Bearer clientsecret")]), Some("ok")),
        (with(&[], &[("cookie", "a=clientsecret"), ("cookie", "b=clientsecret")]), Some("ok")),
        (with(&[(":path", "/a?hapikey=clientsecret")], &[]), Some("ok")),
        (with(&[], &[("x-http-method-override", "DELETE")]), Some("ok")),
        (with(&[], &[("host", "evil.example")]), Some("HOST_NOT_ALLOWED")),
        (with(&[], &[("host", "127.0.0.1")]), Some("HOST_NOT_ALLOWED")),
        (with(&[], &[("host", "{host}"), ("host", "{host}")]), Some("BAD_REQUEST")),
        (with(&[(":authority", "none")], &[]), Some("BAD_REQUEST")),
        (with(&[(":authority", "evil.example")], &[]), Some("HOST_NOT_ALLOWED")),
        (with(&[(":authority", "evil.example")], &[("host", "{host}")]), Some("BAD_REQUEST")),
        (with(&[(":authority", "x@{host}")], &[]), Some("HOST_NOT_ALLOWED")),
        (with(&[(":authority", "localhost")], &[]), Some("HOST_NOT_ALLOWED")),
        (with(&[], &[("origin", "https://evil.example")]), Some("ORIGIN_NOT_ALLOWED")),
        (with(&[], &[("origin", "null")]), Some("ORIGIN_NOT_ALLOWED")),
        (with(&[], &[("sec-fetch-site", "cross-site")]), Some("ORIGIN_NOT_ALLOWED")),
        (with(&[], &[("referer", "https://evil.example/")]), Some("ORIGIN_NOT_ALLOWED")),
        (with(&[(":path", "/a/../b")], &[]), Some("BAD_REQUEST_TARGET")),
        (with(&[(":path", "/a/%2e%2e/b")], &[]), Some("BAD_REQUEST_TARGET")),
        (with(&[(":path", "/oauth/v1/token")], &[]), Some("CREDENTIAL_PATH_BLOCKED")),
        (with(&[(":path", "/%6fauth")], &[]), Some("CREDENTIAL_PATH_BLOCKED")),
        (with(&[(":path", "/_proxy/x")], &[]), Some("NOT_FOUND")),
        (with(&[(":path", "/@nobody/a")], &[]), Some("UNKNOWN_ACCOUNT")),
        (
            with(&[(":path", "/@main/a")], &[("x-hubspot-account", "other")]),
            Some("ACCOUNT_CONFLICT"),
        ),
        (with(&[(":method", "TRACE")], &[]), Some("METHOD_NOT_ALLOWED")),
        (with(&[(":method", "OPTIONS"), (":path", "*")], &[]), Some("BAD_REQUEST_TARGET")),
        (with(&[(":path", "none")], &[]), None),
        (with(&[(":path", "")], &[]), None),
        (with(&[(":scheme", "none")], &[]), None),
        (with(&[(":method", "none")], &[]), None),
        (with(&[(":method", "")], &[]), None),
        (with(&[], &[(":path", "/b")]), None),
        (with(&[], &[(":method", "POST")]), None),
        (with(&[], &[(":authority", "{host}")]), None),
        (with(&[], &[("a", "b"), (":path", "/b")]), None),
        (with(&[], &[(":unknown", "x")]), None),
        (with(&[], &[(":status", "200")]), None),
        (with(&[], &[(":protocol", "websocket")]), None),
        (with(&[], &[("connection", "authorization")]), None),
        (with(&[], &[("transfer-encoding", "chunked")]), None),
        (with(&[], &[("upgrade", "websocket")]), None),
        (with(&[], &[("keep-alive", "x")]), None),
        (with(&[], &[("proxy-connection", "x")]), None),
        (with(&[], &[("te", "gzip")]), None),
        (with(&[], &[("content-length", "5")]), None),
        (with(&[], &[("Upper", "x")]), None),
        (with(&[], &[("x y", "x")]), None),
        (with(&[], &[("", "x")]), None),
        (with(&[], &[("x", "a\r\nb: c")]), None),
        (with(&[], &[("x", "a\0b")]), None),
        (with(&[], &[("x\r\nhost", "a")]), None),
        (with(&[(":path", "/a HTTP/1.1\r\nx: y")], &[]), None),
        (with(&[(":path", "/a b")], &[]), None),
        (with(&[(":method", "GET /b HTTP/1.1\r\nx:")], &[]), None),
        (with(&[(":authority", "{host}\r\nx: y")], &[]), None),
    ];
    for (lines, expected) in &cases {
        upstream.forget();
        let body = answer(proxy.port, lines);
        let right = match (&body, expected) {
            (None, None) => true,
            (Some(body), Some(part)) => body.contains(part),
            _ => false,
        };
        let arrived = upstream.requests().len();
        let leaked = find(&upstream.bytes(), b"clientsecret").is_some();
        let allowed = usize::from(*expected == Some("ok"));
        if !right || leaked || arrived != allowed {
            let seen = wrong_upstream(&upstream, None, false);
            wrong.push(format!("{lines:?} is to be {expected:?}: {body:?}, {arrived} {seen:?}"));
        }
    }
    assert!(wrong.is_empty(), "{} of {}: {wrong:#?}", wrong.len(), cases.len());
}
