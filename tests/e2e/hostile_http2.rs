//! Clients that use HTTP/2 as a weapon: streams reset as fast as they are opened, heads without an end,
//! frames that cost the sender nothing.
#![cfg(target_os = "linux")]

use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use crate::client::get;
use crate::proxy::{Proxy, Setup};
use crate::upstream::{OK, Upstream};
use crate::waiting::PATIENCE;

const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
const DATA: u8 = 0;
const HEADERS: u8 = 1;
const PRIORITY: u8 = 2;
const RST_STREAM: u8 = 3;
const SETTINGS: u8 = 4;
const PING: u8 = 6;
const WINDOW_UPDATE: u8 = 8;
const CONTINUATION: u8 = 9;

fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
    [&length[1..], &[kind, flags], &stream.to_be_bytes(), payload].concat()
}

/// A literal without indexing and without Huffman coding.
fn line(name: &str, value: &str) -> Vec<u8> {
    let text = |text: &str| [&[u8::try_from(text.len()).unwrap()], text.as_bytes()].concat();
    [vec![0], text(name), text(value)].concat()
}

fn head(port: u16, method: &str) -> Vec<u8> {
    let authority = format!("localhost:{port}");
    let lines =
        [(":method", method), (":scheme", "http"), (":path", "/a"), (":authority", &authority)];
    lines.iter().flat_map(|(name, value)| line(name, value)).collect()
}

/// Writes `rounds` of what `of` gives while dropping what comes back; whether the proxy took it all.
fn flood(proxy: &Proxy, rounds: u32, mut of: impl FnMut(u32) -> Vec<u8>) -> bool {
    let mut stream = TcpStream::connect(("127.0.0.1", proxy.port)).unwrap();
    stream.set_write_timeout(Some(PATIENCE)).unwrap();
    let mut back = stream.try_clone().unwrap();
    let reading = std::thread::spawn(move || {
        let mut dropped = vec![0; 64 * 1024];
        while matches!(back.read(&mut dropped), Ok(1..)) {}
    });
    let mut sent = stream.write_all(&[PREFACE, &frame(SETTINGS, 0, 0, &[])].concat());
    let mut batch = Vec::new();
    for round in 0..rounds {
        batch.extend(of(round));
        if batch.len() > 16 * 1024 {
            sent = sent.and_then(|()| stream.write_all(&batch));
            batch.clear();
        }
        if sent.is_err() {
            break;
        }
    }
    if let Err(error) = &sent {
        assert!(!matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut), "it stalls");
    }
    let _ = stream.shutdown(std::net::Shutdown::Both);
    reading.join().unwrap();
    sent.is_ok()
}

#[test]
fn floods_end_their_connection_or_cost_next_to_nothing() {
    let upstream = Upstream::answering(OK);
    let proxy = Setup::in_front_of(&upstream.url()).env("HUBSPOT_PROXY_LOG", "info").start();
    get(proxy.port, "/a");
    let (before, port) = (proxy.peak_memory(), proxy.port);
    let odd = |round: u32| 2 * round + 1;
    type Round = Box<dyn FnMut(u32) -> Vec<u8>>;
    // Name, rounds, what is sent in each, and whether all of it may be taken.
    let floods: Vec<(&str, u32, Round, bool)> = vec![
        (
            "rapid reset",
            100_000,
            Box::new(move |n| {
                let reset = frame(RST_STREAM, 0, odd(n), &8_u32.to_be_bytes());
                [frame(HEADERS, 5, odd(n), &head(port, "GET")), reset].concat()
            }),
            false,
        ),
        (
            "resets provoked by a window of nothing",
            100_000,
            Box::new(move |n| {
                let update = frame(WINDOW_UPDATE, 0, odd(n), &0_u32.to_be_bytes());
                [frame(HEADERS, 5, odd(n), &head(port, "GET")), update].concat()
            }),
            false,
        ),
        (
            "a head that goes on and on",
            10_000,
            Box::new(move |n| match n {
                0 => frame(HEADERS, 1, 1, &head(port, "GET")),
                _ => frame(CONTINUATION, 0, 1, &line("x", &"y".repeat(120)).repeat(100)),
            }),
            false,
        ),
        (
            "a head of empty parts",
            1_000_000,
            Box::new(move |n| match n {
                0 => frame(HEADERS, 1, 1, &head(port, "GET")),
                _ => frame(CONTINUATION, 0, 1, &[]),
            }),
            false,
        ),
        (
            "thousands of lines from one indexed",
            2,
            Box::new(move |n| match n {
                0 => frame(HEADERS, 1, 1, &head(port, "GET")),
                _ => frame(CONTINUATION, 4, 1, &[0x90; 16_000]),
            }),
            true,
        ),
        ("pings", 200_000, Box::new(|_| frame(PING, 0, 0, &[0; 8])), true),
        ("settings", 200_000, Box::new(|_| frame(SETTINGS, 0, 0, &[0, 3, 0, 0, 0, 9])), true),
        (
            "empty parts of a body",
            500_000,
            Box::new(move |n| match n {
                0 => frame(HEADERS, 4, 1, &head(port, "POST")),
                _ => frame(DATA, 0, 1, &[]),
            }),
            true,
        ),
        ("priorities", 200_000, Box::new(move |n| frame(PRIORITY, 0, odd(n), &[0; 5])), true),
        ("frames of no known kind", 200_000, Box::new(|_| frame(0xee, 0, 0, &[7; 100])), true),
    ];
    for (name, rounds, of, may_be_taken) in floods {
        upstream.forget();
        let began = Instant::now();
        let taken = flood(&proxy, rounds, of);
        assert!(!taken || may_be_taken, "{name}: all was taken");
        assert!(began.elapsed() < Duration::from_secs(20), "{name}: {:?}", began.elapsed());
        assert!(upstream.requests().len() < 1000, "{name}: {}", upstream.requests().len());
        let served = Instant::now();
        assert_eq!(get(proxy.port, "/a").status(), 200, "{name}");
        assert!(served.elapsed() < Duration::from_secs(2), "{name}: {:?}", served.elapsed());
        let grown = proxy.peak_memory().saturating_sub(before);
        assert!(grown < 24 * 1024, "{name}: {grown} KiB more");
    }
}
