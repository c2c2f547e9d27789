//! The way of a request, stage by stage: gate, route, policy, authorize, forward, response.
//!
//! One [`Pipeline`] a core; nothing in it is shared with another core but what is immutable. It
//! knows no sockets: `server` hands it requests and sends what it returns. The only place that
//! turns a [`Refusal`] into an answer is here.

pub mod authorize;
pub mod exchange;
mod forward;
pub mod gate;
mod oauth_shim;
mod policy;
pub mod response;
mod route;
mod serving;

use std::convert::Infallible;
use std::future::poll_fn;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::sync::Arc;
use std::task::Poll;

use bytes::Bytes;
use http::header::{CONNECTION, HeaderValue};
use http::request::Parts;
use http::{Method, Request, Response, StatusCode, Version};
use hyper::body::{Body, Incoming};
use tracing::{debug, error};

use crate::accounts::{Kind, Shared};
use crate::types::account::AccountName;
use crate::types::client_key::ClientKey;
use crate::types::clock::SharedClock;
use crate::types::refusal::Refusal;
use crate::types::request_id::RequestIds;
use crate::upstream::answer::AnswerBody;
use crate::upstream::{Sent, Upstream, is_safe};
use exchange::{Activity, Exchange};
use forward::peeked::Peeked;
use forward::unauthorized::{self, Replay};
use gate::allowed::Allowed;
use gate::{Entrance, HeadLimits};
use oauth_shim::Asked;
use response::body::ResponseBody;
use response::links::{self, Links};
use response::old_paths::OldPath;
use route::{Destination, Reserved, Route};
use serving::{Current, Served};

/// What of the configuration the stages need.
#[derive(Clone, Debug)]
pub struct Settings {
    pub head_limits: HeadLimits,
    /// Whether nobody is served without a client key.
    pub keys_required: bool,
    /// Whether an old client's own token refresh is answered here.
    pub legacy_oauth_shim: bool,
    pub allowed: Arc<Allowed>,
    /// Bytes; `None` is no limit.
    pub max_body_size: Option<u64>,
    /// Bytes of a request body kept for a second attempt.
    pub replay_buffer: usize,
    /// Whether links of HubSpot to itself become the proxy's.
    pub rewrite_links: bool,
    /// Whether answers carry `X-HubSpot-Proxy`.
    pub response_header: bool,
    /// Whether each request is logged.
    pub log_requests: bool,
}

/// The proxy's own paths: `/_proxy/` and `/favicon.ico`.
pub trait LocalPaths {
    /// Answers a request for `path`, which is in its decoded form. `known` tells whether the caller
    /// may see more than that the process runs.
    fn answer(&self, method: &Method, path: &str, known: bool) -> Result<Response<Bytes>, Refusal>;
}

/// The stages of one core.
pub struct Pipeline {
    pub(crate) settings: Settings,
    pub(crate) upstream: Rc<Upstream>,
    accounts: Current,
    clock: SharedClock,
    local: Box<dyn LocalPaths>,
    ids: RequestIds,
}

/// What the form of the answer depends on.
struct Client {
    is_browser: bool,
    /// The allowed origin of the page behind the request.
    origin: Option<HeaderValue>,
    speaks_http2: bool,
    asks_for_head: bool,
    /// Its connection is not served, whatever it asks for.
    is_refused: bool,
}

/// An answer whose body is not yet tied to its exchange.
enum Answer {
    Upstream(Response<AnswerBody>, Option<Replay>),
    /// A 401 whose beginning has been read.
    Peeked(Response<Peeked>, Option<Replay>),
    Own(Response<Bytes>),
}

impl Pipeline {
    /// The stages over one core's `upstream`.
    pub fn new(
        settings: Settings,
        accounts: &Shared,
        upstream: Rc<Upstream>,
        local: Box<dyn LocalPaths>,
        clock: SharedClock,
    ) -> Rc<Self> {
        let accounts = Current::new(accounts, Arc::clone(&clock));
        let ids = RequestIds::new();
        Rc::new(Self { settings, upstream, accounts, clock, local, ids })
    }

