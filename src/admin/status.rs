//! What `status` shows: the proxy, its accounts and what they have been used for.

use std::sync::Arc;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::api::Knowledge;
use crate::accounts::{Account, Accounts, Kind};
use crate::config::{CredentialConfig, SharedReloadState};
use crate::credential::Unavailable;
use crate::credential::hot::Freshness;
use crate::pipeline::authorize;
use crate::telemetry::rate_limits::RateLimits;
use crate::telemetry::recent::Which;
use crate::telemetry::traffic::{AccountSummary, Counts, TrafficSummary};
use crate::types::account::{AccountName, Identity};
use crate::types::clock::WallTime;

/// Failures that are shown.
const LAST_FAILURES: usize = 5;

/// What does not change while the proxy runs.
#[derive(Clone, Debug)]
pub struct About {
    pub started: WallTime,
    /// The configuration file, if there is one.
    pub config_file: Option<String>,
    /// As a person would type them.
    pub listen: Vec<String>,
    pub upstream: String,
    pub sandbox: bool,
    pub threads: usize,
    /// How the last reload went.
    pub reload: SharedReloadState,
}

/// The whole status.
pub async fn of(knowledge: &Knowledge) -> Value {
    identify(&knowledge.accounts.load_full()).await;
    let traffic = knowledge.traffic().await;
    let mut status = overview(knowledge, &traffic);
    status["last_failures"] = knowledge.requests(Which::Failed, LAST_FAILURES).await.into();
    status
}

/// The status without the last failures.
pub fn overview(knowledge: &Knowledge, traffic: &TrafficSummary) -> Value {
    let now = knowledge.clock.now();
    let accounts = knowledge.accounts.load();
    let default = accounts.default_index().map(|index| &accounts.all()[index].name);
    let shown = accounts.all().iter().map(|account| {
        let used = traffic.accounts.get(&account.name).cloned().unwrap_or_default();
        account_status(knowledge, &accounts, account, default, &used)
    });
    let About { started, config_file, listen, upstream, sandbox, threads, reload } =
        &knowledge.about;
    let reload = reload.load();
    json!({
        "version": env!("CARGO_PKG_VERSION"),
        "pid": std::process::id(),
        "started_at": started.to_string(),
        "uptime_seconds": started.until(now).as_secs(),
        "config_file": config_file,
        "configuration": {
            "loaded_at": reload.loaded_at.to_string(),
            "generation": reload.generation,
            "refused": reload.last_error,
        },
        "listen": listen,
        "upstream": upstream,
        "sandbox": sandbox,
        "threads": threads,
        "accounts": shown.collect::<Vec<_>>(),
        "traffic": counts(&traffic.all()),
        "refusals": traffic.refusals,
    })
}

/// Asks HubSpot about each account's token, where that was not done yet.
pub(super) async fn identify(accounts: &Accounts) {
    let asking = accounts.all().iter().map(|account| {
        let account = Arc::clone(account);
        tokio::spawn(async move { account.identified().await })
    });
    let asking: Vec<_> = asking.collect();
    for asked in asking {
        // What is not known is left out.
        let _ = asked.await;
    }
}

fn account_status(
    knowledge: &Knowledge,
    accounts: &Accounts,
    account: &Account,
    default: Option<&AccountName>,
    used: &AccountSummary,
) -> Value {
    let Identity { hub_id, about } = account.identity();
    json!({
        "name": account.name.as_str(),
        "default": default == Some(&account.name),
        "kind": kind(account),
        "hub_id": hub_id,
        "user_id": about.user_id,
        "app_id": about.app_id,
        "scopes": about.scopes,
        "login_command": login_command(accounts, account),
        "token": token(knowledge, account),
        "policy": account.policy.mode.value.to_string(),
        "traffic": counts(&used.counts),
        "rate_limits": used.limits.map(|limits| rate_limits(&limits)),
    })
}

/// What gives the account a new login, where it has one.
fn login_command(accounts: &Accounts, account: &Account) -> Option<String> {
    let configured = accounts.config()?.accounts.get(&account.name);
    let takes_login = match configured.map(|configured| &configured.credential) {
        Some(CredentialConfig::OAuth { .. }) => true,
        // What is stored alone came by a login, or by an import, which tells of no scopes.
        Some(CredentialConfig::Stored) | None => {
            let needs_login =
                matches!(account.credential.readiness(), Err(Unavailable::NeedsLogin(_)));
            needs_login || !account.about.scopes.is_empty()
        }
        Some(_) => false,
    };
    takes_login.then(|| format!("hubspot-proxy login {}", account.name))
}

fn kind(account: &Account) -> &'static str {
    match (&account.kind, account.credential.can_refresh()) {
        (Kind::Developer { .. }, _) => "developer_api_key",
        (Kind::App, _) => "client_credentials",
        (Kind::Portal, true) => "refreshed",
        (Kind::Portal, false) => "static",
    }
}

fn token(knowledge: &Knowledge, account: &Account) -> Value {
    let credential = &account.credential;
    let standing = credential.standing(knowledge.clock.moment());
    let readiness = credential.readiness();
    let refusal = readiness.err().map(|why| authorize::refusal(&account.name, why));
    let state = match (&refusal, &account.kind, standing.freshness) {
        (Some(refusal), ..) => refusal.code(),
        (None, Kind::Developer { .. }, _) => "developer-key",
        (None, _, Freshness::Missing) => "not-fetched-yet",
        (None, _, Freshness::Fresh) if standing.left.is_none() => "static",
        (None, _, Freshness::Fresh) => "fresh",
        (None, _, Freshness::Stale) => "stale",
        (None, _, Freshness::Expired) => "expired",
    };
    json!({
        "state": state,
        "message": refusal.map(|refusal| refusal.message()),
        "expires_in_seconds": standing.left.map(|left| left.as_secs()),
        "age_seconds": standing.age.map(|age| age.as_secs()),
        "generation": standing.generation,
        "degraded": credential.is_degraded(),
    })
}

fn counts(counts: &Counts) -> Value {
    let (sum, count) = (counts.upstream_time.sum(), counts.upstream_time.count());
    let average = sum.as_secs_f64() * 1000.0 / count.max(1) as f64;
    json!({
        "requests": counts.requests,
        "by_status": {
            "2xx": counts.by_class[1],
            "3xx": counts.by_class[2],
            "4xx": counts.by_class[3],
            "5xx": counts.by_class[4],
        },
        "refused": counts.refused,
        "replayed": counts.replayed,
        "broke_off": counts.broke_off,
        "client_gone": counts.client_gone,
        "bytes": counts.bytes,
        "upstream_ms_on_average": (average * 10.0).round() / 10.0,
    })
}

fn rate_limits(limits: &RateLimits) -> Value {
    json!({
        "remaining": limits.remaining,
        "max": limits.max,
        "interval_ms": limits.interval.map(millis),
        "daily_remaining": limits.daily_remaining,
        "daily": limits.daily,
        "seen_seconds_ago": Instant::now().duration_since(limits.seen).as_secs(),
    })
}

/// Milliseconds, for a JSON number.
pub fn millis(span: Duration) -> u64 {
    u64::try_from(span.as_millis()).unwrap_or(u64::MAX)
}
