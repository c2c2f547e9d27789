//! What can be done to a log that lies there, with the real command to find it.

use std::fs;
use std::path::PathBuf;

use serde_json::Value;

use super::{Audited, ended};
use crate::client::get;

/// A log of three files or more, whose proxy has ended as it should.
fn three_files() -> Audited {
    let audited = Audited::with("max_size = \"4KiB\"");
    for _ in 0..2 {
        let proxy = audited.serve();
        for id in 0..9 {
            get(proxy.port, &format!("/crm/v3/objects/contacts/{id}"));
        }
        ended(proxy);
    }
    assert!(audited.files().len() >= 3, "{:?}", audited.files());
    audited
}

/// Every line with its file.
fn all_lines(audited: &Audited) -> Vec<(PathBuf, String)> {
    let mut lines = Vec::new();
    for file in audited.files() {
        let text = fs::read_to_string(&file).unwrap();
        lines.extend(text.lines().map(|line| (file.clone(), line.to_owned())));
    }
    lines
}

fn write(audited: &Audited, lines: &[(PathBuf, String)]) {
    for file in audited.files() {
        let own = lines.iter().filter(|(of, _)| *of == file);
        fs::write(&file, own.map(|(_, line)| format!("{line}\n")).collect::<String>()).unwrap();
    }
}

#[test]
fn an_edit_a_gap_a_copy_a_swap_and_a_chain_without_the_key_are_found_in_three_files() {
    let audited = three_files();
    let lines = all_lines(&audited);
    let sound = audited.verify();
    assert_eq!(sound.status, 0, "{}", sound.stdout);
    let found = |what: &str, expected: &str, changed: &[(PathBuf, String)]| {
        write(&audited, changed);
        let ran = audited.verify();
        assert_eq!(ran.status, 1, "{what}: {}", ran.stdout);
        assert!(ran.stdout.contains(expected), "{what}: {}", ran.stdout);
        assert!(ran.stderr.starts_with("error: the audit log is not as it was"), "{}", ran.stderr);
    };
    // Each line is taken for one of the five; the unit tests do all to each.
    for at in 0..lines.len() {
        let mut changed = lines.clone();
        match at % 5 {
            0 => {
                changed[at].1 = changed[at].1.replacen("event\":\"", "event\":\"x", 1);
                found(&format!("{at} edited"), "not as it was written", &changed);
            }
            1 => {
                changed.remove(at);
                found(&format!("{at} removed"), "missing", &changed);
            }
            2 => {
                changed.insert(at, lines[at].clone());
                found(&format!("{at} copied"), "is repeated, or not in its place", &changed);
            }
            3 => {
                let other = (at + 7) % lines.len();
                (changed[at].1, changed[other].1) = (lines[other].1.clone(), lines[at].1.clone());
                found(&format!("{at} and {other} swapped"), ": ", &changed);
            }
            _ => {
                forge(&mut changed[at..]);
                found(&format!("{at} and later forged"), "not as it was written", &changed);
            }
        }
    }
    found("the end cut off", "truncated: at the end", &lines[..lines.len() - 1]);
    write(&audited, &lines);
    assert_eq!(audited.verify().status, 0);
    // Any file of the set stands for all of it, and names count for nothing.
    let first = audited.files()[0].clone();
    let named = audited.run(&["audit", "verify", "--json", first.to_str().unwrap()]);
    let told: Value = serde_json::from_str(&named.stdout).unwrap();
    assert_eq!((&told["sound"], &told["last"]), (&true.into(), &lines.len().into()));
    fs::rename(&first, first.with_extension("aside")).unwrap();
    let ran = audited.verify();
    assert!(
        ran.status == 1 && ran.stdout.contains("that audit.keep has not taken away"),
        "{ran:?}"
    );
}

/// Gives lines other contents, and codes of a key of one's own.
fn forge(lines: &mut [(PathBuf, String)]) {
    let key = ring::hmac::Key::new(ring::hmac::HMAC_SHA256, b"a key that was guessed");
    let mut before: Option<Vec<u8>> = None;
    for (_, line) in lines {
        let (fields, mac) = line.split_once(",\"mac\":\"").unwrap();
        let fields = fields.replacen("\"event\":\"", "\"event\":\"forged-", 1);
        let first = || mac.trim_end_matches("\"}").as_bytes().to_vec();
        let mut context = ring::hmac::Context::with_key(&key);
        context.update(&before.take().unwrap_or_else(first));
        context.update(fields.as_bytes());
        let tag = context.sign();
        let hex: String = tag.as_ref().iter().map(|byte| format!("{byte:02x}")).collect();
        before = Some(tag.as_ref().to_vec());
        *line = format!("{fields},\"mac\":\"{hex}\"}}");
    }
}
