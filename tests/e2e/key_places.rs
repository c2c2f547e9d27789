//! Fairness between client keys: none, and nobody without one, takes all places of a full proxy.

use std::cell::RefCell;
use std::time::Duration;

use crate::client::{Answer, Client};
use crate::h2_client::{block_on, connect, request, send};
use crate::home::Home;
use crate::keys::create;
use crate::proxy::{Proxy, Setup};
use crate::upstream::{OK, Upstream};
use crate::waiting::until;

/// Of these, two are kept for each of two keys.
const PLACES: &str = "16";

fn start(home: &Home, upstream: &Upstream) -> Setup {
    Setup::in_front_of(&upstream.url())
        .in_home(home)
        .env("HUBSPOT_PROXY_SERVER__MAX_CONNECTIONS", PLACES)
}

fn ask(client: &mut Client, key: &str) -> Answer {
    client.send(format!("GET /a HTTP/1.1\r\nHost: {{host}}\r\nX-HubSpot-Proxy-Key: {key}\r\n\r\n"));
    client.answer_to("GET")
}

/// Connects and asks once; the connection where that was served.
fn one_more(proxy: &Proxy, key: &str) -> Option<Client> {
    let mut client = Client::connect(proxy.port);
    let answer = ask(&mut client, key);
    if answer.status() == 200 {
        return Some(client);
    }
    assert_eq!((answer.status(), answer.refusal()), (503, Some("overloaded")));
    assert_eq!(answer.header("connection"), Some("close"));
    assert!(answer.header("retry-after").is_some());
    assert!(client.is_closed());
    None
}

fn as_many_as_are_served(proxy: &Proxy, key: &str) -> Vec<Client> {
    (0..24).filter_map(|_| one_more(proxy, key)).collect()
}

#[test]
fn a_greedy_key_and_a_crowd_without_one_leave_places_to_another_key() {
    let (home, upstream) = (Home::new(), Upstream::answering(OK));
    let (greedy, modest) =
        (create(&home, &["--name", "greedy"]), create(&home, &["--name", "modest"]));
    let proxy = start(&home, &upstream).start();
    let mut held = as_many_as_are_served(&proxy, &greedy);
    assert_eq!(held.len(), 14);
    // A connection that turns to no key is nobody's, and has to find a place as such.
    let mut turning = one_more(&proxy, &modest).unwrap();
    let turned = ask(&mut turning, "placeholder");
    assert_eq!((turned.status(), turned.header("connection")), (503, Some("close")));
    assert!(turning.is_closed());
    // They are parked now, which changes nothing, and neither does a reload of the keys.
    std::thread::sleep(Duration::from_millis(300));
    let third = create(&home, &["--name", "third"]);
    until("the new key is known", || ask(&mut Client::connect(proxy.port), &third).status() == 200);
    assert!(one_more(&proxy, &greedy).is_none());
    assert!(one_more(&proxy, "placeholder").is_none());
    assert_eq!(ask(&mut held[0], &greedy).status(), 200, "what it holds is its own");
    let others = [one_more(&proxy, &modest), one_more(&proxy, &third)];
    assert!(others.iter().all(Option::is_some));
    drop((held, others));
    until("there is room again", || one_more(&proxy, "placeholder").is_some());
    until("all have ended", || as_many_as_are_served(&proxy, "placeholder").len() == 13);
}

