//! Times as HubSpot writes them: ISO 8601 in UTC with milliseconds.

use jiff::Timestamp;

use crate::types::clock::WallTime;

/// 2026-01-05T08:00:00Z: when the first seed record was made.
pub(super) const SEED_START: WallTime = WallTime(1_767_600_000_000);

pub(super) fn iso(time: WallTime) -> String {
    let millis = i64::try_from(time.0).unwrap_or(i64::MAX);
    let stamp = Timestamp::from_millisecond(millis).unwrap_or(Timestamp::MAX);
    stamp.strftime("%Y-%m-%dT%H:%M:%S.%3fZ").to_string()
}

/// Milliseconds since the epoch of a value of a date property: a number, a date or a time.
pub(super) fn millis(value: &str) -> Option<i64> {
    if let Ok(number) = value.parse::<i64>() {
        return Some(number);
    }
    let time = value.parse::<Timestamp>().or_else(|_| format!("{value}T00:00:00Z").parse());
    time.ok().map(Timestamp::as_millisecond)
}
