//! The listener at the redirect URI: on both loopback addresses, only while a login lasts, and bounded,
//! since any program and any web page of the machine can reach it.

use std::convert::Infallible;
use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::header::HOST;
use http::{Request, Response, StatusCode, Uri};
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use thiserror::Error;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, mpsc, oneshot};
use tokio::task::LocalSet;

use super::callback::{self, Callback};
use super::page::page;
use crate::types::secret::Secret;

/// Connections that are answered at a time; further ones wait.
const CONNECTIONS: usize = 256;
/// How long one may take to send its request, and how long its page may take: the code is exchanged
/// meanwhile.
const LONGEST_REQUEST: Duration = Duration::from_secs(5);
const LONGEST_PAGE: Duration = Duration::from_secs(60);
/// Bytes of a request's head.
const LARGEST_HEAD: usize = 32 * 1024;

/// Why nothing can be listened on.
#[derive(Debug, Error)]
pub enum CallbackError {
    #[error(
        "port {0} of oauth.redirect_uri is taken by another program: stop it, or use `--paste`, or set oauth.redirect_uri to another port that the app has registered"
    )]
    Taken(u16),
    #[error("oauth.redirect_uri is {0}, which leads elsewhere than to this machine: use `--paste`")]
    Elsewhere(String),
    #[error("cannot listen on port {port} of oauth.redirect_uri: {source}; use `--paste`")]
    Other { port: u16, source: io::Error },
}

/// The answer of a login, and the browser that waits for a page about it.
pub struct Arrived {
    pub callback: Callback,
    pub browser: Browser,
}

/// A browser that waits.
pub struct Browser(oneshot::Sender<Response<Full<Bytes>>>);

impl Browser {
    /// Shows it the last page of the login.
    pub fn show(self, status: StatusCode, heading: &str, sentence: &str) {
        // One that has gone away sees nothing.
        let _ = self.0.send(page(status, heading, sentence));
    }
}

/// Listens at the redirect URI.
pub struct CallbackListener {
    sockets: Vec<TcpListener>,
    place: Rc<Place>,
}

struct Place {
    authority: String,
    path: String,
    state: Secret,
}

impl CallbackListener {
    /// Takes the port of `redirect_uri` on 127.0.0.1 and ::1, whichever the machine has; `state` is that
    /// of the login.
    pub async fn bind(redirect_uri: &str, state: &Secret) -> Result<Self, CallbackError> {
        let elsewhere = || CallbackError::Elsewhere(redirect_uri.to_owned());
        let uri: Uri = redirect_uri.parse().map_err(|_| elsewhere())?;
        if uri.scheme_str() != Some("http") || uri.host() != Some("localhost") {
            return Err(elsewhere());
        }
        let port = uri.port_u16().unwrap_or(80);
        let mut sockets = Vec::new();
        let both =
            [SocketAddr::from((Ipv4Addr::LOCALHOST, port)), (Ipv6Addr::LOCALHOST, port).into()];
        for address in both {
            match TcpListener::bind(address).await {
                Ok(socket) => sockets.push(socket),
                Err(error) if error.kind() == io::ErrorKind::AddrInUse => {
                    return Err(CallbackError::Taken(port));
                }
                // A family that the machine lacks.
                Err(error) if error.kind() == io::ErrorKind::AddrNotAvailable => {}
                Err(source) => return Err(CallbackError::Other { port, source }),
            }
        }
        if sockets.is_empty() {
            let source = io::ErrorKind::AddrNotAvailable.into();
            return Err(CallbackError::Other { port, source });
        }
        let authority = uri.authority().map(ToString::to_string).unwrap_or_default();
        let (path, state) = (uri.path().to_owned(), state.duplicate());
        Ok(Self { sockets, place: Rc::new(Place { authority, path, state }) })
    }

