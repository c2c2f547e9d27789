//! `doctor` on set-ups that work, that hang and that are mended.

mod running;

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::Path;
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::home::{Home, Ran};
use crate::login::{free_port, home_for, log_in, serve};
use crate::proxy::{Proxy, Setup};
use crate::upstream::Upstream;
use crate::waiting::until;

/// What a run of `doctor --json` has found.
pub struct Report(pub Value);

impl Report {
    /// Runs it; the exit status fits what it says.
    pub fn of(home: &Home, arguments: &[&str], environment: &[(&str, &str)]) -> Self {
        let arguments = [&["doctor", "--json"], arguments].concat();
        let Ran { status, stdout, stderr } = home.run(&arguments, environment, "");
        let report = serde_json::from_str(&stdout);
        let report: Value = report.unwrap_or_else(|_| panic!("{stdout} {stderr}"));
        assert_eq!(status, i32::from(report["healthy"] == false), "{report:#}");
        Self(report)
    }

    /// All findings of a check.
    pub fn findings(&self, check: &str) -> Vec<&Value> {
        let all = self.0["findings"].as_array().unwrap().iter();
        let found: Vec<&Value> = all.filter(|finding| finding["check"] == check).collect();
        assert!(!found.is_empty(), "there is no check {check}");
        found
    }

    pub fn outcome(&self, check: &str) -> &str {
        self.findings(check)[0]["outcome"].as_str().unwrap()
    }

    /// The findings that are neither fine nor skipped.
    pub fn complaints(&self) -> Vec<&Value> {
        let all = self.0["findings"].as_array().unwrap().iter();
        all.filter(|finding| !["ok", "skipped"].contains(&finding["outcome"].as_str().unwrap()))
            .collect()
    }
}

const SECRET: [(&str, &str); 1] = [("ACME_SECRET", "sandbox-secret")];

fn logged_in() -> (Proxy, Home) {
    let sandbox = Setup::sandbox().start();
    let listen = format!("\n[server]\nlisten = [\"localhost:{}\"]\n", free_port());
    let home = home_for(&sandbox.url(), free_port(), &listen);
    fs::set_permissions(home.path().join("proxy.toml"), fs::Permissions::from_mode(0o600)).unwrap();
    log_in(&home);
    (sandbox, home)
}

/// Each file below a folder, its mode and what is in it. Of the store only that it is there: whoever closes
/// it last moves its log over into it.
fn contents(folder: &Path) -> Vec<(String, u32, Vec<u8>)> {
    let mut all = Vec::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            let found = fs::symlink_metadata(&path).unwrap();
            let is_store = path.display().to_string().contains("store.sqlite");
            if path.display().to_string().contains("store.sqlite-") {
                continue;
            }
            let bytes =
                if found.is_file() && !is_store { fs::read(&path).unwrap() } else { Vec::new() };
            all.push((path.display().to_string(), found.mode(), bytes));
            if found.is_dir() {
                folders.push(path);
            }
        }
    }
    all.sort();
    all
}

#[test]
fn a_set_up_that_works_has_no_complaint_and_is_left_as_it_is() {
    let (_sandbox, home) = logged_in();
    let before = contents(home.path());
    let report = Report::of(&home, &[], &SECRET);
    assert!(report.complaints().is_empty(), "{:#?}", report.complaints());
    assert_eq!(report.0["healthy"], true);
    let checks: std::collections::BTreeSet<&str> = report.0["findings"]
        .as_array()
        .unwrap()
        .iter()
        .filter_map(|f| f["check"].as_str())
        .collect();
    assert!(checks.len() >= 25, "{}", checks.len());
    for check in
        ["token", "hub-id", "scopes", "store", "store-writable", "store-key", "clock", "secrets"]
    {
        assert_eq!(report.outcome(check), "ok", "{:#?}", report.findings(check));
    }
    assert!(contents(home.path()) == before, "something was changed");
    let text = home.run(&["doctor"], &SECRET, "");
    assert_eq!((text.status, text.stderr.as_str()), (0, ""), "{}", text.stdout);
    let proxy = serve(&home);
    let report = Report::of(&home, &[], &SECRET);
    assert!(report.complaints().is_empty(), "{:#?}", report.complaints());
    for check in ["instances", "version", "reload", "running-accounts", "ports"] {
        assert_eq!(report.outcome(check), "ok", "{:#?}", report.findings(check));
    }
    let pid = proxy.pid().to_string();
    assert!(report.findings("instances")[0]["seen"].as_str().unwrap().contains(&pid));
}

