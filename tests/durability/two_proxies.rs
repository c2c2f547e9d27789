//! Two proxies on one store: no refresh token is presented twice, none is lost, nobody waits for ever.

use std::thread;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

use crate::is_thorough;
use crate::processes::{Home, Proxy, Sandbox, Shim, Told};

/// Seconds after which a token is over.
const LIFE: i64 = 31 * 60;

#[test]
fn two_proxies_share_each_refresh_under_strict_rotation() {
    let rounds: i64 = if is_thorough() { 1000 } else { 40 };
    let (shim, home) = (Shim::build(), Home::new());
    let sandbox = Sandbox::start("strict", Some((&shim, &home)));
    let start = || Proxy::start(&home, &sandbox, Some((&shim, Told::default()))).unwrap();
    let mut proxies = [start(), start()];
    for round in 1..=rounds {
        home.set_clock(round * LIFE);
        let [one, another] = &mut proxies;
        let answers = thread::scope(|scope| {
            let first = scope.spawn(|| one.get());
            let second = scope.spawn(|| another.get());
            [first.join().unwrap(), second.join().unwrap()]
        });
        for (status, answer) in answers {
            assert_eq!(status, 200, "round {round}: {answer}\n{}", home.last_output());
        }
    }
    // The family is revoked at the first reuse, and no further token is issued.
    let issued = sandbox.tokens_issued();
    println!("{rounds} rounds, {issued} tokens issued");
    assert_eq!(issued, usize::try_from(rounds).unwrap(), "one refresh a round, by either");
}

#[test]
fn a_proxy_that_is_stopped_in_mid_refresh_keeps_its_lock_and_loses_nothing() {
    let stopped_for = Duration::from_secs(if is_thorough() { 60 } else { 20 });
    let (shim, home) = (Shim::build(), Home::new());
    let sandbox = Sandbox::start("strict", Some((&shim, &home)));
    let start = |log| {
        let told = Told { log, ..Told::default() };
        Proxy::start(&home, &sandbox, Some((&shim, told))).unwrap()
    };
    let (mut another, mut one) = (start(false), start(true));
    assert_eq!(one.get().0, 200);
    assert_eq!(another.get().0, 200);
    home.set_clock(LIFE);
    sandbox.delay_tokens("2s");
    let known = home.calls().len();
    let pid = Pid::from_raw(one.id()).unwrap();
    thread::scope(|scope| {
        let waiting = scope.spawn(|| one.get());
        home.until_sent(known);
        kill_process(pid, Signal::STOP).unwrap();
        let since = Instant::now();
        // It holds the lock, so the other one waits, and says so rather than refresh as well.
        let (status, answer) = another.get();
        assert_eq!(status, 503, "{answer}");
        assert!(answer.contains("token-unavailable"), "{answer}");
        thread::sleep(stopped_for.saturating_sub(since.elapsed()));
        kill_process(pid, Signal::CONT).unwrap();
        // Its own client may have run out of patience, but not the refresh.
        let (status, answer) = waiting.join().unwrap();
        assert!(status == 200 || answer.contains("token-unavailable"), "{answer}");
    });
    for proxy in [&mut one, &mut another] {
        let deadline = Instant::now() + Duration::from_secs(30);
        while proxy.get().0 != 200 {
            assert!(Instant::now() < deadline, "it never gets a token\n{}", home.last_output());
            thread::sleep(Duration::from_millis(200));
        }
    }
    assert_eq!(sandbox.tokens_issued(), 2, "one refresh before and one after");
}
