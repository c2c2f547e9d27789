//! Bytes that nobody means: whatever comes, the proxy answers or closes, and goes on.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpStream};
use std::time::Duration;

use crate::client::{Client, get};
use crate::proxy::{Proxy, Setup};
use crate::upstream::{OK, Upstream};
use crate::waiting::PATIENCE;

/// Numbers that look random and are the same in every run (xorshift).
struct Dice(u64);

impl Dice {
    fn below(&mut self, limit: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 >> 11).unwrap() % limit
    }

    fn byte(&mut self) -> u8 {
        const LIKELY: &[u8] = b"\0\r\n \t:;,/@%.?#&=*+-0aAzZ\x7f\x80\xc3\xff";
        match self.below(3) {
            0 => u8::try_from(self.below(256)).unwrap(),
            _ => LIKELY[self.below(LIKELY.len())],
        }
    }

    /// A few bytes changed, left out, added or repeated.
    fn mangled(&mut self, text: &[u8]) -> Vec<u8> {
        let mut text = text.to_vec();
        for _ in 0..=self.below(4) {
            let at = self.below(text.len());
            match self.below(4) {
                0 => text[at] = self.byte(),
                1 => drop(text.remove(at)),
                2 => text.insert(at, self.byte()),
                _ => {
                    let end = (at + self.below(20)).min(text.len());
                    let part = text[at..end].to_vec();
                    text.splice(at..at, part);
                }
            }
        }
        text
    }
}

fn assert_unharmed(proxy: &Proxy) {
    assert_eq!(get(proxy.port, "/_proxy/health").status(), 200);
    let log = proxy.stderr();
    assert!(!log.contains("panicked") && !log.contains("failed inside"), "{log}");
}

/// All that comes back until the proxy closes or has nothing more to say.
fn said_to(proxy: &Proxy, bytes: &[u8]) -> Vec<u8> {
    let mut stream = TcpStream::connect(("127.0.0.1", proxy.port)).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    // The proxy may have seen enough before all is written.
    let _ = stream.write_all(bytes);
    let _ = stream.shutdown(Shutdown::Write);
    let mut said = Vec::new();
    let _ = stream.read_to_end(&mut said);
    said
}

#[test]
fn mangled_requests_are_answered_or_dropped() {
    let upstream = Upstream::answering(OK);
    let proxy = Setup::in_front_of(&upstream.url()).arg("--log-requests").start();
    let port = proxy.port;
    let seeds = [
        format!(
            "GET /crm/v3/objects?limit=1 HTTP/1.1\r\nHost: localhost:{port}\r\nAccept: */*\r\n\r\n"
        ),
        format!(
            "POST /@default/a%2Fb;c?hapikey=x HTTP/1.1\r\nHost: localhost:{port}\r\nContent-Length: 5\r\n\r\nhello"
        ),
        format!(
            "PUT /a HTTP/1.1\r\nHost: localhost:{port}\r\nTransfer-Encoding: chunked\r\nTrailer: x\r\n\r\n\
             5\r\nhello\r\n0\r\nx: y\r\n\r\n"
        ),
        format!(
            "GET http://localhost:{port}/a HTTP/1.1\r\nHost: localhost:{port}\r\nConnection: x, y\r\n\r\n"
        ),
    ];
    let mut dice = Dice(0x9e37_79b9_7f4a_7c15);
    for round in 0..600 {
        let request = dice.mangled(seeds[round % seeds.len()].as_bytes());
        let said = said_to(&proxy, &request);
        let status = said.get(9..12).unwrap_or_default();
        let is_fault_of_ours = status == b"500";
        assert!(!is_fault_of_ours, "{:?}", String::from_utf8_lossy(&request));
    }
    assert_unharmed(&proxy);
    // What got through was always one well-formed request, which the upstream has checked.
    assert!(!upstream.requests().is_empty());
    for request in upstream.requests() {
        let expected = format!("Bearer {}", crate::proxy::TOKEN);
        assert_eq!(request.all("authorization"), [expected], "{request:?}");
        assert_eq!(request.all("host"), [format!("localhost:{}", upstream.port)], "{request:?}");
        assert!(request.target().starts_with('/'), "{request:?}");
    }
}

