//! A store that does not open, and a key that does not fit.

use std::fs;

use super::{Bench, Case, SERVE, SERVE_AT_ALL};

const STORE: &str = "state/hubspot-proxy/store.sqlite";

fn key_file(bench: &Bench) -> String {
    let names = fs::read_dir(bench.path("config/hubspot-proxy")).unwrap();
    let mut names = names.map(|entry| entry.unwrap().file_name().into_string().unwrap());
    format!("config/hubspot-proxy/{}", names.find(|name| name.ends_with(".key")).unwrap())
}

/// A store with one account, to which something is done.
fn stored(bench: &mut Bench) {
    bench.import();
    bench.upstream();
}

pub const CASES: &[Case] = &[
    Case {
        name: "a store that is damaged",
        break_it: |bench| {
            stored(bench);
            let path = bench.path(STORE);
            for log in ["-wal", "-shm"] {
                let _ = fs::remove_file(format!("{}{log}", path.display()));
            }
            bench.file(STORE, vec![b'x'; 8192]);
        },
        fails: SERVE_AT_ALL,
        told: &["store.sqlite is damaged", "put a copy back"],
        check: "store",
        seen: &["store.sqlite is damaged"],
        mend: &["put a copy back", "log in again"],
    },
    Case {
        name: "a store in a folder that others can write",
        break_it: |bench| {
            stored(bench);
            bench.mode("state/hubspot-proxy", 0o777);
        },
        fails: SERVE_AT_ALL,
        told: &["store is not safe", "others can write", "chmod 700"],
        check: "store",
        seen: &["store is not safe", "others can write"],
        mend: &["chmod 700"],
    },
    Case {
        name: "a store key that is gone",
        break_it: |bench| {
            stored(bench);
            fs::remove_file(bench.path(&key_file(bench))).unwrap();
        },
        fails: SERVE,
        told: &["the store key cannot be read", "No such file", "put"],
        check: "store-key",
        seen: &["the store key cannot be read", "No such file"],
        mend: &["put"],
    },
    Case {
        name: "another store's key",
        break_it: |bench| {
            stored(bench);
            bench.file(&key_file(bench), "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=\n");
        },
        fails: SERVE,
        told: &["is encrypted with another key", "put the right one there"],
        check: "store-key",
        seen: &["is encrypted with another key"],
        mend: &["put the right one there"],
    },
    Case {
        name: "a store key that others can read",
        break_it: |bench| {
            stored(bench);
            bench.mode(&key_file(bench), 0o644);
        },
        fails: SERVE,
        told: &["store key", "others can read", "chmod 600"],
        check: "store-key",
        seen: &["store key", "others can read"],
        mend: &["chmod 600"],
    },
    Case {
        name: "a file where the store's folder is to be",
        break_it: |bench| {
            bench.app();
            bench.file("taken", "");
            bench.append("proxy.toml", "[store]\nurl = \"sqlite:taken/store.sqlite\"\n");
        },
        fails: SERVE_AT_ALL,
        told: &["taken/store.sqlite", "store.url"],
        check: "store-writable",
        seen: &["taken is no folder"],
        mend: &["set store.url"],
    },
];
