//! The token endpoint is away for longer than a token lives, or the proxy ends in a refresh.

use std::thread;
use std::time::{Duration, Instant};

use crate::client::get;
use crate::portal::Portal;
use crate::proxy::Setup;
use crate::tokens::{CONTACTS, arrived, control, oauth_in_front_of};
use crate::waiting::until;

const LIFE: Duration = Duration::from_secs(6);
const OUTAGE: Duration = Duration::from_secs(14);

#[test]
fn an_outage_is_served_through_to_the_tokens_end_and_is_over_within_one_step() {
    let sandbox = Setup::sandbox().arg("--token-ttl").arg("6s").start();
    let proxy = oauth_in_front_of(&sandbox).start();
    assert_eq!(get(proxy.port, CONTACTS).status(), 200);
    let began = Instant::now();
    control(&sandbox, "POST", "/sandbox/faults", r#"[{"path": "/oauth/**", "status": 503}]"#);
    let (mut served, mut refused, mut waits) = (0, 0, Vec::new());
    while began.elapsed() < OUTAGE {
        let asked = began.elapsed();
        let answer = get(proxy.port, CONTACTS);
        match (answer.status(), answer.refusal()) {
            (200, None) => {
                assert!(asked <= LIFE, "served after {asked:?}");
                served += 1;
            }
            (503, Some("token-unavailable")) => {
                // The request that fetched the token took a part of its life.
                assert!(began.elapsed() > LIFE - Duration::from_millis(1500), "after {asked:?}");
                assert_eq!(get(proxy.port, "/_proxy/ready").status(), 503);
                waits.push(answer.header("retry-after").unwrap().parse::<u64>().unwrap());
                refused += 1;
            }
            // Sent in the token's last moment, it arrived after it.
            (401, None) => {
                let moment = Duration::from_millis(100);
                assert!((LIFE - moment..LIFE + moment).contains(&asked), "401 after {asked:?}");
                let note = answer.header("x-hubspot-proxy").unwrap();
                assert!(note.contains("not-replayed=token-unavailable"), "{note}");
            }
            other => panic!("{other:?} after {asked:?}"),
        }
        thread::sleep(Duration::from_millis(50));
    }
    assert!(served > 20 && refused > 20, "{served} served, {refused} refused");
    assert!(waits.iter().all(|wait| (1..=16).contains(wait)), "{waits:?}");
    // It begins when the token is stale, two thirds into its life; each pause is at least half of
    // 1, 2, 4 and 8 s: not more than these and the first fit into the rest of the outage.
    let calls = arrived(&sandbox, "/oauth").len() - 1;
    assert!((3..=6).contains(&calls), "{calls} calls in the outage");
    control(&sandbox, "DELETE", "/sandbox/faults", "");
    let (over, step) = (Instant::now(), Duration::from_secs(*waits.last().unwrap()));
    until("it serves again", || get(proxy.port, CONTACTS).status() == 200);
    assert!(over.elapsed() <= step + Duration::from_secs(1), "{:?} of {step:?}", over.elapsed());
    assert_eq!(arrived(&sandbox, "/oauth").len(), calls + 2);
    assert_eq!(get(proxy.port, "/_proxy/ready").status(), 200);
    let log = proxy.stderr();
    let lines = log.lines().filter(|line| line.contains("account=default"));
    assert_eq!(lines.count(), 2, "one line when it begins and one when it ends: {log}");
}

#[test]
fn a_slow_endpoint_is_waited_for_and_holds_up_no_request_that_has_a_token() {
    let sandbox = Setup::sandbox().arg("--token-ttl").arg("6s").start();
    control(&sandbox, "POST", "/sandbox/faults", r#"[{"path": "/oauth/**", "delay": "1500ms"}]"#);
    let proxy = oauth_in_front_of(&sandbox).start();
    let began = Instant::now();
    assert_eq!(get(proxy.port, CONTACTS).status(), 200);
    assert!(began.elapsed() >= Duration::from_millis(1500));
    // Its refresh begins after 4 s and takes less than what is left.
    while began.elapsed() < Duration::from_secs(12) {
        let asked = Instant::now();
        let answer = get(proxy.port, CONTACTS);
        assert_eq!(answer.status(), 200, "{answer:?}");
        assert!(asked.elapsed() < Duration::from_secs(1), "{:?}", asked.elapsed());
        thread::sleep(Duration::from_millis(25));
    }
}

#[cfg(unix)]
#[test]
fn a_request_that_waits_for_its_token_is_served_although_the_proxy_is_to_end() {
    let portal = Portal::start();
    portal.tokens_after(Duration::from_secs(1));
    let mut proxy = portal.accounts(&portal.upstream.url(), 1).start();
    let port = proxy.port;
    let waiting = thread::spawn(move || get(port, "/@a0/a"));
    until("the refresh runs", || portal.token_calls(0) == 1);
    proxy.terminate();
    let answer = waiting.join().unwrap();
    assert_eq!(answer.status(), 200, "{answer:?}");
    assert!(proxy.exit_status().success());
}

/// The token endpoint has acted on a call that is cut: with strict rotation the grant is lost.
#[cfg(unix)]
#[test]
fn a_refresh_in_the_background_comes_to_its_end_before_the_process_does() {
    let sandbox = Setup::sandbox().arg("--token-ttl").arg("3s").start();
    let mut proxy = oauth_in_front_of(&sandbox).start();
    assert_eq!(get(proxy.port, CONTACTS).status(), 200);
    control(&sandbox, "POST", "/sandbox/faults", r#"[{"path": "/oauth/**", "delay": "1s"}]"#);
    until("the refresh runs", || {
        assert_eq!(get(proxy.port, CONTACTS).status(), 200);
        arrived(&sandbox, "/oauth").len() == 2
    });
    proxy.terminate();
    assert!(proxy.exit_status().success());
    assert_eq!(arrived(&sandbox, "/oauth")[1]["status"], 200);
}
