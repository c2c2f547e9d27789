use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::time::Duration;

use parking_lot::Mutex;
use tokio::time::sleep;

use super::super::Replacement;
use super::super::source::FetchError;
use super::bench::{Account, Endpoint, LIFE, Outcome, SEED, SetClock, seconds};
use crate::store::memory::MemoryStore;

/// Two processes' engines on one store.
fn two(endpoint: &Arc<Endpoint>) -> (Account, Account) {
    let (store, clock) = (MemoryStore::new(), SetClock::new());
    (Account::beside(endpoint, &store, &clock), Account::beside(endpoint, &store, &clock))
}

#[tokio::test(start_paused = true)]
async fn a_newer_token_of_another_engine_is_taken_over_without_a_call() {
    let endpoint = Endpoint::good();
    let (mut first, mut second) = two(&endpoint);
    assert_eq!(first.request().await, Ok("access-1".to_owned()));
    sleep(seconds(60)).await;
    assert_eq!(second.request().await, Ok("access-1".to_owned()));
    sleep(LIFE - seconds(360)).await;
    // Stale at both: the first to ask refreshes, the other takes over what that brings.
    assert_eq!(second.request().await, Ok("access-1".to_owned()));
    sleep(seconds(1)).await;
    assert_eq!(first.request().await, Ok("access-1".to_owned()));
    first.settle().await;
    assert_eq!(first.request().await, Ok("access-2".to_owned()));
    assert_eq!(second.request().await, Ok("access-2".to_owned()));
    assert_eq!(endpoint.calls(), 2);
}

#[tokio::test(start_paused = true)]
async fn a_token_taken_over_is_as_old_as_it_was_where_it_came_from() {
    let endpoint = Endpoint::good();
    let (mut first, mut second) = two(&endpoint);
    first.request().await.unwrap();
    sleep(seconds(600)).await;
    second.request().await.unwrap();
    sleep(LIFE - seconds(600)).await;
    assert_eq!(second.request().await, Ok("access-2".to_owned()));
    assert_eq!(first.request().await, Ok("access-2".to_owned()));
}

#[tokio::test(start_paused = true)]
async fn a_refused_token_is_replaced_by_what_another_engine_has_fetched_meanwhile() {
    let endpoint = Endpoint::good();
    let (mut first, mut second) = two(&endpoint);
    first.request().await.unwrap();
    second.request().await.unwrap();
    sleep(seconds(20)).await;
    first.credential.replacement(first.generation()).await.unwrap();
    let replaced = second.credential.replacement(second.generation()).await;
    assert_eq!(replaced, Ok(Replacement { forced: true }));
    assert_eq!(second.request().await, Ok("access-2".to_owned()));
    assert_eq!(endpoint.calls(), 2);
}

#[tokio::test(start_paused = true)]
async fn a_call_of_one_engine_holds_up_the_other_until_it_is_over() {
    let endpoint = Endpoint::new(|_, _| (seconds(5), Outcome::Token(LIFE)));
    let (mut first, mut second) = two(&endpoint);
    let (one, other) = tokio::join!(first.request(), second.request());
    assert_eq!((one, other), (Ok("access-1".to_owned()), Ok("access-1".to_owned())));
    assert_eq!((endpoint.calls(), endpoint.most_in_flight()), (1, 1));
}

#[tokio::test(start_paused = true)]
async fn strict_rotation_survives_a_thousand_refreshes_by_two_engines() {
    let live = Mutex::new(SEED.to_owned());
    let reuses = Arc::new(AtomicUsize::new(0));
    let seen = Arc::clone(&reuses);
    let endpoint = Endpoint::new(move |call, presented| {
        let mut live = live.lock();
        if *live != presented {
            seen.fetch_add(1, SeqCst);
            return (Duration::ZERO, Outcome::Fail(FetchError::NeedsLogin("reuse")));
        }
        *live = format!("SECRET-refresh-{call}");
        (Duration::from_millis(fastrand::u64(0..300)), Outcome::Token(seconds(60)))
    });
    let (mut first, mut second) = two(&endpoint);
    while endpoint.calls() < 1000 {
        let (one, other) = tokio::join!(
            async {
                sleep(Duration::from_millis(fastrand::u64(0..200))).await;
                first.request().await
            },
            async {
                sleep(Duration::from_millis(fastrand::u64(0..200))).await;
                second.request().await
            }
        );
        assert!(one.is_ok() && other.is_ok(), "{one:?} {other:?}");
        // Sometimes in the background, sometimes awaited, sometimes after its end, sometimes forced.
        sleep(seconds([12, 45, 57, 61][fastrand::usize(0..4)])).await;
        if fastrand::bool() {
            let _ = first.credential.replacement(first.generation()).await;
        }
    }
    assert_eq!((reuses.load(SeqCst), endpoint.most_in_flight()), (0, 1));
}

// That a stored token has to be younger than the one in use, and not as young, makes no difference
// that could be seen: two different tokens of one age have been issued in the same millisecond.
#[tokio::test(start_paused = true)]
async fn a_stored_token_is_taken_over_for_its_own_portal_and_for_no_other() {
    let endpoint = Endpoint::new(|_, _| (Duration::ZERO, Outcome::TokenOf(7)));
    let store = MemoryStore::new();
    let mut first = Account::stored_of_portal(&endpoint, &store, 7);
    assert_eq!(first.request().await, Ok("access-1".to_owned()));
    let mut same = Account::stored_of_portal(&endpoint, &store, 7);
    assert_eq!(same.request().await, Ok("access-1".to_owned()));
    let mut other = Account::stored_of_portal(&endpoint, &store, 8);
    assert!(other.request().await.is_err());
    assert_eq!(endpoint.calls(), 2);
}
