//! Nothing that is secret, and nothing of what people send, in what the proxy prints or says.

use crate::client::{Client, exchange, get};
use crate::h2_client::{block_on, connect, request, send};
use crate::home::Home;
use crate::proxy::{Proxy, Setup};
use crate::tls::Authority;
use crate::upstream::{OK, Peer, Upstream};
use crate::waiting::until;

/// Everything of which no part may show. Each test value holds one of these.
const MARKS: [&str; 14] = [
    "OURTOKEN",
    "CLIENTBEARER",
    "CLIENTCOOKIE",
    "CLIENTHAPIKEY",
    "QUERYVALUE",
    "BODYTEXT",
    "OURCLIENTSECRET",
    "OURREFRESH",
    "PROXYPASSWORD",
    "ANSWERBODY",
    "TRAILERTEXT",
    "PATHTOKEN",
    "ISSUEDTOKEN",
    "ISSUEDREFRESH",
];

fn assert_clean(where_: &str, text: &str) {
    for mark in MARKS {
        // Base64 and percent-encoding would not hide it for long.
        let line = text.lines().find(|line| line.to_uppercase().contains(mark));
        assert!(line.is_none(), "{mark} in {where_}: {line:?}");
    }
}

/// Requests that end in every kind of answer, with secrets in all places.
fn requests() -> Vec<String> {
    let secrets = "Authorization: Bearer CLIENTBEARER\r\nCookie: a=CLIENTCOOKIE\r\n\
        private-app: CLIENTBEARER\r\nX-HubSpot-Proxy-Key: hsp_CLIENTBEARER\r\n\
        X-Custom: CLIENTBEARER\r\nUser-Agent: CLIENTBEARER\r\n";
    let query = "hapikey=CLIENTHAPIKEY&q=QUERYVALUE";
    let body = "BODYTEXT";
    let post = |target: &str, more: &str| {
        let length = body.len();
        format!(
            "POST {target} HTTP/1.1\r\nHost: {{host}}\r\n{secrets}{more}Content-Length: {length}\r\n\r\n{body}"
        )
    };
    let path_token = "pat-na1-PATHTOKEN-0123-4567-89ab-cdef01234567";
    let long_token = format!("PATHTOKEN{}", "x".repeat(40));
    vec![
        post(&format!("/crm/v3/objects?{query}"), ""),
        post(&format!("/crm/v3/{path_token}?{query}"), ""),
        post(&format!("/crm/v3/{long_token}/x"), ""),
        post(&format!("/crm/v3/hsp_{long_token}/x"), ""),
        post(&format!("/oauth/v1/access-tokens/PATHTOKEN?{query}"), ""),
        post(&format!("/OAUTH/v1/refresh-tokens/PATHTOKEN?{query}"), ""),
        post(&format!("/%6fauth/v1/refresh-tokens/PATHTOKEN?{query}"), ""),
        post(&format!("//oauth/v1/refresh-tokens/PATHTOKEN?{query}"), ""),
        post(&format!("/@default/oauth/v1/refresh-tokens/PATHTOKEN?{query}"), ""),
        post(&format!("/@hsp_CLIENTBEARER{long_token}/crm?{query}"), ""),
        post(&format!("/@key:hsp_CLIENTBEARER{long_token}/crm?{query}"), ""),
        post(&format!("/crm/../x?{query}"), ""),
        post(&format!("/crm?{query}"), "Origin: https://CLIENTBEARER.example\r\n"),
        post(&format!("/crm?{query}"), "Referer: https://x.example/?CLIENTBEARER\r\n"),
        post(&format!("/crm?{query}"), "Host: CLIENTBEARER.example\r\n"),
        post(&format!("/crm?{query}"), "X-HubSpot-Account: CLIENTBEARER\r\n"),
        post(
            &format!("/crm?{query}"),
            &format!("X-HubSpot-Account: hsp_CLIENTBEARER{long_token}\r\n"),
        ),
        post(&format!("/crm?{query}"), "Sec-Fetch-Site: CLIENTBEARER\r\n"),
        post(&format!("/crm?{query}"), "Transfer-Encoding: CLIENTBEARER\r\n"),
        post(&format!("/_proxy/nothing?{query}"), ""),
        format!(
            "POST http://user:CLIENTBEARER@x.example/?{query} HTTP/1.1\r\nHost: {{host}}\r\n\r\n"
        ),
        format!("GET /crm?{query} HTTP/1.1\r\nHost: {{host}}\r\nBad Header CLIENTBEARER\r\n\r\n"),
        format!("CLIENTBEARER /crm?{query} HTTP/9.9\r\n\r\n"),
        format!(
            "POST /crm?{query} HTTP/1.1\r\nHost: {{host}}\r\n{secrets}Transfer-Encoding: chunked\r\n\
             Trailer: X-T\r\n\r\n8\r\n{body}\r\n0\r\nX-T: TRAILERTEXT\r\n\r\n"
        ),
        format!(
            "POST /crm?{query} HTTP/1.1\r\nHost: {{host}}\r\n{secrets}Transfer-Encoding: chunked\r\n\r\n\
             8\r\n{body}\r\nBODYTEXT\r\n"
        ),
    ]
}

