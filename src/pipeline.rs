//! The way of a request, stage by stage: gate, route, policy, authorize, forward, response.
//!
//! One [`Pipeline`] a core; nothing in it is shared with another core but what is immutable. It
//! knows no sockets: `server` hands it requests and sends what it returns. The only place that
//! turns a [`Refusal`] into an answer is here.

mod answer;
pub mod authorize;
pub mod exchange;
mod forward;
pub mod gate;
mod oauth_shim;
pub mod policy;
pub mod response;
pub mod route;
mod serving;

use std::convert::Infallible;
use std::future::poll_fn;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::sync::Arc;
use std::task::Poll;

use bytes::Bytes;
use http::request::Parts;
use http::{Method, Request, Response, StatusCode, Version};
use hyper::body::{Body, Incoming};
use tracing::{debug, error};

use crate::accounts::{Kind, Shared};
use crate::config::Config;
use crate::telemetry::cores::Observer;
use crate::types::client_key::ClientKey;
use crate::types::clock::SharedClock;
use crate::types::refusal::Refusal;
use crate::types::request_id::RequestIds;
use crate::upstream::{Sent, Upstream, is_safe};
use answer::{Answer, Client};
use exchange::{Activity, Exchange};
use forward::unauthorized;
use gate::allowed::Allowed;
use gate::{Entrance, HeadLimits};
use oauth_shim::Asked;
use response::body::ResponseBody;
use response::links::{self, Links};
use response::old_paths::OldPath;
use route::{Destination, Reserved, Route};
use serving::{Current, Served, Serving};

/// What of the configuration the stages need.
#[derive(Clone, Debug)]
pub struct Settings {
    pub head_limits: HeadLimits,
    /// Whether nobody is served without a client key.
    pub keys_required: bool,
    /// Whether an old client's own token refresh is answered here.
    pub legacy_oauth_shim: bool,
    /// Whether a client that asks about its token is answered here.
    pub token_information: bool,
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

impl Settings {
    /// Those of `config`.
    pub fn of(config: &Config) -> Self {
        let server = &config.server;
        Self {
            head_limits: HeadLimits { size: server.max_header_size, count: server.max_headers },
            keys_required: server.keys_required,
            legacy_oauth_shim: config.legacy_oauth_shim,
            token_information: config.token_information,
            allowed: Arc::new(Allowed::of(server)),
            max_body_size: server.max_body_size,
            replay_buffer: config.upstream.replay_buffer,
            rewrite_links: config.upstream.rewrite_links,
            response_header: server.response_header,
            log_requests: config.log.requests,
        }
    }
}

/// The proxy's own paths: `/_proxy/` and `/favicon.ico`.
pub trait LocalPaths {
    /// Answers a request for `path`, which is in its decoded form. `known` tells whether the caller
    /// may see more than that the process runs.
    fn answer(
        &self,
        head: &Parts,
        path: &str,
        body: Incoming,
        known: bool,
    ) -> Result<LocalAnswer, Refusal>;
}

/// An answer to one of the proxy's own paths.
pub enum LocalAnswer {
    /// From what this core knows.
    Here(Response<Bytes>),
    /// The same, and a page of the proxy's own, with the content security policy that it needs.
    Page(Response<Bytes>),
    /// From the control plane.
    Elsewhere(Pin<Box<dyn Future<Output = Result<Response<axum::body::Body>, Refusal>>>>),
}

/// The stages of one core.
pub struct Pipeline {
    pub(crate) upstream: Rc<Upstream>,
    accounts: Current,
    clock: SharedClock,
    local: Box<dyn LocalPaths>,
    observer: Rc<Observer>,
    ids: RequestIds,
}

/// What the gate has let in.
enum Admitted {
    Preflight(Response<Bytes>),
    Showing(Option<Arc<ClientKey>>),
}

impl Pipeline {
    /// The stages over one core's `upstream`.
    pub fn new(
        settings: Settings,
        accounts: &Shared,
        upstream: Rc<Upstream>,
        local: Box<dyn LocalPaths>,
        observer: Rc<Observer>,
        clock: SharedClock,
    ) -> Rc<Self> {
        let accounts = Current::new(accounts, settings, Arc::clone(&clock));
        let ids = RequestIds::new();
        Rc::new(Self { upstream, accounts, clock, local, observer, ids })
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
        let serving = self.accounts.serving();
        let settings = serving.settings();
        let (observer, has_body) = (Rc::clone(&self.observer), !body.is_end_stream());
        let mut exchange = Exchange::begin(self.ids.next(), activity, observer, &head, has_body);
        exchange.note(|record| record.logged = settings.log_requests);
        let mut client = Client {
            is_browser: gate::browser::is_browser(&head.headers),
            origin: settings.allowed.origin_of(&head.headers).cloned(),
            speaks_http2: head.version >= Version::HTTP_2,
            asks_for_head: head.method == Method::HEAD,
            is_refused: false,
        };
        async move {
            let mut served = None;
            let links = serving.settings().rewrite_links.then(|| Links::of(&head));
            let outcome = {
                let answering = pin!(async {
                    let (exchange, served) = (&mut exchange, &mut served);
                    let answer =
                        self.serve(&serving, &entrance, head, body, exchange, served).await?;
                    match links {
                        Some(links) => Ok(Box::pin(links.rewrite(answer)).await),
                        None => Ok(answer),
                    }
                });
                without_panic(answering).await
            };
            let answer = outcome.unwrap_or_else(|refusal| {
                match refusal {
                    Refusal::Internal => error!(
                        id = %exchange.id,
                        "a request failed inside the proxy: please report this as a bug"
                    ),
                    _ => debug!(id = %exchange.id, code = refusal.code(), "refused"),
                }
                let answer = response::refusal::response(&refusal, &exchange.id);
                exchange.refused(refusal);
                Answer::Own(answer)
            });
            client.is_refused = entrance.is_closing();
            Ok(self.finish(answer, exchange, served, client, serving.settings()))
        }
    }

