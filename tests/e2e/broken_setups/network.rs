//! A way to HubSpot that does not lead there.

use super::{Bench, Case, Fails, SERVE, SERVE_AS_WRITTEN};
use crate::tls::Authority;
use crate::upstream::{OK, Peer, Upstream};

/// A name that nobody can have (RFC 6761).
const NOBODY: &str = "https://api.hubapi.invalid";

fn token_for(bench: &mut Bench, url: &str) {
    bench.var("HUBSPOT_ACCESS_TOKEN", "pat-na1-x");
    bench.var("HUBSPOT_PROXY_UPSTREAM__URL", url);
    bench.var("HUBSPOT_PROXY_UPSTREAM__CONNECT_TIMEOUT", "3s");
}

fn closed_port() -> u16 {
    crate::login::free_port()
}

fn serve_all(peer: &mut Peer) {
    while peer.request().is_some() && peer.send(OK) {}
}

/// An upstream whose certificate is for `name`, and who trusts it or not.
fn tls(bench: &mut Bench, name: &str, trusted: bool) {
    let authority = Authority::new();
    let upstream = Upstream::start_tls(authority.server(name, &["http/1.1"]), serve_all);
    token_for(bench, &format!("https://localhost:{}", upstream.port));
    // Without the platform's own, of which a machine may have none.
    let other = Authority::new();
    let roots = if trusted { &authority } else { &other };
    bench.var("HUBSPOT_PROXY_UPSTREAM__CA_FILE", roots.file.to_str().unwrap());
    bench.keep((authority, other, upstream));
}

pub const CASES: &[Case] = &[
    Case {
        name: "a name that does not resolve",
        break_it: |bench| token_for(bench, NOBODY),
        fails: Fails::Request("upstream-unreachable"),
        told: &["api.hubapi.invalid", "cannot be resolved", "upstream.url"],
        check: "dns",
        seen: &["api.hubapi.invalid", "cannot be resolved"],
        mend: &["check the network", "upstream.url"],
    },
    Case {
        name: "a port at which nobody listens",
        break_it: |bench| token_for(bench, &format!("http://localhost:{}", closed_port())),
        fails: Fails::Request("upstream-unreachable"),
        told: &["no connection to localhost", "refused", "upstream.url"],
        check: "reachable",
        seen: &["no connection to http://localhost", "refused"],
        mend: &["start what should listen there", "upstream.url"],
    },
    Case {
        name: "a certificate of an unknown authority",
        break_it: |bench| tls(bench, "localhost", false),
        fails: Fails::Request("upstream-unreachable"),
        told: &["no TLS connection to localhost", "invalid peer certificate", "upstream.ca_file"],
        check: "tls",
        seen: &["no TLS connection to localhost", "invalid peer certificate"],
        mend: &["upstream.ca_file", "PEM"],
    },
    Case {
        name: "a certificate of another name",
        break_it: |bench| tls(bench, "elsewhere.example", true),
        fails: Fails::Request("upstream-unreachable"),
        told: &["no TLS connection to localhost", "not valid for name", "upstream.url"],
        check: "tls",
        seen: &["no TLS connection to localhost", "not valid for name"],
        mend: &["correct the host in upstream.url"],
    },
    Case {
        name: "an upstream that never answers",
        break_it: |bench| {
            let silent = Upstream::start(|peer| {
                while peer.request().is_some() {
                    std::thread::sleep(std::time::Duration::from_secs(20));
                }
            });
            token_for(bench, &silent.url());
            bench.var("HUBSPOT_PROXY_UPSTREAM__RESPONSE_TIMEOUT", "500ms");
            bench.keep(silent);
        },
        fails: Fails::Request("upstream-timeout"),
        told: &["did not answer", "upstream.response_timeout"],
        check: "reachable",
        seen: &["takes the connection and gives no answer"],
        mend: &["try again", "upstream.url"],
    },
    Case {
        name: "an outbound proxy that is down",
        break_it: |bench| {
            token_for(bench, NOBODY);
            bench.var("HTTPS_PROXY", &format!("http://127.0.0.1:{}", closed_port()));
        },
        fails: Fails::Request("upstream-unreachable"),
        told: &["outbound proxy", "cannot be reached", "HTTPS_PROXY"],
        check: "outbound-proxy",
        seen: &["cannot be reached", "127.0.0.1"],
        mend: &["correct HTTPS_PROXY", "NO_PROXY=api.hubapi.invalid"],
    },
    Case {
        name: "an outbound proxy that wants a password",
        break_it: |bench| {
            let proxy = Upstream::start(|peer| {
                if peer.head().is_some() {
                    peer.send(
                        "HTTP/1.1 407 Proxy Authentication Required\r\nContent-Length: 0\r\n\r\n",
                    );
                }
            });
            token_for(bench, NOBODY);
            bench.var("HUBSPOT_PROXY_UPSTREAM__PROXY", &format!("http://127.0.0.1:{}", proxy.port));
            bench.keep(proxy);
        },
        fails: Fails::Request("upstream-unreachable"),
        told: &["outbound proxy", "user name and password (407)", "HTTPS_PROXY"],
        check: "outbound-proxy",
        seen: &["user name and password (407)"],
        mend: &["correct upstream.proxy", "stand in HTTPS_PROXY"],
    },
    Case {
        name: "an outbound proxy of a kind that is not supported",
        break_it: |bench| {
            token_for(bench, NOBODY);
            bench.var("HTTPS_PROXY", "socks5://127.0.0.1:1080");
        },
        fails: SERVE,
        told: &[
            "outbound proxy",
            "of another kind than http",
            "HTTPS_PROXY",
            "write an http:// URL",
        ],
        check: "outbound-proxy",
        seen: &["HTTPS_PROXY", "of another kind than http"],
        mend: &["correct HTTPS_PROXY", "http://proxy.example:3128"],
    },
    Case {
        name: "roots that are not there",
        break_it: |bench| {
            token_for(bench, NOBODY);
            bench.var("HUBSPOT_PROXY_UPSTREAM__CA_FILE", "/nowhere/roots.pem");
        },
        fails: SERVE,
        told: &["/nowhere/roots.pem", "No such file", "upstream.ca_file"],
        check: "roots",
        seen: &["/nowhere/roots.pem", "No such file"],
        mend: &["correct upstream.ca_file"],
    },
    Case {
        name: "roots that are none",
        break_it: |bench| {
            token_for(bench, NOBODY);
            bench.file("roots.pem", "hello");
            bench.var("HUBSPOT_PROXY_UPSTREAM__CA_FILE", "roots.pem");
        },
        fails: SERVE,
        told: &["roots.pem", "holds no certificate", "upstream.ca_file"],
        check: "roots",
        seen: &["roots.pem", "holds no certificate"],
        mend: &["correct upstream.ca_file", "BEGIN CERTIFICATE"],
    },
    Case {
        name: "the proxy as its own upstream",
        break_it: |bench| {
            let port = closed_port();
            token_for(bench, &format!("http://localhost:{port}"));
            bench.var("HUBSPOT_PROXY_SERVER__LISTEN", &format!("localhost:{port}"));
        },
        fails: SERVE_AS_WRITTEN,
        told: &["upstream.url", "the proxy's own address", "remove"],
        check: "configuration",
        seen: &["upstream.url", "the proxy's own address"],
        mend: &["remove"],
    },
];