#[test]
fn mangled_http_2_is_answered_or_dropped() {
    let upstream = Upstream::answering(OK);
    let proxy = Setup::in_front_of(&upstream.url()).start();
    let mut seed = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_vec();
    let preface = seed.len();
    // SETTINGS, then HEADERS: GET, http, /, and an authority as a literal.
    seed.extend([0, 0, 0, 4, 0, 0, 0, 0, 0]);
    let authority = format!("localhost:{}", proxy.port);
    let length = u8::try_from(authority.len()).unwrap();
    seed.extend([0, 0, length + 5, 1, 5, 0, 0, 0, 1, 0x82, 0x86, 0x84, 0x01, length]);
    seed.extend(authority.as_bytes());
    let said = said_to(&proxy, &seed);
    assert!(said.len() > 20, "{said:?}");
    let mut dice = Dice(0xda94_2042_e4dd_58b5);
    for _ in 0..300 {
        let mut bytes = seed[..preface].to_vec();
        bytes.extend(dice.mangled(&seed[preface..]));
        said_to(&proxy, &bytes);
    }
    assert_unharmed(&proxy);
}

#[test]
fn mangled_answers_reach_the_client_whole_or_visibly_broken() {
    let seeds: [&str; 3] = [
        "HTTP/1.1 200 OK\r\nContent-Type: a/b\r\nContent-Length: 5\r\n\r\nhello",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: x\r\n\r\n5\r\nhello\r\n0\r\nx: y\r\n\r\n",
        "HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\nHTTP/1.0 404 Not Found\r\nConnection: close\r\n\r\nhello",
    ];
    let dice = std::sync::Mutex::new(Dice(0xca5a_8263_95fc_11d7));
    let upstream = Upstream::start(move |peer| {
        while peer.request().is_some() {
            let answer = {
                let mut dice = dice.lock().unwrap();
                let seed = seeds[dice.below(seeds.len())];
                dice.mangled(seed.as_bytes())
            };
            peer.send(answer);
            peer.close_sending();
        }
    });
    let proxy = Setup::in_front_of(&upstream.url()).start();
    for _ in 0..300 {
        let mut client = Client::connect(proxy.port);
        client.send("GET /a HTTP/1.1\r\nHost: {host}\r\nTE: trailers\r\n\r\n");
        // Parsing is strict here: what the proxy sends has to be HTTP, whatever it got.
        if let Some(answer) = client.try_answer_to("GET") {
            assert_ne!(answer.status(), 500, "{answer:?}");
        }
    }
    assert_unharmed(&proxy);
}

#[test]
fn targets_on_the_edge_do_not_confuse_it() {
    let upstream = Upstream::answering(OK);
    let proxy = Setup::in_front_of(&upstream.url()).arg("--log-requests").start();
    let targets: &[&[u8]] = &[
        b"/@",
        b"/@/",
        b"/@/a",
        b"/@@",
        b"/@@/a",
        b"/@default@",
        b"/@default/@",
        b"/@default?@/",
        b"/@?",
        b"/@#",
        "/@\u{e9}/a".as_bytes(),
        "/\u{e9}/b".as_bytes(),
        "/a?\u{e9}".as_bytes(),
        b"/\xff\xfe",
        b"/a?\xff",
        b"/#frag",
        b"/a#b?c",
        b"?",
        b"?a",
        b"a",
        b"http:",
        b"http:/",
        b"http://",
        b"://",
        b"/:",
        b"/\x80",
        b"/%",
        b"/?%",
        b"/?&=&=",
        b"/@default//",
        b"/@1234567/a",
        b"/@99999999999999999999999999/a",
    ];
    for target in targets {
        let request = [b"GET ", *target, b" HTTP/1.1\r\nHost: {host}\r\n\r\n"].concat();
        let mut client = Client::connect(proxy.port);
        client.send(&request);
        let status = client.answer_to("GET").status();
        let shown = String::from_utf8_lossy(target);
        assert!(matches!(status, 200 | 400 | 403), "{shown}: {status}");
    }
    assert_unharmed(&proxy);
    for request in upstream.requests() {
        assert!(!request.target().starts_with("/@"), "{request:?}");
    }
}

#[test]
fn connections_that_say_nothing_or_leave_early_are_forgotten() {
    let upstream = Upstream::answering(OK);
    let proxy = Setup::in_front_of(&upstream.url()).start();
    let base = proxy.settled_files();
    for round in 0..300 {
        let stream = TcpStream::connect(("127.0.0.1", proxy.port)).unwrap();
        if round % 3 == 0 {
            (&stream).write_all(b"GET /a HT").unwrap();
        }
        if round % 2 == 0 {
            socket2::SockRef::from(&stream).set_linger(Some(Duration::ZERO)).unwrap();
        }
    }
    crate::waiting::until("all are closed", || proxy.open_files() <= base + 2);
    assert_unharmed(&proxy);
}