fn noisy(setup: Setup) -> Proxy {
    setup.arg("--log-requests").env("HUBSPOT_PROXY_LOG", "trace").env("RUST_BACKTRACE", "1").start()
}

/// Sends all and looks at each refusal; `upstream_shows` where the upstream's own answers do.
fn run(proxy: &Proxy) {
    for text in requests() {
        let mut client = Client::connect(proxy.port);
        client.send(&text);
        if let Some(answer) = client.try_answer_to("POST")
            && answer.refusal().is_some()
        {
            assert_clean(&text, answer.text());
            for (name, value) in &answer.head.headers {
                assert_clean(name, value);
            }
        }
    }
    block_on(async {
        let client = connect(proxy.port).await;
        for target in ["/crm?q=QUERYVALUE", "/oauth/v1/access-tokens/PATHTOKEN?q=QUERYVALUE"] {
            let request = request("POST", proxy.port, target)
                .header("authorization", "Bearer CLIENTBEARER")
                .header("cookie", "CLIENTCOOKIE=1")
                .body(())
                .unwrap();
            // Whatever comes of it, only what is printed counts here.
            let _ = send(&client, request, Some("BODYTEXT".into())).await;
        }
    });
    assert_eq!(get(proxy.port, "/_proxy/health").status(), 200);
    assert_clean("stdout", &proxy.stdout());
    assert_clean("stderr", &proxy.stderr());
}

fn setup(url: &str) -> Setup {
    Setup::without_account(url).env("HUBSPOT_ACCESS_TOKEN", "pat-na1-OURTOKEN")
}

#[test]
fn nothing_secret_is_printed_or_said_when_all_goes_well() {
    let upstream = Upstream::answering(
        "HTTP/1.1 200 OK\r\nSet-Cookie: ANSWERBODY\r\nX-Up: ANSWERBODY\r\nContent-Length: 10\r\n\r\nANSWERBODY",
    );
    let home = Home::new();
    let proxy =
        noisy(setup(&upstream.url()).in_home(&home).env("HUBSPOT_PROXY_AUDIT__FILE", "audit.log"));
    run(&proxy);
    let log = proxy.stderr();
    assert!(
        log.contains("/crm/v3/objects") && log.contains("POST"),
        "the requests are logged: {log}"
    );
    assert!(log.contains("{redacted}"), "{log}");
    let audit = || std::fs::read_to_string(home.path().join("audit.log")).unwrap();
    until("the last request is in the audit log", || audit().contains("/_proxy/health"));
    assert!(audit().contains("{redacted}"), "{}", audit());
    assert_clean("the audit log", &audit());
}

#[test]
fn nothing_secret_is_printed_or_said_in_json_either() {
    let upstream = Upstream::answering(OK);
    let proxy = noisy(setup(&upstream.url()).arg("--log-format").arg("json"));
    run(&proxy);
    for line in proxy.stderr().lines() {
        assert!(serde_json::from_str::<serde_json::Value>(line).is_ok(), "not JSON: {line}");
    }
}

#[test]
fn nothing_secret_is_printed_or_said_when_the_upstream_fails() {
    let faults: [fn(&mut Peer); 4] = [
        |peer| drop(peer.request()),
        |peer| {
            peer.request();
            peer.send("ANSWERBODY garbage\r\n\r\n");
        },
        |peer| {
            peer.request();
            peer.send("HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\nANSWERBODY");
        },
        |peer| {
            peer.request();
            peer.send(
                "HTTP/1.1 302 Found\r\nLocation: http://x/?ANSWERBODY\r\nContent-Length: 0\r\n\r\n",
            );
        },
    ];
    for fault in faults {
        let upstream = Upstream::start(fault);
        let proxy = noisy(setup(&upstream.url()));
        run(&proxy);
    }
    let authority = Authority::new();
    let tls = authority.server("elsewhere.example", &["h2", "http/1.1"]);
    let strange = Upstream::start_tls(tls, |peer| drop(peer.request()));
    run(&noisy(setup(&format!("https://localhost:{}", strange.port)).trusting(&authority.file)));
}

