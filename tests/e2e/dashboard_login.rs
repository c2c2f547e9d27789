//! The dashboard's login button: the running proxy takes part in the flow itself.

use serde_json::Value;

use crate::client::get as get_at;
use crate::dashboard::{asked, token};
use crate::home::Home;
use crate::login::{CONTACTS, consented, free_port, get, home_for, log_in, serve, visit};
use crate::proxy::{Proxy, Setup};
use crate::waiting::until;

const LOGIN: &str = "/_proxy/api/accounts/acme/login";

/// A page that is open.
struct Page<'a> {
    proxy: &'a Proxy,
    token: String,
}

impl<'a> Page<'a> {
    fn of(home: &Home, proxy: &'a Proxy) -> Self {
        Self { proxy, token: token(home, proxy) }
    }

    /// Presses the button; the URL that opens.
    fn begin(&self) -> String {
        let begun = asked(self.proxy.port, "POST", LOGIN, &self.token);
        assert_eq!(begun.status(), 200, "{}", begun.text());
        assert_eq!(self.standing()["state"], "waiting");
        begun.json()["url"].as_str().unwrap().to_owned()
    }

    fn refused(&self) -> String {
        let refused = asked(self.proxy.port, "POST", LOGIN, &self.token);
        assert_eq!(refused.status(), 409, "{}", refused.text());
        refused.json()["message"].as_str().unwrap().to_owned()
    }

    fn standing(&self) -> Value {
        asked(self.proxy.port, "GET", LOGIN, &self.token).json()
    }
}

#[test]
fn a_login_begun_by_the_page_is_kept_and_served() {
    let sandbox = Setup::sandbox().start();
    let redirect = free_port();
    let home = home_for(&sandbox.url(), redirect, "pkce = true\nhub_id = 1234567\n");
    let proxy = serve(&home);
    let page = Page::of(&home, &proxy);
    assert_eq!(page.standing()["state"], "none");
    assert_eq!(get(&proxy, CONTACTS).refusal(), Some("needs-login"));
    let url = page.begin();
    assert!(!url.contains("sandbox-secret"));
    // What others know of the port changes nothing.
    let stray = visit(&format!("http://localhost:{redirect}/oauth-callback?code=x&state=made-up"));
    assert_eq!(stray.status(), 400);
    assert_eq!(page.standing()["state"], "waiting");

    let shown = visit(&consented(&url, "allow").unwrap());
    assert!(shown.text().contains("You are logged in"), "{}", shown.text());
    let standing = page.standing();
    assert_eq!(standing["state"], "done");
    assert!(standing["message"].as_str().unwrap().contains("1234567"), "{standing}");
    until("the proxy serves", || get(&proxy, CONTACTS).status() == 200);
    // The listener goes with the login.
    until("the port is free", || std::net::TcpListener::bind(("127.0.0.1", redirect)).is_ok());
    let printed = proxy.stdout() + &proxy.stderr();
    assert!(printed.contains("has been logged in") && !printed.contains("sandbox-"), "{printed}");
}

#[test]
fn a_second_login_ends_the_first_and_one_that_fails_leaves_what_was() {
    let sandbox = Setup::sandbox().start();
    let home = home_for(&sandbox.url(), free_port(), "");
    log_in(&home);
    let proxy = serve(&home);
    let page = Page::of(&home, &proxy);
    let first = page.begin();
    let second = page.begin();
    assert_ne!(first, second);
    let stray = visit(&consented(&first, "allow").unwrap());
    assert_eq!(stray.status(), 400, "it belongs to a login that is over");
    assert_eq!(page.standing()["state"], "waiting");
    let arrived = consented(&second, "allow").unwrap();
    let wrong = arrived.replace("code=", "code=0");
    assert!(visit(&wrong).text().contains("The login has failed"));
    let standing = page.standing();
    assert_eq!(standing["state"], "failed");
    assert!(standing["message"].as_str().unwrap().contains("log in again"), "{standing}");
    assert_eq!(get(&proxy, CONTACTS).status(), 200);
}

#[test]
fn a_login_that_cannot_begin_says_why() {
    let sandbox = Setup::sandbox().start();
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port();
    let home = home_for(
        &sandbox.url(),
        port,
        "[accounts.fixed]\ntype = \"access_token\"\ntoken = { env = \"ACME_SECRET\" }\n",
    );
    let proxy = serve(&home);
    let page = Page::of(&home, &proxy);
    assert!(page.refused().contains("taken by another program"));
    let fixed = asked(proxy.port, "POST", &LOGIN.replace("acme", "fixed"), &page.token);
    assert!(fixed.text().contains("takes no login"), "{}", fixed.text());
    for (path, status) in
        [(LOGIN.replace("acme", "nobody"), 409), (LOGIN.replace("acme", "NO"), 404)]
    {
        assert_eq!(asked(proxy.port, "POST", &path, &page.token).status(), status, "{path}");
    }
    // A login is not begun by who only knows the path, nor by a look at it.
    assert_eq!(asked(proxy.port, "POST", LOGIN, "x").refusal(), Some("admin-key-required"));
    assert_eq!(get_at(proxy.port, LOGIN).refusal(), Some("admin-key-required"));
    assert_eq!(page.standing()["state"], "none");
}
