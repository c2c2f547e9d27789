//! `/_proxy/metrics`: what the cores have counted, in the text format of Prometheus.
//!
//! Label values come from bounded sets: accounts, methods, statuses, causes and templates of paths, of
//! which each core tells a few hundred apart. No id, key or name of a portal's own is among them.

use std::collections::BTreeMap;

use prometheus::TextEncoder;
use prometheus::proto::{
    Bucket, Counter, Gauge, Histogram as HistogramProto, LabelPair, Metric, MetricFamily,
    MetricType,
};

use super::api::Knowledge;
use crate::accounts::Account;
use crate::credential::hot::Freshness;
use crate::telemetry::histogram::Histogram;
use crate::telemetry::rate_limits::RateLimits;
use crate::telemetry::traffic::{AccountSummary, Counts, TrafficSummary};
use crate::types::account::AccountName;

/// What the text is, for `Content-Type`.
pub const CONTENT_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

/// The whole text.
pub async fn text(knowledge: &Knowledge) -> Result<String, prometheus::Error> {
    let traffic = knowledge.traffic().await;
    let mut families = of_process(knowledge);
    families.extend(of_traffic(&traffic));
    families.extend(of_accounts(knowledge));
    families.retain(|family| !family.get_metric().is_empty());
    TextEncoder::new().encode_to_string(&families)
}

fn of_process(knowledge: &Knowledge) -> Vec<MetricFamily> {
    let info = gauge(&[("version", env!("CARGO_PKG_VERSION"))], 1.0);
    let started = knowledge.about.started.0 as f64 / 1000.0;
    vec![
        family("hubspot_proxy_build_info", "The version that runs.", MetricType::GAUGE, vec![info]),
        family(
            "process_start_time_seconds",
            "When the proxy was started, in seconds since the Unix epoch.",
            MetricType::GAUGE,
            vec![gauge(&[], started)],
        ),
        family(
            "hubspot_proxy_client_connections",
            "Connections of clients that are open.",
            MetricType::GAUGE,
            vec![gauge(&[], (knowledge.connections.open)() as f64)],
        ),
        family(
            "hubspot_proxy_client_connections_max",
            "Connections of clients that may be open at a time, as server.max_connections says.",
            MetricType::GAUGE,
            vec![gauge(&[], knowledge.connections.most as f64)],
        ),
        family(
            "hubspot_proxy_audit_lines_lost_total",
            "Lines that the audit log has no room for, its disk being too slow or full; not there without a log.",
            MetricType::COUNTER,
            knowledge.audit.lost().map(|lost| counter(&[], lost)).into_iter().collect(),
        ),
    ]
}

fn of_traffic(traffic: &TrafficSummary) -> Vec<MetricFamily> {
    let accounts: BTreeMap<&AccountName, &AccountSummary> = traffic.accounts.iter().collect();
    let each = |metric: &dyn Fn(&str, &Counts) -> Metric| -> Vec<Metric> {
        accounts.iter().map(|(name, account)| metric(name.as_str(), &account.counts)).collect()
    };
    let refusals: BTreeMap<_, _> = traffic.refusals.iter().collect();
    let refusals = refusals.into_iter();
    let refusals = refusals.map(|(cause, count)| counter(&[("cause", cause)], *count)).collect();
    vec![
        family(
            "hubspot_proxy_requests_total",
            "Requests for an account, by method, template of the path and status of the answer.",
            MetricType::COUNTER,
            operations(&accounts),
        ),
        family(
            "hubspot_proxy_unassigned_requests_total",
            "Requests that were for no account: refused before, or for the proxy's own paths.",
            MetricType::COUNTER,
            vec![counter(&[], traffic.unassigned.requests)],
        ),
        family(
            "hubspot_proxy_refusals_total",
            "Answers of the proxy's own, by their X-HubSpot-Proxy-Error.",
            MetricType::COUNTER,
            refusals,
        ),
        family(
            "hubspot_proxy_replays_total",
            "Requests that were sent again after a 401.",
            MetricType::COUNTER,
            each(&|name, counts| counter(&[("account", name)], counts.replayed)),
        ),
        family(
            "hubspot_proxy_broken_answers_total",
            "Answers of HubSpot that broke off.",
            MetricType::COUNTER,
            each(&|name, counts| counter(&[("account", name)], counts.broke_off)),
        ),
        family(
            "hubspot_proxy_abandoned_answers_total",
            "Answers that the client did not wait for.",
            MetricType::COUNTER,
            each(&|name, counts| counter(&[("account", name)], counts.client_gone)),
        ),
        family(
            "hubspot_proxy_response_bytes_total",
            "Bytes of answers' bodies.",
            MetricType::COUNTER,
            each(&|name, counts| counter(&[("account", name)], counts.bytes)),
        ),
        family(
            "hubspot_proxy_upstream_seconds",
            "From a request's sending to the head of HubSpot's answer.",
            MetricType::HISTOGRAM,
            each(&|name, counts| histogram(&[("account", name)], &counts.upstream_time)),
        ),
        family(
            "hubspot_proxy_added_seconds",
            "From a request's first byte to its sending, the wait for a token included.",
            MetricType::HISTOGRAM,
            each(&|name, counts| histogram(&[("account", name)], &counts.time_before)),
        ),
        family(
            "hubspot_proxy_rate_limit_remaining",
            "Requests that HubSpot said last are left in the current interval.",
            MetricType::GAUGE,
            limits(&accounts, |limits| Some(limits.remaining)),
        ),
        family(
            "hubspot_proxy_rate_limit_daily_remaining",
            "Requests that HubSpot said last are left today; not told of OAuth apps.",
            MetricType::GAUGE,
            limits(&accounts, |limits| limits.daily_remaining),
        ),
        family(
            "hubspot_proxy_upstream_requests_total",
            "Requests sent to HubSpot, by protocol and by whether the connection was new.",
            MetricType::COUNTER,
            connections(&traffic.all()),
        ),
    ]
}