#[test]
fn no_secret_is_printed() {
    let (sandbox, home) = logged_in();
    let file = home.path().join("proxy.toml");
    let more = "[accounts.shop]\ntype = \"access_token\"\ntoken = { env = \"SHOP\" }\n\
                [accounts.cli]\ntype = \"personal_access_key\"\nkey = { file = \"cli.key\" }\n";
    fs::write(&file, fs::read_to_string(&file).unwrap() + more).unwrap();
    fs::write(home.path().join("cli.key"), "sandbox-personal-access-key").unwrap();
    fs::set_permissions(home.path().join("cli.key"), fs::Permissions::from_mode(0o600)).unwrap();
    for (secret, shop) in
        [("sandbox-secret", "sandbox-access-token"), ("wrong-4711", "pat-na1-4711")]
    {
        let environment = [("ACME_SECRET", secret), ("SHOP", shop)];
        for arguments in [&["doctor"][..], &["doctor", "--json"]] {
            let Ran { stdout, stderr, .. } = home.run(arguments, &environment, "");
            let said = stdout + &stderr;
            assert!(said.contains("shop"), "{said}");
            for hidden in [
                "sandbox-secret",
                "sandbox-access-token",
                "sandbox-personal",
                "4711",
                "sandbox-refresh",
            ] {
                assert!(!said.contains(hidden), "{hidden}: {said}");
            }
        }
    }
    drop(sandbox);
}

#[test]
fn it_ends_in_seconds_when_everything_hangs() {
    let silent = Upstream::start(|peer| {
        while peer.request().is_some() {
            std::thread::sleep(Duration::from_secs(60));
        }
    });
    let home = Home::new();
    let text = "[accounts.slow]\ntype = \"access_token\"\ntoken = { command = [\"sleep\", \"60\"] }\n\
                [accounts.shop]\ntype = \"access_token\"\ntoken = { env = \"SHOP\" }\n\
                [accounts.app]\ntype = \"oauth\"\nclient_id = \"x\"\nclient_secret = { env = \"SHOP\" }\n";
    fs::write(home.path().join("proxy.toml"), text).unwrap();
    let environment = [
        ("HUBSPOT_PROXY_UPSTREAM__URL", silent.url()),
        ("SHOP", "pat-na1-x".to_owned()),
        ("PATH", "/bin:/usr/bin".to_owned()),
    ];
    let environment: Vec<(&str, &str)> =
        environment.iter().map(|(name, value)| (*name, value.as_str())).collect();
    let began = Instant::now();
    let report = Report::of(&home, &[], &environment);
    assert!(began.elapsed() < Duration::from_secs(14), "{:?}", began.elapsed());
    assert_eq!(report.outcome("reachable"), "failed");
    let secrets = report.findings("secrets");
    let slow = secrets.iter().find(|finding| finding["account"] == "slow").unwrap();
    assert!(slow["seen"].as_str().unwrap().contains("did not end within"), "{slow:#}");
}

#[test]
fn a_clock_that_is_wrong_is_told_from_one_that_is_right() {
    for (date, outcome) in [("Sun, 06 Nov 1994 08:49:37 GMT", "failed"), ("not a date", "skipped")]
    {
        let answer = format!("HTTP/1.1 404 Not Found\r\nDate: {date}\r\nContent-Length: 0\r\n\r\n");
        let upstream = Upstream::answering(answer);
        let home = Home::new();
        let environment = [("HUBSPOT_PROXY_UPSTREAM__URL", upstream.url())];
        let environment = environment.each_ref().map(|(name, value)| (*name, value.as_str()));
        let report = Report::of(&home, &[], &environment);
        assert_eq!(report.outcome("clock"), outcome, "{:#?}", report.findings("clock"));
        if outcome == "failed" {
            let found = report.findings("clock")[0];
            assert!(found["seen"].as_str().unwrap().contains("ahead of"), "{found}");
            assert!(found["mend"].as_str().unwrap().contains("timedatectl"), "{found}");
        }
    }
}

