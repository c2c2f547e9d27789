//! The rules of the source tree: short files, telling names, imports that point one way.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::fs;
use std::path::{Path, PathBuf};

const LONGEST: usize = 400;
const BANNED: [&str; 8] = ["mod", "util", "utils", "common", "helper", "helpers", "misc", "shared"];

struct Source {
    /// Below the package, such as `src/upstream/h1.rs`.
    path: String,
    text: String,
}

fn sources(folder: &str) -> Vec<Source> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut found = Vec::new();
    let mut folders = vec![root.join(folder)];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path: PathBuf = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                let text = fs::read_to_string(&path).unwrap();
                let path = path.strip_prefix(root).unwrap().to_str().unwrap().replace('\\', "/");
                found.push(Source { path, text });
            }
        }
    }
    assert!(!found.is_empty());
    found
}

fn all_sources() -> impl Iterator<Item = Source> {
    sources("src").into_iter().chain(sources("tests"))
}

/// The modules of the library in the order of `src/lib.rs`, from the top.
fn order() -> Vec<String> {
    let lib = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("src/lib.rs")).unwrap();
    let names = lib.lines().filter_map(|line| line.strip_prefix("pub mod ")?.strip_suffix(';'));
    names.map(str::to_owned).collect()
}

#[test]
fn no_file_is_longer_than_one_can_keep_in_mind() {
    for source in all_sources() {
        let lines = source.text.lines().count();
        assert!(lines < LONGEST, "{} has {lines} lines: split it by noun", source.path);
    }
}

#[test]
fn file_names_say_what_is_in_them() {
    for source in all_sources() {
        let name = Path::new(&source.path).file_stem().unwrap().to_str().unwrap();
        assert!(!BANNED.contains(&name), "{}", source.path);
    }
}

#[test]
fn every_module_begins_with_what_it_does() {
    for source in all_sources() {
        // Tests beside a module are about that module.
        let is_beside = source.path.starts_with("src/") && source.path.contains("tests");
        assert!(is_beside || source.text.starts_with("//! "), "{}", source.path);
    }
}

#[test]
fn imports_point_down_the_list_in_lib_rs() {
    let order = order();
    let place = |module: &str| order.iter().position(|name| name == module);
    for source in sources("src") {
        let Some(own) = source.path["src/".len()..].split(['/', '.']).next().and_then(place) else {
            continue;
        };
        for module in modules_named_in(&source.text) {
            let named = place(&module);
            let named = named.unwrap_or_else(|| panic!("{}: crate::{module}?", source.path));
            assert!(own <= named, "{} uses crate::{module}, which is above it", source.path);
        }
    }
}

/// What follows `crate::`, in code and not in comments.
fn modules_named_in(text: &str) -> Vec<String> {
    let code = text.lines().map(|line| line.split("//").next().unwrap());
    let code = code.collect::<Vec<_>>().join("\n");
    let mut found = Vec::new();
    for after in code.split("crate::").skip(1) {
        let heads = match after.strip_prefix('{') {
            Some(group) => top_level_names(group),
            None => vec![after.split(|c: char| !is_in_name(c)).next().unwrap().to_owned()],
        };
        found.extend(heads);
    }
    found
}

fn is_in_name(c: char) -> bool {
    c.is_alphanumeric() || c == '_'
}

/// The first name of each part of `{a::b, c::{d, e}}`, given what follows the brace.
fn top_level_names(group: &str) -> Vec<String> {
    let (mut names, mut depth, mut at_start) = (Vec::new(), 0, true);
    for (at, c) in group.char_indices() {
        match c {
            '{' => depth += 1,
            '}' if depth == 0 => break,
            '}' => depth -= 1,
            ',' if depth == 0 => at_start = true,
            c if at_start && is_in_name(c) => {
                let end = group[at..].find(|c| !is_in_name(c)).map_or(group.len(), |end| at + end);
                names.push(group[at..end].to_owned());
                at_start = false;
            }
            _ => {}
        }
    }
    names
}

#[test]
fn grouped_imports_are_understood() {
    let text = "use crate::{a::b, c::{d, e}, f};\nuse crate::g::h; // crate::no\ncrate::i::j();";
    assert_eq!(modules_named_in(text), ["a", "c", "f", "g", "i"]);
}
