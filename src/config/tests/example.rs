//! `proxy.toml.example` holds every key, and says the truth about it.

use super::Start;
use super::default_of;
use crate::config::keys::KEYS;

const EXAMPLE: &str = include_str!("../../../proxy.toml.example");

/// The example with every key taken out of its comment. A line of prose has a space after its `#`.
fn uncommented() -> String {
    let line = |line: &'static str| match line.strip_prefix('#') {
        Some(key) if !key.is_empty() && !key.starts_with(' ') => key,
        _ => line,
    };
    EXAMPLE.lines().map(line).collect::<Vec<_>>().join("\n")
}

#[test]
fn the_example_loads_as_it_is() {
    let config = Start::with_file(EXAMPLE).env("HUBSPOT_ACCESS_TOKEN", "t").config();
    assert_eq!(default_of(&config), "default");
    assert_eq!(config.accounts.len(), 1);
}

#[test]
fn each_key_of_the_example_can_be_taken_out_of_its_comment() {
    let config = Start::with_file(&uncommented()).config();
    assert_eq!(default_of(&config), "acme");
    assert_eq!(config.accounts.len(), 5);
    assert!(config.upstream.ca_file.is_some() && config.upstream.proxy.is_some());
}

#[test]
fn the_values_of_the_example_are_the_defaults() {
    let plain = Start::with_file(EXAMPLE).env("HUBSPOT_ACCESS_TOKEN", "t").config();
    let mut full = Start::with_file(&uncommented()).config();
    // These have a default that cannot be written down.
    full.server.allowed_hosts.clear();
    full.server.allowed_origins.clear();
    full.server.threads = plain.server.threads;
    full.upstream.ca_file = None;
    full.upstream.proxy = None;
    assert_eq!(format!("{:?}", full.server), format!("{:?}", plain.server));
    assert_eq!(format!("{:?}", full.upstream), format!("{:?}", plain.upstream));
    assert_eq!(format!("{:?}", full.oauth), format!("{:?}", plain.oauth));
    assert_eq!(format!("{:?}", full.policy), format!("{:?}", plain.policy));
    assert_eq!(format!("{:?}", full.log), format!("{:?}", plain.log));
    let least = Start::with_file("[audit]\nfile = \"audit.log\"").env("HUBSPOT_ACCESS_TOKEN", "t");
    let (mut least, mut full) = (least.config().audit.unwrap(), full.audit.unwrap());
    (least.file, full.file) = Default::default();
    assert_eq!(format!("{full:?}"), format!("{least:?}"));
    assert!(plain.audit.is_none());
}

#[test]
fn every_key_is_in_the_example() {
    let document: toml::Table = uncommented().parse().unwrap();
    for key in KEYS {
        let found = ["acme", "shop", "cli", "journal", "developer"].iter().any(|account| {
            let mut parts =
                key.path.split('.').map(|part| if part == "NAME" { account } else { part });
            let first = document.get(parts.next().unwrap());
            parts
                .try_fold(first, |value, part| value.map(|value| value.get(part)))
                .flatten()
                .is_some()
        });
        assert!(found, "{}", key.path);
    }
}

#[test]
fn every_bound_is_in_the_example() {
    for key in KEYS {
        let bounds = key.expected_in_environment();
        let Some((_, rest)) = bounds.split_once(" from ") else { continue };
        if !rest.contains(" to ") || key.kind.is_secret() {
            continue;
        }
        let bounds = rest.split([',', ' ']).take(3).collect::<Vec<_>>().join(" ");
        let prose = EXAMPLE.replace("\n# ", " ");
        assert!(prose.contains(&bounds), "{}: {bounds}", key.path);
    }
}
