//! A request with a body whose token is refused: the body is sent again whole, or not at all.

use std::time::Duration;

use crate::client::{Answer, Client, exchange, get};
use crate::portal::{Portal, note};
use crate::proxy::Proxy;
use crate::waiting::until;

const BUFFER: usize = 256 * 1024;
const SIZES: [usize; 5] = [0, 1, 64 * 1024, BUFFER, BUFFER + 1];

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Framing {
    Length,
    Chunked,
    Trailers,
}

pub const FRAMINGS: [Framing; 3] = [Framing::Length, Framing::Chunked, Framing::Trailers];

/// No part of it is like another.
pub fn body(size: usize) -> Vec<u8> {
    (0..size).map(|n| b'a' + u8::try_from((n * 7 + n / 26) % 26).unwrap()).collect()
}

pub fn head(target: &str, framing: Framing, size: usize) -> String {
    let framing = match framing {
        Framing::Length => format!("Content-Length: {size}\r\n"),
        Framing::Chunked => "Transfer-Encoding: chunked\r\n".to_owned(),
        Framing::Trailers => "Transfer-Encoding: chunked\r\nTrailer: X-Sum\r\n".to_owned(),
    };
    format!("POST {target} HTTP/1.1\r\nHost: {{host}}\r\n{framing}\r\n")
}

pub fn framed(framing: Framing, body: &[u8]) -> Vec<u8> {
    if framing == Framing::Length {
        return body.to_vec();
    }
    let mut all = Vec::new();
    for part in body.chunks(10_000) {
        all.extend(format!("{:x}\r\n", part.len()).into_bytes());
        all.extend(part);
        all.extend(b"\r\n");
    }
    all.extend(match framing {
        Framing::Trailers => &b"0\r\nX-Sum: 7\r\n\r\n"[..],
        _ => b"0\r\n\r\n",
    });
    all
}

fn upload(proxy: &Proxy, target: &str, framing: Framing, body: &[u8]) -> Answer {
    let head = head(target, framing, body.len());
    exchange(proxy.port, [head.as_bytes(), &framed(framing, body)].concat())
}

#[test]
fn a_body_up_to_the_buffer_is_replayed_byte_by_byte_and_a_larger_one_is_not() {
    let portal = Portal::start();
    let cases: Vec<_> = SIZES.iter().flat_map(|size| FRAMINGS.map(|f| (*size, f))).collect();
    let proxy = portal.refusing_accounts(cases.len());
    for (n, (size, framing)) in cases.into_iter().enumerate() {
        let what = format!("{size} bytes, {framing:?}");
        let body = body(size);
        let answer = upload(&proxy, &format!("/@a{n}/upload-{n}"), framing, &body);
        let attempts = portal.attempts(&format!("/upload-{n}"));
        for attempt in &attempts {
            assert!(attempt.whole && attempt.body == body, "{what}: not byte by byte");
            let trailers = usize::from(framing == Framing::Trailers);
            assert_eq!(attempt.trailers.len(), trailers, "{what}");
        }
        if size > BUFFER {
            let seen = (answer.status(), note(&answer), attempts.len(), portal.token_calls(n));
            assert_eq!(seen, (401, "not-replayed=body-too-large", 1, 1), "{what}");
            assert_eq!(answer.json()["category"], "EXPIRED_AUTHENTICATION");
            continue;
        }
        let seen = (answer.status(), note(&answer), attempts.len(), portal.token_calls(n));
        assert_eq!(seen, (200, "replayed", 2, 2), "{what}: {:?}", answer.head);
        assert!(answer.body == body, "{what}");
        assert_ne!(attempts[0].all("authorization"), attempts[1].all("authorization"));
        let but_token = |n: usize| {
            let all = attempts[n].headers.iter();
            all.filter(|(name, _)| !name.eq_ignore_ascii_case("authorization")).collect::<Vec<_>>()
        };
        // Without a body the framing is a matter of its own.
        assert!(size == 0 || but_token(0) == but_token(1), "{what}");
    }
}

#[test]
fn an_empty_chunked_body_is_framed_in_the_replay_as_well() {
    let portal = Portal::start();
    let proxy = portal.refusing_accounts(1);
    let answer = upload(&proxy, "/@a0/empty", Framing::Chunked, b"");
    assert_eq!((answer.status(), note(&answer)), (200, "replayed"));
    for attempt in portal.attempts("/empty") {
        let framings = [attempt.all("content-length"), attempt.all("transfer-encoding")].concat();
        assert!(matches!(framings[..], ["0" | "chunked"]), "{attempt:?}");
    }
}