    /// The stages in their order.
    async fn serve(
        &self,
        serving: &Rc<Serving>,
        entrance: &Entrance,
        mut head: Parts,
        body: Incoming,
        exchange: &mut Exchange,
        served_account: &mut Option<Served>,
    ) -> Result<Answer, Refusal> {
        let settings = serving.settings();
        let key = match self.admit(entrance, &head, serving)? {
            Admitted::Preflight(answer) => return Ok(Answer::Own(answer)),
            Admitted::Showing(key) => key,
        };
        if let Some(key) = &key {
            exchange.note(|record| record.key = Some(Arc::clone(key)));
        }
        if settings.token_information
            && let Some(asked) = oauth_shim::asked(&head)
            && (settings.legacy_oauth_shim || asked != Asked::Token)
        {
            let answering = self.answer_old_client(serving, asked, entrance, head, body, key);
            return Box::pin(answering).await;
        }
        let reserved = Reserved {
            listener: entrance.account.as_deref(),
            key: key.as_ref().and_then(|key| key.account.as_ref()),
        };
        let Destination { account, chosen_by, target } =
            match route::choose(&mut head, serving.accounts(), reserved)? {
                Route::Upstream(destination) => destination,
                Route::Local(path) => {
                    let known = key.is_some() || !settings.keys_required;
                    return match self.local.answer(&head, &path, body, known)? {
                        LocalAnswer::Here(answer) => Ok(Answer::Own(answer)),
                        LocalAnswer::Page(answer) => Ok(Answer::Page(answer)),
                        LocalAnswer::Elsewhere(answer) => answer.await.map(Answer::Admin),
                    };
                }
            };
        if key.is_none() && settings.keys_required {
            return Err(Refusal::ClientKeyRequired);
        }
        let served = &*served_account.insert(Rc::clone(serving).serve(account));
        exchange.serves(served.traffic(&self.observer.traffic), chosen_by);
        exchange.asks_for(OldPath::of(target.decoded()));
        policy::check(&head.method, &target, served.account(), key.as_deref())?;
        authorize::clean_headers(&mut head.headers);
        if settings.rewrite_links {
            links::ask_for_readable(&mut head.headers);
        }
        let target = authorize::clean_target(target.into_sent());
        let target = match &served.account().kind {
            Kind::Developer { key } => authorize::with_developer_key(target, key)?,
            Kind::Portal | Kind::App => {
                let token = match authorize::token_at_hand(served) {
                    Some(token) => token,
                    None => Box::pin(exchange.waiting(authorize::wait_for_token(served))).await?,
                };
                token.put_on(&mut head.headers);
                target
            }
        };
        let generation = served.generation();
        exchange.sending(&served.account().kind, generation);
        let safe = is_safe(&head.method);
        let credential = &served.account().credential;
        let limits = forward::body_limits(settings, credential.can_refresh());
        let outgoing = forward::outgoing(head, body, target, limits, exchange.unread())?;
        let sent = self.upstream.send(outgoing, credential.can_refresh()).await;
        let Sent { mut answer, again, via } = sent
            .and_then(forward::check_status)
            .map_err(|failure| forward::refusal(failure, safe, settings.max_body_size))?;
        exchange.note(|record| record.via = Some(via));
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

    /// The gate, and whether the connection may keep its place.
    fn admit(
        &self,
        entrance: &Entrance,
        head: &Parts,
        serving: &Serving,
    ) -> Result<Admitted, Refusal> {
        let Settings { head_limits, allowed, keys_required, .. } = serving.settings();
        let keys = serving.accounts().keys();
        let now = || self.clock.now();
        let admitted = gate::admit(head, entrance, *head_limits, allowed).and_then(|()| {
            match response::cors::preflight(head, allowed) {
                Some(answer) => Ok(Admitted::Preflight(answer)),
                None => gate::client_key::check(head, keys, now).map(Admitted::Showing),
            }
        });
        let Some(place) = &entrance.place else { return admitted };
        let key = match &admitted {
            Ok(Admitted::Showing(key)) => key.as_ref(),
            _ => None,
        };
        // Where keys are required, who shows none is told that, and costs the upstream nothing.
        let is_served_all_the_same = key.is_none() && *keys_required;
        let has_place = place.is_left_to(key, keys, now);
        match admitted {
            Ok(_) if !has_place && !is_served_all_the_same => Err(Refusal::Overloaded),
            admitted => admitted,
        }
    }

    /// What stands for HubSpot's token endpoints where `legacy_oauth_shim` is on.
    async fn answer_old_client(
        &self,
        serving: &Serving,
        asked: Asked,
        entrance: &Entrance,
        mut head: Parts,
        body: Incoming,
        key: Option<Arc<ClientKey>>,
    ) -> Result<Answer, Refusal> {
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
        if key.is_none() && serving.settings().keys_required {
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
            _ => {
                let account = &serving.accounts().all()[to.account];
                oauth_shim::information(asked, account, self.clock.moment()).await
            }
        }))
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