#[test]
fn connections_of_http_2_are_counted_for_their_key_too() {
    let (home, upstream) = (Home::new(), Upstream::answering(OK));
    let (greedy, modest) =
        (create(&home, &["--name", "greedy"]), create(&home, &["--name", "modest"]));
    let proxy = start(&home, &upstream).start();
    block_on(async {
        let ask = async |key: &str| {
            let client = connect(proxy.port).await;
            let asked = request("GET", proxy.port, "/a").header("x-hubspot-proxy-key", key);
            let answer = send(&client, asked.body(()).unwrap(), None).await.unwrap();
            (client, answer)
        };
        let mut held = Vec::new();
        for _ in 0..14 {
            let (client, answer) = ask(&greedy).await;
            assert_eq!(answer.status, 200);
            held.push(client);
        }
        let (client, refused) = ask(&greedy).await;
        assert_eq!(refused.refusal(), Some("overloaded"));
        let again = request("GET", proxy.port, "/a").body(()).unwrap();
        assert!(send(&client, again, None).await.is_err(), "the connection has been told to end");
        assert_eq!(ask(&modest).await.1.status, 200);
    });
}

#[test]
fn who_shows_no_valid_key_where_one_is_required_keeps_no_place_that_is_kept_for_keys() {
    let (home, upstream) = (Home::new(), Upstream::answering(OK));
    let key = create(&home, &["--name", "only"]);
    let proxy = start(&home, &upstream)
        .env("HUBSPOT_PROXY_SERVER__CLIENT_KEYS", "required")
        .env("HUBSPOT_PROXY_SERVER__THREADS", "1")
        .start();
    let stranger = |host: &str, key: &str| {
        let mut client = Client::connect(proxy.port);
        client
            .send(format!("GET /a HTTP/1.1\r\nHost: {host}\r\nX-HubSpot-Proxy-Key: {key}\r\n\r\n"));
        let answer = client.answer_to("GET");
        let closes = answer.header("connection") == Some("close");
        assert_ne!(answer.status(), 200);
        (client, closes)
    };
    let mut held = Vec::new();
    for _ in 0..12 {
        let (client, closes) = stranger("{host}", "placeholder");
        assert!(!closes);
        held.push(client);
    }
    for (host, shown) in [("{host}", ""), ("{host}", "hsp_wrong"), ("evil.example", "hsp_wrong")] {
        let (mut client, closes) = stranger(host, shown);
        assert!(closes && client.is_closed(), "{host} {shown}");
    }
    until("the places are free", || as_many_as_are_served(&proxy, &key).len() == 4);
    assert_eq!(held.len(), 12);
}

#[test]
fn an_http_2_connection_without_a_request_is_waited_for_no_longer_than_a_head() {
    let upstream = Upstream::answering(OK);
    let proxy = Setup::in_front_of(&upstream.url())
        .env("HUBSPOT_PROXY_SERVER__HEADER_TIMEOUT", "200ms")
        .start();
    let mut client = Client::connect(proxy.port);
    // The preface and an empty SETTINGS frame; the PING of the proxy's farewell is not answered.
    client.send(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\x00\x00\x00\x04\x00\x00\x00\x00\x00");
    let began = std::time::Instant::now();
    let mut said = Vec::new();
    std::io::Read::read_to_end(&mut client.stream, &mut said).unwrap();
    assert!(!said.is_empty() && began.elapsed() < Duration::from_secs(5), "{:?}", began.elapsed());
}

#[test]
fn connections_that_say_nothing_leave_places_to_a_key() {
    let (home, upstream) = (Home::new(), Upstream::answering(OK));
    let key = create(&home, &["--name", "ci"]);
    // Its end is not what makes room.
    let proxy = start(&home, &upstream).env("HUBSPOT_PROXY_SERVER__HEADER_TIMEOUT", "60s").start();
    for said in ["", "G", "GET /a HTTP/1.1\r\nHost: {host}\r\n", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"]
    {
        let silent: Vec<_> = (0..40)
            .map(|_| {
                let mut client = Client::connect(proxy.port);
                // It may be closed by now.
                let _ = client.try_send(said);
                client
            })
            .collect();
        let held = RefCell::new(Vec::new());
        until("the key finds places", || {
            held.borrow_mut().extend(one_more(&proxy, &key));
            held.borrow().len() == 3
        });
        drop((silent, held));
        until("there is room again", || as_many_as_are_served(&proxy, &key).len() == 16);
    }
}
