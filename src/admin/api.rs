//! The admin API: what the control plane knows, as JSON.
//!
//! It runs behind the admin key, the control socket or, for what reads, a dashboard's token, and asks
//! nobody for credentials itself.

use std::collections::HashMap;
use std::convert::Infallible;
use std::sync::{Arc, OnceLock};
use std::time::Instant;

use axum::body::Body;
use axum::extract::{Path, Query, State};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Json, Router};
use http::header::{CACHE_CONTROL, CONTENT_TYPE, HeaderValue};
use http::{Request, StatusCode};
use serde_json::{Value, json};
use tower_service::Service;

use super::explain::Told;
use super::live::{self, Live};
use super::sessions::Sessions;
use super::status::{self, About};
use super::{dashboard, keys, logins, metrics, scopes, sunset};
use crate::accounts::Shared;
use crate::accounts::login::here::Logins;
use crate::telemetry::audit::Audit;
use crate::telemetry::cores::Cores;
use crate::telemetry::recent::Which;
use crate::telemetry::traffic::TrafficSummary;
use crate::types::clock::SharedClock;
use crate::types::request_id::RequestId;

/// What all its paths begin with.
pub const PREFIX: &str = "/_proxy/api/";
/// Requests that are listed unless the caller says how many.
const LISTED: usize = 20;
/// Requests that are listed at most.
const LISTED_AT_MOST: usize = 1000;

/// The API, to be shared by all who answer for it.
#[derive(Clone)]
pub struct Api {
    router: Router,
    knowledge: Arc<Knowledge>,
    sessions: Arc<Sessions>,
    live: Arc<Live>,
}

/// What it answers from.
pub struct Knowledge {
    pub about: About,
    pub accounts: Shared,
    pub cores: Cores,
    pub audit: Audit,
    pub connections: Connections,
    pub clock: SharedClock,
    /// Set where the proxy keeps accounts in a store.
    pub logins: OnceLock<Logins>,
}

/// Connections of clients: how many are open, and how many may be.
pub struct Connections {
    pub open: Box<dyn Fn() -> usize + Send + Sync>,
    pub most: usize,
}

impl Api {
    /// Answers from `knowledge`.
    pub fn new(knowledge: Knowledge) -> Self {
        let knowledge = Arc::new(knowledge);
        let sessions = Arc::new(Sessions::new(Arc::clone(&knowledge.clock)));
        let live = Live::new(Arc::clone(&knowledge));
        let streaming = Router::new().route("/_proxy/api/stream", get(live::stream));
        let router = Router::new()
            .route("/_proxy/api/status", get(show_status))
            .route("/_proxy/api/requests", get(list_requests))
            .route("/_proxy/api/requests/{id}", get(show_request))
            .route("/_proxy/api/scopes", get(show_scopes))
            .route("/_proxy/api/sunset", get(show_sunset))
            .route("/_proxy/api/keys", get(list_keys))
            .merge(logins::routes())
            .fallback(async || wrong(StatusCode::NOT_FOUND, "there is nothing at this path"))
            .method_not_allowed_fallback(async || {
                wrong(StatusCode::METHOD_NOT_ALLOWED, "this path does not take that method")
            })
            .with_state(Arc::clone(&knowledge))
            .merge(streaming.with_state(Arc::clone(&live)))
            .merge(dashboard::routes(Arc::clone(&sessions)));
        Self { router, knowledge, sessions, live }
    }

    /// Who may look at the dashboard.
    pub(super) fn sessions(&self) -> &Sessions {
        &self.sessions
    }

    /// Lets the dashboard begin logins.
    pub fn offer(&self, logins: Logins) {
        // Set once, by the one that starts the proxy.
        let _ = self.knowledge.logins.set(logins);
    }

    /// Ends what would go on by itself and hold up the end of the proxy.
    pub fn end_streams(&self) {
        self.live.end();
    }

