//! `docs/configuration.md` has each key once, with its real default, range and variable; and what any page
//! shows of a configuration is one.

use std::fs;
use std::path::Path;

use super::Start;
use crate::config::keys::{KEYS, Key, Kind};
use crate::config::written::takes_a_start;

const PAGE: &str = include_str!("../../../docs/configuration.md");

/// What the page says of a key.
struct Entry<'a> {
    path: &'a str,
    default: &'a str,
    values: &'a str,
    variable: &'a str,
    prose: &'a str,
}

fn entries() -> Vec<Entry<'static>> {
    PAGE.split("\n### `").skip(1).map(entry).collect()
}

fn entry(text: &str) -> Entry<'_> {
    let (path, rest) = text.split_once("`\n\n").unwrap();
    let (facts, rest) = rest.split_once("\n\n").unwrap();
    let facts = facts.strip_prefix("Default: ").and_then(|facts| facts.strip_suffix('.'));
    let facts = facts.unwrap_or_else(|| panic!("{path}: no line with default and variable"));
    let (default, facts) = facts.split_once(". Values: ").unwrap();
    let (values, variable) = facts.split_once(". Variable: ").unwrap();
    let prose = rest.split("\n## ").next().unwrap().trim();
    Entry { path, default, values, variable, prose }
}

/// The text within backticks, if it is nothing else.
fn code(text: &str) -> Option<&str> {
    text.strip_prefix('`')?.strip_suffix('`').filter(|text| !text.contains('`'))
}

fn key(path: &str) -> &'static Key {
    let key = KEYS.iter().find(|key| key.path == path);
    key.unwrap_or_else(|| panic!("the page has {path}, which is no key"))
}

#[test]
fn each_key_is_documented_once_and_nothing_else_is() {
    let mut documented: Vec<&str> = entries().iter().map(|entry| entry.path).collect();
    let mut keys: Vec<&str> = KEYS.iter().map(|key| key.path).collect();
    documented.sort_unstable();
    keys.sort_unstable();
    assert_eq!(documented, keys);
    for entry in entries() {
        assert!(!entry.prose.is_empty(), "{}: nothing says what it does", entry.path);
    }
}

#[test]
fn documented_variables_are_those_that_are_read() {
    for entry in entries() {
        let key = key(entry.path);
        match key.kind.is_secret() {
            true => assert_eq!(entry.variable, "none", "{}", entry.path),
            false => {
                let variable = key.variable("NAME");
                assert_eq!(code(entry.variable), Some(variable.as_str()), "{}", entry.path);
            }
        }
    }
}

#[test]
fn documented_bounds_are_those_that_are_enforced() {
    for entry in entries() {
        let key = key(entry.path);
        if key.kind.is_secret() || matches!(key.kind, Kind::Text) {
            continue;
        }
        let expected = key.expected_in_environment();
        let Some((_, bounds)) = expected.split_once(" from ") else { continue };
        let bounds = bounds.split(", such as ").next().unwrap();
        assert!(entry.values.ends_with(bounds), "{}: {bounds}", entry.path);
    }
}

/// What there is without the key, and with the documented default in its place.
#[test]
fn documented_defaults_are_those_that_apply() {
    // The empty line leaves room for a key at the top, so that errors would name the same lines.
    let account = "\n[accounts.acme]\ntype = \"oauth\"\nclient_id = \"c\"\n\
                   client_secret = { env = \"S\" }\nrefresh_token = { env = \"R\" }\n";
    let shown = |text: &str| {
        let config = Start::with_file(text).env("S", "s").env("R", "r").config();
        format!("{config:?}")
    };
    let plain = shown(account);
    let mut checked = 0;
    for entry in entries() {
        // A default that no value stands for is described in words.
        let Some(value) = code(entry.default) else {
            assert!(key(entry.path).has_no_written_default(), "{}", entry.path);
            continue;
        };
        let (table, leaf) = entry.path.rsplit_once('.').unwrap_or(("", entry.path));
        let with = match table {
            "" => format!("{leaf} = {value}{account}"),
            "accounts.NAME" => format!("{account}{leaf} = {value}\n"),
            table => format!("{account}[{table}]\n{leaf} = {value}\n"),
        };
        assert_eq!(shown(&with), plain, "{}", entry.path);
        checked += 1;
    }
    assert!(checked >= 28, "{checked}");
}

#[test]
fn what_the_pages_show_of_a_configuration_loads() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let pages = fs::read_dir(root.join("docs")).unwrap().map(|entry| entry.unwrap().path());
    let mut shown = 0;
    for page in pages.chain([root.join("README.md")]).filter(|path| path.is_file()) {
        let text = fs::read_to_string(&page).unwrap();
        for block in text.split("\n```toml\n").skip(1) {
            let block = block.split("\n```").next().unwrap();
            // What is shown is often a part, without the account that it is for.
            let start = Start::with_file(block).env("HUBSPOT_ACCESS_TOKEN", "t");
            assert!(!start.config().accounts.is_empty(), "{}", page.display());
            shown += 1;
        }
    }
    assert!(shown >= 5, "{shown}");
}

#[test]
fn the_keys_that_wait_for_the_next_start_are_on_the_page_about_reloading() {
    let page = include_str!("../../../docs/reload.md");
    let list = page.split("\n## What waits for the next start\n").nth(1).unwrap();
    let list = list.split("\n\nAn account").next().unwrap();
    let mut shown: Vec<&str> = list.split('`').skip(1).step_by(2).collect();
    shown.retain(|key| KEYS.iter().any(|known| known.path == *key));
    let mut real: Vec<&str> =
        KEYS.iter().map(|key| key.path).filter(|key| takes_a_start(key)).collect();
    shown.sort_unstable();
    real.sort_unstable();
    assert_eq!(shown, real);
}

impl Key {
    /// Whether leaving it out means something that cannot be written in its place.
    fn has_no_written_default(&self) -> bool {
        let ones = [
            "audit.file",
            "default_account",
            "server.threads",
            "upstream.ca_file",
            "upstream.proxy",
        ];
        let lists = ["server.allowed_hosts", "server.allowed_origins"];
        let of_account = self.path.starts_with("accounts.") && self.leaf() != "pkce";
        ones.contains(&self.path)
            || lists.contains(&self.path)
            || of_account
            || self.table() == "store"
    }
}
