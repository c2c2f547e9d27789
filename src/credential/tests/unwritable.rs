use std::sync::Arc;
use std::time::Duration;

use tokio::time::{Instant, sleep};

use super::super::source::FetchError;
use super::super::{Replacement, Unavailable};
use super::bench::{AHEAD, Account, Endpoint, LIFE, Outcome, SEED, seconds, transient};
use super::faulty_store::{FaultyStore, Login};
use crate::types::clock::WallTime;

const ALWAYS: usize = usize::MAX;

/// An account with a token that has just become stale.
async fn stale(endpoint: &Arc<Endpoint>, store: &Arc<FaultyStore>) -> Account {
    let mut account = Account::stored(endpoint, store);
    account.request().await.unwrap();
    sleep(LIFE - AHEAD).await;
    account
}

#[tokio::test(start_paused = true)]
async fn a_store_that_cannot_be_written_stops_a_refresh_that_is_in_no_hurry() {
    for operation in ["lock", "read", "begin"] {
        let (store, endpoint) = (FaultyStore::new(), Endpoint::good());
        let mut account = stale(&endpoint, &store).await;
        store.fail(operation, ALWAYS);
        let end = Instant::now() + AHEAD - seconds(11);
        while Instant::now() < end {
            assert_eq!(account.request().await, Ok("access-1".to_owned()), "{operation}");
            sleep(seconds(1)).await;
        }
        assert_eq!(endpoint.calls(), 1, "{operation}");
        store.mend();
        sleep(seconds(60)).await;
        assert!(account.request().await.is_ok(), "{operation}");
        assert_eq!(endpoint.calls(), 2, "{operation}");
    }
}

#[tokio::test(start_paused = true)]
async fn serving_goes_before_safety_when_the_token_is_about_to_end() {
    let (store, endpoint) = (FaultyStore::new(), Endpoint::good());
    let mut account = stale(&endpoint, &store).await;
    store.fail("begin", ALWAYS);
    store.fail("commit", ALWAYS);
    sleep(AHEAD - seconds(10)).await;
    assert_eq!(account.request().await, Ok("access-2".to_owned()));
    assert_eq!(store.stored().await.begun, None);
    assert_eq!(store.stored().await.refresh_token.expose(), "SECRET-refresh-1");
}

#[tokio::test(start_paused = true)]
async fn a_first_token_is_served_although_the_store_cannot_be_written() {
    let (store, endpoint) = (FaultyStore::new(), Endpoint::good());
    let mut account = Account::stored(&endpoint, &store);
    store.fail("begin", ALWAYS);
    store.fail("commit", ALWAYS);
    assert_eq!(account.request().await, Ok("access-1".to_owned()));
}

#[tokio::test(start_paused = true)]
async fn what_could_not_be_written_is_written_every_second_under_the_lock_and_no_call_is_made() {
    let (store, endpoint) = (FaultyStore::new(), Endpoint::good());
    let mut account = Account::stored(&endpoint, &store);
    store.fail("commit", ALWAYS);
    assert_eq!(account.request().await, Ok("access-1".to_owned()));
    for second in 0..60 {
        let failed = store.journal().iter().filter(|entry| *entry == "commit failed").count();
        assert!((second..=second + 2).contains(&failed), "{failed} tries after {second} s");
        assert_eq!(account.request().await, Ok("access-1".to_owned()));
        account.credential.refresh_soon();
        sleep(seconds(1)).await;
    }
    assert_eq!((endpoint.calls(), store.count("unlock")), (1, 0));
    store.mend();
    sleep(seconds(1)).await;
    account.settle().await;
    assert_eq!(store.journal().last().unwrap(), "unlock");
    assert_eq!(store.stored().await.refresh_token.expose(), "SECRET-refresh-1");
    assert_eq!(store.stored().await.begun, None);
    // And it goes on as ever.
    sleep(LIFE).await;
    assert_eq!(account.request().await, Ok("access-2".to_owned()));
}

/// A token whose commit failed until it was about to end.
async fn unsaved(endpoint: &Arc<Endpoint>, store: &Arc<FaultyStore>) -> Account {
    let mut account = Account::stored(endpoint, store);
    store.fail("commit", ALWAYS);
    account.request().await.unwrap();
    sleep(LIFE - seconds(5)).await;
    account.settle().await;
    account
}

#[tokio::test(start_paused = true)]
async fn an_unsaved_refresh_token_is_what_is_presented_next() {
    let (store, endpoint) = (FaultyStore::new(), Endpoint::good());
    let mut account = unsaved(&endpoint, &store).await;
    assert_eq!(account.request().await, Ok("access-2".to_owned()), "still unwritable");
    sleep(LIFE - seconds(5)).await;
    account.settle().await;
    store.mend();
    assert_eq!(account.request().await, Ok("access-3".to_owned()));
    let presented = [SEED, "SECRET-refresh-1", "SECRET-refresh-2"];
    assert_eq!(*endpoint.presented.lock(), presented);
    assert_eq!(store.stored().await.refresh_token.expose(), "SECRET-refresh-3");
}

#[tokio::test(start_paused = true)]
async fn an_unsaved_refresh_token_outlives_a_call_that_fails() {
    let store = FaultyStore::new();
    let endpoint = Endpoint::first([Outcome::Token(LIFE), Outcome::Fail(transient("down"))]);
    let mut account = unsaved(&endpoint, &store).await;
    store.mend();
    account.request().await.unwrap();
    assert_eq!(endpoint.calls(), 2);
    sleep(seconds(2)).await;
    assert_eq!(account.request().await, Ok("access-3".to_owned()));
    let presented = [SEED, "SECRET-refresh-1", "SECRET-refresh-1"];
    assert_eq!(*endpoint.presented.lock(), presented);
}

