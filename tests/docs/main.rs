//! The pages are right: each command in them is run, and each link leads somewhere.
//!
//! `README.md` and every page below `docs/` is read from top to bottom by one shell in an empty home, with
//! the real binary on its `PATH` and no network but loopback. A fenced block of `sh` or `shell` is run as it
//! stands; each of its commands has to end with status 0 (and no answer that curl gets may be an error), and
//! a block of `text` that follows is what it printed. In a block of `console`, `$ ` begins a command and what
//! it prints follows. `...` stands for anything, and times, ids and ports of the system's choice may differ:
//! see `printed.rs`.
//!
//! Comments before a block say what a reader is not shown, and are obeyed in their order:
//!
//! | comment | means |
//! |---|---|
//! | `<!-- running: COMMAND -->` | this is running, and nothing else is, until the page says otherwise |
//! | `<!-- nothing is running -->` | what ran has been stopped |
//! | `<!-- before: COMMAND -->` | is run first |
//! | `<!-- keeps running -->` | the block's last command does not end, and runs on beside what runs already |
//! | `<!-- typed: TEXT -->` | a line that the user types |
//! | `<!-- on a terminal -->` | the block is run on one, for what asks questions there |
//! | `<!-- exit status: N -->` | what the first command to fail ends with |
//! | `<!-- file: PATH -->` | the block is this file in the home |
//! | `<!-- not run: REASON -->` | the block is not run; it is listed with its reason |
#![cfg(unix)]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod code;
mod links;
mod page;
mod printed;
mod reader;
mod shell;

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::Mutex;

use page::Page;
use reader::Told;
use shell::Network;

/// Of how many blocks of commands one may go without being run.
const ONE_IN: usize = 5;

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// `README.md` and what is below `docs/`, as paths in the package.
fn pages() -> Vec<Page> {
    let mut paths = vec![PathBuf::from("README.md")];
    let mut folders = vec![PathBuf::from("docs")];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(root().join(&folder)).unwrap() {
            let path = folder.join(entry.unwrap().file_name());
            if root().join(&path).is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "md") {
                paths.push(path);
            }
        }
    }
    paths.sort();
    let read = |path: &PathBuf| {
        let text = fs::read_to_string(root().join(path)).unwrap();
        Page::parse(path.to_str().unwrap(), &text)
    };
    paths.iter().map(read).collect::<Result<_, _>>().unwrap_or_else(|error| panic!("{error}"))
}

#[test]
fn every_command_of_the_pages_does_what_the_page_says() {
    let pages = pages();
    let (network, told) = (Network::find(), Mutex::new(Vec::<Told>::new()));
    std::thread::scope(|scope| {
        for page in &pages {
            scope.spawn(|| {
                let one = reader::read(page, network);
                told.lock().unwrap().push(one);
            });
        }
    });
    let told = told.into_inner().unwrap();
    let run: usize = told.iter().map(|told| told.run).sum();
    let left_out: usize = told.iter().map(|told| told.left_out).sum();
    let mut left: Vec<&String> = told.iter().flat_map(|told| &told.not_run).collect();
    left.sort();
    // Past the test harness, so that the list shows in every run.
    let mut err = std::io::stderr().lock();
    writeln!(err, "{} pages: {run} blocks of commands are run, and not these:", pages.len())
        .unwrap();
    for line in &left {
        writeln!(err, "    {line}").unwrap();
    }
    let wrong: Vec<&String> = told.iter().flat_map(|told| &told.wrong).collect();
    for wrong in &wrong {
        writeln!(err, "\n{wrong}").unwrap();
    }
    assert!(wrong.is_empty(), "{} blocks do not do what their page says", wrong.len());
    assert!(left_out * ONE_IN < run, "{left_out} blocks of commands are not run, and {run} are");
}

#[test]
fn every_link_of_the_pages_leads_somewhere() {
    let broken: Vec<String> = pages().iter().flat_map(|page| links::broken(root(), page)).collect();
    assert!(broken.is_empty(), "{}", broken.join("\n"));
}

#[test]
fn every_file_that_the_pages_name_is_there() {
    let each =
        pages().iter().flat_map(|page| links::missing_sources(root(), page)).collect::<Vec<_>>();
    assert!(each.is_empty(), "{}", each.join("\n"));
}

#[test]
fn every_page_is_in_the_index() {
    let index = fs::read_to_string(root().join("docs/README.md")).unwrap();
    for page in pages() {
        let Some(name) = page.path.strip_prefix("docs/") else { continue };
        assert!(name == "README.md" || index.contains(&format!("]({name})")), "{}", page.path);
    }
}