#[test]
fn with_fix_modes_are_narrowed_and_leftovers_removed_and_nothing_else() {
    let (_sandbox, home) = logged_in();
    let killed = serve(&home);
    let left = home.path().join("hubspot-proxy").join(killed.port.to_string());
    drop(killed);
    let state = home.path().join("state/hubspot-proxy");
    let modes = |folder: u32, file: u32| {
        fs::set_permissions(&state, fs::Permissions::from_mode(folder)).unwrap();
        fs::set_permissions(home.path().join("proxy.toml"), fs::Permissions::from_mode(file))
            .unwrap();
    };
    modes(0o777, 0o666);
    let before = contents(home.path());
    let report = Report::of(&home, &[], &SECRET);
    assert_eq!(report.outcome("configuration"), "failed");
    assert_eq!(report.outcome("leftovers"), "warning");
    assert!(contents(home.path()) == before, "something was changed without --fix");
    let report = Report::of(&home, &["--fix"], &SECRET);
    assert_eq!(report.outcome("leftovers"), "ok", "{:#}", report.0);
    assert_eq!(report.outcome("configuration"), "ok");
    assert!(!left.exists());
    // What the configuration names is looked at once it loads.
    let report = Report::of(&home, &["--fix"], &SECRET);
    assert!(report.complaints().is_empty(), "{:#?}", report.complaints());
    let mode = |path: &Path| fs::metadata(path).unwrap().mode() & 0o777;
    assert_eq!((mode(&state), mode(&home.path().join("proxy.toml"))), (0o700, 0o644));
    let after = contents(home.path());
    let bytes = |all: &[(String, u32, Vec<u8>)]| {
        let kept = all.iter().filter(|(path, ..)| {
            !path.contains("hubspot-proxy/run") && !path.starts_with(&left.display().to_string())
        });
        kept.map(|(path, _, bytes)| (path.clone(), bytes.clone())).collect::<Vec<_>>()
    };
    assert!(bytes(&before) == bytes(&after), "a file was changed");
}

#[test]
fn a_configuration_that_the_running_proxy_refused_shows_in_status_and_doctor() {
    let (_sandbox, home) = logged_in();
    let proxy = serve(&home);
    let file = home.path().join("proxy.toml");
    let good = fs::read_to_string(&file).unwrap();
    fs::write(&file, good.clone() + "\n[server]\nlistne = 1\n").unwrap();
    proxy.hang_up();
    let refused = || {
        let status = home.run(&["status", "--json"], &[], "");
        let status: Value = serde_json::from_str(&status.stdout).unwrap();
        status["configuration"]["refused"].as_str().map(str::to_owned)
    };
    until("the broken file is refused", || refused().is_some());
    let shown = home.run(&["status"], &[], "").stdout;
    assert!(shown.contains("was refused") && shown.contains("proxy.toml line"), "{shown}");
    // Also where doctor's own configuration is another.
    fs::write(home.path().join("other.toml"), &good).unwrap();
    let report = Report::of(&home, &["--config", "other.toml"], &SECRET);
    let found = report.findings("reload")[0];
    assert_eq!(found["outcome"], "failed", "{found:#}");
    assert!(found["seen"].as_str().unwrap().contains("refused its changed configuration"));
    assert_eq!(Report::of(&home, &[], &SECRET).outcome("configuration"), "failed");
    fs::write(&file, &good).unwrap();
    proxy.hang_up();
    until("the good file is taken", || refused().is_none());
    assert_eq!(Report::of(&home, &[], &SECRET).outcome("reload"), "ok");
}

