//! An upstream that issues tokens, and refuses them when a test says so: a portal by the byte.

use std::collections::HashSet;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use crate::client::{Answer, get};
use crate::proxy::{Proxy, Setup};
use crate::upstream::{Peer, Received, Upstream};

/// How HubSpot refuses a token.
pub const EXPIRED: &str =
    r#"{"status":"error","message":"It expired.","category":"EXPIRED_AUTHENTICATION"}"#;

const TOKENS: &str = "/oauth/2026-03/token";

/// Serves by echoing bodies to requests whose token is not refused.
pub struct Portal {
    pub upstream: Upstream,
    orders: Arc<Orders>,
}

struct Orders {
    issued: AtomicUsize,
    refused: Mutex<HashSet<String>>,
    refuses_all: Mutex<bool>,
    refusal: Mutex<Vec<u8>>,
    tokens_after: Mutex<Duration>,
    /// In place of a token.
    token_answer: Mutex<Option<Vec<u8>>>,
}

/// A 401 with this body.
pub fn refusal(headers: &str, body: &[u8]) -> Vec<u8> {
    let length = body.len();
    let head = format!("HTTP/1.1 401 Unauthorized\r\n{headers}Content-Length: {length}\r\n\r\n");
    [head.as_bytes(), body].concat()
}

impl Portal {
    pub fn start() -> Self {
        let orders = Arc::new(Orders {
            issued: AtomicUsize::new(0),
            refused: Mutex::default(),
            refuses_all: Mutex::default(),
            refusal: Mutex::new(refusal("", EXPIRED.as_bytes())),
            tokens_after: Mutex::default(),
            token_answer: Mutex::default(),
        });
        let kept = Arc::clone(&orders);
        Self { upstream: Upstream::start(move |peer| while kept.serve(peer).is_some() {}), orders }
    }

    /// Tokens issued so far are refused from now on.
    pub fn refuse_issued(&self) {
        let issued = self.orders.issued.load(SeqCst);
        self.orders.refused.lock().unwrap().extend((1..=issued).map(|n| format!("Bearer t{n}")));
    }

    /// All tokens are refused, those to come as well.
    pub fn refuse_all(&self, yes: bool) {
        *self.orders.refuses_all.lock().unwrap() = yes;
    }

    /// These bytes are the answer to a refused token; the connection ends where they are no whole
    /// answer.
    pub fn refuse_with(&self, answer: impl Into<Vec<u8>>) {
        *self.orders.refusal.lock().unwrap() = answer.into();
    }

    /// How long a token call takes.
    pub fn tokens_after(&self, delay: Duration) {
        *self.orders.tokens_after.lock().unwrap() = delay;
    }

    /// What is answered in place of tokens.
    pub fn tokens_are(&self, answer: Option<&str>) {
        *self.orders.token_answer.lock().unwrap() = answer.map(|text| text.as_bytes().to_vec());
    }

    /// The token calls for an account of [`Portal::accounts`].
    pub fn token_calls(&self, account: usize) -> usize {
        let presented = format!("refresh_token=seed-{account}&");
        let calls = self.upstream.requests();
        let calls = calls.iter().filter(|call| call.target() == TOKENS);
        calls.filter(|call| format!("{}&", text(&call.body)).contains(&presented)).count()
    }

    /// The attempts to send a request for `target`, in order.
    pub fn attempts(&self, target: &str) -> Vec<Received> {
        let requests = self.upstream.requests();
        requests.into_iter().filter(|request| request.target() == target).collect()
    }

    /// A proxy with so many accounts `a0`, `a1` and so on, before an upstream at `url`; this portal
    /// issues their tokens.
    pub fn accounts(&self, url: &str, count: usize) -> Setup {
        let mut file = String::new();
        for n in 0..count {
            file.push_str(&format!(
                "[accounts.a{n}]\ntype = \"oauth\"\nclient_id = \"app\"\n\
                 client_secret = {{ env = \"APP_SECRET\" }}\n\
                 refresh_token = {{ env = \"SEED_{n}\" }}\n"
            ));
        }
        let mut setup = Setup::without_account(url)
            .env("HUBSPOT_PROXY_OAUTH__TOKEN_URL", &format!("{}{TOKENS}", self.upstream.url()))
            .env("HUBSPOT_PROXY_SERVER__THREADS", "2")
            .env("APP_SECRET", "secret-4711");
        for n in 0..count {
            setup = setup.env(&format!("SEED_{n}"), &format!("seed-{n}"));
        }
        setup.file("proxy.toml", &file)
    }

    /// The same, started, with a token for each account that is old enough to be replaced when it
    /// is refused, and all of these refused.
    pub fn refusing_accounts(&self, count: usize) -> Proxy {
        let proxy = self.accounts(&self.upstream.url(), count).start();
        age_tokens(&proxy, count);
        self.refuse_issued();
        proxy
    }
}

/// Has a token fetched for each account, and waits until none counts as fetched only now.
pub fn age_tokens(proxy: &Proxy, count: usize) {
    for n in 0..count {
        assert_eq!(get(proxy.port, &format!("/@a{n}/first")).status(), 200);
    }
    thread::sleep(Duration::from_millis(10_050));
}

/// What `X-HubSpot-Proxy` says of a replay.
pub fn note(answer: &Answer) -> &str {
    let said = answer.header("x-hubspot-proxy").expect("the proxy's header");
    said.split("; ").nth(2).unwrap_or_default()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

impl Orders {
    fn serve(&self, peer: &mut Peer) -> Option<()> {
        let mut request = peer.head()?;
        let is_refused = !request.target().starts_with("/oauth") && self.refuses(&request);
        // Such a path is judged at the head; its body is left to lie.
        if request.target().starts_with("/early") && is_refused {
            peer.keep(request);
            peer.send(&*self.refusal.lock().unwrap());
            peer.drain();
            return None;
        }
        let whole = peer.body_of(&mut request);
        peer.keep(request.clone());
        if !whole {
            return None;
        }
        if request.target().starts_with("/oauth") && request.target() != TOKENS {
            return peer.send("HTTP/1.1 404 No\r\nContent-Length: 0\r\n\r\n").then_some(());
        }
        if request.target() == TOKENS {
            return peer.send(self.token()).then_some(());
        }
        if is_refused {
            let refusal = self.refusal.lock().unwrap().clone();
            let is_whole = refusal.starts_with(b"HTTP/1.1 401 Unauthorized\r\n");
            return (peer.send(refusal) && is_whole).then_some(());
        }
        let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", request.body.len());
        peer.send([head.as_bytes(), &request.body].concat()).then_some(())
    }

    fn refuses(&self, request: &Received) -> bool {
        let token = request.all("authorization");
        assert_eq!(token.len(), 1, "{request:?}");
        *self.refuses_all.lock().unwrap() || self.refused.lock().unwrap().contains(token[0])
    }

    fn token(&self) -> Vec<u8> {
        let delay = *self.tokens_after.lock().unwrap();
        thread::sleep(delay);
        if let Some(answer) = self.token_answer.lock().unwrap().clone() {
            return answer;
        }
        let number = self.issued.fetch_add(1, SeqCst) + 1;
        let body = format!(r#"{{"access_token":"t{number}","expires_in":1800}}"#);
        let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", body.len());
        [head, body].concat().into_bytes()
    }
}
