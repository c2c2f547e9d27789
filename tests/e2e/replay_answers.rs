//! Which 401s lead to a replay, and that those which do not reach the client as they were.

use std::io::Write;
use std::thread;
use std::time::{Duration, Instant};

use crate::client::{Answer, Client, exchange, get};
use crate::portal::{EXPIRED, Portal, note, refusal};
use crate::proxy::Setup;
use crate::upstream::Upstream;

fn gzipped(text: &[u8]) -> Vec<u8> {
    let mut zip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    zip.write_all(text).unwrap();
    zip.finish().unwrap()
}

fn json(category: &str) -> Vec<u8> {
    format!(r#"{{"status":"error","message":"No.","category":"{category}"}}"#).into_bytes()
}

#[test]
fn only_a_401_that_may_be_the_tokens_fault_is_replayed() {
    let gzip = "Content-Encoding: gzip\r\n";
    let not_its_fault = [
        ("", json("MISSING_SCOPES")),
        ("", json("USER_DOES_NOT_HAVE_PERMISSIONS")),
        ("", json("")),
        (gzip, gzipped(&json("MISSING_SCOPES"))),
        ("Content-Encoding: x-gzip\r\n", gzipped(&json("GATED"))),
        ("Content-Encoding: identity\r\n", json("GATED")),
    ];
    let its_fault = [
        ("", EXPIRED.as_bytes().to_vec()),
        ("", json("INVALID_AUTHENTICATION")),
        ("", br#"{"message":"no category"}"#.to_vec()),
        ("", br#"{"category":null}"#.to_vec()),
        ("", br#"{"category":7}"#.to_vec()),
        ("", b"<html>Unauthorized</html>".to_vec()),
        ("", Vec::new()),
        ("", vec![0xff; 100]),
        ("", vec![b' '; 100_000]),
        (gzip, gzipped(EXPIRED.as_bytes())),
        (gzip, gzipped(&json("GATED"))[..30].to_vec()),
        (gzip, b"not gzip at all".to_vec()),
        ("Content-Encoding: br\r\n", json("GATED")),
        // So large that it is not decoded to its end.
        (gzip, gzipped(&vec![b' '; 10_000_000])),
    ];
    let portal = Portal::start();
    let proxy = portal.refusing_accounts(not_its_fault.len() + its_fault.len());
    for (n, (headers, body)) in not_its_fault.iter().enumerate() {
        portal.refuse_with(refusal(headers, body));
        let answer = get(proxy.port, &format!("/@a{n}/other-{n}"));
        assert_eq!((answer.status(), note(&answer)), (401, ""), "{n}");
        assert!(answer.body == *body, "{n}");
        let coding = headers.split(": ").nth(1).map(str::trim_end);
        assert_eq!(answer.header("content-encoding"), coding);
        let counts = (portal.attempts(&format!("/other-{n}")).len(), portal.token_calls(n));
        assert_eq!(counts, (1, 1), "{n}");
    }
    for (at, (headers, body)) in its_fault.iter().enumerate() {
        let n = not_its_fault.len() + at;
        portal.refuse_with(refusal(headers, body));
        let answer = get(proxy.port, &format!("/@a{n}/token-{n}"));
        assert_eq!((answer.status(), note(&answer)), (200, "replayed"), "{at}: {answer:?}");
        let counts = (portal.attempts(&format!("/token-{n}")).len(), portal.token_calls(n));
        assert_eq!(counts, (2, 2), "{at}");
    }
}

/// The answer of an account whose token was fetched only now, so that it is passed on.
fn passed_on(portal: &Portal) -> Answer {
    portal.refuse_all(true);
    let proxy = portal.accounts(&portal.upstream.url(), 1).start();
    let answer =
        exchange(proxy.port, "GET /@a0/a HTTP/1.1\r\nHost: {host}\r\nTE: trailers\r\n\r\n");
    assert_eq!((answer.status(), note(&answer)), (401, "not-replayed=token-just-fetched"));
    assert_eq!((portal.attempts("/a").len(), portal.token_calls(0)), (1, 1));
    answer
}

#[test]
fn a_401_that_is_passed_on_is_as_it_was() {
    let large: Vec<u8> = (0..200_000u32).map(|n| u8::try_from(n % 251).unwrap()).collect();
    let chunked =
        b"HTTP/1.1 401 Unauthorized\r\nTransfer-Encoding: chunked\r\nTrailer: X-Sum\r\n\r\n\
        3\r\nabc\r\n2\r\nde\r\n0\r\nX-Sum: 7\r\n\r\n";
    let head = "HTTP/1.1 401 Unauthorized\r\n";
    let cases: [(Vec<u8>, &[u8]); 6] = [
        (refusal("WWW-Authenticate: Bearer\r\n", EXPIRED.as_bytes()), EXPIRED.as_bytes()),
        (refusal("", &large), &large),
        (refusal("", &large[..16 * 1024]), &large[..16 * 1024]),
        (refusal("", &large[..16 * 1024 + 1]), &large[..16 * 1024 + 1]),
        (refusal("", b""), b""),
        (chunked.to_vec(), b"abcde"),
    ];
    for (n, (refused, body)) in cases.into_iter().enumerate() {
        let portal = Portal::start();
        portal.refuse_with(refused);
        let answer = passed_on(&portal);
        assert!(answer.whole && answer.body == body, "{n}: {:?}", answer.head);
        assert_eq!(answer.header("www-authenticate").is_some(), n == 0);
        assert_eq!(answer.trailers.len(), usize::from(n == 5));
        if n < 5 {
            assert_eq!(answer.header("content-length"), Some(&*body.len().to_string()));
        }
    }
    for (n, part) in [0, 5, 100_000].into_iter().enumerate() {
        let portal = Portal::start();
        let text = format!("{head}Content-Length: 200000\r\n\r\n");
        // The name of the status differs: the portal closes after it.
        let text = text.replace("Unauthorized", "No");
        portal.refuse_with([text.as_bytes(), &large[..part]].concat());
        let answer = passed_on(&portal);
        assert!(!answer.whole && answer.body == large[..part], "broken off, {n}");
    }
}

#[test]
fn a_slow_401_is_waited_for_two_seconds_and_then_passed_on_as_it_comes() {
    let slow = Upstream::start(|peer| {
        while let Some(request) = peer.request() {
            if request.method() == "POST" {
                let token = r#"{"access_token":"t1","expires_in":1800}"#;
                let length = token.len();
                peer.send(format!("HTTP/1.1 200 OK\r\nContent-Length: {length}\r\n\r\n{token}"));
                continue;
            }
            peer.send("HTTP/1.1 401 Unauthorized\r\nContent-Length: 10\r\n\r\nfirst");
            thread::sleep(Duration::from_secs(4));
            peer.send("later");
        }
    });
    let proxy = Portal::start().accounts(&slow.url(), 1);
    let proxy = proxy.env("HUBSPOT_PROXY_OAUTH__TOKEN_URL", &format!("{}/oauth", slow.url()));
    let proxy = proxy.start();
    let began = Instant::now();
    let mut client = Client::connect(proxy.port);
    client.send("GET /@a0/a HTTP/1.1\r\nHost: {host}\r\n\r\n");
    let head = client.head();
    let waited = began.elapsed();
    assert!((1900..3500).contains(&waited.as_millis()), "{waited:?}");
    let answer = client.rest_of(head, "GET");
    assert_eq!((answer.status(), note(&answer)), (401, "not-replayed=token-just-fetched"));
    assert!(answer.whole && answer.body == b"firstlater", "{answer:?}");
}

#[test]
fn a_static_token_is_never_replayed_and_its_401_not_waited_for() {
    let upstream = Upstream::start(|peer| {
        while peer.request().is_some() {
            peer.send("HTTP/1.1 401 Unauthorized\r\nContent-Length: 10\r\n\r\nfirst");
            thread::sleep(Duration::from_millis(2500));
            peer.send("later");
        }
    });
    let proxy = Setup::in_front_of(&upstream.url()).start();
    let began = Instant::now();
    let mut client = Client::connect(proxy.port);
    client.send("POST /a HTTP/1.1\r\nHost: {host}\r\nContent-Length: 3\r\n\r\nabc");
    let head = client.head();
    assert!(began.elapsed() < Duration::from_secs(2), "{:?}", began.elapsed());
    let answer = client.rest_of(head, "POST");
    assert_eq!((answer.status(), note(&answer)), (401, ""));
    assert_eq!(answer.body, b"firstlater");
    assert_eq!(upstream.requests().len(), 1);
}

#[test]
fn a_replay_that_is_refused_as_well_is_the_last_for_a_while() {
    let portal = Portal::start();
    let proxy = portal.refusing_accounts(2);
    portal.refuse_all(true);
    let answer = get(proxy.port, "/@a0/first-401");
    assert_eq!((answer.status(), note(&answer)), (401, "replayed"));
    assert_eq!(answer.text(), EXPIRED);
    for _ in 0..20 {
        let answer = get(proxy.port, "/@a0/more");
        assert_eq!((answer.status(), note(&answer)), (401, "not-replayed=token-just-fetched"));
    }
    // Where no other can be had, the refusal is what the client gets, and more calls are not made.
    portal.tokens_are(Some("HTTP/1.1 503 Down\r\nRetry-After: 60\r\nContent-Length: 0\r\n\r\n"));
    for _ in 0..20 {
        let answer = get(proxy.port, "/@a1/down");
        assert_eq!((answer.status(), note(&answer)), (401, "not-replayed=token-unavailable"));
        assert_eq!(answer.text(), EXPIRED);
    }
    assert_eq!(portal.token_calls(1), 2);
    portal.tokens_are(None);
    thread::sleep(Duration::from_millis(10_050));
    for _ in 0..20 {
        let answer = get(proxy.port, "/@a0/later");
        assert_eq!((answer.status(), note(&answer)), (401, "not-replayed=refresh-paused"));
    }
    assert_eq!((portal.attempts("/first-401").len(), portal.attempts("/later").len()), (2, 20));
    assert_eq!(portal.token_calls(0), 2);
    // One answer that is none ends the pause.
    portal.refuse_all(false);
    assert_eq!(get(proxy.port, "/@a0/good").status(), 200);
    portal.refuse_all(true);
    let answer = get(proxy.port, "/@a0/again");
    assert_eq!((answer.status(), note(&answer)), (401, "replayed"));
    assert_eq!(portal.token_calls(0), 3);
}

#[test]
fn a_grant_that_is_refused_when_its_token_is_asks_for_a_login() {
    let portal = Portal::start();
    let proxy = portal.refusing_accounts(1);
    let body = r#"{"error":"invalid_grant","status":"BAD_REFRESH_TOKEN"}"#;
    let length = body.len();
    portal.tokens_are(Some(&format!(
        "HTTP/1.1 400 Bad Request\r\nContent-Length: {length}\r\n\r\n{body}"
    )));
    for _ in 0..5 {
        let answer = get(proxy.port, "/@a0/a");
        assert_eq!((answer.status(), answer.refusal()), (503, Some("needs-login")), "{answer:?}");
    }
    assert_eq!(portal.token_calls(0), 2);
}
