//! Names that a page could have for this machine, and contradictions between them.

use super::Expected::{Local, Malformed, Refused};
use super::{ask, row, run, sent};

const FOREIGN: [&str; 36] = [
    "evil.example",
    "evil.example:{port}",
    "localhost.evil.example:{port}",
    "127.0.0.1.nip.io:{port}",
    "localhost.localdomain:{port}",
    "localhost6:{port}",
    "ip6-localhost:{port}",
    "xlocalhost:{port}",
    "localhostx:{port}",
    "127.1:{port}",
    "127.0.1:{port}",
    "127.0.0.2:{port}",
    "0127.0.0.1:{port}",
    "0x7f.0.0.1:{port}",
    "2130706433:{port}",
    "0:{port}",
    "0.0.0.0:{port}",
    "127.0.0.1..:{port}",
    "localhost..:{port}",
    ".localhost:{port}",
    "[::]:{port}",
    "[::ffff:127.0.0.1]:{port}",
    "[0:0:0:0:0:0:0:1]:{port}",
    "[::1%25lo]:{port}",
    "[::1:{port}",
    "::1:{port}",
    "user@localhost:{port}",
    "localhost:{port}@evil.example",
    "localhost",
    "localhost:",
    "localhost:0",
    "localhost:80",
    "localhost:{port}0",
    "localhost:+{port}",
    "localhost:{port}, evil.example",
    "",
];

#[test]
fn only_loopback_names_with_our_port_are_served() {
    let mut rows = Vec::new();
    for host in FOREIGN {
        for target in ["/a", "/_proxy/health"] {
            let text = format!("GET {target} HTTP/1.1\r\nHost: {host}\r\n\r\n");
            rows.push(row(text, Refused(403, "host-not-allowed")));
        }
    }
    for host in ["localhost:{port}", "LocalHost:{port}", "localhost.:{port}", "127.0.0.1:{port}"] {
        rows.push(row(format!("GET /a HTTP/1.1\r\nHost: {host}\r\n\r\n"), sent("GET /a")));
        let text = format!("GET /_proxy/health HTTP/1.1\r\nhOsT:\t{host} \r\n\r\n");
        rows.push(row(text, Local(200)));
    }
    rows.push(row("GET /a HTTP/1.1\r\nHost: [::1]:{port}\r\n\r\n", sent("GET /a")));
    for lines in [
        "X-No: host\r\n",
        "Host: {host}\r\nHost: {host}\r\n",
        "Host: {host}\r\nhost: evil.example\r\n",
        "Host: evil.example\r\nHost: {host}\r\n",
        "X-Forwarded-Host: {host}\r\n",
    ] {
        rows.push(row(format!("GET /a HTTP/1.1\r\n{lines}\r\n"), Refused(400, "bad-request")));
    }
    rows.push(row("GET /a HTTP/1.1\r\nHost : {host}\r\n\r\n", Malformed));
    let more = "X-Forwarded-Host: evil.example\r\nForwarded: host=evil.example\r\n";
    rows.push(row(ask("GET", "/a", more), sent("GET /a")));
    run(|setup| setup, &rows);
}

#[test]
fn names_of_the_list_are_served_and_what_looks_like_them_is_not() {
    let mut rows = Vec::new();
    for (host, passes) in [
        ("hubspot.localhost:{port}", true),
        ("HubSpot.localhost.:{port}", true),
        ("127.0.0.9:{port}", true),
        ("{host}", true),
        ("web.localhost", true),
        ("web.localhost:80", true),
        ("hubspot.localhost", false),
        ("web.localhost:{port}", false),
        ("x.hubspot.localhost:{port}", false),
        ("hubspot.localhost.evil.example:{port}", false),
        ("hubspot.localhost:1", false),
        ("127.0.0.8:{port}", false),
    ] {
        let expected = || if passes { sent("GET /a") } else { Refused(403, "host-not-allowed") };
        let text = |target: &str| format!("GET {target} HTTP/1.1\r\nHost: {host}\r\n\r\n");
        rows.push(row(text("/a"), expected()));
        rows.push(row(text(&format!("http://{host}/a")), expected()));
    }
    let names = "hubspot.localhost,web.localhost:80,127.0.0.9";
    run(|setup| setup.env("HUBSPOT_PROXY_SERVER__ALLOWED_HOSTS", names), &rows);
}
