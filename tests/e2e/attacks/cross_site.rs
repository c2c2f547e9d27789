//! What a page in the user's browser can have it send.

use super::Expected::{Local, Refused};
use super::{ask, row, run, sent, sent_with};

const PAGE: super::Expected = Refused(403, "origin-not-allowed");

#[test]
fn a_page_gets_nothing_through() {
    let mut rows = Vec::new();
    for site in ["cross-site", "same-site", "same-origin", "none", "None", ""] {
        for (mode, dest) in [
            ("navigate", "document"),
            ("navigate", "iframe"),
            ("cors", "empty"),
            ("no-cors", "image"),
            ("no-cors", "script"),
            ("websocket", "websocket"),
        ] {
            for method in ["GET", "POST"] {
                let fetch = format!(
                    "Sec-Fetch-Site: {site}\r\nSec-Fetch-Mode: {mode}\r\nSec-Fetch-Dest: {dest}\r\nSec-Fetch-User: ?1\r\n"
                );
                let (mode, dest) =
                    (format!("sec-fetch-mode: {mode}"), format!("sec-fetch-dest: {dest}"));
                let headers =
                    [dest.as_str(), mode.as_str(), "sec-fetch-site: none", "sec-fetch-user: ?1"];
                let expected = match (site, method) {
                    ("none", "GET") => sent_with("GET /a", "main", &headers, ""),
                    _ => PAGE,
                };
                rows.push(row(ask(method, "/a", &fetch), expected));
            }
        }
    }
    for kind in
        ["application/x-www-form-urlencoded", "multipart/form-data; boundary=b", "text/plain"]
    {
        for origin in [
            "Origin: https://evil.example\r\n",
            "Origin: null\r\n",
            "Referer: https://evil.example/p\r\n",
        ] {
            let lines = format!("{origin}Content-Type: {kind}\r\nContent-Length: 3\r\n");
            rows.push(row(ask("POST", "/a", &lines) + "a=b", PAGE));
        }
    }
    for (method, lines) in [
        ("POST", "Origin: https://evil.example\r\n"),
        ("POST", "Origin: https://evil.example\r\nContent-Length: 0\r\n"),
        ("POST", "Origin: http://{host}\r\n"),
        ("GET", "Origin: http://{host}\r\n"),
        ("POST", "Origin: \r\n"),
        ("DELETE", "Origin: null\r\n"),
        ("GET", "Sec-Fetch-Site: none\r\nSec-Fetch-Site: cross-site\r\n"),
        ("GET", "Sec-Fetch-Site: none\r\nReferer: https://evil.example/\r\n"),
        ("GET", "Referer: http://{host}.evil.example/\r\n"),
        ("GET", "Referer: http://{host}@evil.example/\r\n"),
        ("GET", "Referer: https://{host}/\r\n"),
        ("GET", "Referer: about:blank\r\n"),
        ("PUT", "Sec-Fetch-Site: none\r\n"),
        (
            "GET",
            "Origin: https://evil.example\r\nConnection: Upgrade, origin\r\nUpgrade: websocket\r\n",
        ),
        ("GET", "Connection: origin\r\nOrigin: https://evil.example\r\n"),
        ("OPTIONS", "Origin: https://evil.example\r\nAccess-Control-Request-Method: GET\r\n"),
        (
            "OPTIONS",
            "Origin: null\r\nAccess-Control-Request-Private-Network: true\r\nAccess-Control-Request-Method: PUT\r\n",
        ),
    ] {
        rows.push(row(ask(method, "/a", lines), PAGE));
        rows.push(row(ask(method, "/%5fproxy/health", lines), PAGE));
    }
    rows.push(row(ask("POST", "/_proxy/health", "Sec-Fetch-Site: cross-site\r\n"), PAGE));
    rows.push(row(ask("GET", "//_proxy/health", "Sec-Fetch-Site: same-origin\r\n"), PAGE));
    rows.push(row(ask("GET", "/_proxy/health", "Sec-Fetch-Site: same-origin\r\n"), Local(200)));
    rows.push(row(ask("GET", "/_proxy/health", "Origin: http://{host}\r\n"), Local(200)));
    // Node's fetch, and a page of the proxy's own as the referer.
    let node = ask("POST", "/a", "Sec-Fetch-Mode: cors\r\nContent-Length: 0\r\n");
    rows.push(row(node, sent_with("POST /a", "main", &["sec-fetch-mode: cors"], "")));
    rows.push(row(ask("GET", "/a", "Referer: http://{host}/b\r\n"), sent("GET /a")));
    run(|setup| setup, &rows);
}

#[test]
fn a_page_of_another_origin_than_the_listed_ones_gets_nothing_through() {
    let mut rows = Vec::new();
    for lines in [
        "Origin: https://evil.example",
        "Origin: http://localhost:30000",
        "Origin: http://localhost:300",
        "Origin: http://localhost:3000.evil.example",
        "Origin: http://localhost:3000/",
        "Origin: https://localhost:3000",
        "Origin: http://127.0.0.1:3000",
        "Origin: https://app.example.evil.example",
        "Origin: https://evil-app.example",
        "Origin: https://sub.app.example",
        "Origin: https://app.example:8443",
        "Origin: null",
        "Origin: ",
        "Origin: *",
        "Origin: http://localhost:3000, https://evil.example",
        "Origin: http://localhost:3000\r\nOrigin: https://evil.example",
        "Origin: null\r\nReferer: http://localhost:3000/",
        "Referer: http://localhost:3000.evil.example/",
        "Referer: http://localhost:3000@evil.example/",
        "Sec-Fetch-Site: cross-site",
        "Sec-Fetch-Site: same-site\r\nReferer: http://localhost:30000/",
    ] {
        for method in ["GET", "POST", "OPTIONS"] {
            let more = "Access-Control-Request-Method: POST\r\nContent-Length: 0\r\n";
            rows.push(row(ask(method, "/a", &format!("{lines}\r\n{more}")), PAGE));
        }
    }
    let listed = "http://localhost:3000,https://app.example";
    run(|setup| setup.env("HUBSPOT_PROXY_SERVER__ALLOWED_ORIGINS", listed), &rows);
}
