//! What the pages list of the code: neither more nor less than there is.

use std::collections::BTreeSet;
use std::fs;

use crate::{pages, root};

fn read(path: &str) -> String {
    fs::read_to_string(root().join(path)).unwrap()
}

/// The section of a page with this title.
fn section<'a>(page: &'a str, title: &str) -> &'a str {
    let begin = format!("\n{title}\n");
    let end = format!("\n{} ", title.split(' ').next().unwrap());
    page.split(&begin).nth(1).unwrap().split(&end).next().unwrap()
}

/// Each word that begins so, to its end.
fn words_with<'a>(text: &'a str, beginning: &str) -> BTreeSet<&'a str> {
    let is_in_word = |c: char| c.is_ascii_lowercase() || "_-".contains(c);
    let begins = text.match_indices(beginning).map(|(at, _)| &text[at..]);
    let rest = begins.map(|rest| (rest, &rest[beginning.len()..]));
    let ends = rest.map(|(rest, tail)| {
        let length = tail.find(|c| !is_in_word(c)).unwrap_or(tail.len());
        &rest[..beginning.len() + length]
    });
    ends.collect()
}

#[test]
fn every_command_is_on_a_page() {
    let help = assert_cmd::Command::new(env!("CARGO_BIN_EXE_hubspot-proxy")).arg("--help").unwrap();
    let help = String::from_utf8(help.stdout).unwrap();
    let list = help.split("\nCommands:\n").nth(1).unwrap().split("\n\n").next().unwrap();
    let commands = list.lines().filter_map(|line| line.split_whitespace().next());
    let text: String = pages().iter().map(|page| page.text.as_str()).collect();
    // What it does without being named, and what clap adds.
    for command in commands.filter(|command| !["serve", "help"].contains(command)) {
        assert!(text.contains(&format!("hubspot-proxy {command}")), "no page has `{command}`");
    }
}

#[test]
fn the_map_of_the_architecture_is_that_of_the_source() {
    let page = read("docs/architecture.md");
    let map = section(&page, "## The map");
    let rows = map.lines().filter_map(|line| line.strip_prefix("| `")?.split_once("` |"));
    let shown: Vec<&str> = rows.map(|(module, _)| module).collect();
    let source = read("src/lib.rs");
    let modules =
        source.lines().filter_map(|line| line.strip_prefix("pub mod ")?.strip_suffix(';'));
    assert_eq!(shown, modules.collect::<Vec<_>>());
}

#[test]
fn the_metrics_are_those_that_the_proxy_has() {
    let (page, source) = (read("docs/observing.md"), read("src/admin/metrics.rs"));
    let shown = words_with(section(&page, "## Metrics"), "`hubspot_proxy_");
    let shown: BTreeSet<&str> = shown.iter().map(|name| name.trim_start_matches('`')).collect();
    let real = words_with(&source, "\"hubspot_proxy_");
    let real: BTreeSet<&str> = real.iter().map(|name| name.trim_start_matches('"')).collect();
    assert!(real.len() > 10);
    assert_eq!(shown, real);
}

#[test]
fn the_reasons_against_a_replay_are_those_that_the_proxy_gives() {
    let (page, source) =
        (read("docs/request-path.md"), read("src/pipeline/forward/unauthorized.rs"));
    let table = section(&page, "### A token that is refused");
    let rows = table.lines().filter_map(|line| line.strip_prefix("| `")?.split_once("` |"));
    let shown: BTreeSet<&str> =
        rows.map(|(reason, _)| reason).filter(|reason| !reason.ends_with('=')).collect();
    let real = words_with(&source, "; not-replayed=");
    let real: BTreeSet<&str> =
        real.iter().map(|reason| reason.trim_start_matches("; not-replayed=")).collect();
    assert!(real.len() > 3);
    assert_eq!(shown, real);
}