#[test]
fn a_client_that_is_still_sending_or_has_gone_when_its_token_is_refused() {
    let portal = Portal::start();
    let proxy = portal.refusing_accounts(7);
    for (n, framing) in FRAMINGS.into_iter().enumerate() {
        sending_with_enough_buffer(&portal, &proxy, n, framing);
    }
    sending_more_than_the_buffer(&portal, &proxy, 3);
    sending_into_a_refusal_that_stays(&portal, &proxy, 4);
    going_during_the_refresh(&portal, &proxy, 5);
    sending_nothing_more(&portal, &proxy, 6);
}

fn sending_with_enough_buffer(portal: &Portal, proxy: &Proxy, n: usize, framing: Framing) {
    let (all, target) = (body(100_000), format!("/early-{n}"));
    let framed = framed(framing, &all);
    let mut client = Client::connect(proxy.port);
    client.send(head(&format!("/@a{n}{target}"), framing, all.len()));
    client.send(&framed[..40_000]);
    // The second attempt is under way with what has been sent so far.
    until("it has a new token", || portal.token_calls(n) == 2);
    client.send(&framed[40_000..]);
    let answer = client.answer_to("POST");
    assert_eq!((answer.status(), note(&answer)), (200, "replayed"), "{framing:?}");
    assert!(answer.body == all, "{framing:?}");
    let attempts = portal.attempts(&target);
    assert_eq!(attempts.len(), 2, "{framing:?}");
    assert!(attempts[1].whole && attempts[1].body == all, "{framing:?}");
}

fn sending_more_than_the_buffer(portal: &Portal, proxy: &Proxy, n: usize) {
    // The upstream takes all and then refuses, so that all has gone by.
    let all = body(3 * BUFFER);
    let mut client = Client::connect(proxy.port);
    client.send(head(&format!("/@a{n}/large"), Framing::Length, all.len()));
    for part in all.chunks(BUFFER / 2) {
        client.send(part);
    }
    let answer = client.answer_to("POST");
    assert_eq!((answer.status(), note(&answer)), (401, "not-replayed=body-too-large"));
    let attempts = portal.attempts("/large");
    assert_eq!((attempts.len(), portal.token_calls(n)), (1, 1));
    assert!(attempts[0].whole && attempts[0].body == all);
}

/// No other token can be had: the client hears the refusal, and whether it goes on sending does
/// not matter.
fn sending_into_a_refusal_that_stays(portal: &Portal, proxy: &Proxy, n: usize) {
    portal.tokens_are(Some("HTTP/1.1 500 Oops\r\nContent-Length: 0\r\n\r\n"));
    let mut client = Client::connect(proxy.port);
    client.send(head(&format!("/@a{n}/early-stays"), Framing::Length, 100_000));
    client.send(&body(100_000)[..40_000]);
    let answer = client.answer_to("POST");
    assert_eq!((answer.status(), note(&answer)), (401, "not-replayed=token-unavailable"));
    assert_eq!(answer.json()["category"], "EXPIRED_AUTHENTICATION");
    assert_eq!(portal.attempts("/early-stays").len(), 1);
    portal.tokens_are(None);
}

fn going_during_the_refresh(portal: &Portal, proxy: &Proxy, n: usize) {
    portal.tokens_after(Duration::from_secs(1));
    let mut client = Client::connect(proxy.port);
    client.send(head(&format!("/@a{n}/gone"), Framing::Length, 3)).send("abc");
    until("the refresh runs", || portal.token_calls(n) == 2);
    drop(client);
    portal.tokens_after(Duration::ZERO);
    let answer = get(proxy.port, &format!("/@a{n}/next"));
    // It waits for the same refresh, or finds its token.
    assert_eq!(answer.status(), 200, "{answer:?}");
    assert_eq!(portal.token_calls(n), 2);
    assert!(portal.attempts("/gone").len() <= 2);
}

/// A client that sends half a body and then nothing holds nobody up, and is not sent twice.
fn sending_nothing_more(portal: &Portal, proxy: &Proxy, n: usize) {
    let mut client = Client::connect(proxy.port);
    client.send(head(&format!("/@a{n}/early-half"), Framing::Length, 1000));
    client.send(&body(1000)[..500]);
    until("it has a new token", || portal.token_calls(n) == 2);
    assert_eq!(get(proxy.port, &format!("/@a{n}/beside")).status(), 200);
    drop(client);
    until("the upstream has the second attempt", || portal.attempts("/early-half").len() == 2);
    let attempts = portal.attempts("/early-half");
    assert!(!attempts[1].whole, "half a body that looks whole: {:?}", attempts[1].line);
}
