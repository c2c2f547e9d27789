//! Links within the package: the file is there, and so is the heading.

use std::fs;
use std::path::Path;

use crate::page::Page;

/// One line for each link of the page that leads nowhere.
pub fn broken(root: &Path, page: &Page) -> Vec<String> {
    let own = root.join(&page.path);
    let links = page.text.split("](").skip(1).filter_map(|rest| rest.split(')').next());
    let wrong = links.filter(|link| !link.starts_with("http")).filter(|link| {
        let (file, heading) = link.split_once('#').unwrap_or((link, ""));
        let target = match file {
            "" => own.clone(),
            file => own.parent().unwrap().join(file),
        };
        let there = match heading {
            "" => target.exists(),
            heading => fs::read_to_string(target).is_ok_and(|text| has_heading(&text, heading)),
        };
        !there
    });
    wrong.map(|link| format!("{}: {link} leads nowhere", page.path)).collect()
}

/// One line for each file of the source that the page names and that is not there.
pub fn missing_sources(root: &Path, page: &Page) -> Vec<String> {
    let named = page.text.split('`').skip(1).step_by(2);
    let named = named.filter(|name| !name.contains(char::is_whitespace));
    let sources = ["src/", "tests/", "bench/", "examples/", ".ci/"];
    let sources = named.filter(|name| sources.iter().any(|folder| name.starts_with(folder)));
    let missing = sources.filter(|name| !root.join(name).exists());
    missing.map(|name| format!("{}: there is no {name}", page.path)).collect()
}

fn has_heading(text: &str, anchor: &str) -> bool {
    let headings = text.lines().filter(|line| line.starts_with('#'));
    headings.map(|line| line.trim_start_matches('#').trim()).any(|title| anchor_of(title) == anchor)
}

/// As code hosts make them: small letters, no punctuation, `-` for each space.
fn anchor_of(title: &str) -> String {
    let kept = title.chars().filter(|c| c.is_alphanumeric() || " -_".contains(*c));
    kept.map(|c| if c == ' ' { '-' } else { c.to_ascii_lowercase() }).collect()
}

#[test]
fn anchors_are_those_of_code_hosts() {
    assert_eq!(anchor_of("`upstream.rewrite_links`"), "upstreamrewrite_links");
    assert_eq!(anchor_of("Stopping, and exit statuses"), "stopping-and-exit-statuses");
}
