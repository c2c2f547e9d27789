//! A request's path and query, read once: decoded, and without the version segment.
//!
//! HubSpot writes the version as the second, third or fourth segment, numbered (`v3`) or dated
//! (`2026-03`, `2026-09-beta`), and adds versions twice a year. The form without it is what the
//! sandbox routes on, so each API it offers answers in every version there is or will be.

use percent_encoding::percent_decode_str;

/// A path without its version.
pub(super) struct Path {
    segments: Vec<String>,
    version: Option<String>,
}

impl Path {
    /// `None` if the path is not valid percent-encoded UTF-8.
    pub(super) fn parse(raw: &str) -> Option<Self> {
        let mut segments = Vec::new();
        let mut version = None;
        for segment in raw.split('/').filter(|segment| !segment.is_empty()) {
            let segment = percent_decode_str(segment).decode_utf8().ok()?;
            let place = (1..=3).contains(&segments.len());
            if place && version.is_none() && is_version(&segment) {
                version = Some(segment.into_owned());
            } else {
                segments.push(segment.into_owned());
            }
        }
        Some(Self { segments, version })
    }

    /// The segments, for matching.
    pub(super) fn segments(&self) -> Vec<&str> {
        self.segments.iter().map(String::as_str).collect()
    }

    pub(super) fn version(&self) -> Option<&str> {
        self.version.as_deref()
    }

    /// Whether the version is one of `v1` to `v3`, in which associations have names, not types.
    pub(super) fn is_before_v4(&self) -> bool {
        let number = self.version().and_then(|v| v.strip_prefix('v')?.parse::<u32>().ok());
        number.is_some_and(|number| number < 4)
    }
}

fn is_version(segment: &str) -> bool {
    let digits = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    if let Some(number) = segment.strip_prefix('v') {
        return digits(number);
    }
    let date = segment.strip_suffix("-beta").unwrap_or(segment);
    date.len() == 7
        && date.starts_with("20")
        && date.split_once('-').is_some_and(|(year, month)| {
            year.len() == 4 && digits(year) && month.len() == 2 && digits(month)
        })
}

/// The decoded pairs of a query or a form.
#[derive(Default)]
pub(super) struct Pairs(Vec<(String, String)>);

impl Pairs {
    pub(super) fn parse(encoded: &[u8]) -> Self {
        Self(form_urlencoded::parse(encoded).into_owned().collect())
    }

    /// The last value under this name, as servers that keep one value an entry do.
    pub(super) fn get(&self, name: &str) -> Option<&str> {
        self.0.iter().rev().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
    }

    /// The values under this name, repeated or separated by commas.
    pub(super) fn list(&self, name: &str) -> Vec<&str> {
        let values = self.0.iter().filter(|(key, _)| key == name);
        values
            .flat_map(|(_, value)| value.split(','))
            .map(str::trim)
            .filter(|v| !v.is_empty())
            .collect()
    }

    /// The number under this name, or `default` where there is none that can be read.
    pub(super) fn number(&self, name: &str, default: u64) -> u64 {
        self.get(name).and_then(|value| value.parse().ok()).unwrap_or(default)
    }

    pub(super) fn is_true(&self, name: &str) -> bool {
        self.get(name).is_some_and(|value| value.eq_ignore_ascii_case("true"))
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().map(|(key, value)| (key.as_str(), value.as_str()))
    }

    pub(super) fn extend(&mut self, more: Self) {
        self.0.extend(more.0);
    }
}

#[cfg(test)]
mod tests {
    use super::{Pairs, Path};

    #[test]
    fn every_version_of_a_path_has_the_same_normal_form() {
        let cases = [
            ("/crm/v3/objects/contacts/1", Some("v3"), "crm objects contacts 1"),
            ("/crm/objects/2026-03/contacts/1", Some("2026-03"), "crm objects contacts 1"),
            (
                "//crm/objects/2027-03-beta/contacts/1/",
                Some("2027-03-beta"),
                "crm objects contacts 1",
            ),
            ("/crm/objects/v12/contacts/v3", Some("v12"), "crm objects contacts v3"),
            ("/oauth/v1/access-tokens/v1", Some("v1"), "oauth access-tokens v1"),
            ("/crm/objects/vx/2026-3/1999-01", None, "crm objects vx 2026-3 1999-01"),
            (
                "/crm/v3/objects/contacts/a%40b.example",
                Some("v3"),
                "crm objects contacts a@b.example",
            ),
            ("/v3", None, "v3"),
        ];
        for (raw, version, form) in cases {
            let path = Path::parse(raw).unwrap();
            assert_eq!(path.version(), version, "{raw}");
            assert_eq!(path.segments().join(" "), form, "{raw}");
        }
        assert!(Path::parse("/%ff").is_none());
    }

    #[test]
    fn lists_are_read_repeated_or_separated_by_commas() {
        let pairs = Pairs::parse(b"properties=a,b&properties=c%20d&limit=5&limit=7&x=");
        assert_eq!(pairs.list("properties"), ["a", "b", "c d"]);
        assert_eq!(pairs.number("limit", 1), 7);
        assert_eq!(pairs.number("x", 1), 1);
    }
}
