//! Links of HubSpot to itself, made links to the proxy where that is asked for.

use std::io::{Read, Write};

use flate2::Compression;
use flate2::read::GzDecoder;
use flate2::write::GzEncoder;

use crate::client::{Answer, Client, exchange, get};
use crate::h2_client::{block_on, connect, request, send};
use crate::proxy::{Proxy, Setup};
use crate::upstream::Upstream;

const LINK: &str = "https://api.hubapi.com/crm/v3/objects/contacts?limit=2&after=2";
const JSON: &str = "Content-Type: application/json;charset=utf-8\r\n";

fn rewriting(upstream: &Upstream) -> Proxy {
    Setup::in_front_of(&upstream.url()).env("HUBSPOT_PROXY_UPSTREAM__REWRITE_LINKS", "true").start()
}

fn page(link: &str) -> String {
    // A link in a record is the user's own.
    format!(
        "{{ \"results\" : [{{\"n\":1.50,\"website\":\"{LINK}\"}}],\n\"paging\":{{\"next\":{{\"link\":\"{link}\",\"after\":\"2\"}}}} }}"
    )
}

fn answer(lines: &str, body: impl AsRef<[u8]>) -> Vec<u8> {
    let body = body.as_ref();
    let head = format!("HTTP/1.1 200 OK\r\n{lines}Content-Length: {}\r\n\r\n", body.len());
    [head.as_bytes(), body].concat()
}

fn gzipped(text: &str) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(text.as_bytes()).unwrap();
    encoder.finish().unwrap()
}

fn text_of(answer: &Answer) -> String {
    let mut text = String::new();
    match answer.header("content-encoding") {
        None => text.push_str(answer.text()),
        Some(coding) => {
            assert_eq!(coding, "gzip");
            GzDecoder::new(answer.body.as_slice()).read_to_string(&mut text).unwrap();
        }
    }
    text
}

#[test]
fn a_client_that_follows_links_reaches_the_last_page_through_the_proxy() {
    let proxy = Setup::serving()
        .arg("--sandbox")
        .env("HUBSPOT_PROXY_UPSTREAM__REWRITE_LINKS", "true")
        .start();
    let all = get(proxy.port, "/crm/v3/objects/contacts?limit=100").json();
    let expected = all["results"].as_array().unwrap().len();
    assert!(expected > 6 && all["paging"].is_null(), "{all}");
    for prefix in ["", "/@default", "/@1234567"] {
        for lines in ["", "Accept-Encoding: gzip, br\r\n", "Accept-Encoding: br\r\n"] {
            let mut target = format!("{prefix}/crm/v3/objects/contacts?limit=2");
            let (mut ids, mut pages) = (Vec::new(), 0);
            loop {
                let text = format!("GET {target} HTTP/1.1\r\nHost: {{host}}\r\n{lines}\r\n");
                let answer = exchange(proxy.port, text);
                assert_eq!(answer.status(), 200, "{target}: {answer:?}");
                let body: serde_json::Value = serde_json::from_str(&text_of(&answer)).unwrap();
                let results = body["results"].as_array().unwrap().iter();
                ids.extend(results.map(|record| record["id"].as_str().unwrap().to_owned()));
                pages += 1;
                let Some(link) = body["paging"]["next"]["link"].as_str() else { break };
                let own = format!("{}{prefix}/crm/v3/", proxy.url());
                assert!(link.starts_with(&own), "{link}");
                target = link.strip_prefix(&proxy.url()).unwrap().to_owned();
            }
            let mut once = ids.clone();
            once.dedup();
            assert_eq!((ids.len(), once.len()), (expected, expected), "{prefix} {lines}");
            assert!(pages > 3, "{pages}");
        }
    }
}

#[test]
fn links_stay_as_they_are_unless_that_is_asked_for() {
    let body = page(LINK);
    let location = "Location: https://api.hubapi.com/a\r\nETag: \"1\"\r\n";
    let upstream = Upstream::answering(answer(&format!("{JSON}{location}"), &body));
    let proxy = Setup::in_front_of(&upstream.url()).start();
    let text = "GET /a HTTP/1.1\r\nHost: {host}\r\nAccept-Encoding: br\r\n\r\n";
    let answer = exchange(proxy.port, text);
    assert_eq!(answer.text(), body);
    assert_eq!(answer.header("location"), Some("https://api.hubapi.com/a"));
    assert_eq!(answer.header("etag"), Some("\"1\""));
    assert_eq!(upstream.only_request().all("accept-encoding"), ["br"]);
}

#[test]
fn the_value_of_the_link_changes_and_nothing_else() {
    let lines = format!("{JSON}ETag: \"1\"\r\nAccept-Ranges: bytes\r\nVary: Accept-Encoding\r\n");
    let zipped = format!("{lines}Content-Encoding: gzip\r\n");
    for upstream in [
        Upstream::answering(answer(&lines, page(LINK))),
        Upstream::answering(answer(&zipped, gzipped(&page(LINK)))),
        Upstream::answering(format!(
            "HTTP/1.1 200 OK\r\n{lines}Transfer-Encoding: chunked\r\n\r\n{:x}\r\n{}\r\n0\r\n\r\n",
            page(LINK).len(),
            page(LINK)
        )),
    ] {
        let proxy = rewriting(&upstream);
        let moved = LINK.replace("https://api.hubapi.com", &proxy.url());
        let mut client = Client::connect(proxy.port);
        for _ in 0..2 {
            client.send("GET /a HTTP/1.1\r\nHost: {host}\r\nAccept-Encoding: gzip\r\n\r\n");
            let answer = client.answer_to("GET");
            assert_eq!(answer.text(), page(&moved));
            let length = page(&moved).len().to_string();
            assert_eq!(answer.header("content-length"), Some(length.as_str()));
            assert_eq!(answer.header("content-encoding"), None);
            assert_eq!(answer.header("etag"), Some("W/\"1\""));
            assert_eq!(answer.header("accept-ranges"), None);
            assert_eq!(answer.header("vary"), Some("Accept-Encoding"));
        }
        // By another of its names.
        let host = format!("127.0.0.1:{}", proxy.port);
        let text = format!("GET /@default/a HTTP/1.1\r\nHost: {host}\r\n\r\n");
        let moved = LINK.replace("https://api.hubapi.com", &format!("http://{host}/@default"));
        assert_eq!(exchange(proxy.port, text).text(), page(&moved));
    }
}

