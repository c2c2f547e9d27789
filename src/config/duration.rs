//! Durations as they are written: `"90s"`, `"1h30m"`, `"30d"`, `"500ms"`.

use std::time::Duration;

/// Units from the largest to the smallest: a duration names each at most once, in this order.
const UNITS: [(&str, u64); 5] =
    [("d", 86_400_000), ("h", 3_600_000), ("m", 60_000), ("s", 1_000), ("ms", 1)];

/// The duration that `text` says; `None` when it says none.
pub(super) fn parse(text: &str) -> Option<Duration> {
    let mut rest = text;
    let mut units = UNITS.iter();
    let mut millis: u64 = 0;
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit())?;
        let (number, after) = rest.split_at(digits);
        let unit_end = after.find(|c: char| c.is_ascii_digit()).unwrap_or(after.len());
        let (unit, after) = after.split_at(unit_end);
        // The iterator goes on where it stopped, so that a unit cannot come twice.
        let (_, factor) = units.find(|(name, _)| *name == unit)?;
        millis = millis.checked_add(number.parse::<u64>().ok()?.checked_mul(*factor)?)?;
        rest = after;
    }
    (!text.is_empty()).then_some(Duration::from_millis(millis))
}

/// As [`parse`], for a flag; the error says what a duration looks like.
pub fn parse_flag(text: &str) -> Result<Duration, &'static str> {
    parse(text).filter(|duration| !duration.is_zero()).ok_or(
        "a duration is a number with a unit and more than nothing, such as 30m, 90s or 500ms",
    )
}

/// The duration as it would be written.
pub(super) fn show(duration: Duration) -> String {
    let mut millis = u64::try_from(duration.as_millis()).unwrap_or(u64::MAX);
    let mut text = String::new();
    // Bounds read better in hours.
    for (name, factor) in UNITS.into_iter().filter(|(name, _)| *name != "d") {
        if millis >= factor {
            text.push_str(&format!("{}{name}", millis / factor));
            millis %= factor;
        }
    }
    if text.is_empty() { "0s".to_owned() } else { text }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::{parse, show};

    #[test]
    fn durations_are_numbers_with_units_from_large_to_small() {
        let good = [
            ("90s", 90_000),
            ("5m", 300_000),
            ("1h", 3_600_000),
            ("500ms", 500),
            ("1h30m", 5_400_000),
            ("1m1s1ms", 61_001),
            ("1d12h", 129_600_000),
            ("0s", 0),
        ];
        for (text, millis) in good {
            assert_eq!(parse(text), Some(Duration::from_millis(millis)), "{text}");
        }
        let bad = [
            "",
            "s",
            "10",
            "10 s",
            "-1s",
            "1.5s",
            "1s1h",
            "1s1s",
            "1w",
            "1S",
            "10s ",
            "99999999999999999999s",
            "18446744073709551615h",
        ];
        for text in bad {
            assert_eq!(parse(text), None, "{text}");
        }
    }

    #[test]
    fn a_duration_is_shown_as_it_is_written() {
        for text in ["0s", "90ms", "1m30s", "1h", "1h1m1s1ms"] {
            assert_eq!(show(parse(text).unwrap()), text);
        }
    }
}
