//! Sends requests at a fixed rate, whether answers come or not, and tells how long each took from the
//! moment at which it was due: a client that waits for an answer before it sends the next would hide
//! the time in which a proxy stands still.
//!
//! Prints the median and the 99th percentile in microseconds, and how many requests were answered.

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};
use std::{env, fs, process, thread};

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};

const USAGE: &str =
    "usage: [PACED_TOKEN=...] paced ADDRESS TARGET RATE SECONDS CONNECTIONS [CA_FILE]";
/// An answer's head and a body of the benchmark's usual size.
const BUFFER: usize = 16 * 1024;
const PATIENCE: Duration = Duration::from_secs(10);

type Failure = Box<dyn std::error::Error + Send + Sync>;

/// What every connection works from.
struct Plan {
    address: SocketAddr,
    request: Vec<u8>,
    /// Between two requests.
    interval: Duration,
    count: usize,
    tls: Option<Arc<ClientConfig>>,
    /// Requests that a connection has taken so far.
    taken: AtomicUsize,
}

trait Stream: Read + Write {}
impl<T: Read + Write> Stream for T {}

fn main() {
    if let Err(error) = run() {
        eprintln!("paced: {error}");
        process::exit(1);
    }
}

fn run() -> Result<(), Failure> {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let (plan, connections) = plan(&arguments)?;
    let plan = Arc::new(plan);
    let streams: Result<Vec<_>, Failure> = (0..connections).map(|_| warm(&plan)).collect();
    let start = Instant::now() + Duration::from_millis(100);
    let threads = streams?.into_iter().map(|stream| {
        let plan = Arc::clone(&plan);
        thread::spawn(move || send(&plan, stream, start))
    });
    let mut taken = Vec::with_capacity(plan.count);
    for thread in threads.collect::<Vec<_>>() {
        taken.extend(thread.join().map_err(|_| "a thread panicked")??);
    }
    taken.sort_unstable();
    let percentile = |which: usize| taken[(taken.len() - 1) * which / 1000].as_nanos() as f64 / 1e3;
    println!(
        "p50_us {:.1}\np99_us {:.1}\nanswered {}",
        percentile(500),
        percentile(990),
        taken.len()
    );
    Ok(())
}

fn plan(arguments: &[String]) -> Result<(Plan, usize), Failure> {
    let (address, target, rate, seconds, connections, ca_file) = match arguments {
        [a, t, r, s, c] => (a, t, r, s, c, None),
        [a, t, r, s, c, ca] => (a, t, r, s, c, Some(ca)),
        _ => return Err(USAGE.into()),
    };
    let (rate, seconds): (f64, f64) = (rate.parse()?, seconds.parse()?);
    let connections: usize = connections.parse()?;
    let token = env::var("PACED_TOKEN").map(|token| format!("Authorization: Bearer {token}\r\n"));
    let token = token.unwrap_or_default();
    let request = format!("GET {target} HTTP/1.1\r\nHost: {address}\r\n{token}\r\n");
    let count = (rate * seconds) as usize;
    if count == 0 || connections == 0 {
        return Err(USAGE.into());
    }
    let plan = Plan {
        address: address.parse()?,
        request: request.into_bytes(),
        interval: Duration::from_secs_f64(1.0 / rate),
        count,
        tls: ca_file.map(|path| client_config(path)).transpose()?,
        taken: AtomicUsize::new(0),
    };
    Ok((plan, connections))
}

fn client_config(ca_file: &str) -> Result<Arc<ClientConfig>, Failure> {
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_slice_iter(&fs::read(ca_file)?) {
        roots.add(certificate?)?;
    }
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .with_root_certificates(roots)
        .with_no_client_auth();
    Ok(Arc::new(config))
}

/// A connection that has had its first answer.
fn warm(plan: &Plan) -> Result<Box<dyn Stream + Send>, Failure> {
    let socket = TcpStream::connect(plan.address)?;
    socket.set_nodelay(true)?;
    socket.set_read_timeout(Some(PATIENCE))?;
    let mut stream: Box<dyn Stream + Send> = match &plan.tls {
        None => Box::new(socket),
        Some(config) => {
            let name = ServerName::try_from("localhost")?;
            let tls = ClientConnection::new(Arc::clone(config), name)?;
            Box::new(StreamOwned::new(tls, socket))
        }
    };
    exchange(stream.as_mut(), &plan.request, &mut vec![0; BUFFER])?;
    Ok(stream)
}

/// Takes one request after the other, waits until it is due, and sends it.
fn send(
    plan: &Plan,
    mut stream: Box<dyn Stream + Send>,
    start: Instant,
) -> Result<Vec<Duration>, Failure> {
    let mut taken = Vec::new();
    let mut buffer = vec![0; BUFFER];
    loop {
        let number = plan.taken.fetch_add(1, Ordering::Relaxed);
        if plan.count <= number {
            return Ok(taken);
        }
        let due = start + plan.interval.mul_f64(number as f64);
        thread::sleep(due.saturating_duration_since(Instant::now()));
        exchange(stream.as_mut(), &plan.request, &mut buffer)?;
        taken.push(due.elapsed());
    }
}

/// One request, and its whole answer, which has to be a success of known length.
fn exchange(stream: &mut dyn Stream, request: &[u8], buffer: &mut [u8]) -> Result<(), Failure> {
    stream.write_all(request)?;
    stream.flush()?;
    let mut filled = 0;
    loop {
        let count = stream.read(&mut buffer[filled..])?;
        if count == 0 {
            return Err(io::Error::from(io::ErrorKind::UnexpectedEof).into());
        }
        filled += count;
        if let Some(length) = whole_length(&buffer[..filled])?
            && length <= filled
        {
            return Ok(());
        }
    }
}

/// Bytes of head and body, once the head is there.
fn whole_length(answer: &[u8]) -> Result<Option<usize>, Failure> {
    let Some(end) = memchr::memmem::find(answer, b"\r\n\r\n") else { return Ok(None) };
    let head = std::str::from_utf8(&answer[..end])?;
    if !head.starts_with("HTTP/1.1 200 ") {
        return Err(format!("the answer is {}", head.lines().next().unwrap_or_default()).into());
    }
    let length = head.lines().filter_map(|line| line.split_once(':'));
    let mut length = length.filter(|(name, _)| name.eq_ignore_ascii_case("content-length"));
    let (_, length) = length.next_back().ok_or("the answer has no Content-Length")?;
    Ok(Some(end + 4 + length.trim().parse::<usize>()?))
}
