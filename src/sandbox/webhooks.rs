//! Webhooks: an app's subscriptions, by developer key, and the journal, by client credentials.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::Sandbox;
use super::answer::{Answer, Problem, Reply};
use super::exchange::{Call, nothing_here};
use super::time::iso;

/// The subscriptions of each app, by their numbers.
#[derive(Default)]
pub(super) struct Webhooks {
    subscriptions: BTreeMap<(u64, u64), Value>,
    last: u64,
}

pub(super) fn route(sandbox: &Sandbox, call: &Call, segments: &[&str]) -> Answer {
    let mut webhooks = sandbox.webhooks.lock();
    let number = |text: &str| text.parse::<u64>().map_err(|_| nothing_here(call));
    match (call.method.as_str(), segments) {
        ("GET", ["webhooks", app, "subscriptions"]) => {
            let app = number(app)?;
            let of_app = webhooks.subscriptions.range((app, 0)..=(app, u64::MAX));
            let results: Vec<&Value> = of_app.map(|(_, subscription)| subscription).collect();
            Ok(Reply::json(json!({ "results": results })))
        }
        ("POST", ["webhooks", app, "subscriptions"]) => {
            let app = number(app)?;
            let wish = call.json()?;
            let Some(event) = wish.get("eventType").and_then(Value::as_str) else {
                return Err(Problem::invalid("A subscription needs an eventType."));
            };
            webhooks.last += 1;
            let id = webhooks.last;
            let subscription = json!({
                "id": id.to_string(),
                "eventType": event,
                "propertyName": wish.get("propertyName"),
                "active": wish.get("active").and_then(Value::as_bool).unwrap_or(false),
                "createdAt": iso(call.now),
                "updatedAt": iso(call.now),
            });
            webhooks.subscriptions.insert((app, id), subscription.clone());
            Ok(Reply::created(subscription))
        }
        (method @ ("GET" | "DELETE"), ["webhooks", app, "subscriptions", id]) => {
            let key = (number(app)?, number(id)?);
            let missing = || Problem::missing(format!("There is no subscription {id}."));
            if method == "DELETE" {
                webhooks.subscriptions.remove(&key).ok_or_else(missing)?;
                return Ok(Reply::no_content());
            }
            webhooks.subscriptions.get(&key).cloned().map(Reply::json).ok_or_else(missing)
        }
        // The journal is empty: nothing has happened yet.
        ("GET", ["webhooks-journal", "journal" | "journal-local", "earliest" | "latest"]) => {
            Ok(Reply::no_content())
        }
        _ => Err(nothing_here(call)),
    }
}
