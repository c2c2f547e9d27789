//! What is in the store, and what a running proxy makes of its changes.

use std::time::{Duration, Instant};

use crate::login::{CONTACTS, FILE, free_port, get, home_for, log_in, serve};
use crate::proxy::Setup;
use crate::upstream::{OK, Upstream};
use crate::waiting::until;

#[test]
fn a_logout_an_import_and_a_removal_are_noticed_within_a_second() {
    let sandbox = Setup::sandbox().start();
    let home = home_for(&sandbox.url(), free_port(), "");
    log_in(&home);
    let proxy = serve(&home);
    assert_eq!(get(&proxy, CONTACTS).status(), 200);
    let environment = [("ACME_SECRET", "sandbox-secret")];
    let within_a_second = |what: &str, is_so: &dyn Fn() -> bool| {
        let since = Instant::now();
        until(what, is_so);
        assert!(since.elapsed() < Duration::from_secs(1), "{what}: {:?}", since.elapsed());
    };
    let ran = home.run(&["logout", "acme"], &environment, "");
    assert_eq!(ran.status, 0, "{}", ran.stderr);
    within_a_second("it is logged out", &|| get(&proxy, CONTACTS).refusal() == Some("needs-login"));
    let again = home.run(&["logout", "acme"], &environment, "");
    assert_eq!(
        (again.status, again.stderr.contains("nothing to do")),
        (0, true),
        "{}",
        again.stderr
    );
    for (name, secret, said) in [
        ("shop", "sandbox-access-token", "static token of Hub ID 1234567"),
        ("cli", "sandbox-personal-access-key\n", "personal access key of Hub ID 1234567"),
    ] {
        let ran = home.run(&["accounts", "import", name], &environment, secret);
        assert_eq!(ran.status, 0, "{}", ran.stderr);
        assert!(ran.stdout.contains(said), "{}", ran.stdout);
        let target = format!("/@{name}{CONTACTS}");
        within_a_second("it serves", &|| get(&proxy, &target).status() == 200);
    }
    let listed = home.run(&["accounts", "list", "--json"], &environment, "");
    let listed: serde_json::Value = serde_json::from_str(&listed.stdout).unwrap();
    assert_eq!(listed[0]["name"], "acme");
    assert_eq!(listed[0]["state"], "logged out");
    assert_eq!(listed[2]["type"], "access_token");
    let ran = home.run(&["accounts", "remove", "shop"], &environment, "");
    assert_eq!(ran.status, 0, "{}", ran.stderr);
    let target = format!("/@shop{CONTACTS}");
    within_a_second("it is gone", &|| get(&proxy, &target).refusal() == Some("unknown-account"));
    assert_eq!(get(&proxy, &format!("/@cli{CONTACTS}")).status(), 200);
    assert_eq!(home.run(&["accounts", "rekey"], &environment, "").status, 0);
    assert_eq!(get(&serve(&home), &format!("/@cli{CONTACTS}")).status(), 200);
}

#[test]
fn two_proxies_serve_while_logins_come_and_go_on_their_store() {
    let sandbox = Setup::sandbox().arg("--rotation").arg("strict").start();
    let home = home_for(&sandbox.url(), free_port(), "");
    log_in(&home);
    let proxies = [serve(&home), serve(&home)];
    let done = std::sync::atomic::AtomicBool::new(false);
    let done = &done;
    std::thread::scope(|scope| {
        for proxy in &proxies {
            scope.spawn(move || {
                while !done.load(std::sync::atomic::Ordering::SeqCst) {
                    let answer = get(proxy, CONTACTS);
                    assert!(matches!(answer.status(), 200 | 429), "{}", answer.text());
                    std::thread::sleep(Duration::from_millis(20));
                }
            });
        }
        for _ in 0..8 {
            log_in(&home);
        }
        done.store(true, std::sync::atomic::Ordering::SeqCst);
    });
    for proxy in &proxies {
        until("it serves with the last login", || get(proxy, CONTACTS).status() == 200);
    }
}

