//! What the stages of a request cost that cost anything: `cargo bench --bench stages`.
//!
//! The request is a usual one of a usual client, and is served.
#![allow(clippy::unwrap_used)]

use std::sync::Arc;
use std::time::Duration;

use divan::Bencher;
use http::request::Parts;
use http::uri::PathAndQuery;
use http::{HeaderMap, Method, Request};
use tokio::runtime::{Builder, LocalOptions};

use hubspot_proxy::accounts::{Account, Accounts, Kind};
use hubspot_proxy::credential::Credential;
use hubspot_proxy::credential::hot::HotToken;
use hubspot_proxy::pipeline::gate::allowed::Allowed;
use hubspot_proxy::pipeline::gate::{self, Entrance, HeadLimits};
use hubspot_proxy::pipeline::route::{self, Reserved};
use hubspot_proxy::pipeline::{authorize, policy, response};
use hubspot_proxy::types::account::{About, AccountName};
use hubspot_proxy::types::clock::{Clock, SystemClock};
use hubspot_proxy::types::origin::Origin;
use hubspot_proxy::types::policy::{Policy, Rule};
use hubspot_proxy::types::secret::Secret;
use hubspot_proxy::types::target::Target;
use hubspot_proxy::upstream::connect::Connector;
use hubspot_proxy::upstream::h1::H1Pool;

const TARGET: &str = "/crm/v3/objects/contacts?limit=10";

fn main() {
    divan::main();
}

/// As the Node client sends it.
fn head(target: &str) -> Parts {
    let request = Request::get(target)
        .header("host", "localhost:8787")
        .header("accept", "application/json")
        .header("authorization", "Bearer placeholder")
        .header("user-agent", "hubspot-api-client-nodejs; 13.0.0")
        .header("accept-encoding", "gzip,deflate")
        .header("connection", "keep-alive");
    request.body(()).unwrap().into_parts().0
}

fn account(name: &str, policy: Policy) -> Arc<Account> {
    let name: AccountName = name.parse().unwrap();
    Arc::new(Account {
        credential: Credential::fixed(name.clone(), &Secret::new("x".repeat(64)), None),
        name,
        hub_id: None,
        kind: Kind::Portal,
        policy: Arc::new(policy),
        epoch: None,
        about: About::default(),
        secrets: Arc::default(),
    })
}

/// So many rules that deny something else, below the same path.
fn denying(rules: usize) -> Policy {
    let rule = |n| Rule::parse(&format!("GET /crm/v3/objects/contacts/n{n}/**")).unwrap();
    let mut policy = Policy::default();
    policy.deny.value = (0..rules).map(rule).collect();
    policy
}

#[divan::bench]
fn gate(bencher: Bencher) {
    let (head, entrance) = (head(TARGET), Entrance::at(8787));
    let (limits, allowed) = (HeadLimits { size: 64 * 1024, count: 100 }, Allowed::default());
    bencher.bench_local(|| gate::admit(&head, &entrance, limits, &allowed));
}

/// The last of so many accounts is named in the path.
#[divan::bench(args = [1, 1_000])]
fn route(bencher: Bencher, count: usize) {
    let accounts = (0..count).map(|n| account(&format!("a{n}"), Policy::default()));
    let accounts = Accounts::new(accounts.collect(), None);
    let target = format!("/@a{}{TARGET}", count - 1);
    bencher
        .with_inputs(|| head(&target))
        .bench_local_refs(|head| route::choose(head, &accounts, Reserved::default()).is_ok());
}

#[divan::bench(name = "policy", args = [0, 200, 1_000])]
fn policy_with_rules(bencher: Bencher, rules: usize) {
    let account = account("default", denying(rules));
    let target = Target::new(PathAndQuery::from_static(TARGET));
    bencher.bench_local(|| policy::check(&Method::GET, &target, &account, None).is_ok());
}

#[divan::bench]
fn request_headers(bencher: Bencher) {
    bencher.with_inputs(|| head(TARGET).headers).bench_local_refs(authorize::clean_headers);
}

/// As HubSpot's edge sends them.
#[divan::bench]
fn answer_headers(bencher: Bencher) {
    let mut headers = HeaderMap::new();
    for (name, value) in [
        ("date", "Tue, 24 Nov 2026 12:00:00 GMT"),
        ("content-type", "application/json;charset=utf-8"),
        ("transfer-encoding", "chunked"),
        ("connection", "keep-alive"),
        ("cf-ray", "9a1b2c3d4e5f6a7b-FRA"),
        ("strict-transport-security", "max-age=31536000; includeSubDomains; preload"),
        ("vary", "origin, Accept-Encoding"),
        ("x-hubspot-correlation-id", "0198f3c2-7a54-7c31-a4a5-2f3d5b1e9c77"),
        ("x-hubspot-ratelimit-max", "190"),
        ("x-hubspot-ratelimit-remaining", "189"),
        ("set-cookie", "__cf_bm=x; path=/; HttpOnly; Secure"),
        ("server", "cloudflare"),
    ] {
        headers.append(name, value.parse().unwrap());
    }
    bencher.with_inputs(|| headers.clone()).bench_local_refs(response::filter);
}

/// Whether the token is the newest, and the header value.
#[divan::bench]
fn token(bencher: Bencher) {
    let credential = Credential::fixed("a".parse().unwrap(), &Secret::new("x".repeat(64)), None);
    let (mut token, clock) = (HotToken::new(credential), SystemClock::new());
    bencher.bench_local(|| (token.freshness(|| clock.moment()), token.authorization()));
}

/// An idle HTTP/1.1 connection out of the pool and back.
#[divan::bench]
fn pool(bencher: Bencher) {
    let mut builder = Builder::new_current_thread();
    let runtime = builder.enable_all().build_local(LocalOptions::default()).unwrap();
    let upstream = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let origin = format!("http://{}", upstream.local_addr().unwrap());
    let origin: Arc<Origin> = Arc::new(origin.parse().unwrap());
    let connector = Connector::new(origin, None, None, Duration::from_secs(5)).unwrap();
    let pool = H1Pool::new(connector, Arc::new(SystemClock::new()));
    runtime.block_on(async {
        let connection = pool.open().await.unwrap();
        // It takes requests once its own task has run.
        tokio::task::yield_now().await;
        pool.put_back(connection);
        bencher.bench_local(|| pool.put_back(pool.take_idle().unwrap()));
    });
}
