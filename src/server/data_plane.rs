//! One core of the data plane: a single-threaded runtime that accepts, serves and forwards by
//! itself.

use std::future::poll_fn;
use std::io;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Poll, ready};
use std::time::Duration;

use tokio::runtime::{Builder, LocalOptions};
use tokio::sync::watch;
use tokio::time::Sleep;
use tracing::{info, warn};

use super::balance::Balance;
use super::connection::{Connections, Limits};
use super::stream::{Acceptor, Socket, Stream};
use super::users::Users;
use crate::accounts::Shared;
use crate::admin::{Admin, Remote};
use crate::pipeline::gate::Entrance;
use crate::pipeline::{Pipeline, Settings};
use crate::telemetry::audit::Audit;
use crate::telemetry::cores::{Observer, Questions};
use crate::types::account::AccountName;
use crate::types::clock::SharedClock;
use crate::types::origin::Origin;
use crate::upstream::Upstream;
use crate::upstream::connect::Connector;

/// After an accept that failed for want of something, such as file descriptors.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);
/// How long a core that is ahead leaves a new connection to the others.
const COURTESY: Duration = Duration::from_millis(1);

/// A socket, and the only account that it serves.
pub type Reserved = (Socket, Option<Arc<AccountName>>);

/// What every core is built from.
pub struct Plan {
    /// How many there are of them.
    pub cores: usize,
    pub admin: Option<Remote>,
    pub settings: Settings,
    pub limits: Limits,
    pub users: Users,
    pub accounts: Shared,
    pub audit: Audit,
    pub origin: Arc<Origin>,
    pub connector: Connector,
    pub response_timeout: Duration,
    pub shutdown_grace: Duration,
    pub clock: SharedClock,
}

/// What one core has to itself.
pub struct Core {
    pub balance: Balance,
    pub questions: Questions,
    pub sockets: Vec<Reserved>,
}

/// Runs one core until `stop` turns true and its connections have ended, or the time granted for that
/// is over.
pub fn run(plan: &Plan, core: Core, stop: watch::Receiver<bool>) -> io::Result<()> {
    let runtime = Builder::new_current_thread().enable_all().build_local(LocalOptions::default())?;
    runtime.block_on(serve(plan, core, stop))
}

async fn serve(plan: &Plan, core: Core, mut stop: watch::Receiver<bool>) -> io::Result<()> {
    let Core { balance, questions, sockets } = core;
    let upstream = Upstream::new(
        Arc::clone(&plan.origin),
        plan.connector.clone(),
        plan.response_timeout,
        Arc::clone(&plan.clock),
    );
    let local = Box::new(Admin::new(Shared::clone(&plan.accounts), plan.admin.clone()));
    let clock = Arc::clone(&plan.clock);
    let observer = Observer::of_one_core_among(plan.cores, &plan.audit);
    tokio::task::spawn_local(questions.answer(Rc::clone(&observer)));
    let settings = plan.settings.clone();
    let pipeline = Pipeline::new(settings, &plan.accounts, upstream, local, observer, clock);
    let connections = Connections::new(pipeline, plan.limits, plan.users.watch()?, balance.clone());
    let mut accepting = Vec::new();
    for (socket, account) in sockets {
        let listener = Acceptor::new(socket)?;
        let entrance = Entrance { port: listener.port()?, account, refusal: None, place: None };
        let (connections, balance) = (Rc::clone(&connections), balance.clone());
        let stop = stop.clone();
        accepting.push(tokio::task::spawn_local(async move {
            accept(listener, entrance, &connections, &balance, stop).await;
        }));
    }
    // An error says that the sender is gone, and with it the process's reason to go on.
    let _ = stop.wait_for(|stop| *stop).await;
    for accepting in accepting {
        let _ = accepting.await;
    }
    drain(&connections, plan.shutdown_grace).await;
    Ok(())
}

async fn drain(connections: &Connections, grace: Duration) {
    let drain = connections.drain();
    drain.begin();
    if tokio::time::timeout(grace, drain.emptied()).await.is_err() {
        info!("{} connections did not end within server.shutdown_grace and are cut", drain.open());
    }
}

async fn accept(
    listener: Acceptor,
    entrance: Entrance,
    connections: &Rc<Connections>,
    balance: &Balance,
    mut stop: watch::Receiver<bool>,
) {
    loop {
        let accepted = tokio::select! {
            biased;
            _ = stop.wait_for(|stop| *stop) => break,
            accepted = next(&listener, balance) => accepted,
        };
        match accepted {
            Ok(stream) => connections.spawn(stream, &entrance),
            Err(error) => {
                warn!("cannot accept a connection: {error}");
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
        // The other cores get their turn before this one takes a second.
        tokio::task::yield_now().await;
    }
    // Who has connected already is still served.
    while let Some(stream) = waiting(&listener).await {
        connections.spawn(stream, &entrance);
    }
}

/// The next connection. All cores wait on the same sockets, and the one that wakes first would
/// take whatever comes in a burst; so a core that is ahead waits a moment before it takes one.
async fn next(listener: &Acceptor, balance: &Balance) -> io::Result<Stream> {
    let mut courtesy: Option<Pin<Box<Sleep>>> = None;
    let mut was_courteous = false;
    poll_fn(|cx| {
        if courtesy.is_none() && !was_courteous && balance.is_ahead() {
            courtesy = Some(Box::pin(tokio::time::sleep(COURTESY)));
        }
        if let Some(sleep) = &mut courtesy {
            ready!(sleep.as_mut().poll(cx));
            courtesy = None;
            was_courteous = true;
        }
        let accepted = listener.poll_accept(cx);
        was_courteous &= accepted.is_ready();
        accepted
    })
    .await
}

/// A connection that is waiting already.
async fn waiting(listener: &Acceptor) -> Option<Stream> {
    poll_fn(|cx| {
        Poll::Ready(match listener.poll_accept(cx) {
            Poll::Ready(Ok(stream)) => Some(stream),
            _ => None,
        })
    })
    .await
}
