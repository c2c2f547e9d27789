//! Opening a connection to the upstream: addresses, TCP, outbound proxy, TLS.
//!
//! It opens and hands over; it keeps nothing.

use std::future::poll_fn;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::pin::Pin;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use rustls::ClientConfig;
use rustls::pki_types::ServerName;
use socket2::{SockRef, TcpKeepalive};
use thiserror::Error;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

use super::outbound_proxy::OutboundProxy;
use super::stream::UpstreamStream;
use super::stream::read_ahead::ReadAhead;
use super::tls::TlsConfigs;
use crate::types::origin::Origin;

/// How long one address is tried before the next joins in (RFC 8305, section 5).
const STAGGER: Duration = Duration::from_millis(250);
/// How long sent bytes may stay unacknowledged before the kernel gives the connection up, so that
/// a network that changed under us is noticed.
#[cfg(target_os = "linux")]
const UNACKNOWLEDGED: Duration = Duration::from_secs(20);

/// Why no connection came about.
#[derive(Debug, Error)]
pub enum ConnectError {
    #[error("the name {host} cannot be resolved: {source}")]
    Resolve { host: String, source: io::Error },
    #[error("no connection to {host}:{port}: {source}")]
    Tcp { host: String, port: u16, source: io::Error },
    #[error("no TLS connection to {host}: {source}")]
    Tls { host: String, source: io::Error },
    #[error("no connection to {host} within {} s", after.as_secs_f32())]
    TimedOut { host: String, after: Duration },
    #[error("{0}")]
    OutboundProxy(io::Error),
    #[error("the outbound proxy (upstream.proxy, or HTTPS_PROXY) cannot be reached: {0}")]
    NoOutboundProxy(Box<ConnectError>),
}

impl ConnectError {
    /// What to do about it, as the end of a sentence.
    pub fn mend(&self) -> &'static str {
        match self {
            Self::Resolve { .. } => {
                "check the network, its name server and upstream.url; behind a company's proxy set upstream.proxy"
            }
            Self::Tcp { .. } | Self::TimedOut { .. } => {
                "check that what upstream.url names runs, and the network and its firewall; behind a company's proxy set upstream.proxy"
            }
            Self::Tls { source, .. } => certificate_mend(&source.to_string()),
            Self::OutboundProxy(_) => {
                "correct upstream.proxy (or HTTPS_PROXY, which alone can hold a user name and password)"
            }
            Self::NoOutboundProxy(_) => {
                "correct it, or name the upstream's host in NO_PROXY to go without"
            }
        }
    }
}

/// What to do about a handshake that ended with `why`, in the words of rustls.
fn certificate_mend(why: &str) -> &'static str {
    let says = |words: &[&str]| words.iter().any(|word| why.contains(word));
    if says(&["xpired", "NotValidYet", "not valid yet"]) {
        return "check this machine's clock (`date -u`); where it is right, the server's certificate has to be renewed";
    }
    if says(&["NotValidForName", "not valid for name"]) {
        return "correct the host in upstream.url: the certificate there is another host's";
    }
    // The second: a root of the same name, and another key.
    if says(&["UnknownIssuer", "BadSignature"]) {
        return "set upstream.ca_file (or SSL_CERT_FILE) to the PEM file of the root that signs it, such as that of a company's proxy that looks into TLS";
    }
    "check that upstream.url names a TLS server, and what stands between"
}

/// Which HTTP version the connection is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wanted {
    Http1,
    Http2,
}

/// Opens connections to one origin.
#[derive(Clone)]
pub struct Connector {
    origin: Arc<Origin>,
    /// `None` for a plain origin.
    tls: Option<(TlsConfigs, ServerName<'static>)>,
    outbound_proxy: Option<Arc<OutboundProxy>>,
    timeout: Duration,
}

impl Connector {
    /// `tls` must be given when `origin` is https.
    pub fn new(
        origin: Arc<Origin>,
        tls: Option<TlsConfigs>,
        outbound_proxy: Option<OutboundProxy>,
        timeout: Duration,
    ) -> io::Result<Self> {
        let tls = match tls.filter(|_| origin.is_https()) {
            Some(configs) => {
                let name = ServerName::try_from(origin.host().to_owned())
                    .map_err(|e| io::Error::new(io::ErrorKind::InvalidInput, e))?;
                Some((configs, name))
            }
            None if origin.is_https() => {
                return Err(io::Error::other("an https upstream needs a TLS configuration"));
            }
            None => None,
        };
        Ok(Self { origin, tls, outbound_proxy: outbound_proxy.map(Arc::new), timeout })
    }

    /// Whether HTTP/2 can be asked for: it is negotiated within TLS only.
    pub fn can_offer_http2(&self) -> bool {
        self.tls.is_some()
    }

    /// Opens one connection, within the configured time-out in all.
    pub async fn connect(&self, wanted: Wanted) -> Result<UpstreamStream, ConnectError> {
        match tokio::time::timeout(self.timeout, self.connect_untimed(wanted)).await {
            Ok(outcome) => outcome,
            Err(_) => Err(ConnectError::TimedOut {
                host: self.origin.host().to_owned(),
                after: self.timeout,
            }),
        }
    }

