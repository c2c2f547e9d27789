//! An upstream that keeps the bytes that reach it, and answers, or fails to, as a test says.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use rustls::ServerConfig;

use crate::client::find;
use crate::waiting::{PATIENCE, until};

/// A plain answer with a body of two bytes.
pub const OK: &str = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";

/// A listening upstream; connections are served by threads of their own.
pub struct Upstream {
    pub port: u16,
    log: Arc<Log>,
}

#[derive(Default)]
struct Log {
    connections: AtomicUsize,
    open: AtomicUsize,
    stopped: AtomicBool,
    requests: Mutex<Vec<Received>>,
    bytes: Mutex<Vec<u8>>,
}

/// A request as it arrived.
#[derive(Clone, Debug, Default)]
pub struct Received {
    pub line: String,
    pub headers: Vec<(String, String)>,
    pub body: Vec<u8>,
    pub trailers: Vec<(String, String)>,
    /// Whether the body came to its end.
    pub whole: bool,
}

trait Duplex: Read + Write + Send {}
impl<T: Read + Write + Send> Duplex for T {}

/// One connection, seen from the upstream's side.
pub struct Peer {
    io: Box<dyn Duplex>,
    pub socket: TcpStream,
    pub buffer: Vec<u8>,
    log: Arc<Log>,
}

impl Received {
    pub fn method(&self) -> &str {
        self.line.split(' ').next().unwrap()
    }

    pub fn target(&self) -> &str {
        self.line.split(' ').nth(1).unwrap()
    }

    pub fn all(&self, name: &str) -> Vec<&str> {
        let named = self.headers.iter().filter(|(n, _)| n.eq_ignore_ascii_case(name));
        named.map(|(_, value)| value.as_str()).collect()
    }

    /// Names of the headers, in lower case and in order.
    pub fn names(&self) -> Vec<String> {
        let mut names: Vec<_> = self.headers.iter().map(|(n, _)| n.to_lowercase()).collect();
        names.sort();
        names
    }
}

impl Upstream {
    /// Serves each connection by `serve`; it is closed when that returns.
    pub fn start(serve: impl Fn(&mut Peer) + Send + Sync + 'static) -> Self {
        Self::start_with(None, serve)
    }

    /// The same over TLS.
    pub fn start_tls(tls: ServerConfig, serve: impl Fn(&mut Peer) + Send + Sync + 'static) -> Self {
        Self::start_with(Some(Arc::new(tls)), serve)
    }

    fn start_with(
        tls: Option<Arc<ServerConfig>>,
        serve: impl Fn(&mut Peer) + Send + Sync + 'static,
    ) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let log = Arc::new(Log::default());
        let (kept, serve) = (Arc::clone(&log), Arc::new(serve));
        thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                if kept.stopped.load(Ordering::SeqCst) {
                    return;
                }
                kept.connections.fetch_add(1, Ordering::SeqCst);
                kept.open.fetch_add(1, Ordering::SeqCst);
                let (log, serve, tls) = (Arc::clone(&kept), Arc::clone(&serve), tls.clone());
                thread::spawn(move || {
                    let mut peer = Peer::new(stream, tls, Arc::clone(&log));
                    serve(&mut peer);
                    drop(peer);
                    log.open.fetch_sub(1, Ordering::SeqCst);
                });
            }
        });
        Self { port, log }
    }

    /// Gives the same answer to each request.
    pub fn answering(answer: impl AsRef<[u8]> + Send + Sync + 'static) -> Self {
        Self::start(move |peer| while peer.request().is_some() && peer.send(answer.as_ref()) {})
    }

    pub fn url(&self) -> String {
        format!("http://localhost:{}", self.port)
    }

    pub fn connections(&self) -> usize {
        self.log.connections.load(Ordering::SeqCst)
    }

    /// Connections that are open at the moment.
    pub fn open(&self) -> usize {
        self.log.open.load(Ordering::SeqCst)
    }

    /// The API requests that came. The proxy's own look at a static token whose `hub_id` is
    /// configured is none.
    pub fn requests(&self) -> Vec<Received> {
        let mut requests = self.log.requests.lock().unwrap().clone();
        requests.retain(|request| !request.line.contains("/private-apps/get/access-token-info"));
        requests
    }

    /// The only request that came, once it is there.
    pub fn only_request(&self) -> Received {
        until("the upstream has a request", || !self.requests().is_empty());
        let requests = self.requests();
        assert_eq!(requests.len(), 1, "{requests:?}");
        requests.into_iter().next().unwrap()
    }

    /// Every byte that came, over all connections.
    pub fn bytes(&self) -> Vec<u8> {
        self.log.bytes.lock().unwrap().clone()
    }

    /// Forgets what came.
    pub fn forget(&self) {
        self.log.requests.lock().unwrap().clear();
        self.log.bytes.lock().unwrap().clear();
    }
}

impl Drop for Upstream {
    fn drop(&mut self) {
        self.log.stopped.store(true, Ordering::SeqCst);
        // Wakes the thread that accepts.
        let _ = TcpStream::connect(("127.0.0.1", self.port));
    }
}