    /// Serves one request. Never fails: what goes wrong is an answer.
    ///
    /// The future is moved into its connection as a whole, so what is rare in it is boxed.
    pub fn handle(
        self: Rc<Self>,
        entrance: Entrance,
        activity: Rc<Activity>,
        request: Request<Incoming>,
    ) -> impl Future<Output = Result<Response<ResponseBody>, Infallible>> {
        let (head, body) = request.into_parts();
        let mut exchange = Exchange::begin(self.ids.next(), activity, !body.is_end_stream());
        if self.settings.log_requests {
            exchange.keep_record(&head.method, head.uri.path());
        }
        let client = Client {
            is_browser: gate::browser::is_browser(&head.headers),
            origin: self.settings.allowed.origin_of(&head.headers).cloned(),
            speaks_http2: head.version >= Version::HTTP_2,
            asks_for_head: head.method == Method::HEAD,
            is_refused: entrance.refusal.is_some(),
        };
        async move {
            let mut served = None;
            let links = self.settings.rewrite_links.then(|| Links::of(&head));
            let outcome = {
                let serving = pin!(async {
                    let answer =
                        self.serve(&entrance, head, body, &mut exchange, &mut served).await?;
                    match links {
                        Some(links) => Ok(Box::pin(links.rewrite(answer)).await),
                        None => Ok(answer),
                    }
                });
                without_panic(serving).await
            };
            let answer = outcome.unwrap_or_else(|refusal| {
                match refusal {
                    Refusal::Internal => error!(
                        id = %exchange.id,
                        "a request failed inside the proxy: please report this as a bug"
                    ),
                    _ => debug!(id = %exchange.id, code = refusal.code(), "refused"),
                }
                Answer::Own(response::refusal::response(&refusal, &exchange.id))
            });
            Ok(self.finish(answer, exchange, served, client))
        }
    }

    /// The answer to what came in the place of a request and could not be parsed.
    pub fn refuse(&self, refusal: &Refusal) -> Response<Bytes> {
        let id = self.ids.next();
        let mut answer = response::refusal::response(refusal, &id);
        if self.settings.response_header {
            response::add_proxy_header(answer.headers_mut(), &id, None, ["", ""]);
        }
        answer
    }

    /// The stages in their order.
    async fn serve(
        &self,
        entrance: &Entrance,
        mut head: Parts,
        body: Incoming,
        exchange: &mut Exchange,
        served_account: &mut Option<Served>,
    ) -> Result<Answer, Refusal> {
        let Settings { head_limits, allowed, .. } = &self.settings;
        gate::admit(&head, entrance, *head_limits, allowed)?;
        if let Some(answer) = response::cors::preflight(&head, allowed) {
            return Ok(Answer::Own(answer));
        }
        let serving = self.accounts.serving();
        let keys = serving.accounts().keys();
        let key = gate::client_key::check(&head, keys, || self.clock.now())?;
        if self.settings.legacy_oauth_shim
            && let Some(asked) = oauth_shim::asked(&head)
        {
            let answering = self.answer_old_client(asked, entrance, head, body, key);
            return Box::pin(answering).await;
        }
        let reserved = Reserved {
            listener: entrance.account.as_deref(),
            key: key.as_ref().and_then(|key| key.account.as_ref()),
        };
        let Destination { account, target } =
            match route::choose(&mut head, serving.accounts(), reserved)? {
                Route::Upstream(destination) => destination,
                Route::Local(path) => {
                    let known = key.is_some() || !self.settings.keys_required;
                    return self.local.answer(&head.method, &path, known).map(Answer::Own);
                }
            };
        if key.is_none() && self.settings.keys_required {
            return Err(Refusal::ClientKeyRequired);
        }
        let served = &*served_account.insert(serving.serve(account));
        exchange.serves(&served.account().name, OldPath::of(target.decoded()));
        policy::check(&head.method, &target, served.account(), key.as_deref())?;
        authorize::clean_headers(&mut head.headers);
        if self.settings.rewrite_links {
            links::ask_for_readable(&mut head.headers);
        }
        let target = authorize::clean_target(target.into_sent());
        let target = match &served.account().kind {
            Kind::Developer { key } => authorize::with_developer_key(target, key)?,
            Kind::Portal | Kind::App => {
                let token = match authorize::token_at_hand(served) {
                    Some(token) => token,
                    None => Box::pin(authorize::wait_for_token(served)).await?,
                };
                token.put_on(&mut head.headers);
                target
            }
        };
        let generation = served.generation();
        let safe = is_safe(&head.method);
        let credential = &served.account().credential;
        let limits = forward::body_limits(&self.settings, credential.can_refresh());
        let outgoing = forward::outgoing(head, body, target, limits, exchange.unread())?;
        let sent = self.upstream.send(outgoing, credential.can_refresh()).await;
        let Sent { mut answer, again } = sent
            .and_then(forward::check_status)
            .map_err(|failure| forward::refusal(failure, safe, self.settings.max_body_size))?;
        if let Kind::Developer { key } = &served.account().kind {
            authorize::conceal_developer_key(answer.headers_mut(), key);
        }
        if answer.status() != StatusCode::UNAUTHORIZED {
            credential.accepted();
            return Ok(Answer::Upstream(answer, None));
        }
        match again {
            None => Ok(Answer::Upstream(answer, None)),
            Some(again) => {
                let settling = unauthorized::settle(self, served, generation, answer, again, safe);
                Box::pin(settling).await
            }
        }
    }

