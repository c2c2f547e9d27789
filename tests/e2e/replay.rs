//! A token that is refused: one refresh for all who met it, and one exact repetition.

use std::io::Write;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

use crate::client::{Answer, Client, exchange, get, post};
use crate::proxy::{Proxy, Setup};
use crate::upstream::{Peer, Received, Upstream};
use crate::waiting::until;

/// For so long a token that was just fetched is not replaced because of a 401.
const TOO_NEW: Duration = Duration::from_millis(10_300);
const EXPIRED: &str = r#"{"status":"error","message":"The OAuth token used to make this call expired","category":"EXPIRED_AUTHENTICATION"}"#;

/// HubSpot with a token endpoint that counts its tokens; only the tokens from `valid` on are taken.
#[derive(Default)]
struct Tokens {
    issued: AtomicUsize,
    valid: AtomicUsize,
}

impl Tokens {
    fn issue(&self, peer: &mut Peer) {
        let number = self.issued.fetch_add(1, Ordering::SeqCst) + 1;
        send(peer, 200, &format!("{{\"access_token\":\"token-{number}\",\"expires_in\":1800}}"));
    }

    fn takes(&self, request: &Received) -> bool {
        let bearer = request.all("authorization").join(",");
        let number = bearer.strip_prefix("Bearer token-").and_then(|n| n.parse::<usize>().ok());
        number.unwrap_or_else(|| panic!("{bearer}")) >= self.valid.load(Ordering::SeqCst)
    }

    /// Refuses all that has been issued so far.
    fn expire(&self) {
        self.valid.store(self.issued.load(Ordering::SeqCst) + 1, Ordering::SeqCst);
    }
}

fn send(peer: &mut Peer, status: u16, body: &str) {
    let length = body.len();
    peer.send(format!("HTTP/1.1 {status} X\r\nContent-Type: application/json\r\nContent-Length: {length}\r\n\r\n{body}"));
}

/// Answers by `refuse` where it does not take the token; that tells whether the connection goes on.
fn hubspot(
    refuse: impl Fn(&mut Peer, &Received) -> bool + Send + Sync + 'static,
) -> (Upstream, Arc<Tokens>) {
    let tokens = Arc::new(Tokens::default());
    let known = Arc::clone(&tokens);
    let upstream = Upstream::start(move |peer| {
        while let Some(head) = peer.head() {
            if !head.target().starts_with("/oauth/") && !known.takes(&head) {
                match refuse(peer, &head) {
                    true => continue,
                    false => return,
                }
            }
            let Some(request) = peer.rest_of(head) else { return };
            match request.target().starts_with("/oauth/") {
                true => known.issue(peer),
                false => send(peer, 200, "ok"),
            }
        }
    });
    (upstream, tokens)
}

fn start(upstream: &Upstream) -> Proxy {
    Setup::without_account(&upstream.url())
        .env("HUBSPOT_CLIENT_ID", "app")
        .env("HUBSPOT_CLIENT_SECRET", "secret")
        .env("HUBSPOT_REFRESH_TOKEN", "refresh")
        .env("HUBSPOT_PROXY_UPSTREAM__REPLAY_BUFFER", "64KiB")
        .start()
}

fn note(answer: &Answer) -> String {
    let ours = answer.header("x-hubspot-proxy").unwrap();
    ours.split("; ").nth(2).unwrap_or_default().to_owned()
}

fn refuse_at_the_end(peer: &mut Peer, head: &Received) -> bool {
    refuse_with(peer, head, 401, EXPIRED)
}

fn refuse_with(peer: &mut Peer, head: &Received, status: u16, body: &str) -> bool {
    let whole = peer.rest_of(head.clone()).is_some();
    if whole {
        send(peer, status, body);
    }
    whole
}

/// A row of the table below: the function's own name says what it shows.
macro_rules! scenarios {
    ($($name:ident),+ $(,)?) => { [$((stringify!($name), $name as fn())),+] };
}

