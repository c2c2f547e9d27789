use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use proptest::prelude::*;
use tokio::time::{Instant, sleep};

use super::super::source::FetchError;
use super::bench::{Account, Endpoint, Outcome, seconds, transient};
use super::faulty_store::FaultyStore;

/// One step of a schedule.
#[derive(Clone, Debug)]
enum Step {
    /// So many requests at once; a part of them goes away before it has its token.
    Requests(usize, bool),
    /// The upstream refuses all tokens that there are.
    RefuseAll,
    Pass(Duration),
    /// The wall clock is set.
    Jump(i64),
    /// The endpoint's next answers.
    Answers(Answers),
    /// The store's next commits fail.
    FailCommits(usize),
}

#[derive(Clone, Copy, Debug)]
enum Answers {
    Good,
    Slow,
    Down,
    Hanging,
    Panicking,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let answers = prop_oneof![
        4 => Just(Answers::Good),
        2 => Just(Answers::Slow),
        2 => Just(Answers::Down),
        1 => Just(Answers::Hanging),
        1 => Just(Answers::Panicking),
    ];
    let step = prop_oneof![
        6 => (1..20usize, any::<bool>()).prop_map(|(n, leave)| Step::Requests(n, leave)),
        2 => Just(Step::RefuseAll),
        4 => (0..400_000u64).prop_map(|ms| Step::Pass(Duration::from_millis(ms))),
        1 => (-4000..4000i64).prop_map(Step::Jump),
        3 => answers.prop_map(Step::Answers),
        2 => prop_oneof![0..5usize, Just(1000)].prop_map(Step::FailCommits),
    ];
    proptest::collection::vec(step, 1..40)
}

fn outcome(answers: Answers) -> (Duration, Outcome) {
    match answers {
        Answers::Good => (Duration::from_millis(20), Outcome::Token(seconds(300))),
        Answers::Slow => (seconds(7), Outcome::Token(seconds(300))),
        Answers::Down => (Duration::from_millis(20), Outcome::Fail(transient("down"))),
        Answers::Hanging => (Duration::ZERO, Outcome::Hang),
        Answers::Panicking => (seconds(1), Outcome::Panic),
    }
}

/// One request to its end: a token, and one more after a refusal.
async fn request(mut core: Account, refused: Arc<Mutex<HashSet<String>>>) {
    let began = Instant::now();
    let Ok(token) = core.request().await else { return };
    let generation = core.generation();
    assert!(generation > 0);
    assert!(began.elapsed() <= seconds(15), "waited {:?}", began.elapsed());
    sleep(Duration::from_millis(10)).await;
    if !refused.lock().contains(&token) {
        return core.credential.accepted();
    }
    let asked = Instant::now();
    let Ok(replacement) = core.credential.replacement(generation).await else { return };
    assert!(asked.elapsed() <= seconds(15), "waited {:?}", asked.elapsed());
    core.freshness();
    assert!(core.generation() > generation, "no newer token after {generation}");
    assert_ne!(core.token(), token, "the refused token once more");
    match (refused.lock().contains(&core.token()), replacement.forced) {
        (true, true) => core.credential.refused_again(),
        (true, false) => {}
        (false, _) => core.credential.accepted(),
    }
}

/// What has to hold whatever happens in whatever order.
async fn run(steps: Vec<Step>, with_store: bool) {
    let answers = Arc::new(Mutex::new(Answers::Good));
    let current = Arc::clone(&answers);
    let live = Mutex::new(super::bench::SEED.to_owned());
    let endpoint = Endpoint::new(move |call, presented| {
        let (delay, outcome) = outcome(*current.lock());
        // Strict rotation: a refresh token works once.
        let mut live = live.lock();
        if with_store && *live != presented {
            return (delay, Outcome::Fail(FetchError::NeedsLogin("reuse")));
        }
        if with_store && matches!(outcome, Outcome::Token(_)) {
            *live = format!("SECRET-refresh-{call}");
        }
        (delay, outcome)
    });
    let store = FaultyStore::new();
    let account = match with_store {
        true => Account::stored(&endpoint, &store),
        false => Account::of(&endpoint),
    };
    let refused = Arc::new(Mutex::new(HashSet::new()));
    let mut generations = vec![0];
    let mut tasks = Vec::new();
    for step in steps {
        match step {
            Step::Requests(count, leave) => {
                for n in 0..count {
                    let request = request(account.another_core(), Arc::clone(&refused));
                    let task = tokio::spawn(request);
                    if leave && n % 3 == 0 {
                        let leaving = task.abort_handle();
                        tokio::spawn(async move {
                            sleep(Duration::from_millis(n as u64 * 7)).await;
                            leaving.abort();
                        });
                    }
                    tasks.push(task);
                }
            }
            Step::RefuseAll => {
                let mut refused = refused.lock();
                refused.extend((1..=endpoint.calls()).map(|n| format!("access-{n}")));
            }
            Step::Pass(span) => sleep(span).await,
            Step::Jump(by) => account.clock.jump(by),
            Step::Answers(next) => *answers.lock() = next,
            Step::FailCommits(times) => store.fail("commit", times),
        }
        account.settle().await;
        generations.push(account.credential.generation());
    }
    for task in tasks {
        if let Err(error) = task.await {
            assert!(error.is_cancelled(), "{error}");
        }
    }
    assert!(generations.is_sorted(), "{generations:?}");
    assert!(endpoint.most_in_flight() <= 1);
    // Whatever went before, it serves again when all is well.
    *answers.lock() = Answers::Good;
    store.mend();
    sleep(seconds(400)).await;
    let served = account.another_core().request().await;
    assert!(served.is_ok(), "{served:?}");
    if with_store {
        sleep(seconds(2)).await;
        let stored = store.stored().await;
        assert_eq!(stored.begun, None);
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn in_no_order_of_events_are_there_two_calls_at_once_or_an_older_token_than_before(
        steps in steps(),
        with_store in any::<bool>(),
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread();
        let runtime = { runtime }.enable_time().start_paused(true).build().unwrap();
        runtime.block_on(run(steps, with_store));
    }
}
