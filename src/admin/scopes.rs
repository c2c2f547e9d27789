//! Least privilege: which scopes are granted, which the traffic needed, and the difference both ways.
//!
//! Learned from what HubSpot answered: a 403 names the scopes of which one was lacking; an operation that
//! succeeded needed one that is granted. Which of them, HubSpot's documentation says. All are hints: they
//! never block a request.

mod published;
mod smallest;

use std::collections::{BTreeMap, BTreeSet};

use http::Method;
use serde_json::{Value, json};

use super::api::Knowledge;
use super::status;
use crate::accounts::Account;
use crate::telemetry::traffic::AccountSummary;
use smallest::Groups;

/// HubSpot wants it in every login to an app.
const OAUTH: &str = "oauth";

/// What is known of one operation.
#[derive(Debug, Default)]
struct Operation {
    requests: u64,
    succeeded: u64,
    /// What HubSpot said when it was refused.
    denied: Vec<Vec<String>>,
}

/// An operation, what it needs and where that is known from.
#[derive(Debug)]
struct Need {
    method: &'static str,
    template: String,
    requests: u64,
    /// Any one of them; empty where it is not known.
    groups: Groups,
    rests_on: &'static str,
}

/// For each account what was granted and what was needed.
pub async fn of(knowledge: &Knowledge) -> Value {
    status::identify(&knowledge.accounts.load_full()).await;
    let traffic = knowledge.traffic().await;
    let accounts = knowledge.accounts.load();
    let shown = accounts.all().iter().map(|account| {
        let used = traffic.accounts.get(&account.name).cloned().unwrap_or_default();
        of_account(account, &used)
    });
    json!({
        "since": knowledge.about.started.to_string(),
        "accounts": shown.collect::<Vec<_>>(),
    })
}

fn of_account(account: &Account, used: &AccountSummary) -> Value {
    let known = account.identity().about;
    let granted: BTreeSet<&str> = known.scopes.iter().map(String::as_str).collect();
    let can_log_in = account.credential.can_refresh();
    let needs = needs(used, &granted);
    let base: &[&str] = if can_log_in { &[OAUTH] } else { &[] };
    let all: Vec<Groups> = needs.iter().map(|need| need.groups.clone()).collect();
    let needed = smallest::set(&all, base, &|scope| cost(scope, &granted));
    let is_granted = |scope: &&String| granted.contains(scope.as_str());
    let missing: Vec<&String> = match granted.is_empty() {
        true => Vec::new(),
        false => needed.iter().filter(|scope| !is_granted(scope)).collect(),
    };
    let unused: Vec<_> = granted.iter().filter(|scope| !needed.contains(**scope)).collect();
    let flags: Vec<String> = needed.iter().map(|scope| format!("--scope {scope}")).collect();
    let login = format!("hubspot-proxy login {} {}", account.name, flags.join(" "));
    json!({
        "account": account.name.as_str(),
        "requests": needs.iter().map(|need| need.requests).sum::<u64>(),
        "granted": granted,
        "needed": needed,
        "missing": missing,
        "unused": unused,
        "login": can_log_in.then_some(login),
        "operations": needs.iter().map(|need| shown(need, &needed)).collect::<Vec<_>>(),
    })
}

fn shown(need: &Need, needed: &BTreeSet<String>) -> Value {
    let held: BTreeSet<&str> = needed.iter().map(String::as_str).collect();
    let one_of = |group: &Vec<String>| group.iter().all(|scope| held.contains(scope.as_str()));
    json!({
        "method": need.method,
        "operation": need.template,
        "requests": need.requests,
        "any_of": need.groups,
        "by": need.groups.iter().find(|group| one_of(group)),
        "rests_on": need.rests_on,
    })
}

fn needs(used: &AccountSummary, granted: &BTreeSet<&str>) -> Vec<Need> {
    let mut operations: BTreeMap<(&str, &'static str), Operation> = BTreeMap::new();
    for told in &used.operations {
        let operation = operations.entry((&told.template, told.method)).or_default();
        operation.requests += told.count;
        operation.succeeded += if told.status < 400 { told.count } else { 0 };
    }
    for denial in &used.denials {
        let operation = operations.entry((&denial.template, denial.method)).or_default();
        operation.denied.push(denial.any_of.clone());
    }
    operations
        .into_iter()
        .flat_map(|((template, method), operation)| needs_of(method, template, &operation, granted))
        .collect()
}

/// One need, or two where the operation was refused at one time and succeeded at another.
fn needs_of(
    method: &'static str,
    template: &str,
    operation: &Operation,
    granted: &BTreeSet<&str>,
) -> Vec<Need> {
    let name = method.parse::<Method>().unwrap_or_default();
    let published = published::groups(&name, template).unwrap_or_default();
    let mut needs: Vec<Need> = Vec::new();
    let mut add = |requests: u64, groups: Groups, rests_on: &'static str| {
        let template = template.to_owned();
        needs.push(Need { method, template, requests, groups, rests_on });
    };
    for any_of in &operation.denied {
        add(
            operation.requests - operation.succeeded,
            narrowed(any_of, &published),
            "a 403 of HubSpot's",
        );
    }
    if operation.denied.is_empty() || operation.succeeded > 0 {
        let requests = match operation.denied.is_empty() {
            true => operation.requests,
            false => operation.succeeded,
        };
        match (held(&published, granted), operation.succeeded > 0) {
            (groups, true) if !groups.is_empty() => {
                add(requests, groups, "HubSpot's documentation and the scopes granted");
            }
            // It succeeded with what is granted, so it needs something else than what is published.
            (_, true) if !granted.is_empty() => add(requests, Groups::new(), "nothing"),
            _ if published.is_empty() => add(requests, Groups::new(), "nothing"),
            (_, _) => add(requests, published, "HubSpot's documentation"),
        }
    }
    needs
}

