use std::sync::Arc;
use std::time::Duration;

use tokio::time::sleep;

use super::super::source::FetchError;
use super::super::{Replacement, Unavailable};
use super::bench::{AHEAD, Account, Endpoint, LIFE, Outcome, SEED, seconds, transient};
use super::faulty_store::{FaultyStore, Login};
use crate::types::clock::{Clock, WallTime};

fn refused() -> Outcome {
    Outcome::Fail(FetchError::NeedsLogin("log in"))
}

/// An endpoint that writes its calls into the journal of `store`.
fn journaling(store: &Arc<FaultyStore>) -> Arc<Endpoint> {
    let journal = FaultyStore::clone(store);
    Endpoint::new(move |_, presented| {
        journal.note(format!("fetch {presented}"));
        (Duration::from_millis(100), Outcome::Token(LIFE))
    })
}

#[tokio::test(start_paused = true)]
async fn a_refresh_locks_reads_begins_fetches_commits_and_unlocks_in_this_order() {
    let store = FaultyStore::new();
    let mut account = Account::stored(&journaling(&store), &store);
    account.request().await.unwrap();
    account.settle().await;
    let order = ["lock", "read", "begin", "fetch SECRET-refresh-0", "commit", "unlock"];
    assert_eq!(store.journal(), order);
    sleep(LIFE).await;
    account.request().await.unwrap();
    account.settle().await;
    let order = ["lock", "read", "begin", "fetch SECRET-refresh-1", "commit", "unlock"];
    assert_eq!(store.journal()[6..], order);
    let stored = store.stored().await;
    assert_eq!(stored.refresh_token.expose(), "SECRET-refresh-2");
    assert_eq!(stored.access_token.unwrap().token.expose(), "SECRET-access-2");
    assert_eq!(stored.begun, None);
}

#[tokio::test(start_paused = true)]
async fn a_token_is_not_seen_before_its_commit() {
    let store = FaultyStore::new();
    let mut account = Account::stored(&Endpoint::good(), &store);
    let mut core = account.another_core();
    let waiter = tokio::spawn(async move { core.request().await });
    while !waiter.is_finished() {
        let committed = store.count("commit") > 0;
        account.freshness();
        assert!(committed || account.generation() == 0);
        sleep(Duration::from_millis(1)).await;
    }
    assert_eq!((waiter.await.unwrap(), store.count("commit")), (Ok("access-1".to_owned()), 1));
}

#[tokio::test(start_paused = true)]
async fn an_answer_without_a_refresh_token_keeps_the_one_there_is() {
    let store = FaultyStore::new();
    let endpoint = Endpoint::first([Outcome::OldGrant]);
    let mut account = Account::stored(&endpoint, &store);
    account.request().await.unwrap();
    assert_eq!(store.stored().await.refresh_token.expose(), SEED);
    sleep(LIFE).await;
    account.request().await.unwrap();
    assert_eq!(*endpoint.presented.lock(), [SEED, SEED]);
}

#[tokio::test(start_paused = true)]
async fn a_grant_replaced_during_the_call_is_left_as_it_is_and_used_next() {
    let store = FaultyStore::new();
    let endpoint = Endpoint::first([]);
    let mut account = Account::stored(&endpoint, &store);
    let login = Login {
        refresh_token: "SECRET-refresh-login",
        access_token: "SECRET-access-old",
        issued: WallTime(1),
        expires: WallTime(2),
    };
    store.login_before("commit", login);
    assert!(matches!(account.request().await, Err(Unavailable::Trouble(..))));
    assert_eq!(account.generation(), 0, "the token of the old grant is not used");
    assert_eq!(store.stored().await.refresh_token.expose(), "SECRET-refresh-login");
    sleep(seconds(1)).await;
    assert_eq!(account.request().await, Ok("access-2".to_owned()));
    assert_eq!(*endpoint.presented.lock(), [SEED, "SECRET-refresh-login"]);
}