/// Together, since each has to wait until its first token is no longer new.
#[test]
fn a_refused_token_is_replaced_once_and_requests_are_repeated_exactly_or_not_at_all() {
    let scenarios = scenarios![
        a_herd_of_refused_requests_shares_one_refresh_and_each_is_repeated_once,
        an_upload_that_is_refused_early_arrives_whole_the_second_time,
        what_cannot_be_repeated_is_passed_on_as_it_came,
        a_401_that_comes_again_is_passed_on_and_the_token_endpoint_is_left_alone,
        a_401_that_is_not_the_tokens_fault_and_other_refusals_are_not_repeated,
        a_large_401_passes_byte_for_byte,
        a_client_that_leaves_during_the_refresh_harms_nobody,
    ];
    let failed: Vec<_> = thread::scope(|scope| {
        let running = scenarios.map(|(name, scenario)| (name, scope.spawn(scenario)));
        running.into_iter().filter_map(|(name, run)| run.join().is_err().then_some(name)).collect()
    });
    assert!(failed.is_empty(), "{failed:?}");
}

fn a_herd_of_refused_requests_shares_one_refresh_and_each_is_repeated_once() {
    let (upstream, tokens) = hubspot(refuse_at_the_end);
    let proxy = start(&upstream);
    assert_eq!(get(proxy.port, "/first").status(), 200);
    thread::sleep(TOO_NEW);
    tokens.expire();
    upstream.forget();
    thread::scope(|scope| {
        for worker in 0..60 {
            let proxy = &proxy;
            scope.spawn(move || {
                let body = format!("{{\"worker\":{worker}}}");
                let answer = post(proxy.port, &format!("/{worker}"), &body);
                assert_eq!((answer.status(), answer.text()), (200, "ok"), "{answer:?}");
            });
        }
    });
    assert_eq!(tokens.issued.load(Ordering::SeqCst), 2);
    let requests = upstream.requests();
    for worker in 0..60 {
        let target = format!("/{worker}");
        let same: Vec<_> = requests.iter().filter(|r| r.target() == target).collect();
        assert!((1..=2).contains(&same.len()), "{target}: {}", same.len());
        for request in same {
            assert_eq!(request.body, format!("{{\"worker\":{worker}}}").as_bytes());
            assert_eq!(request.all("authorization").len(), 1);
        }
    }
}

fn an_upload_that_is_refused_early_arrives_whole_the_second_time() {
    // The answer comes with the head, while the client is still sending.
    let (upstream, tokens) = hubspot(|peer, _| {
        send(peer, 401, EXPIRED);
        peer.close_sending();
        peer.drain();
        false
    });
    let proxy = start(&upstream);
    assert_eq!(get(proxy.port, "/first").status(), 200);
    thread::sleep(TOO_NEW);
    tokens.expire();
    upstream.forget();
    let mut client = Client::connect(proxy.port);
    client.send("POST /slow HTTP/1.1\r\nHost: {host}\r\nTransfer-Encoding: chunked\r\nTrailer: X-Sum\r\n\r\n");
    let mut expected: Vec<u8> = Vec::new();
    for part in 0..40 {
        let text = format!("part-{part:03}").repeat(10);
        client.send(format!("{:x}\r\n{text}\r\n", text.len()));
        expected.extend(text.as_bytes());
        thread::sleep(Duration::from_millis(5));
    }
    client.send("0\r\nX-Sum: 1\r\n\r\n");
    let answer = client.answer_to("POST");
    assert_eq!((answer.status(), note(&answer).as_str()), (200, "replayed"), "{answer:?}");
    let arrived: Vec<_> =
        upstream.requests().into_iter().filter(|r| r.target() == "/slow").collect();
    assert_eq!(arrived.len(), 1, "the first was given up before its end");
    assert!(arrived[0].body == expected);
    assert_eq!(arrived[0].trailers.len(), 1, "{:?}", arrived[0].trailers);
}

fn what_cannot_be_repeated_is_passed_on_as_it_came() {
    let (upstream, tokens) = hubspot(refuse_at_the_end);
    let proxy = start(&upstream);
    assert_eq!(get(proxy.port, "/first").status(), 200);
    // Too new to be replaced.
    tokens.expire();
    let answer = get(proxy.port, "/new");
    assert_eq!((answer.status(), answer.text()), (401, EXPIRED));
    assert_eq!(note(&answer), "not-replayed=token-just-fetched");
    thread::sleep(TOO_NEW);
    let large = "x".repeat(100 * 1024);
    let answer = post(proxy.port, "/large", &large);
    assert_eq!((answer.status(), answer.text()), (401, EXPIRED));
    assert_eq!(note(&answer), "not-replayed=body-too-large");
    assert_eq!(tokens.issued.load(Ordering::SeqCst), 1);
    // A smaller one is repeated, and for the next ones there is a new token.
    let answer = post(proxy.port, "/small", "body");
    assert_eq!((answer.status(), note(&answer).as_str()), (200, "replayed"), "{answer:?}");
    assert_eq!(post(proxy.port, "/large", &large).status(), 200);
    assert_eq!(tokens.issued.load(Ordering::SeqCst), 2);
}

