//! Serving HTTP/2 in clear text, by prior knowledge (RFC 9113, section 3.3).

use std::future::poll_fn;
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::task::Poll;

use bytes::Bytes;
use hyper::rt::Executor;
use hyper::server::conn::http2::Builder;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;

use super::watched::Watched;
use super::{Connections, Limits, Member, Stream};
use crate::pipeline::exchange::Activity;
use crate::pipeline::gate::Entrance;

/// Requests at once on one connection.
const MAX_STREAMS: u32 = 256;
/// Flow-control credit of one request body and of all bodies of a connection, in bytes.
const STREAM_WINDOW: u32 = 256 * 1024;
const CONNECTION_WINDOW: u32 = 4 * 1024 * 1024;
/// Bytes of answers buffered for one stream.
const SEND_BUFFER: usize = 256 * 1024;

/// Runs streams on the core that accepted their connection.
#[derive(Clone, Copy)]
pub struct LocalExecutor;

impl<F> Executor<F> for LocalExecutor
where
    F: Future + 'static,
    F::Output: 'static,
{
    fn execute(&self, stream: F) {
        tokio::task::spawn_local(stream);
    }
}

/// hyper's settings.
pub fn builder(limits: Limits) -> Builder<LocalExecutor> {
    let mut builder = Builder::new(LocalExecutor);
    builder
        .max_concurrent_streams(MAX_STREAMS)
        .initial_stream_window_size(STREAM_WINDOW)
        .initial_connection_window_size(CONNECTION_WINDOW)
        .max_send_buf_size(SEND_BUFFER)
        .max_header_list_size(u32::try_from(limits.parser_buffer).unwrap_or(u32::MAX));
    builder
}

/// Serves requests on `stream` until it ends; `early` has been read from it already.
pub async fn serve(
    connections: &Connections,
    stream: Stream,
    early: Bytes,
    entrance: Entrance,
    member: &Member,
) {
    let activity = Rc::new(Activity::default());
    let pipeline = Rc::clone(&connections.pipeline);
    let exchanges = Rc::clone(&activity);
    let refused = entrance.refusal.is_some();
    let place = entrance.place.clone();
    let service = service_fn(move |request| {
        Rc::clone(&pipeline).handle(entrance.clone(), Rc::clone(&exchanges), request)
    });
    let watched = Watched::new(stream, early, Rc::default(), Rc::clone(&connections.pipeline));
    let io = TokioIo::new(watched);
    let mut connection = pin!(connections.http2.serve_connection(io, service));
    // Until there has been a request, it is waited for no longer than for a head.
    let Limits { header_timeout, idle_timeout, .. } = connections.limits;
    let mut idle = match header_timeout < idle_timeout {
        true => connections.header.started(),
        false => connections.idle.started(),
    };
    let mut begun_at_last_look = 0;
    let mut told = false;
    poll_fn(|cx| {
        while idle.poll_expired(cx).is_ready() {
            let begun = activity.begun();
            if activity.in_flight() == 0 && begun == begun_at_last_look && !told {
                told = true;
                connection.as_mut().graceful_shutdown();
            } else if told && activity.in_flight() == 0 {
                // It was told to end and does not.
                return Poll::Ready(());
            }
            match begun_at_last_look == 0 && !told {
                true => idle = connections.idle.started(),
                false => idle.restart(),
            }
            begun_at_last_look = begun;
        }
        if !told && place.as_ref().is_some_and(|place| place.is_forfeited()) {
            told = true;
            // It is not waited for any longer than for a head.
            idle = connections.header.started();
            connection.as_mut().graceful_shutdown();
            cx.waker().wake_by_ref();
        }
        if !told && (member.has_begun(cx) || (refused && activity.begun() > 0)) {
            told = true;
            connection.as_mut().graceful_shutdown();
        }
        let ended = Pin::new(&mut connection).poll(cx).map(|_| ());
        if refused && !told && activity.begun() > 0 {
            // It has had its answer: look again, and take no second request.
            cx.waker().wake_by_ref();
        }
        ended
    })
    .await;
}
