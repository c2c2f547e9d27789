//! The request exactly as the upstream sees it, and the answer exactly as the client does.

use crate::client::{Client, exchange, get};
use crate::h2_client::{block_on, connect, request, send};
use crate::proxy::{Setup, TOKEN};
use crate::upstream::{OK, Upstream};

#[test]
fn the_upstream_sees_its_own_host_our_token_and_what_the_client_meant_to_say() {
    let upstream = Upstream::answering(OK);
    let proxy = Setup::in_front_of(&upstream.url()).start();
    let request = "POST /crm/v3/objects/contacts?limit=1 HTTP/1.1\r\nHost: {host}\r\n\
        User-Agent: hubspot-api-client-nodejs\r\nAccept: application/json\r\n\
        Content-Type: application/json\r\nX-Stainless-OS: Linux\r\nX-Double: 1\r\nX-Double: 2\r\n\
        Content-Length: 2\r\n\r\n{}";
    assert_eq!(exchange(proxy.port, request).status(), 200);
    let seen = upstream.only_request();
    assert_eq!(seen.line, "POST /crm/v3/objects/contacts?limit=1 HTTP/1.1");
    assert_eq!(seen.body, b"{}");
    assert_eq!(seen.all("host"), [format!("localhost:{}", upstream.port)]);
    assert_eq!(seen.all("authorization"), [format!("Bearer {TOKEN}")]);
    assert_eq!(seen.all("x-double"), ["1", "2"]);
    assert_eq!(seen.all("content-length"), ["2"]);
    let expected = [
        "accept",
        "authorization",
        "content-length",
        "content-type",
        "host",
        "user-agent",
        "x-double",
        "x-double",
        "x-stainless-os",
    ];
    assert_eq!(seen.names(), expected);
}

#[test]
fn nothing_of_the_clients_own_credentials_or_hop_reaches_the_upstream() {
    let upstream = Upstream::answering(OK);
    let proxy = Setup::in_front_of(&upstream.url()).start();
    let lines = [
        "Authorization: Bearer leaked-1",
        "authorization: Basic leaked-2",
        "Proxy-Authorization: Basic leaked-3",
        "Cookie: leaked=4",
        "Cookie: a=leaked-5",
        "private-app: leaked-6",
        "Private-App-Legacy: leaked-7",
        "X-HubSpot-Proxy-Key: leaked-8",
        "X-HubSpot-Proxy: leaked-9",
        "X-HubSpot-Proxy-Anything: leaked-10",
        "X-HubSpot-Account: default",
        "Forwarded: for=leaked",
        "X-Forwarded-For: leaked",
        "X-Forwarded-Host: leaked.example",
        "X-Forwarded-Anything: leaked",
        "X-Real-IP: leaked",
        "X-HTTP-Method: DELETE-leaked",
        "X-HTTP-Method-Override: DELETE-leaked",
        "X-Method-Override: DELETE-leaked",
        "Keep-Alive: timeout=leaked",
        "Proxy-Connection: leaked",
        "Upgrade: leaked",
        "TE: leaked",
        "Expect: 100-continue",
        "Connection: x-named, leaked",
        "Connection: X-Other , ,close",
        "X-Named: leaked-11",
        "X-Other: leaked-12",
        "Accept: */*",
    ];
    let text = format!("GET /a HTTP/1.1\r\nHost: {{host}}\r\n{}\r\n\r\n", lines.join("\r\n"));
    assert_eq!(exchange(proxy.port, text).status(), 200);
    let seen = upstream.only_request();
    assert_eq!(seen.names(), ["accept", "authorization", "host"], "{seen:?}");
    assert_eq!(seen.all("authorization"), [format!("Bearer {TOKEN}")]);
}

#[test]
fn a_connection_header_cannot_take_away_what_the_message_needs() {
    let upstream = Upstream::answering(OK);
    let proxy = Setup::in_front_of(&upstream.url()).start();
    for named in ["authorization", "host", "content-length", "AUTHORIZATION, host", "x, te"] {
        upstream.forget();
        let text = format!(
            "POST /a HTTP/1.1\r\nHost: {{host}}\r\nConnection: {named}\r\n\
             Authorization: Bearer mine\r\nContent-Length: 3\r\n\r\nabc"
        );
        assert_eq!(exchange(proxy.port, text).status(), 200, "{named}");
        let seen = upstream.only_request();
        assert_eq!(seen.all("authorization"), [format!("Bearer {TOKEN}")], "{named}");
        assert_eq!(seen.all("host"), [format!("localhost:{}", upstream.port)], "{named}");
        assert_eq!(seen.body, b"abc", "{named}");
        assert!(seen.all("connection").is_empty(), "{named}");
    }
}