impl Peer {
    fn new(socket: TcpStream, tls: Option<Arc<ServerConfig>>, log: Arc<Log>) -> Self {
        socket.set_read_timeout(Some(PATIENCE)).unwrap();
        socket.set_write_timeout(Some(PATIENCE)).unwrap();
        socket.set_nodelay(true).unwrap();
        let plain = socket.try_clone().unwrap();
        let io: Box<dyn Duplex> = match tls {
            None => Box::new(plain),
            Some(config) => {
                let session = rustls::ServerConnection::new(config).unwrap();
                Box::new(rustls::StreamOwned::new(session, plain))
            }
        };
        Self { io, socket, buffer: Vec::new(), log }
    }

    /// Reads more; `false` at the end, however it came.
    pub fn read_more(&mut self) -> bool {
        let mut part = [0; 64 * 1024];
        match self.io.read(&mut part) {
            Ok(0) => false,
            Ok(count) => {
                self.buffer.extend_from_slice(&part[..count]);
                let mut bytes = self.log.bytes.lock().unwrap();
                // Of a large body the beginning is enough.
                if bytes.len() < 1024 * 1024 {
                    bytes.extend_from_slice(&part[..count]);
                }
                true
            }
            Err(_) => false,
        }
    }

    /// Whether all could be written.
    pub fn send(&mut self, bytes: impl AsRef<[u8]>) -> bool {
        self.io.write_all(bytes.as_ref()).and_then(|()| self.io.flush()).is_ok()
    }

    /// The next request's head, without its body.
    pub fn head(&mut self) -> Option<Received> {
        let end = loop {
            match find(&self.buffer, b"\r\n\r\n") {
                Some(end) => break end,
                None if self.read_more() => {}
                None => return None,
            }
        };
        let head: Vec<u8> = self.buffer.drain(..end + 4).collect();
        let head = String::from_utf8_lossy(&head).into_owned();
        let mut lines = head.split("\r\n");
        let line = lines.next().unwrap().to_owned();
        let headers = lines.filter(|line| !line.is_empty()).map(parsed).collect();
        Some(Received { line, headers, ..Received::default() })
    }

    /// The next request with its body, kept for the test to see.
    pub fn request(&mut self) -> Option<Received> {
        let head = self.head()?;
        self.rest_of(head)
    }

    /// The same, once its head has been read.
    pub fn rest_of(&mut self, mut request: Received) -> Option<Received> {
        request.whole = self.read_body(&mut request).is_some();
        self.keep(request.clone());
        request.whole.then_some(request)
    }

    /// Reads the body that belongs to `request`; whether it came to its end.
    pub fn body_of(&mut self, request: &mut Received) -> bool {
        request.whole = self.read_body(request).is_some();
        request.whole
    }

    /// Adds to what [`Upstream::requests`] returns.
    pub fn keep(&self, request: Received) {
        self.log.requests.lock().unwrap().push(request);
    }

    fn read_body(&mut self, request: &mut Received) -> Option<()> {
        let length = request.all("content-length");
        let coding = request.all("transfer-encoding");
        assert!(length.len() + coding.len() <= 1, "two framings: {request:?}");
        if let Some(length) = length.first().map(|l| l.parse::<usize>().unwrap()) {
            let whole = self.fill(length);
            request.body = self.buffer.drain(..length.min(self.buffer.len())).collect();
            return whole.then_some(());
        }
        if coding.is_empty() {
            return Some(());
        }
        loop {
            let size = usize::from_str_radix(&self.line()?, 16).unwrap();
            if size == 0 {
                break;
            }
            if !self.fill(size) {
                request.body.append(&mut self.buffer);
                return None;
            }
            request.body.extend(self.buffer.drain(..size));
            assert_eq!(self.line()?, "");
        }
        loop {
            let line = self.line()?;
            if line.is_empty() {
                return Some(());
            }
            request.trailers.push(parsed(&line));
        }
    }

    fn fill(&mut self, length: usize) -> bool {
        while self.buffer.len() < length {
            if !self.read_more() {
                return false;
            }
        }
        true
    }

    fn line(&mut self) -> Option<String> {
        loop {
            if let Some(end) = find(&self.buffer, b"\r\n") {
                let line: Vec<u8> = self.buffer.drain(..end + 2).collect();
                return Some(String::from_utf8_lossy(&line[..end]).into_owned());
            }
            if !self.read_more() {
                return None;
            }
        }
    }

    /// Reads and drops until the other side closes.
    pub fn drain(&mut self) {
        while self.read_more() {
            self.buffer.clear();
        }
    }

    /// Closes with a reset instead of a regular end.
    pub fn reset(&mut self) {
        let socket = socket2::SockRef::from(&self.socket);
        socket.set_linger(Some(Duration::ZERO)).unwrap();
    }

    pub fn close_sending(&self) {
        // The other side may be gone.
        let _ = self.socket.shutdown(Shutdown::Write);
    }
}

fn parsed(line: &str) -> (String, String) {
    let (name, value) = line.split_once(':').unwrap_or_else(|| panic!("not a header: {line:?}"));
    (name.to_owned(), value.trim().to_owned())
}
