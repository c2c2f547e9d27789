//! Sizes as they are written: `"256KiB"`, `"64KB"`, or a plain number of bytes.

/// Binary units first, since `show` takes the first that divides.
const UNITS: [(&str, u64); 7] = [
    ("GiB", 1 << 30),
    ("MiB", 1 << 20),
    ("KiB", 1 << 10),
    ("GB", 1_000_000_000),
    ("MB", 1_000_000),
    ("KB", 1_000),
    ("B", 1),
];

/// The bytes that `text` says; `None` when it says none.
pub(super) fn parse(text: &str) -> Option<u64> {
    let digits = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (number, unit) = text.split_at(digits);
    let factor = match unit {
        "" => 1,
        unit => UNITS.iter().find(|(name, _)| *name == unit)?.1,
    };
    number.parse::<u64>().ok()?.checked_mul(factor)
}

/// The size as it would be written.
pub(super) fn show(bytes: u64) -> String {
    let fits = UNITS.iter().find(|(_, factor)| bytes >= *factor && bytes.is_multiple_of(*factor));
    match fits {
        Some((name, factor)) => format!("{}{name}", bytes / factor),
        None => "0B".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::{parse, show};

    #[test]
    fn sizes_are_bytes_or_a_number_with_a_unit() {
        let good = [
            ("0", 0),
            ("1024", 1024),
            ("7B", 7),
            ("256KiB", 262_144),
            ("64KB", 64_000),
            ("1MiB", 1_048_576),
            ("2MB", 2_000_000),
            ("1GiB", 1_073_741_824),
            ("1GB", 1_000_000_000),
        ];
        for (text, bytes) in good {
            assert_eq!(parse(text), Some(bytes), "{text}");
        }
        for text in ["", "KiB", "1 KiB", "1kib", "-1", "1.5MiB", "1TiB", "99999999999GiB"] {
            assert_eq!(parse(text), None, "{text}");
        }
    }

    #[test]
    fn a_size_is_shown_in_the_unit_that_divides_it() {
        for (bytes, text) in
            [(0, "0B"), (1, "1B"), (1024, "1KiB"), (1000, "1KB"), (3 << 20, "3MiB")]
        {
            assert_eq!(show(bytes), text);
        }
    }
}
