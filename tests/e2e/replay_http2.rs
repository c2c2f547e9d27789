//! Refused tokens where the upstream speaks HTTP/2.

use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::sync::{Arc, Mutex};

use crate::client::{Client, exchange};
use crate::h2_frames::{DATA, END_HEADERS, END_STREAM, Frames, HEADERS, RST_STREAM};
use crate::http2_upstream::{load, over_http2, upstream};
use crate::portal::{EXPIRED, Portal, age_tokens, note};
use crate::proxy::{Proxy, TOKEN};
use crate::replay_bodies::{FRAMINGS, Framing, body, framed, head};
use crate::tls::Authority;
use crate::upstream::Upstream;
use crate::waiting::until;

const BUFFER: usize = 100_000;
/// What came of a request that was refused, and of its second attempt.
#[derive(Default)]
struct Received {
    was_reset: bool,
    body: Vec<u8>,
}

/// `:status: 401`, written out.
const UNAUTHORIZED: &[u8] = b"\x08\x03401";

fn refuse(frames: &mut Frames, stream: u32) {
    frames.send(HEADERS, END_HEADERS, stream, UNAUTHORIZED);
    frames.send(DATA, END_STREAM, stream, EXPIRED.as_bytes());
}

/// Accounts with old tokens, and one with a static token for the load.
fn start(portal: &Portal, upstream: &Upstream, authority: &Authority, count: usize) -> Proxy {
    let url = format!("https://localhost:{}", upstream.port);
    let proxy = portal
        .accounts(&url, count)
        .more(
            "proxy.toml",
            "[accounts.load]\ntype = \"access_token\"\ntoken = { env = \"LOAD\" }\n",
        )
        .env("LOAD", TOKEN)
        .env("HUBSPOT_PROXY_DEFAULT_ACCOUNT", "load")
        .env("HUBSPOT_PROXY_UPSTREAM__REPLAY_BUFFER", &BUFFER.to_string())
        .env("HUBSPOT_PROXY_SERVER__THREADS", "1")
        .trusting(&authority.file)
        .start();
    age_tokens(&proxy, count);
    upstream.forget();
    proxy
}

#[test]
fn a_body_is_replayed_on_a_second_stream_or_not_at_all() {
    let attempts = AtomicUsize::new(0);
    let (upstream, authority) = upstream(move |frames| {
        // The first attempt of each request is refused.
        while let Some(stream) = frames.request() {
            match attempts.fetch_add(1, SeqCst) % 2 {
                0 => refuse(frames, stream),
                _ => frames.send_ok(stream),
            }
        }
    });
    let portal = Portal::start();
    let sizes = [0, 1, 64 * 1024, BUFFER];
    let cases: Vec<_> = sizes.iter().flat_map(|size| FRAMINGS.map(|f| (*size, f))).collect();
    let proxy = start(&portal, &upstream, &authority, cases.len() + 1);
    let _load = load(&proxy, &upstream);
    let too_large = cases.len();
    let cases = cases.into_iter().chain([(BUFFER + 1, Framing::Chunked)]);
    for (n, (size, framing)) in cases.enumerate() {
        let what = format!("{size} bytes, {framing:?}");
        let body = body(size);
        let seen = over_http2(&upstream).len();
        let head = head(&format!("/@a{n}/upload"), framing, size);
        let answer = exchange(proxy.port, [head.as_bytes(), &framed(framing, &body)].concat());
        let attempts = over_http2(&upstream).split_off(seen);
        assert!(attempts.iter().all(|attempt| attempt.body == body), "{what}");
        let seen = (answer.status(), note(&answer), attempts.len(), portal.token_calls(n));
        if n == too_large {
            assert_eq!(seen, (401, "not-replayed=body-too-large", 1, 1), "{what}");
            assert_eq!(answer.text(), EXPIRED);
        } else {
            assert_eq!(seen, (200, "replayed", 2, 2), "{what}");
            assert_eq!(answer.body, b"h2");
        }
    }
}

#[test]
fn a_stream_that_is_refused_early_is_reset_and_sent_again_with_the_rest() {
    let received = Arc::new(Mutex::new(Received::default()));
    let kept = Arc::clone(&received);
    let (upstream, authority) = upstream(move |frames| {
        // The first is refused at the head. What comes of it then, its reset but for, is not
        // looked at.
        let mut first = None;
        while let Some(frame) = frames.next() {
            let mut kept = kept.lock().unwrap();
            match frame.kind {
                HEADERS if first.is_none() => {
                    first = Some(frame.stream);
                    refuse(frames, frame.stream);
                }
                RST_STREAM if first == Some(frame.stream) => kept.was_reset = true,
                DATA if first != Some(frame.stream) => {
                    kept.body.extend(&frame.payload);
                    if frame.flags & END_STREAM != 0 {
                        frames.send_ok(frame.stream);
                    } else {
                        frames.widen(frame.stream, 100_000);
                    }
                }
                _ => {}
            }
        }
    });
    let portal = Portal::start();
    let proxy = start(&portal, &upstream, &authority, 1);
    let _load = load(&proxy, &upstream);
    let all = body(90_000);
    let mut client = Client::connect(proxy.port);
    client.send(head("/@a0/early", Framing::Length, all.len()));
    client.send(&all[..30_000]);
    until("it has a new token", || portal.token_calls(0) == 2);
    client.send(&all[30_000..]);
    let answer = client.answer_to("POST");
    assert_eq!((answer.status(), note(&answer)), (200, "replayed"), "{answer:?}");
    until("the first attempt is given up", || received.lock().unwrap().was_reset);
    assert!(received.lock().unwrap().body == all);
}
