//! How often the data plane asks for memory on the whole way of one request: client, gate to response,
//! TLS upstream and back, connections open. `cargo bench --bench allocations` prints a table.
//!
//! Clients and upstream are in the same process, on threads that are not counted.
#![allow(clippy::unwrap_used, clippy::print_stdout)]

mod upstream;

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::future::pending;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;

use arc_swap::ArcSwap;
use bytes::Bytes;
use http::{Request, StatusCode};
use http_body_util::{BodyExt, Empty};
use hyper::client::conn::http2::{self, SendRequest};
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::runtime::{Builder, Runtime};

use hubspot_proxy::accounts::{Account, Accounts, Kind};
use hubspot_proxy::config::{Config, Environment, Flags, Folders, Sources, load};
use hubspot_proxy::credential::Credential;
use hubspot_proxy::server::{Server, listener};
use hubspot_proxy::types::account::{About, AccountName};
use hubspot_proxy::types::clock::SystemClock;
use hubspot_proxy::types::policy::Policy;
use hubspot_proxy::types::secret::Secret;
use hubspot_proxy::upstream::tls::{TlsConfigs, install_crypto_provider};
use upstream::Upstream;

const WARM: usize = 2_000;
const COUNTED: usize = 6_400;
const TARGET: &str = "/crm/v3/objects/contacts?limit=10";

#[global_allocator]
static COUNTING: Counting = Counting;
static ALLOCATIONS: AtomicU64 = AtomicU64::new(0);
static BYTES: AtomicU64 = AtomicU64::new(0);
thread_local!(static IS_LEFT_OUT: Cell<bool> = const { Cell::new(false) });

/// The system's allocator, with a count of what threads ask of it.
struct Counting;

fn count(size: usize) {
    if !IS_LEFT_OUT.get() {
        ALLOCATIONS.fetch_add(1, Ordering::Relaxed);
        BYTES.fetch_add(size as u64, Ordering::Relaxed);
    }
}

