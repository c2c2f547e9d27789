//! The way to an origin, walked once as the proxy walks it: name, outbound proxy, connection, TLS, and an
//! answer to a request that carries no credential.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use http::header::{CONTENT_LENGTH, CONTENT_TYPE, DATE, HOST, USER_AGENT};
use http::{Method, Request, StatusCode, Uri};
use http_body_util::Empty;
use hyper_util::rt::TokioIo;

use crate::config::Config;
use crate::types::clock::{Clock, SystemClock, WallTime};
use crate::types::origin::Origin;
use crate::upstream::connect::{ConnectError, Connector, Wanted};
use crate::upstream::outbound_proxy::OutboundProxy;
use crate::upstream::tls::{TlsConfigs, TlsSetupError};

/// A name is looked up no longer.
const RESOLVE_LIMIT: Duration = Duration::from_secs(3);
/// A connection, TLS included, takes no longer.
const CONNECT_LIMIT: Duration = Duration::from_secs(3);
/// An answer takes no longer.
const ANSWER_LIMIT: Duration = Duration::from_secs(3);

/// What was met on the way.
pub struct Way {
    pub origin: Origin,
    /// The outbound proxy's host and port, or why it cannot be used.
    pub through: Result<Option<(String, u16)>, String>,
    /// The addresses of the origin, or of the outbound proxy where one leads there.
    pub addresses: Result<Vec<IpAddr>, String>,
    /// Why there is no connection; `None` where the steps before have failed.
    pub connected: Option<Result<Duration, ConnectError>>,
    pub answered: Option<Result<Answered, String>>,
}

/// An answer, as far as it matters.
pub struct Answered {
    pub status: StatusCode,
    pub took: Duration,
    /// What it says that the time is, and what the time was here.
    pub date: Option<(WallTime, WallTime)>,
}

/// What is asked for at the end of the way.
pub enum Question<'a> {
    /// Whatever is at the origin's root.
    Root,
    /// What a token endpoint says to an empty form, which asks for nothing.
    EmptyForm(&'a str),
}

/// Walks to `origin`.
pub async fn walk(
    origin: &Origin,
    question: Question<'_>,
    config: &Config,
    tls: Option<&Result<TlsConfigs, TlsSetupError>>,
) -> Way {
    let proxy = OutboundProxy::on_the_way_to(origin, config.upstream.proxy.as_ref());
    let (proxy, through) = match proxy {
        Ok(proxy) => {
            let through = proxy.as_ref().map(|proxy| (proxy.host().to_owned(), proxy.port()));
            (proxy, Ok(through))
        }
        Err(error) => (None, Err(error.to_string())),
    };
    let first = match &through {
        Ok(Some((host, port))) => (host.clone(), *port),
        _ => (origin.host().to_owned(), origin.port()),
    };
    let addresses = resolve(&first.0, first.1).await;
    let mut way =
        Way { origin: origin.clone(), through, addresses, connected: None, answered: None };
    let tls = match tls {
        Some(Ok(tls)) => Some(tls.clone()),
        Some(Err(_)) => return way,
        None => None,
    };
    if way.through.is_err() || way.addresses.is_err() {
        return way;
    }
    let limit = config.upstream.connect_timeout.min(CONNECT_LIMIT);
    let Ok(connector) = Connector::new(Arc::new(origin.clone()), tls, proxy, limit) else {
        return way;
    };
    let began = Instant::now();
    let stream = match connector.connect(Wanted::Http1).await {
        Ok(stream) => stream,
        Err(error) => {
            way.connected = Some(Err(error));
            return way;
        }
    };
    way.connected = Some(Ok(began.elapsed()));
    let answered =
        tokio::time::timeout(ANSWER_LIMIT, ask(origin, &question, TokioIo::new(stream))).await;
    way.answered =
        Some(answered.unwrap_or_else(|_| {
            Err(format!("no answer came within {} s", ANSWER_LIMIT.as_secs()))
        }));
    way
}

async fn resolve(host: &str, port: u16) -> Result<Vec<IpAddr>, String> {
    let looking = tokio::net::lookup_host((host, port));
    match tokio::time::timeout(RESOLVE_LIMIT, looking).await {
        Ok(Ok(found)) => {
            let mut addresses: Vec<IpAddr> =
                found.map(|address: SocketAddr| address.ip()).collect();
            addresses.dedup();
            match addresses.is_empty() {
                true => Err("it has no address".to_owned()),
                false => Ok(addresses),
            }
        }
        Ok(Err(error)) => Err(error.to_string()),
        Err(_) => Err(format!("no name server answered within {} s", RESOLVE_LIMIT.as_secs())),
    }
}

async fn ask<I>(origin: &Origin, question: &Question<'_>, stream: I) -> Result<Answered, String>
where
    I: hyper::rt::Read + hyper::rt::Write + Unpin + 'static,
{
    let (method, path) = match question {
        Question::Root => (Method::HEAD, "/".to_owned()),
        Question::EmptyForm(url) => (Method::POST, path_of(url)),
    };
    let mut request = Request::builder()
        .method(method)
        .uri(path)
        .header(HOST, origin.authority().as_str())
        .header(USER_AGENT, concat!("hubspot-proxy/", env!("CARGO_PKG_VERSION")));
    if let Question::EmptyForm(_) = question {
        let form = "application/x-www-form-urlencoded";
        request = request.header(CONTENT_TYPE, form).header(CONTENT_LENGTH, "0");
    }
    let request = request.body(Empty::<Bytes>::new()).map_err(|error| error.to_string())?;
    let began = Instant::now();
    let shaken = hyper::client::conn::http1::handshake(stream).await;
    let (mut sender, connection) = shaken.map_err(|error| error.to_string())?;
    let answer = tokio::select! {
        answer = sender.send_request(request) => answer,
        ended = connection => Err(match ended {
            Err(error) => error,
            Ok(()) => return Err("the connection was closed without an answer".to_owned()),
        }),
    };
    let answer =
        answer.map_err(|error| format!("it does not answer as an HTTP server: {error}"))?;
    let date = answer.headers().get(DATE).and_then(|date| parse_date(date.to_str().ok()?));
    let date = date.map(|said| (said, SystemClock::new().now()));
    Ok(Answered { status: answer.status(), took: began.elapsed(), date })
}

fn path_of(url: &str) -> String {
    let uri: Option<Uri> = url.parse().ok();
    uri.map_or_else(|| "/".to_owned(), |uri| uri.path().to_owned())
}

/// RFC 9110, section 5.6.7; the old forms are not sent by anybody any more.
fn parse_date(text: &str) -> Option<WallTime> {
    let time = jiff::fmt::rfc2822::DateTimeParser::new().parse_timestamp(text).ok()?;
    Some(WallTime(u64::try_from(time.as_millisecond()).ok()?))
}

#[cfg(test)]
mod tests {
    use super::parse_date;
    use crate::types::clock::WallTime;

    #[test]
    fn a_date_is_read_as_servers_write_it() {
        let expected = Some(WallTime(784_111_777_000));
        assert_eq!(parse_date("Sun, 06 Nov 1994 08:49:37 GMT"), expected);
        assert_eq!(parse_date("soon"), None);
    }
}