fn operations(accounts: &BTreeMap<&AccountName, &AccountSummary>) -> Vec<Metric> {
    let mut sums = BTreeMap::<_, u64>::new();
    for (account, summary) in accounts {
        for told in &summary.operations {
            let labels = (account.as_str(), told.template.as_str(), told.method, told.status);
            *sums.entry(labels).or_default() += told.count;
        }
    }
    let metrics = sums.into_iter().map(|((account, template, method, status), count)| {
        let status = status.to_string();
        counter(
            &[("account", account), ("method", method), ("path", template), ("status", &status)],
            count,
        )
    });
    metrics.collect()
}

fn limits(
    accounts: &BTreeMap<&AccountName, &AccountSummary>,
    value: impl Fn(&RateLimits) -> Option<u64>,
) -> Vec<Metric> {
    let metrics = accounts.iter().filter_map(|(name, summary)| {
        let value = value(summary.limits.as_ref()?)?;
        Some(gauge(&[("account", name.as_str())], value as f64))
    });
    metrics.collect()
}

fn connections(counts: &Counts) -> Vec<Metric> {
    let protocols = ["HTTP/1.1", "HTTP/2"].into_iter().zip(counts.connections);
    let metrics = protocols.flat_map(|(protocol, [new, reused])| {
        [("new", new), ("reused", reused)].map(|(connection, count)| {
            counter(&[("connection", connection), ("protocol", protocol)], count)
        })
    });
    metrics.collect()
}

fn of_accounts(knowledge: &Knowledge) -> Vec<MetricFamily> {
    let accounts = knowledge.accounts.load();
    let now = knowledge.clock.moment();
    let each = |value: &dyn Fn(&Account) -> Option<f64>| -> Vec<Metric> {
        let metrics = accounts.all().iter().filter_map(|account| {
            Some(gauge(&[("account", account.name.as_str())], value(account)?))
        });
        metrics.collect()
    };
    let truth = |holds: bool| Some(f64::from(u8::from(holds)));
    let refreshes = accounts.all().iter().flat_map(|account| {
        let (made, failed) = account.credential.refreshes();
        [("ok", made), ("failed", failed)].map(|(outcome, count)| {
            counter(&[("account", account.name.as_str()), ("outcome", outcome)], count)
        })
    });
    vec![
        family(
            "hubspot_proxy_token_refreshes_total",
            "Token refreshes since the account was opened, by outcome.",
            MetricType::COUNTER,
            refreshes.collect(),
        ),
        family(
            "hubspot_proxy_token_expires_in_seconds",
            "Until the account's token expires; not there where that is not known.",
            MetricType::GAUGE,
            each(&|account| Some(account.credential.standing(now).left?.as_secs_f64())),
        ),
        family(
            "hubspot_proxy_account_ready",
            "1 where the account has a token or may get one, 0 where a person has to mend something.",
            MetricType::GAUGE,
            each(&|account| truth(account.credential.readiness().is_ok())),
        ),
        family(
            "hubspot_proxy_account_needs_login",
            "1 where nothing but a new login gives the account a token.",
            MetricType::GAUGE,
            each(&|account| truth(needs_login(account))),
        ),
        family(
            "hubspot_proxy_token_usable",
            "1 where the account has a token that has not expired.",
            MetricType::GAUGE,
            each(&|account| {
                truth(account.credential.standing(now).freshness != Freshness::Missing)
            }),
        ),
        family(
            "hubspot_proxy_store_degraded",
            "1 where the account's newest token could not be written to the store.",
            MetricType::GAUGE,
            each(&|account| truth(account.credential.is_degraded())),
        ),
    ]
}

fn needs_login(account: &Account) -> bool {
    use crate::credential::Unavailable;
    matches!(account.credential.readiness(), Err(Unavailable::NeedsLogin(_)))
}

fn family(name: &str, help: &str, kind: MetricType, metrics: Vec<Metric>) -> MetricFamily {
    let mut family = MetricFamily::default();
    family.set_name(name.to_owned());
    family.set_help(help.to_owned());
    family.set_field_type(kind);
    family.set_metric(metrics);
    family
}

fn labelled(labels: &[(&str, &str)]) -> Metric {
    let pairs = labels.iter().map(|(name, value)| {
        let mut pair = LabelPair::default();
        pair.set_name((*name).to_owned());
        pair.set_value((*value).to_owned());
        pair
    });
    Metric::from_label(pairs.collect())
}

fn counter(labels: &[(&str, &str)], count: u64) -> Metric {
    let (mut metric, mut counter) = (labelled(labels), Counter::default());
    counter.set_value(count as f64);
    metric.set_counter(counter);
    metric
}

fn gauge(labels: &[(&str, &str)], value: f64) -> Metric {
    let (mut metric, mut gauge) = (labelled(labels), Gauge::default());
    gauge.set_value(value);
    metric.set_gauge(gauge);
    metric
}

fn histogram(labels: &[(&str, &str)], from: &Histogram) -> Metric {
    let (mut metric, mut to) = (labelled(labels), HistogramProto::default());
    let buckets = from.cumulated().map(|(bound, count)| {
        let mut bucket = Bucket::default();
        bucket.set_upper_bound(bound);
        bucket.set_cumulative_count(count);
        bucket
    });
    to.set_bucket(buckets.collect());
    to.set_sample_count(from.count());
    to.set_sample_sum(from.sum().as_secs_f64());
    metric.set_histogram(to);
    metric
}