    /// What Prometheus scrapes.
    pub async fn metrics(&self) -> Response {
        match metrics::text(&self.knowledge).await {
            Ok(text) => ([(CONTENT_TYPE, metrics::CONTENT_TYPE)], text).into_response(),
            Err(error) => wrong(StatusCode::INTERNAL_SERVER_ERROR, &error.to_string()),
        }
    }

    pub(super) async fn traffic(&self) -> TrafficSummary {
        self.knowledge.traffic().await
    }

    /// Answers a request whose caller has been found to be allowed.
    pub async fn answer(mut self, request: Request<Body>) -> Response {
        let answered: Result<Response, Infallible> = self.router.call(request).await;
        let mut answer = answered.unwrap_or_else(|never| match never {});
        answer.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
        answer
    }
}

impl Knowledge {
    pub(super) async fn traffic(&self) -> TrafficSummary {
        let mut sum = TrafficSummary::default();
        for summary in self.cores.ask(|observer| observer.traffic.summary()).await {
            sum += summary;
        }
        sum
    }

    /// The latest `most` of the requests that are meant, the latest first.
    pub(super) async fn requests(&self, which: Which, most: usize) -> Vec<Value> {
        let told = self.cores.ask(move |observer| {
            let recent = observer.recent.borrow();
            recent.find(which, most).into_iter().map(Told::of).collect::<Vec<_>>()
        });
        let mut all: Vec<Told> = told.await.into_iter().flatten().collect();
        all.sort_by_key(|told| std::cmp::Reverse(told.ended_at));
        all.truncate(most);
        let accounts = self.accounts.load();
        let (now, wall) = (Instant::now(), self.clock.now());
        all.iter().map(|told| told.explained(&accounts, now, wall)).collect()
    }
}

async fn show_status(State(knowledge): State<Arc<Knowledge>>) -> Json<Value> {
    Json(status::of(&knowledge).await)
}

async fn show_scopes(State(knowledge): State<Arc<Knowledge>>) -> Json<Value> {
    Json(scopes::of(&knowledge).await)
}

async fn show_sunset(State(knowledge): State<Arc<Knowledge>>) -> Json<Value> {
    let calls = sunset::of(&knowledge.traffic().await.retiring);
    Json(json!({ "since": knowledge.about.started.to_string(), "calls": calls }))
}

async fn list_keys(State(knowledge): State<Arc<Knowledge>>) -> Json<Value> {
    Json(keys::of(&knowledge.accounts.load(), knowledge.clock.now()))
}

async fn list_requests(
    State(knowledge): State<Arc<Knowledge>>,
    Query(query): Query<HashMap<String, String>>,
) -> Response {
    let limit = query.get("limit").map_or(Ok(LISTED), |limit| limit.parse::<usize>());
    let Ok(limit @ 1..=LISTED_AT_MOST) = limit else {
        return wrong(StatusCode::BAD_REQUEST, "`limit` is a number from 1 to 1000");
    };
    let which = match query.get("failed").map(String::as_str) {
        None | Some("false") => Which::All,
        Some("true") => Which::Failed,
        Some(_) => return wrong(StatusCode::BAD_REQUEST, "`failed` is `true` or `false`"),
    };
    Json(json!({ "requests": knowledge.requests(which, limit).await })).into_response()
}

async fn show_request(State(knowledge): State<Arc<Knowledge>>, Path(id): Path<String>) -> Response {
    let id: RequestId = match id.parse() {
        Ok(id) => id,
        Err(error) => return wrong(StatusCode::BAD_REQUEST, &format!("{error}")),
    };
    match knowledge.requests(Which::Id(id), 1).await.pop() {
        Some(request) => Json(request).into_response(),
        None => wrong(
            StatusCode::NOT_FOUND,
            "the proxy does not remember this request: it was not served here, is still running, or too many have come since",
        ),
    }
}

/// What says no, in the form of HubSpot's errors.
pub(super) fn wrong(status: StatusCode, message: &str) -> Response {
    (status, Json(json!({ "status": "error", "message": message }))).into_response()
}