fn a_401_that_comes_again_is_passed_on_and_the_token_endpoint_is_left_alone() {
    let (upstream, tokens) = hubspot(refuse_at_the_end);
    let proxy = start(&upstream);
    assert_eq!(get(proxy.port, "/first").status(), 200);
    thread::sleep(TOO_NEW);
    // Nothing that is issued is taken.
    tokens.valid.store(1000, Ordering::SeqCst);
    let answer = exchange(proxy.port, "DELETE /a HTTP/1.1\r\nHost: {host}\r\n\r\n");
    assert_eq!((answer.status(), answer.text()), (401, EXPIRED));
    assert_eq!(answer.refusal(), None);
    assert_eq!(note(&answer), "replayed");
    thread::scope(|scope| {
        for _ in 0..20 {
            scope.spawn(|| {
                let answer = get(proxy.port, "/b");
                assert_eq!((answer.status(), answer.text()), (401, EXPIRED));
            });
        }
    });
    assert_eq!(tokens.issued.load(Ordering::SeqCst), 2, "one forced refresh, then a pause");
    let deletes = upstream.requests().iter().filter(|r| r.method() == "DELETE").count();
    assert_eq!(deletes, 2);
}

fn a_401_that_is_not_the_tokens_fault_and_other_refusals_are_not_repeated() {
    let cases = [
        (403, r#"{"status":"error","category":"MISSING_SCOPES","message":"x"}"#),
        (401, r#"{"status":"error","category":"MISSING_SCOPES","message":"scopes"}"#),
        (400, r#"{"status":"error","category":"EXPIRED_AUTHENTICATION"}"#),
    ];
    let started = cases.map(|(status, body)| {
        let (upstream, tokens) = hubspot(move |peer, head| refuse_with(peer, head, status, body));
        let proxy = start(&upstream);
        assert_eq!(get(proxy.port, "/first").status(), 200);
        (upstream, tokens, proxy)
    });
    thread::sleep(TOO_NEW);
    for ((status, body), (upstream, tokens, proxy)) in cases.iter().zip(&started) {
        tokens.expire();
        upstream.forget();
        let answer = post(proxy.port, "/a", "body");
        assert_eq!((answer.status(), answer.text()), (*status, *body));
        assert_eq!(note(&answer), "", "{status}");
        assert_eq!(upstream.requests().len(), 1, "{status}");
    }
}

fn a_large_401_passes_byte_for_byte() {
    let large = format!("{{\"message\":\"{}\"}}", "y".repeat(200_000));
    let sent = large.clone();
    let (upstream, tokens) = hubspot(move |peer, head| {
        if peer.rest_of(head.clone()).is_some() {
            peer.send("HTTP/1.1 401 X\r\nTransfer-Encoding: chunked\r\n\r\n");
            for part in sent.as_bytes().chunks(7000) {
                peer.send(format!("{:x}\r\n", part.len()));
                peer.send(part);
                peer.send("\r\n");
            }
            peer.send("0\r\n\r\n");
        }
        false
    });
    let proxy = start(&upstream);
    assert_eq!(get(proxy.port, "/first").status(), 200);
    tokens.expire();
    let answer = get(proxy.port, "/a");
    assert!(answer.status() == 401 && answer.whole && answer.text() == large);
}

fn a_client_that_leaves_during_the_refresh_harms_nobody() {
    let (upstream, tokens) = hubspot(refuse_at_the_end);
    let proxy = start(&upstream);
    assert_eq!(get(proxy.port, "/first").status(), 200);
    thread::sleep(TOO_NEW);
    tokens.expire();
    for _ in 0..5 {
        let mut client = Client::connect(proxy.port);
        client.send("POST /gone HTTP/1.1\r\nHost: {host}\r\nContent-Length: 9\r\n\r\n");
        client.stream.write_all(b"half").unwrap();
    }
    let answer = post(proxy.port, "/stays", "body");
    assert_eq!((answer.status(), answer.text()), (200, "ok"));
    until("the others are let go", || upstream.open() <= 4);
    assert!(upstream.requests().iter().all(|r| r.target() != "/gone" || !r.whole));
    assert_eq!(tokens.issued.load(Ordering::SeqCst), 2);
}