#[test]
fn nothing_secret_is_printed_or_said_when_no_token_can_be_had() {
    for answer in [
        "HTTP/1.1 400 Bad Request\r\nContent-Length: 62\r\n\r\n{\"error\":\"invalid_grant\",\"message\":\"OURREFRESH OURCLIENTSECRET\"}",
        "HTTP/1.1 401 Unauthorized\r\nContent-Length: 26\r\n\r\n{\"error\":\"invalid_client\"}",
        "HTTP/1.1 500 Oops\r\nContent-Length: 10\r\n\r\nANSWERBODY",
        "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nANSWERBODY",
        "HTTP/1.1 200 OK\r\nContent-Length: 27\r\n\r\n{\"access_token\":\"ANSWERBODY",
        "HTTP/1.1 302 Found\r\nLocation: http://x/?ANSWERBODY\r\nContent-Length: 0\r\n\r\n",
    ] {
        let endpoint = Upstream::answering(answer);
        let proxy = noisy(
            Setup::without_account(&endpoint.url())
                .env("HUBSPOT_CLIENT_ID", "app")
                .env("HUBSPOT_CLIENT_SECRET", "OURCLIENTSECRET")
                .env("HUBSPOT_REFRESH_TOKEN", "OURREFRESH"),
        );
        run(&proxy);
        let answer = get(proxy.port, "/_proxy/ready");
        assert_clean("ready", answer.text());
    }
}

/// The levels of everything below that could log what goes over the wire.
const ALL_LEVELS: [&str; 2] = [
    "trace",
    "trace,hubspot_proxy=trace,hyper=trace,hyper_util=trace,h2=trace,reqwest=trace,rustls=trace",
];

#[test]
fn nothing_secret_is_printed_or_said_of_tokens_that_are_issued_refused_and_replaced() {
    for directives in ALL_LEVELS {
        let upstream = Upstream::start(|peer| {
            let token =
                r#"{"access_token":"ISSUEDTOKEN","refresh_token":"ISSUEDREFRESH","expires_in":1}"#;
            let length = token.len();
            let issued = format!("HTTP/1.1 200 OK\r\nContent-Length: {length}\r\n\r\n{token}");
            while let Some(request) = peer.request() {
                let answer = match request.target() {
                    "/oauth/2026-03/token" => &issued,
                    "/refused" => {
                        "HTTP/1.1 401 No\r\nX-Up: ANSWERBODY\r\nContent-Length: 10\r\n\r\nANSWERBODY"
                    }
                    _ => OK,
                };
                if !peer.send(answer) {
                    return;
                }
            }
        });
        let proxy = Setup::without_account(&upstream.url())
            .env("HUBSPOT_CLIENT_ID", "app")
            .env("HUBSPOT_CLIENT_SECRET", "OURCLIENTSECRET")
            .env("HUBSPOT_REFRESH_TOKEN", "OURREFRESH")
            .env("HUBSPOT_PROXY_LOG", directives)
            .env("RUST_BACKTRACE", "1")
            .start();
        // The token lives for a second: there are several refreshes of each kind.
        for _ in 0..25 {
            assert_eq!(get(proxy.port, "/a").status(), 200);
            assert_eq!(get(proxy.port, "/refused").status(), 401);
            std::thread::sleep(std::time::Duration::from_millis(100));
        }
        let presented = upstream.bytes();
        assert!(crate::client::find(&presented, b"refresh_token=ISSUEDREFRESH").is_some());
        run(&proxy);
    }
}

#[test]
fn the_password_of_the_outbound_proxy_is_not_printed_or_said() {
    let authority = Authority::new();
    let closed = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let refusing = Upstream::answering("HTTP/1.1 407 No\r\nContent-Length: 0\r\n\r\n");
    for port in [closed, refusing.port] {
        let proxy = noisy(
            setup("https://api.hubapi.invalid")
                .trusting(&authority.file)
                .env("HTTPS_PROXY", &format!("http://user:PROXYPASSWORD@127.0.0.1:{port}")),
        );
        run(&proxy);
    }
}

#[cfg(target_os = "linux")]
#[test]
fn no_secret_stands_in_the_command_line_or_in_a_core_dump() {
    let upstream = Upstream::answering(OK);
    let proxy = setup(&upstream.url()).start();
    assert_eq!(exchange(proxy.port, "GET /a HTTP/1.1\r\nHost: {host}\r\n\r\n").status(), 200);
    let line = std::fs::read(format!("/proc/{}/cmdline", proxy.pid())).unwrap();
    assert_clean("cmdline", &String::from_utf8_lossy(&line));
    let limits = std::fs::read_to_string(format!("/proc/{}/limits", proxy.pid())).unwrap();
    let core = limits.lines().find(|line| line.starts_with("Max core file size")).unwrap();
    let soft = core.split_ascii_whitespace().nth(4).unwrap();
    let dumpable = std::fs::metadata(format!("/proc/{}/environ", proxy.pid())).unwrap();
    let is_root_only = std::os::unix::fs::MetadataExt::uid(&dumpable) == 0;
    assert!(soft == "0" || is_root_only, "a core dump would hold the token: {core}");
}