#[test]
fn credentials_in_the_query_are_cut_out_and_every_other_byte_stays() {
    let upstream = Upstream::answering(OK);
    let proxy = Setup::in_front_of(&upstream.url()).start();
    let cases = [
        ("/a?hapikey=leaked", "/a"),
        ("/a?hapikey=leaked&b=1", "/a?b=1"),
        ("/a?b=1&hapikey=leaked&c=2&hapikey=leaked", "/a?b=1&c=2"),
        ("/a?HAPIKEY=leaked&b=1", "/a?b=1"),
        ("/a?%68api%6bey=leaked&b=1", "/a?b=1"),
        ("/a?hapi%4Bey=leaked&b=1", "/a?b=1"),
        ("/a?access_token=leaked&access%5ftoken=leaked", "/a"),
        ("/a?%20hapikey=leaked&b=1", "/a?b=1"),
        ("/a?&&b=%7E&&", "/a?&&b=%7E&&"),
        ("/a?", "/a?"),
        ("/a??b=c?d", "/a??b=c?d"),
        ("/a?b=hapikey=x", "/a?b=hapikey=x"),
        ("/a%2Fb/c;d=e/%7Ef//g/?h=%2f", "/a%2Fb/c;d=e/%7Ef//g/?h=%2f"),
        ("/a/b%3Bc%25d", "/a/b%3Bc%25d"),
        ("/", "/"),
        ("//", "/"),
        ("/@default", "/"),
        ("/@default?x=y", "/?x=y"),
        ("/@default/a/", "/a/"),
        ("/a/@b", "/a/@b"),
        ("/a|b^c{d}\"e?f|g`h", "/a|b^c{d}\"e?f|g`h"),
    ];
    let mut wrong = Vec::new();
    for (target, expected) in cases {
        upstream.forget();
        let answer = get(proxy.port, target);
        let seen = upstream.requests();
        let seen =
            seen.first().map_or_else(|| format!("{}", answer.status()), |r| r.target().into());
        if seen != expected {
            wrong.push(format!("{target}: {seen} and not {expected}"));
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn a_blank_in_a_parameters_name_hides_no_credential() {
    let upstream = Upstream::answering(OK);
    let proxy = Setup::in_front_of(&upstream.url()).start();
    for target in
        ["/a?+hapikey=leaked&b=1", "/a?hapikey+=leaked&b=1", "/a?%20access_token=leaked&b=1"]
    {
        upstream.forget();
        assert_eq!(get(proxy.port, target).status(), 200, "{target}");
        assert_eq!(upstream.only_request().target(), "/a?b=1", "{target}");
    }
}

#[test]
fn credentials_in_trailers_go_no_further_either() {
    let upstream = Upstream::answering(OK);
    let proxy = Setup::in_front_of(&upstream.url()).start();
    let request = "POST /a HTTP/1.1\r\nHost: {host}\r\nTransfer-Encoding: chunked\r\n\
        Trailer: X-Checksum, Authorization, Cookie, X-Forwarded-For, Content-Length, Host\r\n\r\n\
        3\r\nabc\r\n0\r\nX-Checksum: 7\r\nAuthorization: Bearer leaked\r\nCookie: leaked=1\r\n\
        X-Forwarded-For: leaked\r\nContent-Length: 9\r\nHost: leaked\r\n\r\n";
    assert_eq!(exchange(proxy.port, request).status(), 200);
    let seen = upstream.only_request();
    assert_eq!(seen.body, b"abc");
    let trailers: Vec<_> = seen.trailers.iter().map(|(n, v)| (n.to_lowercase(), v)).collect();
    assert_eq!(trailers, [("x-checksum".to_owned(), &"7".to_owned())]);
    assert!(!String::from_utf8_lossy(&upstream.bytes()).contains("leaked"));
}

#[test]
fn the_client_sees_the_upstreams_answer_without_what_concerns_its_origin() {
    let upstream = Upstream::answering(
        "HTTP/1.1 207 Some Of It\r\nContent-Type: application/json\r\nSet-Cookie: a=b\r\n\
         Set-Cookie: c=d\r\nStrict-Transport-Security: max-age=1\r\nAlt-Svc: h3=\":443\"\r\n\
         NEL: {}\r\nReport-To: {}\r\nClear-Site-Data: \"*\"\r\nAccess-Control-Allow-Origin: *\r\n\
         Access-Control-Allow-Credentials: true\r\nX-HubSpot-Proxy: id=forged\r\n\
         X-HubSpot-Proxy-Error: forged\r\nKeep-Alive: timeout=5\r\nConnection: x-mine\r\n\
         X-Mine: 1\r\nProxy-Authenticate: Basic\r\nUpgrade: h2c\r\nETag: \"x\"\r\n\
         Location: https://api.hubapi.com/next\r\nX-HubSpot-RateLimit-Remaining: 9\r\n\
         X-HubSpot-Correlation-Id: c\r\nRetry-After: 3\r\nContent-Length: 2\r\n\r\n{}",
    );
    let proxy = Setup::in_front_of(&upstream.url()).start();
    let answer = get(proxy.port, "/a");
    assert_eq!((answer.status(), answer.head.reason.as_str()), (207, "Some Of It"));
    assert_eq!(answer.body, b"{}");
    let mut names: Vec<_> = answer.head.headers.iter().map(|(n, _)| n.to_lowercase()).collect();
    names.retain(|name| name != "date");
    names.sort();
    let expected = [
        "content-length",
        "content-type",
        "etag",
        "location",
        "retry-after",
        "x-hubspot-correlation-id",
        "x-hubspot-proxy",
        "x-hubspot-ratelimit-remaining",
    ];
    assert_eq!(names, expected);
    let ours = answer.header("x-hubspot-proxy").unwrap();
    assert!(ours.starts_with("id=") && ours.ends_with("; account=default"), "{ours}");
}

#[test]
fn redirects_are_passed_on_and_never_followed() {
    let other = Upstream::answering(OK);
    let there = other.url();
    let upstream = Upstream::answering(format!(
        "HTTP/1.1 307 Temporary Redirect\r\nLocation: {there}/x\r\nContent-Length: 0\r\n\r\n"
    ));
    let proxy = Setup::in_front_of(&upstream.url()).start();
    let answer = get(proxy.port, "/a");
    assert_eq!(answer.status(), 307);
    assert_eq!(answer.header("location"), Some(format!("{there}/x").as_str()));
    assert_eq!(other.connections(), 0);
}

#[test]
fn an_upgrade_that_nobody_asked_for_is_no_answer() {
    let upstream = Upstream::answering(
        "HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\nraw bytes",
    );
    let proxy = Setup::in_front_of(&upstream.url()).start();
    let request = "GET /a HTTP/1.1\r\nHost: {host}\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\n";
    let answer = exchange(proxy.port, request);
    assert_eq!((answer.status(), answer.refusal()), (502, Some("upstream-closed")), "{answer:?}");
}

#[test]
fn bytes_behind_an_answer_are_nobodys_answer() {
    let upstream = Upstream::start(|peer| {
        while let Some(request) = peer.request() {
            let own =
                format!("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}", &request.target()[1..]);
            peer.send(format!("{own}HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil"));
        }
    });
    let proxy =
        Setup::in_front_of(&upstream.url()).env("HUBSPOT_PROXY_SERVER__THREADS", "1").start();
    let mut client = Client::connect(proxy.port);
    for round in 10..40 {
        client.send(format!("GET /{round} HTTP/1.1\r\nHost: {{host}}\r\n\r\n"));
        assert_eq!(client.answer_to("GET").text(), round.to_string());
    }
}

#[test]
fn http_2_clients_credentials_are_dropped_as_well() {
    let upstream = Upstream::answering(OK);
    let proxy = Setup::in_front_of(&upstream.url()).start();
    block_on(async {
        let client = connect(proxy.port).await;
        let request = request("GET", proxy.port, "/a?hapikey=leaked&b=1")
            .header("authorization", "Bearer leaked")
            .header("cookie", "leaked=1")
            .header("cookie", "leaked=2")
            .header("proxy-authorization", "Basic leaked")
            .header("x-forwarded-for", "leaked")
            .header("te", "trailers")
            .header("accept", "*/*");
        let answer = send(&client, request.body(()).unwrap(), None).await.unwrap();
        assert_eq!(answer.status, 200);
    });
    let seen = upstream.only_request();
    assert_eq!(seen.target(), "/a?b=1");
    assert_eq!(seen.names(), ["accept", "authorization", "host", "te"]);
    assert!(!String::from_utf8_lossy(&upstream.bytes()).contains("leaked"));
}
