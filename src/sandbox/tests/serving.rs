//! Over real sockets: both protocols, streaming, compression, the gate, the end.

use std::io::Read;
use std::net::SocketAddr;
use std::time::Duration;

use axum::body::Body;
use bytes::Bytes;
use flate2::read::GzDecoder;
use http::Request;
use http_body_util::{BodyExt, Full};
use hyper_util::rt::{TokioExecutor, TokioIo};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

use super::super::bodies::PATTERN_PERIOD;
use super::super::demo;
use super::{Bench, request};

/// A sandbox on a port of its own.
pub(super) struct Served {
    pub(super) bench: Bench,
    address: SocketAddr,
    stop: oneshot::Sender<()>,
    task: JoinHandle<()>,
}

impl Served {
    pub(super) async fn start() -> Self {
        let bench = Bench::new();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (stop, stopped) = oneshot::channel();
        let serving = bench.sandbox.clone().serve(vec![listener], async {
            let _ = stopped.await;
        });
        let task = tokio::spawn(serving);
        Self { bench, address, stop, task }
    }

    pub(super) async fn connect(&self) -> TcpStream {
        TcpStream::connect(self.address).await.unwrap()
    }

    pub(super) async fn connect_and_send(
        &self,
        method: &str,
        path: &str,
        token: &str,
    ) -> TcpStream {
        let mut stream = self.connect().await;
        let head = format!(
            "{method} {path} HTTP/1.1\r\nHost: {}\r\nAuthorization: Bearer {token}\r\nConnection: close\r\n\r\n",
            self.address
        );
        stream.write_all(head.as_bytes()).await.unwrap();
        stream
    }

    pub(super) async fn stop(self) {
        let _ = self.stop.send(());
        tokio::time::timeout(Duration::from_secs(5), self.task).await.unwrap().unwrap();
    }
}

pub(super) async fn read_all(mut stream: TcpStream) -> Vec<u8> {
    let mut got = Vec::new();
    // A reset ends it as well.
    let _ = stream.read_to_end(&mut got).await;
    got
}

#[tokio::test]
async fn http2_with_prior_knowledge_is_spoken_on_the_same_port() {
    let served = Served::start().await;
    let stream = TcpStream::connect(served.address).await.unwrap();
    let io = TokioIo::new(stream);
    let (mut sender, connection) =
        hyper::client::conn::http2::handshake(TokioExecutor::new(), io).await.unwrap();
    let connection = tokio::spawn(connection);
    let get = |path: &str| {
        Request::get(format!("http://{}{path}", served.address))
            .header("authorization", "Bearer sandbox-access-token")
            .body(Full::<Bytes>::default())
            .unwrap()
    };
    let response = sender.send_request(get("/crm/v3/owners")).await.unwrap();
    assert_eq!(response.status(), 200);
    drop(response);
    let seen = served.bench.call_as("", "GET", "/sandbox/requests", Value::Null).await.json();
    assert_eq!(seen[0]["version"], "HTTP/2.0");

    let fault = json!([{ "path": "/crm/**", "drop": "mid-body" }]);
    served.bench.call_as("", "POST", "/sandbox/faults", fault).await;
    let response = sender.send_request(get("/crm/v3/owners")).await.unwrap();
    assert!(response.into_body().collect().await.is_err());
    assert!(connection.await.unwrap().is_ok() || sender.is_closed());
    served.stop().await;
}

#[tokio::test]
async fn shutdown_ends_an_idle_connection_and_frees_the_port() {
    let served = Served::start().await;
    let address = served.address;
    let idle = TcpStream::connect(address).await.unwrap();
    served.stop().await;
    assert!(read_all(idle).await.is_empty());
    assert!(TcpStream::connect(address).await.is_err());
}

