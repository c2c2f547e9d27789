//! The way of a request, stage by stage: gate, route, policy, authorize, forward, response.
//!
//! One [`Pipeline`] a core; nothing in it is shared with another core but what is immutable. It
//! knows no sockets: `server` hands it requests and sends what it returns. The only place that
//! turns a [`Refusal`] into an answer is here.

pub mod authorize;
pub mod exchange;
mod forward;
pub mod gate;
mod policy;
pub mod response;
mod route;

use std::cell::RefCell;
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

use crate::accounts::{Accounts, Kind};
use crate::credential::hot::{Freshness, HotToken};
use crate::types::account::AccountName;
use crate::types::clock::SharedClock;
use crate::types::refusal::Refusal;
use crate::types::request_id::RequestIds;
use crate::upstream::answer::AnswerBody;
use crate::upstream::{Sent, Upstream, is_safe};
use authorize::AccountToken;
use exchange::{Activity, Exchange};
use forward::peeked::Peeked;
use forward::unauthorized::{self, Replay};
use gate::allowed::Allowed;
use gate::{Entrance, HeadLimits};
use response::body::ResponseBody;
use response::links::{self, Links};
use response::old_paths::OldPath;
use route::{Destination, Route};

/// What of the configuration the stages need.
#[derive(Clone, Debug)]
pub struct Settings {
    pub head_limits: HeadLimits,
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
    /// Answers a request for `path`, which is in its decoded form.
    fn answer(&self, method: &Method, path: &str) -> Result<Response<Bytes>, Refusal>;
}

/// The stages of one core.
pub struct Pipeline {
    pub(crate) settings: Settings,
    pub(crate) accounts: Arc<Accounts>,
    pub(crate) upstream: Rc<Upstream>,
    local: Box<dyn LocalPaths>,
    tokens: RefCell<Vec<HotToken>>,
    clock: SharedClock,
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
        accounts: Arc<Accounts>,
        upstream: Rc<Upstream>,
        local: Box<dyn LocalPaths>,
        clock: SharedClock,
    ) -> Rc<Self> {
        let tokens = accounts.all().iter().map(|a| HotToken::new(Arc::clone(&a.credential)));
        let tokens = RefCell::new(tokens.collect());
        let ids = RequestIds::new();
        Rc::new(Self { settings, accounts, upstream, local, tokens, clock, ids })
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
            let mut account = None;
            let links = self.settings.rewrite_links.then(|| Links::of(&head));
            let outcome = {
                let serving = pin!(self.serve(&entrance, head, body, &mut exchange, &mut account));
                without_panic(serving).await
            };
            let outcome = match (outcome, links) {
                (Ok(answer), Some(links)) => {
                    let mut rewriting = Box::pin(async { Ok(links.rewrite(answer).await) });
                    without_panic(rewriting.as_mut()).await
                }
                (outcome, _) => outcome,
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
            Ok(self.finish(answer, exchange, account, client))
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
        served_account: &mut Option<usize>,
    ) -> Result<Answer, Refusal> {
        let Settings { head_limits, allowed, .. } = &self.settings;
        gate::admit(&head, entrance, *head_limits, allowed)?;
        if let Some(answer) = response::cors::preflight(&head, allowed) {
            return Ok(Answer::Own(answer));
        }
        let Destination { account, target } =
            match route::choose(&mut head, &self.accounts, entrance.account)? {
                Route::Upstream(destination) => destination,
                Route::Local(path) => {
                    return self.local.answer(&head.method, &path).map(Answer::Own);
                }
            };
        *served_account = Some(account);
        exchange.serves(&self.accounts.all()[account].name, OldPath::of(target.decoded()));
        policy::check(&head.method, &target, &self.accounts.all()[account])?;
        authorize::clean_headers(&mut head.headers);
        if self.settings.rewrite_links {
            links::ask_for_readable(&mut head.headers);
        }
        let target = authorize::clean_target(target.into_sent());
        let target = match &self.accounts.all()[account].kind {
            Kind::Developer { key } => authorize::with_developer_key(target, key)?,
            Kind::Portal | Kind::App => {
                let token = match authorize::token_at_hand(self, account) {
                    Some(token) => token,
                    None => Box::pin(authorize::wait_for_token(self, account)).await?,
                };
                token.put_on(&mut head.headers, account)?;
                target
            }
        };
        let generation = self.generation(account);
        let safe = is_safe(&head.method);
        let outgoing = forward::outgoing(self, head, body, (account, target), exchange.unread())?;
        let credential = &self.accounts.all()[account].credential;
        let sent = self.upstream.send(outgoing, credential.can_refresh()).await;
        let Sent { mut answer, again } = sent
            .and_then(forward::check_status)
            .map_err(|failure| forward::refusal(failure, safe, self.settings.max_body_size))?;
        if let Kind::Developer { key } = &self.accounts.all()[account].kind {
            authorize::conceal_developer_key(answer.headers_mut(), key);
        }
        if answer.status() != StatusCode::UNAUTHORIZED {
            credential.accepted();
            return Ok(Answer::Upstream(answer, None));
        }
        match again {
            None => Ok(Answer::Upstream(answer, None)),
            Some(again) => {
                let settling = unauthorized::settle(self, account, generation, answer, again, safe);
                Box::pin(settling).await
            }
        }
    }

    fn finish(
        &self,
        answer: Answer,
        mut exchange: Exchange,
        account: Option<usize>,
        client: Client,
    ) -> Response<ResponseBody> {
        let id = exchange.id;
        // The exchange goes with the body and ends when that is through.
        let body_unread = !client.speaks_http2 && exchange.unread().get();
        let (mut replay, mut hint) = (None, "");
        let name = account.map(|index| &self.accounts.all()[index].name);
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

    /// How an account's token stands, and the token.
    pub(crate) fn token(&self, account: usize) -> (Freshness, Option<AccountToken>) {
        let token = &mut self.tokens.borrow_mut()[account];
        let freshness = token.freshness(|| self.clock.moment());
        let value = token.authorization();
        (freshness, value.map(|value| AccountToken::of(account, value)))
    }

    /// The generation of the token that [`Self::token`] returned last.
    pub(crate) fn generation(&self, account: usize) -> u64 {
        self.tokens.borrow()[account].generation()
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