/// A keyring whose daemon takes calls and never answers.
#[cfg(target_os = "linux")]
#[test]
fn a_keyring_that_hangs_is_given_up_and_no_key_is_made_over_one_that_is_in_it() {
    let sandbox = Setup::sandbox().start();
    let home = home_for(&sandbox.url(), free_port(), "");
    let socket = home.path().join("bus");
    let _bus = std::os::unix::net::UnixListener::bind(&socket).unwrap();
    let bus = format!("unix:path={}", socket.display());
    let environment = [("ACME_SECRET", "s"), ("DBUS_SESSION_BUS_ADDRESS", bus.as_str())];
    let import = |name: &str| {
        let since = Instant::now();
        let ran = home.run(&["accounts", "import", name], &environment, "sandbox-access-token");
        assert!(since.elapsed() < Duration::from_secs(20), "{:?}", since.elapsed());
        ran
    };
    let ran = import("shop");
    assert_eq!(ran.status, 0, "{}", ran.stderr);
    let folder = std::fs::read_dir(home.path().join("config/hubspot-proxy")).unwrap();
    let names = folder.map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let has_key =
        names.into_iter().any(|name| name.starts_with("store-") && name.ends_with(".key"));
    assert!(has_key, "without a keyring it is a file");
    // Where it is said to be in the keyring, nothing else will do.
    let file = home.path().join("proxy.toml");
    let text = std::fs::read_to_string(&file).unwrap();
    std::fs::write(&file, format!("{text}[store]\nkey = {{ keyring = true }}\n")).unwrap();
    let ran = import("other");
    assert_eq!(ran.status, 1);
    assert!(ran.stderr.contains("did not answer within 3 s"), "{}", ran.stderr);
    std::fs::write(&file, text).unwrap();
    assert_eq!(import("third").status, 0);
}

#[test]
fn what_cannot_be_imported_is_refused_and_not_stored() {
    let sandbox = Setup::sandbox().start();
    let home = home_for(&sandbox.url(), free_port(), "");
    let environment = [("ACME_SECRET", "sandbox-secret")];
    let cases: [(&[&str], &str, i32, &str); 6] = [
        (&["shop"], "pat-na1-00000000-0000-0000-0000-000000000000", 1, "does not know this token"),
        (
            &["shop", "--kind", "personal_access_key"],
            "wrong",
            1,
            "refused this personal access key",
        ),
        (&["acme", "--kind", "oauth"], "wrong", 1, "refused the refresh token"),
        (&["shop", "--kind", "oauth"], "sandbox-refresh-token", 2, "needs its app"),
        (&["shop"], "", 1, "there is nothing in it"),
        (&["shop"], "two words", 1, "one word"),
    ];
    for (arguments, secret, status, expected) in cases {
        let ran = home.run(&[&["accounts", "import"], arguments].concat(), &environment, secret);
        assert_eq!(ran.status, status, "{arguments:?}: {}", ran.stderr);
        assert!(ran.stderr.contains(expected), "{arguments:?}: {}", ran.stderr);
        assert!(secret.is_empty() || !ran.stderr.contains(secret));
    }
    let ran = home.run(&["accounts", "import", "acme"], &environment, "sandbox-refresh-token");
    assert_eq!(ran.status, 0, "{}", ran.stderr);
    assert!(ran.stdout.contains("refresh token of Hub ID 1234567"), "{}", ran.stdout);
    assert_eq!(get(&serve(&home), CONTACTS).status(), 200);
    let listed = home.run(&["accounts"], &environment, "");
    assert!(
        listed.stdout.contains("logged in") && !listed.stdout.contains("shop"),
        "{}",
        listed.stdout
    );
}

#[test]
fn a_file_in_some_folder_that_names_another_upstream_does_not_get_the_grant() {
    let sandbox = Setup::sandbox().start();
    let home = home_for(&sandbox.url(), free_port(), "");
    log_in(&home);
    let environment = [("ACME_SECRET", "sandbox-secret")];
    home.run(&["accounts", "import", "shop"], &environment, "sandbox-access-token");
    let thief = Upstream::answering(OK);
    let text = format!("[upstream]\nurl = \"{}\"\n{FILE}", thief.url());
    std::fs::write(home.path().join("proxy.toml"), text).unwrap();
    let proxy = serve(&home);
    for account in ["acme", "shop"] {
        let answer = get(&proxy, &format!("/@{account}/a"));
        assert_eq!(answer.refusal(), Some("misconfigured"), "{}", answer.text());
        assert!(answer.text().contains("upstream.url"), "{}", answer.text());
    }
    let ran = home.run(&["logout", "acme"], &environment, "");
    assert_ne!(ran.status, 0);
    assert!(thief.requests().is_empty(), "{:?}", thief.requests());
}