// SAFETY: Everything is handed on to the system's allocator as it came. Counting allocates nothing: the
// thread's flag is a constant without a destructor.
#[allow(unsafe_code)]
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count(layout.size());
        unsafe { System.alloc(layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        count(layout.size());
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn realloc(&self, memory: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        count(size);
        unsafe { System.realloc(memory, layout, size) }
    }

    unsafe fn dealloc(&self, memory: *mut u8, layout: Layout) {
        unsafe { System.dealloc(memory, layout) }
    }
}

/// What this thread does from now on is no part of the proxy's work.
pub fn leave_this_thread_out() {
    IS_LEFT_OUT.set(true);
}

fn main() {
    leave_this_thread_out();
    install_crypto_provider();
    println!("| client, upstream | allocations a request | bytes a request |\n|---|---|---|");
    let (upstream, address) = (Upstream::start(), start_proxy);
    let http1 = |clients| {
        let mut clients = Http1Clients::open(address(&upstream), clients);
        move |count| clients.send(count)
    };
    row("HTTP/1.1, HTTP/1.1 (1 client)", http1(1));
    row("HTTP/1.1, HTTP/2 (64 clients)", http1(64));
    let mut clients = Http2Client::open(address(&upstream));
    row("HTTP/2, HTTP/2 (64 streams)", move |count| clients.send(count, 64));
}

fn row(what: &str, mut send: impl FnMut(usize)) {
    send(WARM);
    let before = (ALLOCATIONS.load(Ordering::SeqCst), BYTES.load(Ordering::SeqCst));
    send(COUNTED);
    let each = |now: u64, before: u64| (now - before) as f64 / COUNTED as f64;
    let allocations = each(ALLOCATIONS.load(Ordering::SeqCst), before.0);
    let bytes = each(BYTES.load(Ordering::SeqCst), before.1);
    println!("| {what} | {allocations:.1} | {bytes:.0} |");
}

/// A proxy of one core, for as long as the process lives.
fn start_proxy(upstream: &Upstream) -> SocketAddr {
    let config = configuration(upstream);
    let name: AccountName = "default".parse().unwrap();
    let account = Account {
        credential: Credential::fixed(name.clone(), &Secret::new(upstream::TOKEN.to_owned()), None),
        name,
        hub_id: None,
        kind: Kind::Portal,
        policy: Arc::new(Policy::default()),
        epoch: None,
        about: About::default(),
        secrets: Arc::default(),
    };
    let accounts = Accounts::new(vec![Arc::new(account)], None);
    let accounts = Arc::new(ArcSwap::from_pointee(accounts));
    let listeners = listener::open(&config.server.listen).unwrap();
    let address = listeners[0].address().unwrap();
    let listeners = listeners.into_iter().map(|listener| (listener, None)).collect();
    let tls = TlsConfigs::load(Some(&upstream.ca_file)).unwrap();
    let clock = Arc::new(SystemClock::new());
    let server = Server::new(
        &config,
        accounts,
        listeners,
        Some(tls),
        None,
        hubspot_proxy::telemetry::audit::Audit::default(),
        clock,
    )
    .unwrap();
    thread::spawn(move || runtime().block_on(server.run(pending())).unwrap());
    address
}

fn configuration(upstream: &Upstream) -> Config {
    let env = Environment::from_iter([
        ("HUBSPOT_PROXY_UPSTREAM__URL", upstream.url.clone()),
        ("HUBSPOT_PROXY_SERVER__THREADS", "1".to_owned()),
        ("HUBSPOT_ACCESS_TOKEN", upstream::TOKEN.to_owned()),
    ]);
    let current = upstream.folder.path().to_owned();
    let folders = Folders { current, config: None, state: None, runtime: None, home: None };
    let flags = Flags { listen: vec!["127.0.0.1:0".to_owned()], ..Flags::default() };
    load(&Sources { config_flag: None, flags, env: &env, folders: &folders }).unwrap().config
}

fn runtime() -> Runtime {
    Builder::new_current_thread().enable_all().build().unwrap()
}

/// Keep-alive clients that send all at once and then take all answers.
struct Http1Clients {
    sockets: Vec<TcpStream>,
    request: Vec<u8>,
    answer: Vec<u8>,
}

impl Http1Clients {
    fn open(address: SocketAddr, count: usize) -> Self {
        let sockets = (0..count).map(|_| TcpStream::connect(address).unwrap()).collect();
        let request = format!("GET {TARGET} HTTP/1.1\r\nHost: {address}\r\nAccept: */*\r\n\r\n");
        Self { sockets, request: request.into_bytes(), answer: vec![0; 64 * 1024] }
    }

    fn send(&mut self, count: usize) {
        for _ in 0..count / self.sockets.len() {
            for socket in &mut self.sockets {
                socket.write_all(&self.request).unwrap();
            }
            for socket in &mut self.sockets {
                let mut filled = 0;
                while filled < upstream::BODY || !self.answer[..filled].ends_with(b"]}") {
                    let read = socket.read(&mut self.answer[filled..]).unwrap();
                    assert_ne!(read, 0, "closed in mid-answer");
                    filled += read;
                }
                assert!(self.answer.starts_with(b"HTTP/1.1 200 "));
            }
        }
    }
}

struct Http2Client {
    runtime: Runtime,
    sender: SendRequest<Empty<Bytes>>,
    address: SocketAddr,
}

impl Http2Client {
    fn open(address: SocketAddr) -> Self {
        let runtime = runtime();
        let sender = runtime.block_on(async {
            let stream = tokio::net::TcpStream::connect(address).await.unwrap();
            let client = http2::handshake(TokioExecutor::new(), TokioIo::new(stream));
            let (sender, connection) = client.await.unwrap();
            tokio::spawn(connection);
            sender
        });
        Self { runtime, sender, address }
    }

    fn send(&mut self, count: usize, at_once: usize) {
        let uri = format!("http://{}{TARGET}", self.address);
        self.runtime.block_on(async {
            for _ in 0..count / at_once {
                let sent: Vec<_> = (0..at_once)
                    .map(|_| {
                        let request = Request::get(&uri).body(Empty::new()).unwrap();
                        tokio::spawn(self.sender.clone().send_request(request))
                    })
                    .collect();
                for answer in sent {
                    let answer = answer.await.unwrap().unwrap();
                    assert_eq!(answer.status(), StatusCode::OK);
                    answer.into_body().collect().await.unwrap();
                }
            }
        });
    }
}
