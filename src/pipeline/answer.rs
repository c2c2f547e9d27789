//! The end of the way: an answer, wherever it comes from, becomes what the client gets.

use bytes::Bytes;
use http::header::{CONNECTION, HeaderValue};
use http::{Response, StatusCode, Version};

use super::exchange::Exchange;
use super::forward::peeked::Peeked;
use super::forward::unauthorized::Replay;
use super::response::body::ResponseBody;
use super::response::old_paths::OldPath;
use super::response::{self, cors};
use super::serving::Served;
use super::{Pipeline, Settings};
use crate::types::account::AccountName;
use crate::types::refusal::Refusal;
use crate::upstream::answer::AnswerBody;

/// What the form of the answer depends on.
pub(super) struct Client {
    pub is_browser: bool,
    /// The allowed origin of the page behind the request.
    pub origin: Option<HeaderValue>,
    pub speaks_http2: bool,
    pub asks_for_head: bool,
    /// Its connection is not served, whatever it asks for.
    pub is_refused: bool,
}

/// An answer whose body is not yet tied to its exchange.
pub(super) enum Answer {
    Upstream(Response<AnswerBody>, Option<Replay>),
    /// A 401 whose beginning has been read.
    Peeked(Response<Peeked>, Option<Replay>),
    Own(Response<Bytes>),
    /// A page that may do what its own content security policy says.
    Page(Response<Bytes>),
    /// Of the control plane.
    Admin(Response<axum::body::Body>),
}

impl Answer {
    fn status(&self) -> StatusCode {
        match self {
            Self::Upstream(answer, _) => answer.status(),
            Self::Peeked(answer, _) => answer.status(),
            Self::Own(answer) | Self::Page(answer) => answer.status(),
            Self::Admin(answer) => answer.status(),
        }
    }

    fn replay(&self) -> Option<Replay> {
        match self {
            Self::Upstream(_, replay) | Self::Peeked(_, replay) => *replay,
            Self::Own(_) | Self::Page(_) | Self::Admin(_) => None,
        }
    }

    fn into_body(self, client: &Client, exchange: Exchange) -> Response<ResponseBody> {
        match self {
            Self::Upstream(mut answer, _) => {
                response::filter(answer.headers_mut());
                answer.map(|body| ResponseBody::upstream(body, exchange))
            }
            Self::Peeked(mut answer, _) => {
                response::filter(answer.headers_mut());
                answer.map(|body| ResponseBody::peeked(body, exchange))
            }
            Self::Own(mut answer) | Self::Page(mut answer) => {
                if client.asks_for_head {
                    response::leave_head_alone(&mut answer);
                }
                answer.map(|bytes| ResponseBody::own(bytes, exchange))
            }
            Self::Admin(answer) => answer.map(|body| ResponseBody::admin(body, exchange)),
        }
    }
}

impl Pipeline {
    pub(super) fn finish(
        &self,
        answer: Answer,
        mut exchange: Exchange,
        served: Option<Served>,
        client: Client,
        settings: &Settings,
    ) -> Response<ResponseBody> {
        let id = exchange.id;
        // The exchange goes with the body and ends when that is through.
        let body_unread = !client.speaks_http2 && exchange.unread().get();
        let name = served.as_ref().map(|served| &served.account().name);
        let replay = answer.replay().map_or("", Replay::note);
        let hint = match &answer {
            Answer::Upstream(answer, _) => {
                exchange.old_path().map_or("", |old: OldPath| old.hint(answer.status(), name))
            }
            _ => "",
        };
        exchange.note(|record| record.replay = Some(replay).filter(|replay| !replay.is_empty()));
        match &answer {
            Answer::Upstream(answer, _) => exchange.answered(answer.status(), answer.headers()),
            Answer::Peeked(answer, _) => exchange.answered(answer.status(), answer.headers()),
            Answer::Own(_) | Answer::Page(_) | Answer::Admin(_) => {
                exchange.answered_here(answer.status())
            }
        }
        let is_page = matches!(answer, Answer::Page(_));
        let mut response = answer.into_body(&client, exchange);
        *response.version_mut() = Version::HTTP_11;
        let headers = response.headers_mut();
        if settings.response_header {
            let name = name.map(AccountName::as_str);
            response::add_proxy_header(headers, &id, name, [replay, hint]);
        }
        if client.is_browser && !is_page {
            response::add_sandboxing_headers(headers);
        }
        if client.origin.is_some() || client.is_browser && !settings.allowed.origins.is_empty() {
            cors::vary_by_origin(headers);
        }
        if let Some(origin) = client.origin {
            cors::mark(headers, origin);
        }
        // Answered before the client has sent everything: what follows is read and dropped, and a
        // further request on this connection could not be found behind it.
        if body_unread || (client.is_refused && !client.speaks_http2) {
            headers.insert(CONNECTION, HeaderValue::from_static("close"));
        }
        response
    }

    /// The answer to what came in the place of a request and could not be parsed.
    pub fn refuse(&self, refusal: &Refusal) -> Response<Bytes> {
        let id = self.ids.next();
        let mut answer = response::refusal::response(refusal, &id);
        if self.accounts.serving().settings().response_header {
            response::add_proxy_header(answer.headers_mut(), &id, None, ["", ""]);
        }
        answer
    }
}
