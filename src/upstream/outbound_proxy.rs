//! The outbound HTTP proxy, where the way to the upstream leads through one: `CONNECT` to the
//! upstream's host and port (RFC 9110, section 9.3.6), then the connection is ours end to end.

use std::io;

use http::Uri;
use hyper_util::client::proxy::matcher::{Intercept, Matcher};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::types::origin::Origin;

/// Longest answer to a `CONNECT` that is read, in bytes.
const MAX_ANSWER: usize = 16 * 1024;

/// The proxy on the way to an origin: its address and the credential for it, if any.
#[derive(Clone, Debug)]
pub struct OutboundProxy {
    host: String,
    port: u16,
    authorization: Option<http::HeaderValue>,
}

impl OutboundProxy {
    /// The proxy for `origin`: the configured one, else what `HTTPS_PROXY` (or `HTTP_PROXY` for a
    /// plain origin), `ALL_PROXY` and `NO_PROXY` say. This machine is never reached by a proxy.
    pub fn on_the_way_to(origin: &Origin, configured: Option<&Origin>) -> io::Result<Option<Self>> {
        if origin.is_loopback() {
            return Ok(None);
        }
        let matcher = match configured {
            Some(proxy) => Matcher::builder().all(proxy.to_string()).build(),
            None => Matcher::from_env(),
        };
        let uri: Uri = format!("{origin}/").parse().map_err(io::Error::other)?;
        matcher.intercept(&uri).map(Self::from_intercept).transpose()
    }

    fn from_intercept(intercept: Intercept) -> io::Result<Self> {
        let uri = intercept.uri();
        if uri.scheme_str() != Some("http") {
            return Err(io::Error::new(
                io::ErrorKind::Unsupported,
                "the outbound proxy (upstream.proxy, or HTTPS_PROXY) is of another kind than http, which alone is supported: write an http:// URL, such as http://proxy.example:3128",
            ));
        }
        let host = uri.host().unwrap_or_default().trim_matches(['[', ']']).to_owned();
        Ok(Self {
            host,
            port: uri.port_u16().unwrap_or(80),
            authorization: intercept.basic_auth().cloned(),
        })
    }

    /// The proxy's host name or address.
    pub fn host(&self) -> &str {
        &self.host
    }

    /// The proxy's port.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Asks the proxy at the other end of `stream` for a tunnel to `origin`.
    pub async fn open_tunnel(&self, stream: &mut TcpStream, origin: &Origin) -> io::Result<()> {
        let target = tunnel_target(origin);
        let mut request = format!("CONNECT {target} HTTP/1.1\r\nHost: {target}\r\n").into_bytes();
        if let Some(authorization) = &self.authorization {
            request.extend_from_slice(b"Proxy-Authorization: ");
            request.extend_from_slice(authorization.as_bytes());
            request.extend_from_slice(b"\r\n");
        }
        request.extend_from_slice(b"\r\n");
        stream.write_all(&request).await?;
        read_answer(stream).await
    }
}

fn tunnel_target(origin: &Origin) -> String {
    let host = origin.host();
    if host.contains(':') {
        return format!("[{host}]:{}", origin.port());
    }
    format!("{host}:{}", origin.port())
}

/// Reads exactly the answer's head, byte by byte past what is buffered nowhere: the tunnel's first
/// bytes belong to TLS.
async fn read_answer(stream: &mut TcpStream) -> io::Result<()> {
    let mut head = Vec::with_capacity(256);
    while !head.ends_with(b"\r\n\r\n") {
        if head.len() >= MAX_ANSWER {
            return Err(refused("its answer to CONNECT is too long"));
        }
        match stream.read_u8().await {
            Ok(byte) => head.push(byte),
            Err(_) => return Err(refused("it closed the connection")),
        }
    }
    let status = head.split(|b| *b == b' ').nth(1).unwrap_or_default();
    match status {
        [b'2', _, _] if head.starts_with(b"HTTP/1.") => Ok(()),
        b"407" => Err(refused("it asks for a user name and password (407)")),
        [a, b, c] if status.iter().all(u8::is_ascii_digit) => {
            let status = [*a, *b, *c].map(char::from).iter().collect::<String>();
            Err(refused(&format!("it answered {status} to CONNECT")))
        }
        _ => Err(refused("it does not answer as an HTTP proxy")),
    }
}

fn refused(why: &str) -> io::Error {
    io::Error::other(format!("the outbound proxy opened no tunnel: {why}"))
}