#[tokio::test(start_paused = true)]
async fn a_refusal_that_a_login_has_overtaken_leads_to_its_grant() {
    let store = FaultyStore::new();
    let endpoint = Endpoint::first([refused()]);
    let mut account = Account::stored(&endpoint, &store);
    let login = |access_token, clock: &dyn Clock, seconds: u64| Login {
        refresh_token: "SECRET-refresh-login",
        access_token,
        issued: clock.now(),
        expires: clock.now().after(Duration::from_secs(seconds)),
    };
    // The login's access token is over, so that its refresh token has to be presented.
    let over = login("SECRET-access-old", account.clock.as_ref(), 0);
    store.login_before("begin", Login { refresh_token: SEED, access_token: "x", ..over });
    assert!(account.request().await.is_err(), "a conflict before the call: no call");
    assert_eq!(endpoint.calls(), 0);
    sleep(seconds(1)).await;
    // While the endpoint refuses, a login has written.
    let during = FaultyStore::clone(&store);
    let over = login("SECRET-access-old", account.clock.as_ref(), 0);
    let over = parking_lot::Mutex::new(Some(over));
    let endpoint = Endpoint::new(move |call, _| {
        if let Some(over) = over.lock().take() {
            during.login_before("read", over);
        }
        (Duration::ZERO, if call == 1 { refused() } else { Outcome::Token(LIFE) })
    });
    let mut account = Account::beside(&endpoint, &store, &account.clock);
    assert_eq!(account.request().await, Ok("access-2".to_owned()));
    assert_eq!(*endpoint.presented.lock(), [SEED, "SECRET-refresh-login"]);
}

#[tokio::test(start_paused = true)]
async fn a_refused_grant_is_kept_and_nothing_stays_open() {
    let store = FaultyStore::new();
    let mut account = Account::stored(&Endpoint::first([refused()]), &store);
    assert_eq!(account.request().await, Err(Unavailable::NeedsLogin("log in")));
    let stored = store.stored().await;
    assert_eq!((stored.refresh_token.expose(), stored.begun), (SEED, None));
}

#[tokio::test(start_paused = true)]
async fn a_grant_refused_after_a_refresh_without_an_end_is_called_interrupted() {
    let store = FaultyStore::new();
    let clock = {
        // The process dies while the call is under way: its begin is on record, its end is not.
        let account = Account::stored(&Endpoint::first([Outcome::Hang]), &store);
        account.credential.refresh_soon();
        account.settle().await;
        sleep(seconds(31)).await;
        account.settle().await;
        account.clock
    };
    assert!(store.stored().await.begun.is_some());
    let mut next = Account::beside(&Endpoint::first([refused()]), &store, &clock);
    let Err(Unavailable::NeedsLogin(why)) = next.request().await else { panic!("no login needed") };
    assert!(why.contains("interrupted during a refresh"), "{why}");
    assert_eq!(store.stored().await.begun, None);
    let mut later = Account::beside(&Endpoint::first([refused()]), &store, &clock);
    assert_eq!(later.request().await, Err(Unavailable::NeedsLogin("log in")));
}

#[tokio::test(start_paused = true)]
async fn an_interrupted_refresh_whose_token_still_works_is_just_done_again() {
    let store = FaultyStore::new();
    let endpoint = Endpoint::first([Outcome::Fail(transient("it broke off"))]);
    let mut account = Account::stored(&endpoint, &store);
    assert!(account.request().await.is_err());
    assert!(store.stored().await.begun.is_some(), "whether it has acted is not known");
    sleep(seconds(1)).await;
    assert_eq!(account.request().await, Ok("access-2".to_owned()));
    assert_eq!(store.stored().await.begun, None);
}

#[tokio::test(start_paused = true)]
async fn a_forced_refresh_takes_no_notice_of_the_refused_token_in_the_store() {
    let store = FaultyStore::new();
    let mut account = Account::stored(&Endpoint::good(), &store);
    account.request().await.unwrap();
    sleep(seconds(10)).await;
    let replaced = account.credential.replacement(account.generation()).await;
    assert_eq!(replaced, Ok(Replacement { forced: true }));
    assert_eq!(account.request().await, Ok("access-2".to_owned()));
}

#[tokio::test(start_paused = true)]
async fn the_background_refresh_goes_through_the_store_as_well() {
    let store = FaultyStore::new();
    let mut account = Account::stored(&Endpoint::good(), &store);
    account.request().await.unwrap();
    sleep(LIFE - AHEAD).await;
    assert_eq!(account.request().await, Ok("access-1".to_owned()));
    sleep(seconds(1)).await;
    assert_eq!(account.request().await, Ok("access-2".to_owned()));
    assert_eq!((store.count("commit"), store.count("unlock")), (2, 2));
}