    /// What stands for HubSpot's token endpoints where `legacy_oauth_shim` is on.
    async fn answer_old_client(
        &self,
        asked: Asked,
        entrance: &Entrance,
        mut head: Parts,
        body: Incoming,
        key: Option<Arc<ClientKey>>,
    ) -> Result<Answer, Refusal> {
        let serving = self.accounts.serving();
        let now = || self.clock.now();
        let in_form = match asked {
            Asked::Token => oauth_shim::key_in_form(body, serving.accounts().keys(), now).await?,
            Asked::AccessToken | Asked::PrivateApp => None,
        };
        let (key, text) = match (in_form, key) {
            (Some((shown, _)), Some(key)) if !Arc::ptr_eq(&shown, &key) => {
                return Err(Refusal::ClientKeyInvalid("the request shows two different keys"));
            }
            (Some((key, text)), _) => (Some(key), Some(text)),
            (None, key) => (key, None),
        };
        if key.is_none() && self.settings.keys_required {
            return Err(Refusal::ClientKeyRequired);
        }
        let reserved = Reserved {
            listener: entrance.account.as_deref(),
            key: key.as_ref().and_then(|key| key.account.as_ref()),
        };
        let Route::Upstream(to) = route::choose(&mut head, serving.accounts(), reserved)? else {
            return Err(Refusal::NotFound);
        };
        Ok(Answer::Own(match asked {
            Asked::Token => oauth_shim::token(text.as_deref()),
            _ => oauth_shim::information(asked, &serving.accounts().all()[to.account]),
        }))
    }

    fn finish(
        &self,
        answer: Answer,
        mut exchange: Exchange,
        served: Option<Served>,
        client: Client,
    ) -> Response<ResponseBody> {
        let id = exchange.id;
        // The exchange goes with the body and ends when that is through.
        let body_unread = !client.speaks_http2 && exchange.unread().get();
        let (mut replay, mut hint) = (None, "");
        let name = served.as_ref().map(|served| &served.account().name);
        let old_path = exchange.old_path();
        let hint_at = |status| old_path.map_or("", |old: OldPath| old.hint(status, name));
        let mut response = match answer {
            Answer::Own(mut answer) => {
                exchange.answered(answer.status());
                if client.asks_for_head {
                    response::leave_head_alone(&mut answer);
                }
                answer.map(|bytes| ResponseBody::own(bytes, exchange))
            }
            Answer::Upstream(mut answer, note) => {
                replay = note;
                hint = hint_at(answer.status());
                response::filter(answer.headers_mut());
                exchange.answered(answer.status());
                answer.map(|body| ResponseBody::upstream(body, exchange))
            }
            Answer::Peeked(mut answer, note) => {
                replay = note;
                response::filter(answer.headers_mut());
                exchange.answered(answer.status());
                answer.map(|body| ResponseBody::peeked(body, exchange))
            }
        };
        *response.version_mut() = Version::HTTP_11;
        let headers = response.headers_mut();
        if self.settings.response_header {
            let notes = [replay.map_or("", Replay::note), hint];
            response::add_proxy_header(headers, &id, name.map(AccountName::as_str), notes);
        }
        if client.is_browser {
            response::add_sandboxing_headers(headers);
        }
        if client.origin.is_some() || client.is_browser && !self.settings.allowed.origins.is_empty()
        {
            response::cors::vary_by_origin(headers);
        }
        if let Some(origin) = client.origin {
            response::cors::mark(headers, origin);
        }
        // Answered before the client has sent everything: what follows is read and dropped, and a
        // further request on this connection could not be found behind it.
        if body_unread || (client.is_refused && !client.speaks_http2) {
            headers.insert(CONNECTION, HeaderValue::from_static("close"));
        }
        response
    }
}

/// A fault of ours costs one request, not its connection's other requests.
async fn without_panic<T>(
    mut serving: Pin<&mut impl Future<Output = Result<T, Refusal>>>,
) -> Result<T, Refusal> {
    poll_fn(|cx| {
        catch_unwind(AssertUnwindSafe(|| serving.as_mut().poll(cx)))
            .unwrap_or(Poll::Ready(Err(Refusal::Internal)))
    })
    .await
}

#[cfg(test)]
mod tests;
