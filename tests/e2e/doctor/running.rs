//! What `doctor` says of proxies that run, or seem to, and of the service.

use std::fs;
use std::io::{Read, Write};
use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use std::os::unix::net::UnixListener;
use std::thread;

use serde_json::{Value, json};

use super::Report;
use crate::home::Home;

const ENVIRONMENT: [(&str, &str); 1] = [("HUBSPOT_PROXY_UPSTREAM__URL", "http://localhost:1")];

/// Something at the control socket of port 9 that answers with `status`, or never.
fn impostor(home: &Home, status: Option<Value>) {
    let folder = home.path().join("hubspot-proxy/9");
    fs::DirBuilder::new().recursive(true).mode(0o700).create(&folder).unwrap();
    let socket = UnixListener::bind(folder.join("control.sock")).unwrap();
    thread::spawn(move || {
        let mut open = Vec::new();
        for stream in socket.incoming() {
            let mut stream = stream.unwrap();
            if let Some(status) = &status {
                let _ = stream.read(&mut [0; 1024]).unwrap();
                let body = status.to_string();
                let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", body.len());
                stream.write_all((head + &body).as_bytes()).unwrap();
            }
            open.push(stream);
        }
    });
}

#[test]
fn a_proxy_of_another_version_is_told() {
    let home = Home::new();
    let pid = std::process::id();
    impostor(&home, Some(json!({ "version": "0.0.9", "pid": pid, "listen": [], "accounts": [] })));
    let report = Report::of(&home, &[], &ENVIRONMENT);
    let found = report.findings("version")[0];
    assert_eq!(found["outcome"], "warning", "{found:#}");
    let seen = found["seen"].as_str().unwrap();
    assert!(
        seen.contains("is version 0.0.9") && seen.contains(env!("CARGO_PKG_VERSION")),
        "{seen}"
    );
    assert!(found["mend"].as_str().unwrap().contains("start it again"), "{found:#}");
}

#[test]
fn a_running_proxy_that_cannot_serve_an_account_is_told() {
    let message = "Account acme needs a new login: run `hubspot-proxy login acme`.";
    for (token, seen, mend) in [
        (json!({ "message": message }), "account acme", "run `hubspot-proxy login acme`"),
        (json!({ "degraded": true }), "in the memory of the proxy", "before you stop that proxy"),
    ] {
        let home = Home::new();
        let accounts = [json!({ "name": "acme", "token": token })];
        impostor(&home, Some(json!({ "version": "x", "pid": 1, "accounts": accounts })));
        let report = Report::of(&home, &[], &ENVIRONMENT);
        let found = report.findings("running-accounts")[0];
        assert_eq!(found["outcome"], "failed", "{found:#}");
        assert!(found["seen"].as_str().unwrap().contains(seen), "{found:#}");
        assert!(found["mend"].as_str().unwrap().contains(mend), "{found:#}");
    }
}

#[test]
fn a_proxy_that_does_not_answer_is_told_and_not_waited_for() {
    let home = Home::new();
    impostor(&home, None);
    let report = Report::of(&home, &["--fix"], &ENVIRONMENT);
    let found = report.findings("instances")[0];
    assert_eq!(found["outcome"], "failed", "{found:#}");
    assert!(found["seen"].as_str().unwrap().contains("does not answer"), "{found:#}");
    // What lives is no leftover.
    assert_eq!(report.outcome("leftovers"), "ok");
    assert!(home.path().join("hubspot-proxy/9/control.sock").exists());
}

#[test]
fn a_socket_that_a_killed_proxy_has_left_is_removed_with_fix() {
    let home = Home::new();
    let path = home.path().join("proxy.sock");
    drop(UnixListener::bind(&path).unwrap());
    let listen = ("HUBSPOT_PROXY_SERVER__LISTEN", "unix:proxy.sock");
    let environment = [ENVIRONMENT[0], listen];
    assert_eq!(Report::of(&home, &[], &environment).outcome("ports"), "warning");
    assert!(path.exists());
    let report = Report::of(&home, &["--fix"], &environment);
    assert_eq!(report.outcome("ports"), "ok", "{:#?}", report.findings("ports"));
    assert_eq!(report.0["fixed"].as_array().unwrap().len(), 1);
    assert!(!path.exists());
}

#[cfg(target_os = "linux")]
#[test]
fn a_service_that_does_not_run_is_told() {
    let install = "hubspot-proxy service install";
    for (does, outcome, mend) in [
        ("echo ActiveState=active; echo MainPID=4711", "ok", ""),
        ("echo ActiveState=failed; echo MainPID=0", "failed", install),
        ("echo 'no bus here' >&2; exit 1", "warning", "hubspot-proxy service status"),
    ] {
        let home = Home::new();
        let units = home.path().join("config/systemd/user");
        fs::create_dir_all(&units).unwrap();
        fs::write(units.join("hubspot-proxy.service"), "").unwrap();
        let programs = home.path().join("bin");
        fs::create_dir(&programs).unwrap();
        let systemctl = programs.join("systemctl");
        fs::write(&systemctl, format!("#!/bin/sh\n{does}\n")).unwrap();
        fs::set_permissions(&systemctl, fs::Permissions::from_mode(0o700)).unwrap();
        let environment = [ENVIRONMENT[0], ("PATH", programs.to_str().unwrap())];
        let report = Report::of(&home, &[], &environment);
        let found = report.findings("service")[0];
        assert_eq!(found["outcome"], outcome, "{found:#}");
        assert!(found["mend"].as_str().unwrap_or_default().contains(mend), "{found:#}");
    }
}