#[tokio::test(start_paused = true)]
async fn a_token_refused_while_it_could_not_be_written_is_replaced() {
    let (store, endpoint) = (FaultyStore::new(), Endpoint::good());
    let mut account = Account::stored(&endpoint, &store);
    store.fail("commit", ALWAYS);
    account.request().await.unwrap();
    sleep(seconds(20)).await;
    let began = Instant::now();
    let replaced = account.credential.replacement(account.generation()).await;
    assert_eq!(replaced, Ok(Replacement { forced: true }));
    assert!(began.elapsed() < seconds(3), "{:?}", began.elapsed());
    assert_eq!(*endpoint.presented.lock(), [SEED, "SECRET-refresh-1"]);
}

#[tokio::test(start_paused = true)]
async fn a_request_after_a_sleep_does_not_lose_to_a_write_that_is_tried_again() {
    let (store, endpoint) = (FaultyStore::new(), Endpoint::good());
    let mut account = Account::stored(&endpoint, &store);
    store.fail("commit", ALWAYS);
    account.request().await.unwrap();
    account.clock.jump(4 * 3600);
    assert_eq!(account.request().await, Ok("access-2".to_owned()));
}

#[tokio::test(start_paused = true)]
async fn a_refusal_that_cannot_be_written_is_a_refusal_all_the_same() {
    let store = FaultyStore::new();
    let refused = Outcome::Fail(FetchError::NeedsLogin("log in"));
    let mut account = Account::stored(&Endpoint::first([refused]), &store);
    store.fail("abandon", ALWAYS);
    assert_eq!(account.request().await, Err(Unavailable::NeedsLogin("log in")));
}

#[tokio::test(start_paused = true)]
async fn a_store_that_cannot_be_read_is_trouble_and_not_a_reason_to_log_in() {
    for operation in ["seed", "lock", "read"] {
        let (store, endpoint) = (FaultyStore::new(), Endpoint::good());
        let mut account = Account::stored(&endpoint, &store);
        store.fail(operation, 1);
        let Err(Unavailable::Trouble(what, wait)) = account.request().await else {
            panic!("{operation}")
        };
        assert!(what.contains("store") && wait <= seconds(1), "{operation}: {what} {wait:?}");
        assert_eq!(endpoint.calls(), 0);
        sleep(Duration::from_secs(1)).await;
        assert!(account.request().await.is_ok(), "{operation}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_login_ends_the_tries_to_write_what_it_has_replaced() {
    let (store, endpoint) = (FaultyStore::new(), Endpoint::good());
    let mut account = Account::stored(&endpoint, &store);
    store.fail("commit", 1);
    account.request().await.unwrap();
    assert_eq!(store.count("unlock"), 0);
    let login = Login {
        refresh_token: "SECRET-refresh-login",
        access_token: "SECRET-access-login",
        issued: WallTime(1),
        expires: WallTime(2),
    };
    store.login_before("commit", login);
    sleep(seconds(2)).await;
    assert_eq!(store.journal()[4..], ["commit conflict", "unlock"]);
    assert_eq!(store.stored().await.refresh_token.expose(), "SECRET-refresh-login");
    sleep(LIFE).await;
    assert_eq!(account.request().await, Ok("access-2".to_owned()));
    assert_eq!(*endpoint.presented.lock(), [SEED, "SECRET-refresh-login"]);
}

#[tokio::test(start_paused = true)]
async fn a_clock_set_back_does_not_bring_back_the_token_before_the_unsaved_one() {
    let (store, endpoint) = (FaultyStore::new(), Endpoint::good());
    let mut account = Account::stored(&endpoint, &store);
    account.request().await.unwrap();
    sleep(seconds(10)).await;
    store.fail("commit", ALWAYS);
    account.credential.replacement(account.generation()).await.unwrap();
    sleep(LIFE).await;
    account.settle().await;
    account.clock.jump(-1700);
    store.mend();
    assert_eq!(account.request().await, Ok("access-3".to_owned()));
    assert_eq!(*endpoint.presented.lock(), [SEED, "SECRET-refresh-1", "SECRET-refresh-2"]);
}

#[tokio::test(start_paused = true)]
async fn an_account_is_degraded_until_the_store_has_its_token() {
    let (store, endpoint) = (FaultyStore::new(), Endpoint::good());
    let mut account = stale(&endpoint, &store).await;
    assert!(!account.credential.is_degraded());
    store.fail("commit", ALWAYS);
    account.request().await.unwrap();
    sleep(seconds(1)).await;
    assert!(account.credential.is_degraded());
    store.mend();
    sleep(seconds(2)).await;
    assert!(!account.credential.is_degraded());
}

#[tokio::test(start_paused = true)]
async fn whoever_waits_for_the_end_of_a_refresh_has_its_token_when_it_comes() {
    let endpoint = Endpoint::new(|_, _| (seconds(3), Outcome::Token(LIFE)));
    let account = Account::of(&endpoint);
    let began = Instant::now();
    account.credential.settled().await;
    assert_eq!(began.elapsed(), Duration::ZERO);
    account.credential.refresh_soon();
    account.credential.settled().await;
    assert_eq!((began.elapsed(), account.credential.generation()), (seconds(3), 1));
}