#[test]
fn an_answer_without_such_a_link_passes_byte_for_byte() {
    let elsewhere = page("https://api.hubapi.com.evil.example/a");
    let large = format!("{{\"x\":\"{}\",{}", "x".repeat(9 << 20), &page(LINK)[1..]);
    let cases = [
        (format!("{JSON}ETag: \"1\"\r\n"), elsewhere.clone().into_bytes()),
        (format!("{JSON}ETag: \"1\"\r\nContent-Encoding: gzip\r\n"), gzipped(&elsewhere)),
        (format!("{JSON}ETag: \"1\"\r\nContent-Encoding: gzip\r\n"), page(LINK).into_bytes()),
        ("Content-Type: text/csv\r\nETag: \"1\"\r\n".to_owned(), page(LINK).into_bytes()),
        (format!("{JSON}ETag: \"1\"\r\n"), large.into_bytes()),
    ];
    for (lines, body) in cases {
        let upstream = Upstream::answering(answer(&lines, &body));
        let proxy = rewriting(&upstream);
        let answer = get(proxy.port, "/a");
        assert!(answer.body == body, "{lines}: {} bytes", answer.body.len());
        assert_eq!(answer.header("etag"), Some("\"1\""));
        assert_eq!(answer.header("content-length"), Some(body.len().to_string().as_str()));
    }
}

#[test]
fn an_answer_that_is_too_large_without_saying_so_passes_as_it_comes() {
    let part = "x".repeat(1 << 20);
    let upstream = Upstream::start(move |peer| {
        while peer.request().is_some() {
            peer.send(format!("HTTP/1.1 200 OK\r\n{JSON}Transfer-Encoding: chunked\r\n\r\n"));
            for _ in 0..12 {
                peer.send(format!("100000\r\n{part}\r\n"));
            }
            peer.send("0\r\n\r\n");
        }
    });
    let answer = get(rewriting(&upstream).port, "/a");
    assert!(answer.whole);
    assert_eq!(answer.body.len(), 12 << 20);
}

#[test]
fn an_answer_that_breaks_off_still_does() {
    let upstream = Upstream::start(|peer| {
        if peer.request().is_some() {
            peer.send(format!("HTTP/1.1 200 OK\r\n{JSON}Content-Length: 1000\r\n\r\n{{\"a\":"));
        }
    });
    let answer = get(rewriting(&upstream).port, "/a");
    assert_eq!((answer.status(), answer.whole), (200, false));
    assert_eq!(answer.body, b"{\"a\":");
}

#[test]
fn an_answer_without_a_body_has_only_its_location_changed() {
    let location = "Location: https://api.hubspot.com/crm/v3/objects/contacts/1\r\n";
    for (head, method) in [
        (format!("HTTP/1.1 200 OK\r\n{JSON}{location}Content-Length: 77\r\n\r\n"), "HEAD"),
        (format!("HTTP/1.1 204 No Content\r\n{location}\r\n"), "GET"),
        (format!("HTTP/1.1 304 Not Modified\r\n{location}ETag: \"1\"\r\n\r\n"), "GET"),
        (format!("HTTP/1.1 307 Temporary Redirect\r\n{location}Content-Length: 0\r\n\r\n"), "GET"),
        (format!("HTTP/1.1 201 Created\r\n{JSON}{location}Content-Length: 2\r\n\r\n{{}}"), "POST"),
    ] {
        let upstream = Upstream::answering(head.clone());
        let proxy = rewriting(&upstream);
        let text = format!("{method} /@default/a HTTP/1.1\r\nHost: {{host}}\r\n\r\n");
        let answer = exchange(proxy.port, text);
        let expected = format!("{}/@default/crm/v3/objects/contacts/1", proxy.url());
        assert_eq!(answer.header("location"), Some(expected.as_str()), "{head}");
        let tag = head.contains("ETag").then_some("\"1\"");
        assert_eq!(answer.header("etag"), tag);
        if method == "HEAD" {
            assert_eq!(answer.header("content-length"), Some("77"));
        }
    }
}

#[test]
fn a_location_at_another_host_stays() {
    for location in ["https://cdn.example/x", "/x", "https://api.hubapi.com.evil.example/"] {
        let lines = format!("Location: {location}\r\n");
        let upstream = Upstream::answering(answer(&lines, "ok"));
        let answer = get(rewriting(&upstream).port, "/@default/a");
        assert_eq!(answer.header("location"), Some(location));
    }
}

#[test]
fn links_are_the_same_over_http_2() {
    let upstream = Upstream::answering(answer(JSON, page(LINK)));
    let proxy = rewriting(&upstream);
    let port = proxy.port;
    block_on(async {
        let client = connect(port).await;
        let request = request("GET", port, "/@default/a").body(()).unwrap();
        let answer = send(&client, request, None).await.unwrap();
        let base = format!("http://localhost:{port}/@default");
        let moved = page(&LINK.replace("https://api.hubapi.com", &base));
        assert_eq!(answer.headers["content-length"], moved.len().to_string());
        assert_eq!(String::from_utf8(answer.body.unwrap()).unwrap(), moved);
    });
}
