//! From listeners to requests: accepts, speaks HTTP/1.1 or HTTP/2, and stops when told to.

use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Notify, watch};
use tokio::task::JoinSet;

use super::Sandbox;

/// What is under way at shutdown may take this long to finish.
const GRACE: Duration = Duration::from_secs(2);
/// Pause after a failed accept, so that a shortage of descriptors does not turn into a busy loop.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// Ends the connection that a request came on: how a fault cuts it.
#[derive(Clone, Default)]
pub(super) struct Hangup(Arc<Notify>);

impl Hangup {
    pub(super) fn now(&self) {
        self.0.notify_one();
    }
}

pub(super) async fn serve(
    sandbox: Arc<Sandbox>,
    listeners: Vec<TcpListener>,
    shutdown: impl Future<Output = ()>,
) {
    let (stop, stopped) = watch::channel(());
    let mut accepting = JoinSet::new();
    for listener in listeners {
        accepting.spawn(accept(sandbox.clone(), listener, stopped.clone()));
    }
    drop(stopped);
    shutdown.await;
    drop(stop);
    while accepting.join_next().await.is_some() {}
}

/// Accepts until the channel closes, then waits for the connections, but not for long.
async fn accept(sandbox: Arc<Sandbox>, listener: TcpListener, mut stopped: watch::Receiver<()>) {
    let mut connections = JoinSet::new();
    loop {
        let accepted = tokio::select! {
            _ = stopped.changed() => break,
            Some(_) = connections.join_next() => continue,
            accepted = listener.accept() => accepted,
        };
        match accepted {
            Ok((stream, _)) => {
                connections.spawn(connection(sandbox.clone(), stream, stopped.clone()));
            }
            Err(_) => tokio::time::sleep(ACCEPT_PAUSE).await,
        }
    }
    drop(listener);
    let drained = async { while connections.join_next().await.is_some() {} };
    // Whatever is left is aborted with the set.
    let _ = tokio::time::timeout(GRACE, drained).await;
}

async fn connection(sandbox: Arc<Sandbox>, stream: TcpStream, mut stopped: watch::Receiver<()>) {
    // Small answers must not wait for the client's acknowledgement of the ones before.
    let _ = stream.set_nodelay(true);
    let hangup = Hangup::default();
    let service = service_fn(|mut request: http::Request<Incoming>| {
        request.extensions_mut().insert(hangup.clone());
        sandbox.clone().answer(request.map(Body::new))
    });
    let builder = auto::Builder::new(TokioExecutor::new());
    let mut serving = pin!(builder.serve_connection(TokioIo::new(stream), service));
    tokio::select! {
        _ = serving.as_mut() => return,
        () = hangup.0.notified() => return,
        _ = stopped.changed() => serving.as_mut().graceful_shutdown(),
    }
    tokio::select! {
        _ = serving => {}
        () = hangup.0.notified() => {}
    }
}
