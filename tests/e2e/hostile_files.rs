//! The configuration file under attack while the proxy runs: swapped for what is no file, for another
//! user's, or for one without an end.
#![cfg(unix)]

use std::fs;
use std::os::unix::fs::{PermissionsExt, chown, symlink};
use std::path::Path;
use std::time::{Duration, Instant};

use crate::client::get;
use crate::home::Home;
use crate::proxy::{Proxy, Setup};
use crate::upstream::{OK, Upstream};
use crate::waiting::until;

const ACCOUNT: &str = "[accounts.a]\ntype = \"access_token\"\ntoken = { file = \"a.token\" }\n";
const NO_HEADER: &str = "[server]\nresponse_header = false\n";

fn start(home: &Home, upstream: &Upstream, file: &str) -> Setup {
    Setup::without_account(&upstream.url())
        .env("HUBSPOT_PROXY_LOG", "info")
        .in_home(home)
        .file("a.token", "pat-na1-of-account-a")
        .file("proxy.toml", file)
}

fn said(proxy: &Proxy, words: &str) -> usize {
    proxy.stderr().matches(words).count()
}

fn status_answers(home: &Home) -> bool {
    home.run(&["status"], &[], "").status == 0
}

#[test]
fn what_is_no_file_is_not_waited_for() {
    let (home, upstream) = (Home::new(), Upstream::answering(OK));
    let proxy = start(&home, &upstream, ACCOUNT).start();
    let path = home.path().join("proxy.toml");
    let fifo = home.path().join("fifo");
    rustix::fs::mknodat(
        rustix::fs::CWD,
        &fifo,
        rustix::fs::FileType::Fifo,
        rustix::fs::Mode::RUSR | rustix::fs::Mode::WUSR,
        0,
    )
    .unwrap();
    let before = proxy.peak_memory();
    for (count, target) in
        [fifo.as_path(), Path::new("/dev/zero"), home.path()].into_iter().enumerate()
    {
        symlink(target, home.path().join("link")).unwrap();
        fs::rename(home.path().join("link"), &path).unwrap();
        proxy.hang_up();
        until("it is refused", || said(&proxy, "was not reloaded") > count);
        assert!(status_answers(&home), "{target:?}");
        assert_eq!(get(proxy.port, "/a").status(), 200);
    }
    assert!(proxy.peak_memory() < before + 8 * 1024);
    fs::write(home.path().join("new"), format!("{NO_HEADER}{ACCOUNT}")).unwrap();
    fs::rename(home.path().join("new"), &path).unwrap();
    until("it is reloaded", || get(proxy.port, "/a").header("x-hubspot-proxy").is_none());
}

#[test]
fn a_file_of_another_user_takes_the_place_of_none() {
    if !rustix::process::geteuid().is_root() {
        return;
    }
    let (home, upstream) = (Home::new(), Upstream::answering(OK));
    // It was named, so whose it was at the start is the user's own decision.
    let proxy = start(&home, &upstream, ACCOUNT).arg("--config").arg("proxy.toml").start();
    let new = home.path().join("new");
    let put = |owner: u32, mode: u32| {
        fs::write(&new, format!("{NO_HEADER}{ACCOUNT}")).unwrap();
        chown(&new, Some(owner), None).unwrap();
        fs::set_permissions(&new, fs::Permissions::from_mode(mode)).unwrap();
        fs::rename(&new, home.path().join("proxy.toml")).unwrap();
    };
    for (count, (owner, mode)) in
        [(65534, 0o600), (65534, 0o644), (0, 0o666)].into_iter().enumerate()
    {
        put(owner, mode);
        proxy.hang_up();
        until("it is refused", || said(&proxy, "was not reloaded") > count);
        assert!(get(proxy.port, "/a").header("x-hubspot-proxy").is_some());
    }
    put(0, 0o600);
    until("it is reloaded", || get(proxy.port, "/a").header("x-hubspot-proxy").is_none());
}

#[test]
fn a_secret_that_takes_its_time_holds_up_nobody() {
    let (home, upstream) = (Home::new(), Upstream::answering(OK));
    let slow = ACCOUNT.replace(
        "{ file = \"a.token\" }",
        "{ command = [\"sh\", \"-c\", \"test ! -e slow || sleep 8; echo pat-na1-of-a\"] }",
    );
    let proxy = start(&home, &upstream, &slow).env("PATH", "/usr/bin:/bin").start();
    fs::write(home.path().join("slow"), "").unwrap();
    proxy.hang_up();
    std::thread::sleep(Duration::from_millis(200));
    let began = Instant::now();
    assert!(status_answers(&home));
    assert!(began.elapsed() < Duration::from_secs(3), "{:?}", began.elapsed());
    assert_eq!(get(proxy.port, "/a").status(), 200);
    until("it is reloaded", || said(&proxy, "the configuration was") == 1);
}