#[tokio::test]
async fn bytes_chunks_events_and_echo_stream_with_and_without_a_token() {
    let bench = Bench::new();
    let call = async |path: &str| bench.call_as("", "GET", path, Value::Null).await;
    let got = call("/sandbox/bytes/200000").await;
    assert_eq!(got.bytes.len(), 200_000);
    assert!(got.bytes.iter().enumerate().all(|(i, byte)| usize::from(*byte) == i % PATTERN_PERIOD));
    assert_eq!(call("/sandbox/stream?chunks=3&interval_ms=0&size=2").await.text(), "aabbcc");
    let events = call("/sandbox/events?count=2&interval_ms=1").await;
    assert_eq!(events.header("content-type"), "text/event-stream");
    assert_eq!(events.text().matches("event: tick\ndata: ").count(), 2);
    for (path, token, status) in [
        ("/sandbox/echo", "", 200),
        ("/sandbox-data/v1/echo", "", 401),
        ("/sandbox-data/v1/echo", demo::ACCESS_TOKEN, 200),
    ] {
        let got = bench.call_as(token, "POST", path, json!({ "a": 1 })).await;
        assert_eq!(got.code(), status);
        assert_eq!(got.text() == "{\"a\":1}", status == 200);
    }
    let data = bench.call("GET", "/sandbox-data/v1/bytes/7", Value::Null).await;
    assert_eq!(data.bytes.len(), 7);
    assert_eq!(bench.call("GET", "/sandbox-data/v1/other", Value::Null).await.code(), 404);
}

#[tokio::test]
async fn large_answers_announce_their_length_and_are_not_held_in_memory() {
    let served = Served::start().await;
    let mut stream = served.connect_and_send("GET", "/sandbox/bytes/9000000000000", "").await;
    let mut start = [0; 1024];
    let read = stream.read(&mut start).await.unwrap();
    let head = String::from_utf8_lossy(&start[..read]).to_lowercase();
    assert!(head.contains("content-length: 9000000000000\r\n"), "{head}");
    drop(stream);
    served.stop().await;
}

#[tokio::test]
async fn json_is_compressed_for_those_who_take_it() {
    let bench = Bench::new();
    let cases = [("gzip, deflate", true), ("gzip;q=0", false), ("identity", false), ("br", false)];
    for (accepted, compressed) in cases {
        let request = request("GET", "/crm/v3/objects/contacts")
            .header("authorization", format!("Bearer {}", demo::ACCESS_TOKEN))
            .header("accept-encoding", accepted);
        let got = bench.send(request.body(Body::empty()).unwrap()).await;
        assert_eq!(got.header("content-encoding") == "gzip", compressed, "{accepted}");
        let mut text = String::new();
        match compressed {
            true => GzDecoder::new(&got.bytes[..]).read_to_string(&mut text).unwrap(),
            false => Read::read_to_string(&mut &got.bytes[..], &mut text).unwrap(),
        };
        let body: Value = serde_json::from_str(&text).unwrap();
        assert_eq!(body["results"].as_array().unwrap().len(), 10);
    }
}

#[tokio::test]
async fn only_loopback_names_and_own_pages_are_answered() {
    let bench = Bench::new();
    let cases = [
        ("host", "localhost:1", 200),
        ("host", "LOCALHOST.", 200),
        ("host", "127.0.0.1:8788", 200),
        ("host", "[::1]:8788", 200),
        ("host", "evil.example:8788", 403),
        ("host", "localhost.evil.example", 403),
        ("host", "127.0.0.1.evil.example", 403),
        ("host", "", 403),
        ("origin", "http://localhost:8788", 200),
        ("origin", "http://evil.example", 403),
        ("origin", "null", 403),
        ("sec-fetch-site", "cross-site", 200),
    ];
    for (name, value, status) in cases {
        let mut builder = Request::get("/crm/v3/owners")
            .header("authorization", format!("Bearer {}", demo::ACCESS_TOKEN))
            .header(name, value);
        if name != "host" {
            builder = builder.header("host", "localhost:8788");
        }
        let got = bench.send(builder.body(Body::empty()).unwrap()).await;
        assert_eq!(got.code(), status, "{name}: {value}");
    }
}
