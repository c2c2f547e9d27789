//! What clients still call that HubSpot retires: for `sunset`, the dashboard, and one line a day in the
//! log.
//!
//! It tells; it never blocks a request.

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::{Value, json};
use tracing::warn;

use super::api::Api;
use crate::telemetry::retiring::Told;

/// The first look comes so long after the start: a client that is still in use has called by then.
const FIRST_LOOK: Duration = Duration::from_secs(60);
/// From one look to the next.
const LOOK_EVERY: Duration = Duration::from_secs(3600);
/// Looks from one line in the log to the next.
const LOOKS_A_DAY: u32 = 24;

/// The calls of all cores, the most frequent first, each operation and user agent once.
pub fn of(counted: &[Told]) -> Vec<Value> {
    let mut sums: BTreeMap<(&str, &str), (u64, &Told)> = BTreeMap::new();
    for told in counted {
        let sum = sums.entry((&told.template, &told.agent)).or_insert((0, told));
        sum.0 += told.count;
    }
    let mut sums: Vec<_> = sums.into_values().collect();
    sums.sort_by_key(|(count, _)| std::cmp::Reverse(*count));
    let shown = sums.into_iter().map(|(count, told)| {
        json!({
            "operation": told.template,
            "user_agent": told.agent,
            "count": count,
            "what": told.retirement.what,
            "until": told.retirement.when,
            "successor": told.retirement.successor,
        })
    });
    shown.collect()
}

/// Looks now and then for as long as the runtime lives, and says once a day what it has seen.
pub async fn remind(api: Api) {
    let mut reminder = Reminder::default();
    let mut pause = FIRST_LOOK;
    loop {
        tokio::time::sleep(pause).await;
        pause = LOOK_EVERY;
        let retiring = api.traffic().await.retiring;
        if let Some(line) = reminder.look(&retiring) {
            warn!("{line}");
        }
    }
}

/// What has been said of late.
#[derive(Debug, Default)]
struct Reminder {
    /// Calls there were when it was last said.
    said_of: u64,
    looks_since: Option<u32>,
}

impl Reminder {
    /// The line, when there were such calls since the last one, and that was a day ago.
    fn look(&mut self, retiring: &[Told]) -> Option<String> {
        self.looks_since = self.looks_since.map(|looks| looks + 1);
        if self.looks_since.is_some_and(|looks| looks < LOOKS_A_DAY) {
            return None;
        }
        let calls: u64 = retiring.iter().map(|told| told.count).sum();
        let new = calls.saturating_sub(self.said_of);
        if new == 0 {
            return None;
        }
        (self.said_of, self.looks_since) = (calls, Some(0));
        Some(format!(
            "{new} requests went to versions or endpoints that HubSpot retires: `hubspot-proxy sunset` shows them, with dates and successors"
        ))
    }
}

#[cfg(test)]
mod tests {
    use super::{LOOKS_A_DAY, Reminder, of};
    use crate::telemetry::retiring::Told;
    use crate::types::retirement;

    fn told(template: &str, agent: &str, count: u64) -> Told {
        let retirement = retirement::of(template).unwrap();
        Told { template: template.to_owned(), agent: agent.to_owned(), count, retirement }
    }

    #[test]
    fn cores_are_summed_and_the_most_frequent_call_comes_first() {
        let shown = of(&[
            told("/crm/v3/owners", "a", 2),
            told("/contacts/v1/lists", "b", 4),
            told("/crm/v3/owners", "a", 3),
            told("/crm/v3/owners", "b", 1),
        ]);
        let counts: Vec<_> = shown.iter().map(|call| call["count"].as_u64()).collect();
        assert_eq!(counts, [Some(5), Some(4), Some(1)]);
        assert_eq!(shown[1]["successor"], "/crm/lists/2026-03");
    }

    #[test]
    fn it_is_said_once_a_day_and_only_of_new_calls() {
        let mut reminder = Reminder::default();
        let calls = |count| [told("/crm/v3/owners", "a", count)];
        assert_eq!(reminder.look(&[]), None);
        let said = reminder.look(&calls(3)).unwrap();
        assert!(said.starts_with("3 requests"), "{said}");
        for _ in 1..LOOKS_A_DAY {
            assert_eq!(reminder.look(&calls(9)), None);
        }
        let said = reminder.look(&calls(9)).unwrap();
        assert!(said.starts_with("6 requests"), "{said}");
        for _ in 0..2 * LOOKS_A_DAY {
            assert_eq!(reminder.look(&calls(9)), None);
        }
        assert!(reminder.look(&calls(10)).is_some());
    }
}