/// What HubSpot named, without names that are in no list of its documentation, as long as any is left.
fn narrowed(any_of: &[String], published: &Groups) -> Groups {
    let is_published = |scope: &&String| published.iter().any(|group| group.contains(*scope));
    let known: Groups =
        any_of.iter().filter(is_published).map(|scope| vec![scope.clone()]).collect();
    match known.is_empty() {
        true => any_of.iter().map(|scope| vec![scope.clone()]).collect(),
        false => known,
    }
}

/// The groups that are granted.
fn held(groups: &Groups, granted: &BTreeSet<&str>) -> Groups {
    let is_held = |group: &&Vec<String>| group.iter().all(|s| granted.contains(s.as_str()));
    groups.iter().filter(is_held).cloned().collect()
}

/// Each scope counts; then it is better one that is granted, that only reads, and that names a part of an area.
fn cost(scope: &str, granted: &BTreeSet<&str>) -> u64 {
    let words = scope.matches('.').count().min(4) as u64;
    let is_new = u64::from(!granted.contains(scope));
    10_000 + 100 * is_new + 10 * u64::from(!scope.ends_with("read")) + (4 - words)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::{Need, needs};
    use crate::telemetry::traffic::AccountSummary;
    use crate::telemetry::{denials, operations};

    fn summary(
        operations: &[(&'static str, &str, u16, u64)],
        denials: &[(&'static str, &str, &[&str])],
    ) -> AccountSummary {
        let operations = operations.iter().map(|(method, template, status, count)| {
            let template = (*template).to_owned();
            operations::Told { method, template, status: *status, count: *count }
        });
        let denials = denials.iter().map(|(method, template, any_of)| {
            let any_of = any_of.iter().map(|scope| (*scope).to_owned()).collect();
            denials::Told { method, template: (*template).to_owned(), any_of }
        });
        AccountSummary {
            operations: operations.collect(),
            denials: denials.collect(),
            ..AccountSummary::default()
        }
    }

    fn told(used: &AccountSummary, granted: &[&str]) -> Vec<(String, &'static str)> {
        let granted: BTreeSet<&str> = granted.iter().copied().collect();
        let text = |need: &Need| {
            need.groups.iter().map(|group| group.join("+")).collect::<Vec<_>>().join("|")
        };
        needs(used, &granted).iter().map(|need| (text(need), need.rests_on)).collect()
    }

    const FILES: &str = "/files/v3/files/{id}";

    #[test]
    fn what_an_operation_needs_is_learned_from_what_became_of_it() {
        let ok = |count| summary(&[("GET", FILES, 200, count)], &[]);
        let documented = "HubSpot's documentation";
        let narrowed = "HubSpot's documentation and the scopes granted";
        let said = "a 403 of HubSpot's";
        assert_eq!(told(&ok(1), &["files"]), [("files".to_owned(), narrowed)]);
        let both = "files|files.ui_hidden.read".to_owned();
        assert_eq!(told(&ok(1), &[]), [(both.clone(), documented)]);
        // It went well without any of those.
        assert_eq!(told(&ok(1), &["tickets"]), [(String::new(), "nothing")]);
        let failed = summary(&[("GET", FILES, 404, 2)], &[]);
        assert_eq!(told(&failed, &["tickets"]), [(both, documented)]);
        let denied = |any_of| summary(&[("GET", FILES, 403, 2)], &[("GET", FILES, any_of)]);
        let misleading: &[&str] = &["files-internal", "files"];
        assert_eq!(told(&denied(misleading), &["tickets"]), [("files".to_owned(), said)]);
        let unknown: &[&str] = &["x", "y"];
        assert_eq!(told(&denied(unknown), &["tickets"]), [("x|y".to_owned(), said)]);
        // Another login came between.
        let mut later = denied(unknown);
        later.operations.extend(ok(3).operations);
        assert_eq!(
            told(&later, &["files"]),
            [("x|y".to_owned(), said), ("files".to_owned(), narrowed)]
        );
    }

    #[test]
    fn what_nothing_is_known_of_is_told_as_such() {
        let used = summary(&[("GET", "/unheard/of", 200, 1), ("GET", "{other}", 200, 7)], &[]);
        assert_eq!(told(&used, &["oauth"]), vec![(String::new(), "nothing"); 2]);
    }
}