#[test]
fn what_works_today_and_may_not_tomorrow_is_a_warning() {
    let vault =
        "[store]\nurl = \"sqlite:vault/store.sqlite\"\nkey = { file = \"vault/store.key\" }\n";
    let any = "[server]\nallowed_users = [\"any\"]\n";
    let app = "[accounts.acme]\ntype = \"oauth\"\nclient_id = \"x\"\nclient_secret = { env = \"ACME_SECRET\" }\n";
    let scoped = app.to_owned() + "scopes = [\"crm.objects.contacts.read\"]\n";
    let twice = app.to_owned() + "scopes = [\"oauth\", \"a\"]\noptional_scopes = [\"a\"]\n";
    /// A check, what the file says, variables, words of what was seen, and of the mend.
    type Row<'a> = (&'a str, &'a str, &'a [(&'a str, &'a str)], &'a str, &'a str);
    let rows: &[Row<'_>] = &[
        ("key-apart", vault, &[], "are both in the folder", "keyring"),
        ("exposure", any, &[], "any user of this machine", "server.allowed_users"),
        ("login-scopes", &scoped, &[], "lacks `oauth`", "add \"oauth\""),
        ("login-scopes", &twice, &[], "among the scopes and the optional ones", "remove it"),
        (
            "environment",
            "[log]\nrequests = true\n",
            &[("HUBSPOT_PROXY_LOG__REQUESTS", "false")],
            "HUBSPOT_PROXY_LOG__REQUESTS (over log.requests)",
            "unset HUBSPOT_PROXY_LOG__REQUESTS",
        ),
        (
            "client-environment",
            "",
            &[("http_proxy", "http://proxy.example:3128")],
            "http_proxy is set",
            "export NO_PROXY=localhost,127.0.0.1",
        ),
        (
            "redirect-uri",
            "",
            &[("HUBSPOT_PROXY_OAUTH__REDIRECT_URI", "http://localhost:3000/")],
            "has no path",
            "exactly what the app has registered",
        ),
        (
            "upstream",
            "",
            &[("HUBSPOT_PROXY_UPSTREAM__URL", "https://app.hubspot.com")],
            "HubSpot's web pages",
            "https://api.hubapi.com",
        ),
        (
            "login-endpoints",
            "",
            &[("HUBSPOT_PROXY_UPSTREAM__URL", "http://localhost:1")],
            "a code of one is nothing to the other",
            "set oauth.authorize_url",
        ),
        (
            "endpoint-versions",
            "",
            &[("HUBSPOT_PROXY_OAUTH__TOKEN_URL", "https://api.hubapi.com/oauth/v3/token")],
            "until September 2027",
            "/oauth/2026-03/",
        ),
        (
            "credential-form",
            "",
            &[("HUBSPOT_ACCESS_TOKEN", "CiRuYTE")],
            "is a personal access key",
            "HUBSPOT_PERSONAL_ACCESS_KEY",
        ),
    ];
    for (check, file, environment, seen, mend) in rows {
        let home = Home::new();
        fs::write(home.path().join("proxy.toml"), file).unwrap();
        fs::set_permissions(home.path().join("proxy.toml"), fs::Permissions::from_mode(0o600))
            .unwrap();
        // Nothing here is to reach out.
        let environment =
            [&[("HTTPS_PROXY", "http://127.0.0.1:1")], *environment, &SECRET].concat();
        let report = Report::of(&home, &[], &environment);
        let findings = report.findings(check);
        let has = |finding: &&&Value, key: &str, words: &str| {
            finding[key].as_str().is_some_and(|text| text.contains(words))
        };
        let found = findings.iter().find(|f| has(f, "seen", seen) && has(f, "mend", mend));
        let found = found.unwrap_or_else(|| panic!("{check}: {findings:#?}"));
        assert!(["warning", "failed"].contains(&found["outcome"].as_str().unwrap()), "{found:#}");
    }
}

#[test]
fn another_file_that_is_passed_over_is_named() {
    let home = Home::new();
    fs::create_dir_all(home.path().join("config/hubspot-proxy")).unwrap();
    for file in ["proxy.toml", "config/hubspot-proxy/proxy.toml"] {
        fs::write(home.path().join(file), "").unwrap();
    }
    let environment = [("HUBSPOT_PROXY_UPSTREAM__URL", "http://localhost:1")];
    let report = Report::of(&home, &[], &environment);
    let found = report.findings("other-file")[0];
    assert_eq!(found["outcome"], "warning", "{found:#}");
    assert!(found["mend"].as_str().unwrap().contains("--config"), "{found:#}");
}