    /// Waits for the answer of the login, and hands it to `finish` with the browser that brought it.
    /// Everything else that comes gets a page and changes nothing. Ends when `finish` has, and its page
    /// has been sent.
    pub async fn wait<T>(self, finish: impl AsyncFnOnce(Arrived) -> T) -> T {
        let (sender, mut arrived) = mpsc::channel(1);
        let connections = LocalSet::new();
        let open = Arc::new(Semaphore::new(CONNECTIONS));
        // Each socket holds one while it waits for the next.
        let connections_open = CONNECTIONS - self.sockets.len();
        for socket in self.sockets {
            let (place, sender, open) = (Rc::clone(&self.place), sender.clone(), Arc::clone(&open));
            connections.spawn_local(accept(socket, place, sender, open));
        }
        drop(sender);
        connections
            .run_until(async {
                // The listeners live as long as this does, and so does the channel.
                let Some(first) = arrived.recv().await else { return std::future::pending().await };
                // What comes in its wake is told that the login is being dealt with.
                arrived.close();
                let outcome = finish(first).await;
                // Time for the last page to reach the browser.
                let all = u32::try_from(connections_open).unwrap_or(u32::MAX);
                let sent = tokio::time::timeout(Duration::from_secs(2), open.acquire_many(all));
                let _ = sent.await;
                outcome
            })
            .await
    }
}

async fn accept(
    socket: TcpListener,
    place: Rc<Place>,
    sender: mpsc::Sender<Arrived>,
    open: Arc<Semaphore>,
) {
    loop {
        // Never closed.
        let Ok(permit) = Arc::clone(&open).acquire_owned().await else { return };
        match socket.accept().await {
            Ok((stream, _)) => {
                let (place, sender) = (Rc::clone(&place), sender.clone());
                tokio::task::spawn_local(async move {
                    let _permit = permit;
                    serve(stream, place, sender).await;
                });
            }
            // For want of file descriptors, or a client that was gone at once.
            Err(_) => tokio::time::sleep(Duration::from_millis(50)).await,
        }
    }
}

async fn serve(stream: TcpStream, place: Rc<Place>, sender: mpsc::Sender<Arrived>) {
    let service = service_fn(|request: Request<Incoming>| {
        let (place, sender) = (Rc::clone(&place), sender.clone());
        async move { Ok::<_, Infallible>(answer(request, &place, &sender).await) }
    });
    let mut builder = http1::Builder::new();
    builder.keep_alive(false).max_buf_size(LARGEST_HEAD);
    builder.timer(TokioTimer::new()).header_read_timeout(LONGEST_REQUEST);
    let connection = builder.serve_connection(TokioIo::new(stream), service);
    let _ = tokio::time::timeout(LONGEST_REQUEST + LONGEST_PAGE, connection).await;
}

async fn answer(
    request: Request<Incoming>,
    place: &Place,
    sender: &mpsc::Sender<Arrived>,
) -> Response<Full<Bytes>> {
    let host = request.headers().get(HOST).map(|host| host.as_bytes());
    if !host.is_some_and(|host| host.eq_ignore_ascii_case(place.authority.as_bytes())) {
        let sentence = "This address is called by another name than that of the redirect URI.";
        return page(StatusCode::FORBIDDEN, "Not here", sentence);
    }
    let target = request.uri().path_and_query().map_or("/", |target| target.as_str());
    let callback = match callback::parse(request.method(), target, &place.path, &place.state) {
        Ok(callback) => callback,
        Err(stray) => {
            return page(stray.status(), "Not the answer to this login", stray.explanation());
        }
    };
    let (browser, shown) = oneshot::channel();
    if sender.try_send(Arrived { callback, browser: Browser(browser) }).is_err() {
        let sentence = "The answer to this login has come already: look at the terminal.";
        return page(StatusCode::CONFLICT, "Already here", sentence);
    }
    match tokio::time::timeout(LONGEST_PAGE, shown).await {
        Ok(Ok(page)) => page,
        _ => page(StatusCode::OK, "The login goes on", "Look at the terminal for its outcome."),
    }
}
