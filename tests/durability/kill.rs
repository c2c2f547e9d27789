//! `kill -9` at every system call that writes, during a first refresh and a later one: what is in the
//! store afterwards always opens, and always serves unless the server has already taken the old
//! refresh token away and the new one was not yet committed.

use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use crate::is_thorough;
use crate::processes::{Home, Proxy, Sandbox, Shim, Told};

/// Of this many kill points a plain run takes one.
const SAMPLE: usize = 12;
/// Seconds after which a token that has been stored is over.
const LATER: i64 = 31 * 60;
/// Seconds after which a refused token is no longer one that was fetched just now.
const A_WHILE: i64 = 60;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    /// From an empty state folder: the store and its key are made, the seed is sown.
    First,
    /// With a store, and a token in it that has ended.
    Later,
    /// With a store, and a token in it that the upstream refuses.
    Refused,
}

#[derive(Clone, Copy, Debug)]
struct Kill {
    rotation: &'static str,
    phase: Phase,
    /// The call to die at, counted from 1.
    at: usize,
    when: &'static str,
}

/// What came of one kill.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Outcome {
    /// The restarted proxy serves.
    Served,
    /// The account needs a login, with the reason that a refresh was interrupted.
    NeedsLogin,
    /// The request had been answered before the call was reached.
    NotReached,
}

/// What came of it, the calls that the killed process had begun, and whether the server had issued a
/// token to it.
struct Seen {
    outcome: Outcome,
    calls: Vec<String>,
    issued: bool,
}

#[test]
fn a_kill_at_any_write_leaves_a_store_that_opens_and_serves() {
    let shim = Shim::build();
    let every = if is_thorough() { 1 } else { SAMPLE };
    for rotation in ["fixed", "grace", "strict"] {
        for phase in [Phase::First, Phase::Later, Phase::Refused] {
            let calls = undisturbed(&shim, rotation, phase);
            let kills: Vec<Kill> = (1..=calls)
                .flat_map(|at| ["before", "after"].map(|when| Kill { rotation, phase, at, when }))
                .step_by(every)
                .collect();
            let outcomes = in_parallel(&kills, |kill| {
                let seen = carry_out(&shim, kill);
                judge(kill, &seen);
                seen.outcome
            });
            let count = |outcome| outcomes.iter().filter(|seen| **seen == outcome).count();
            println!(
                "{rotation}, {phase:?} refresh, {calls} writing calls: {} kills, {} served afterwards, {} need a login, {} not reached",
                outcomes.len(),
                count(Outcome::Served),
                count(Outcome::NeedsLogin),
                count(Outcome::NotReached),
            );
            assert!(count(Outcome::Served) > 0);
        }
    }
}

fn carry_out(shim: &Shim, kill: Kill) -> Seen {
    let home = Home::new();
    let sandbox = Sandbox::start(kill.rotation, None);
    prepare(&home, &sandbox, kill.phase);
    let issued_before = sandbox.tokens_issued();
    let told = Told { log: true, kill: Some((kill.at, kill.when)), ..Told::default() };
    if let Some(mut proxy) = Proxy::start(&home, &sandbox, Some((shim, told))) {
        proxy.get();
        // A call that has begun is the end, now or in a moment.
        if home.calls().len() >= kill.at {
            proxy.until_dead();
        }
    }
    let (calls, issued) = (home.calls(), sandbox.tokens_issued() > issued_before);
    if calls.len() < kill.at {
        return Seen { outcome: Outcome::NotReached, calls, issued };
    }
    let alive = Proxy::start(&home, &sandbox, Some((shim, Told::default())));
    let mut proxy = alive.unwrap_or_else(|| {
        panic!("{kill:?}: it does not start after that\n{}", home.last_output())
    });
    let (status, answer) = proxy.get();
    let outcome = match status {
        200 => Outcome::Served,
        503 if answer.contains("needs-login")
            && answer.contains("interrupted during a refresh") =>
        {
            Outcome::NeedsLogin
        }
        _ => panic!("{kill:?}: {status} {answer}\n{}\n{calls:#?}", home.last_output()),
    };
    Seen { outcome, calls, issued }
}

/// Brings the home folder and its clock to where the phase begins.
fn prepare(home: &Home, sandbox: &Sandbox, phase: Phase) {
    if phase == Phase::First {
        return;
    }
    let mut proxy = Proxy::start(home, sandbox, None).unwrap();
    assert_eq!(proxy.get().0, 200);
    match phase {
        Phase::Refused => {
            sandbox.expire_tokens();
            home.set_clock(A_WHILE);
        }
        _ => home.set_clock(LATER),
    }
}

/// How many writing calls a process makes whose refresh nothing interrupts, up to its answer.
fn undisturbed(shim: &Shim, rotation: &'static str, phase: Phase) -> usize {
    let home = Home::new();
    let sandbox = Sandbox::start(rotation, None);
    prepare(&home, &sandbox, phase);
    let told = Told { log: true, ..Told::default() };
    let mut proxy = Proxy::start(&home, &sandbox, Some((shim, told))).unwrap();
    assert_eq!(proxy.get().0, 200);
    home.calls().len()
}

/// Only what was cut off between the server's reply and the commit may cost a login, and only where
/// the server takes the old refresh token away.
fn judge(kill: Kill, seen: &Seen) {
    if seen.outcome != Outcome::NeedsLogin {
        return;
    }
    let calls = &seen.calls;
    assert_eq!(kill.rotation, "strict", "{kill:?}");
    assert!(seen.issued, "{kill:?}: no token had been issued\n{calls:#?}");
    // The commit is the first time that the log is made durable after the call was sent.
    let is_sent = |call: &String| call.contains(" socket:") && !call.starts_with("fsync");
    let sent = calls.iter().rposition(is_sent);
    let sent = sent.unwrap_or_else(|| panic!("{kill:?}: nothing was sent\n{calls:#?}"));
    let is_commit = |call: &String| call.contains("sync ") && call.contains("-wal");
    let mut committed = calls[sent..].iter().filter(|call| is_commit(call)).count();
    if kill.when == "before" && calls.last().is_some_and(is_commit) {
        committed -= 1;
    }
    assert_eq!(committed, 0, "{kill:?}: it had been committed\n{calls:#?}");
}

fn in_parallel<T: Send>(kills: &[Kill], carry_out: impl Fn(Kill) -> T + Sync) -> Vec<T> {
    let (next, done) = (AtomicUsize::new(0), Mutex::new(Vec::new()));
    let workers = thread::available_parallelism().map_or(2, usize::from);
    thread::scope(|scope| {
        for _ in 0..workers {
            scope.spawn(|| {
                while let Some(kill) = kills.get(next.fetch_add(1, Ordering::SeqCst)) {
                    let outcome = carry_out(*kill);
                    done.lock().unwrap().push(outcome);
                }
            });
        }
    });
    done.into_inner().unwrap()
}
