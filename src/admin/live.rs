//! Live updates for the dashboard: one JSON object a line, for as long as somebody reads.
//!
//! One sampler serves all readers and asks the cores a few times a second, whatever comes in; it ends with
//! the last reader. Who reads slowly gets fewer updates, since only the newest is kept.

use std::convert::Infallible;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use axum::extract::State;
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use http::StatusCode;
use http::header::CONTENT_TYPE;
use http_body::{Body, Frame};
use parking_lot::Mutex;
use serde_json::{Value, json};
use tokio::sync::{mpsc, watch};
use tokio::time::MissedTickBehavior;

use super::api::{Knowledge, wrong};
use super::explain::Told;
use super::{status, sunset};
use crate::telemetry::histogram::Histogram;
use crate::telemetry::traffic::TrafficSummary;

/// Between two updates.
const EVERY: Duration = Duration::from_millis(500);
/// Requests that an update shows of those that have ended since the one before, and as many failures.
const SHOWN: usize = 20;
/// Operations and clients that are shown of those who call what HubSpot retires.
const RETIRING: usize = 50;
/// More do not read at once.
const MOST_READERS: usize = 16;
/// A reader begins anew after that, and shows once more that it may.
const LONGEST: Duration = Duration::from_secs(60 * 60);

/// The sampler and its readers.
pub struct Live {
    knowledge: Arc<Knowledge>,
    newest: watch::Sender<Bytes>,
    ending: watch::Sender<bool>,
    /// Whether the sampler runs.
    running: Mutex<bool>,
}

impl Live {
    /// Nobody reads so far.
    pub fn new(knowledge: Arc<Knowledge>) -> Arc<Self> {
        let (newest, ending) = (watch::Sender::default(), watch::Sender::new(false));
        Arc::new(Self { knowledge, newest, ending, running: Mutex::new(false) })
    }

    /// Ends all readers' streams, now and from now on.
    pub fn end(&self) {
        self.ending.send_replace(true);
    }

    /// One more reader; `None` where there are too many. Called inside the runtime.
    fn read(self: &Arc<Self>) -> Option<Updates> {
        let mut running = self.running.lock();
        if self.newest.receiver_count() >= MOST_READERS {
            return None;
        }
        let (sender, receiver) = mpsc::channel(1);
        tokio::spawn(feed(sender, self.newest.subscribe(), self.ending.subscribe()));
        if !std::mem::replace(&mut *running, true) {
            tokio::spawn(Arc::clone(self).sample());
        }
        Some(Updates(receiver))
    }

    async fn sample(self: Arc<Self>) {
        let mut ticks = tokio::time::interval(EVERY);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut since = Instant::now();
        loop {
            ticks.tick().await;
            {
                let mut running = self.running.lock();
                if self.newest.receiver_count() == 0 {
                    *running = false;
                    return;
                }
            }
            let now = Instant::now();
            let mut line = self.knowledge.update(since).await.to_string();
            line.push('\n');
            self.newest.send_replace(line.into());
            since = now;
        }
    }
}

/// Sends updates to a reader until it goes away, or has to.
async fn feed(
    reader: mpsc::Sender<Bytes>,
    newest: watch::Receiver<Bytes>,
    mut ending: watch::Receiver<bool>,
) {
    tokio::select! {
        () = pass_on(newest, reader) => {}
        // An error says that the sender is gone, and with it the proxy.
        _ = ending.wait_for(|ending| *ending) => {}
        () = tokio::time::sleep(LONGEST) => {}
    }
}

/// Waits until the reader can take one before it looks which is the newest.
async fn pass_on(mut newest: watch::Receiver<Bytes>, reader: mpsc::Sender<Bytes>) {
    while let Ok(place) = reader.reserve().await {
        if newest.changed().await.is_err() {
            return;
        }
        place.send(newest.borrow_and_update().clone());
    }
}

impl Knowledge {
    /// How things stand, and some of the requests that have ended after `since`.
    async fn update(&self, since: Instant) -> Value {
        let seen = self.cores.ask(move |observer| {
            let recent = observer.recent.borrow();
            let told = recent.ended_after(since, SHOWN).into_iter().map(Told::of);
            (observer.traffic.counts(), told.collect::<Vec<_>>())
        });
        let (mut traffic, mut told) = (TrafficSummary::default(), Vec::new());
        for (counted, some) in seen.await {
            traffic += counted;
            told.extend(some.into_iter().filter(|told| !told.is_of_the_proxys_own()));
        }
        told.sort_by_key(|told: &Told| std::cmp::Reverse(told.ended_at));
        let (mut failed, mut others) = (0, 0);
        told.retain(|told| {
            let count = if told.has_failed() { &mut failed } else { &mut others };
            *count += 1;
            *count <= SHOWN
        });
        let accounts = self.accounts.load();
        let (now, wall) = (Instant::now(), self.clock.now());
        let requests = told.iter().map(|told| told.explained(&accounts, now, wall));
        let requests: Vec<Value> = requests.collect();
        let all = traffic.all();
        let mut retiring = sunset::of(&traffic.retiring);
        retiring.truncate(RETIRING);
        json!({
            "at_ms": wall.0,
            "status": status::overview(self, &traffic),
            "upstream_seconds": histogram(&all.upstream_time),
            "added_seconds": histogram(&all.time_before),
            "requests": requests,
            "retiring": retiring,
        })
    }
}

/// As Prometheus has it: how many were not longer than each bound, and how many there were.
fn histogram(histogram: &Histogram) -> Value {
    let (bounds, counts): (Vec<f64>, Vec<u64>) = histogram.cumulated().unzip();
    json!({ "le": bounds, "counts": counts, "count": histogram.count() })
}

/// What one reader is sent.
struct Updates(mpsc::Receiver<Bytes>);

impl Body for Updates {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        self.0.poll_recv(cx).map(|line| line.map(|line| Ok(Frame::data(line))))
    }
}

/// `GET /_proxy/api/stream`.
pub async fn stream(State(live): State<Arc<Live>>) -> Response {
    match live.read() {
        Some(updates) => {
            let body = axum::body::Body::new(updates);
            ([(CONTENT_TYPE, "application/x-ndjson")], body).into_response()
        }
        None => wrong(
            StatusCode::SERVICE_UNAVAILABLE,
            "too many dashboards are open: close one and reload this page",
        ),
    }
}

#[cfg(test)]
mod tests;
