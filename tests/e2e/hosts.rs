//! Further names by which the proxy may be called.

use crate::client::exchange;
use crate::h2_client::{block_on, connect, request, send};
use crate::proxy::Setup;
use crate::upstream::{OK, Upstream};

#[test]
fn names_of_the_list_pass_over_http_2_and_no_others_do() {
    let upstream = Upstream::answering(OK);
    let proxy = Setup::in_front_of(&upstream.url())
        .env("HUBSPOT_PROXY_SERVER__ALLOWED_HOSTS", "hubspot.localhost,web.localhost:80,127.0.0.9")
        .start();
    let port = proxy.port;
    let cases = [
        (format!("hubspot.localhost:{port}"), true),
        (format!("HubSpot.localhost.:{port}"), true),
        (format!("127.0.0.9:{port}"), true),
        (format!("localhost:{port}"), true),
        ("web.localhost".to_owned(), true),
        ("web.localhost:80".to_owned(), true),
        ("hubspot.localhost".to_owned(), false),
        (format!("web.localhost:{port}"), false),
        (format!("x.hubspot.localhost:{port}"), false),
        (format!("hubspot.localhost.evil.example:{port}"), false),
        (format!("hubspot.localhost:{}", port ^ 1), false),
        (format!("127.0.0.8:{port}"), false),
        (format!("evil.example:{port}"), false),
    ];
    block_on(async {
        let client = connect(port).await;
        for (host, expected) in &cases {
            let uri = format!("http://{host}/a");
            let by_name = request("GET", port, "/a").uri(uri).body(()).unwrap();
            let answer = send(&client, by_name, None).await.unwrap();
            let refusal = (!expected).then_some("host-not-allowed");
            assert_eq!(answer.refusal(), refusal, "{host}: {answer:?}");
        }
    });
}

#[test]
fn a_page_at_such_a_name_is_still_a_page() {
    let upstream = Upstream::answering(OK);
    let proxy = Setup::in_front_of(&upstream.url())
        .env("HUBSPOT_PROXY_SERVER__ALLOWED_HOSTS", "hubspot.localhost")
        .start();
    let host = format!("hubspot.localhost:{}", proxy.port);
    for lines in [
        format!("Origin: http://{host}"),
        "Sec-Fetch-Site: same-origin".to_owned(),
        "Origin: http://other.localhost".to_owned(),
    ] {
        let text =
            format!("POST /a HTTP/1.1\r\nHost: {host}\r\n{lines}\r\nContent-Length: 0\r\n\r\n");
        let answer = exchange(proxy.port, text);
        assert_eq!(answer.refusal(), Some("origin-not-allowed"), "{lines}");
    }
    assert_eq!(upstream.connections(), 0);
}