    async fn connect_untimed(&self, wanted: Wanted) -> Result<UpstreamStream, ConnectError> {
        let stream = match &self.outbound_proxy {
            None => tcp(self.origin.host(), self.origin.port()).await?,
            Some(proxy) => {
                let stream = tcp(proxy.host(), proxy.port()).await;
                let mut stream = stream.map_err(|e| ConnectError::NoOutboundProxy(Box::new(e)))?;
                let opened = proxy.open_tunnel(&mut stream, &self.origin).await;
                opened.map_err(ConnectError::OutboundProxy)?;
                stream
            }
        };
        let Some((configs, name)) = &self.tls else {
            return Ok(UpstreamStream::Plain(stream));
        };
        let config: &Arc<ClientConfig> = match wanted {
            Wanted::Http1 => &configs.http1,
            Wanted::Http2 => &configs.http2,
        };
        TlsConnector::from(Arc::clone(config))
            .connect(name.clone(), ReadAhead::new(stream))
            .await
            .map(|tls| UpstreamStream::Tls(Box::new(tls)))
            .map_err(|source| ConnectError::Tls { host: self.origin.host().to_owned(), source })
    }
}

async fn tcp(host: &str, port: u16) -> Result<TcpStream, ConnectError> {
    let addresses = resolve(host, port).await?;
    let failed = |source| ConnectError::Tcp { host: host.to_owned(), port, source };
    let stream = first_to_connect(addresses).await.map_err(failed)?;
    tune(&stream);
    Ok(stream)
}

async fn resolve(host: &str, port: u16) -> Result<Vec<SocketAddr>, ConnectError> {
    if let Ok(address) = host.parse::<IpAddr>() {
        return Ok(vec![SocketAddr::new(address, port)]);
    }
    let found = tokio::net::lookup_host((host, port)).await;
    let found = found.map_err(|source| ConnectError::Resolve { host: host.to_owned(), source })?;
    Ok(families_in_turn(found.collect()))
}

/// IPv6 and IPv4 addresses in turn, beginning with the family the resolver preferred.
fn families_in_turn(addresses: Vec<SocketAddr>) -> Vec<SocketAddr> {
    let Some(first) = addresses.first() else {
        return addresses;
    };
    let first_is_v6 = first.is_ipv6();
    let (preferred, other): (Vec<_>, Vec<_>) =
        addresses.into_iter().partition(|address| address.is_ipv6() == first_is_v6);
    let mut other = other.into_iter();
    let mut in_turn = Vec::new();
    for address in preferred {
        in_turn.push(address);
        in_turn.extend(other.next());
    }
    in_turn.extend(other);
    in_turn
}

type Attempt = Pin<Box<dyn Future<Output = io::Result<TcpStream>>>>;

/// Tries the addresses in order, the next one [`STAGGER`] after the last or as soon as that
/// failed; the first that connects wins and the others are dropped.
async fn first_to_connect(addresses: Vec<SocketAddr>) -> io::Result<TcpStream> {
    let mut waiting = addresses.into_iter();
    let mut running: Vec<Attempt> = Vec::new();
    let mut last_error = io::Error::new(io::ErrorKind::NotFound, "the name has no address");
    loop {
        if let Some(address) = waiting.next() {
            running.push(Box::pin(TcpStream::connect(address)));
        }
        if running.is_empty() {
            return Err(last_error);
        }
        let mut stagger = Box::pin(tokio::time::sleep(STAGGER));
        let more = waiting.len() > 0;
        let ended = poll_fn(|cx| {
            for index in 0..running.len() {
                if let Poll::Ready(outcome) = running[index].as_mut().poll(cx) {
                    drop(running.swap_remove(index));
                    return Poll::Ready(Some(outcome));
                }
            }
            match more {
                true => stagger.as_mut().poll(cx).map(|()| None),
                false => Poll::Pending,
            }
        });
        match ended.await {
            Some(Ok(stream)) => return Ok(stream),
            Some(Err(error)) => last_error = error,
            None => {}
        }
    }
}

/// Small requests leave at once, and a peer that is gone is noticed: by the kernel, at no cost to
/// an idle process. An option that a platform lacks is done without.
fn tune(stream: &TcpStream) {
    let _ = stream.set_nodelay(true);
    let socket = SockRef::from(stream);
    let keepalive = TcpKeepalive::new()
        .with_time(Duration::from_secs(15))
        .with_interval(Duration::from_secs(5));
    let _ = socket.set_tcp_keepalive(&keepalive);
    #[cfg(target_os = "linux")]
    let _ = socket.set_tcp_user_timeout(Some(UNACKNOWLEDGED));
}

#[cfg(test)]
mod tests {
    use std::net::SocketAddr;

    use super::{families_in_turn, first_to_connect};

    fn addresses(texts: &[&str]) -> Vec<SocketAddr> {
        texts.iter().map(|text| text.parse().unwrap()).collect()
    }

    #[test]
    fn address_families_take_turns() {
        let given = addresses(&["[::1]:1", "[::2]:1", "[::3]:1", "1.1.1.1:1"]);
        let expected = addresses(&["[::1]:1", "1.1.1.1:1", "[::2]:1", "[::3]:1"]);
        assert_eq!(families_in_turn(given), expected);
        assert!(families_in_turn(Vec::new()).is_empty());
    }

    #[tokio::test]
    async fn an_address_that_refuses_gives_way_to_the_next() {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let good = listener.local_addr().unwrap();
        let closed = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let bad = closed.local_addr().unwrap();
        drop(closed);
        let stream = first_to_connect(vec![bad, good]).await.unwrap();
        assert_eq!(stream.peer_addr().unwrap(), good);
        assert!(first_to_connect(vec![bad]).await.is_err());
        assert!(first_to_connect(Vec::new()).await.is_err());
    }
}
