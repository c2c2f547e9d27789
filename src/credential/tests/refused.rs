use std::time::Duration;

use tokio::time::{Instant, sleep};

use super::super::hot::Token;
use super::super::source::FetchError;
use super::super::{Credential, NoReplacement, Replacement, Unavailable};
use super::bench::{AHEAD, Account, Endpoint, LIFE, Outcome, seconds, secret, transient};
use crate::types::clock::Clock;

/// An account with a token that is older than one that was just fetched.
async fn in_use(endpoint: &std::sync::Arc<Endpoint>) -> Account {
    let mut account = Account::of(endpoint);
    account.request().await.unwrap();
    sleep(seconds(10)).await;
    account
}

#[tokio::test(start_paused = true)]
async fn a_token_older_than_the_current_one_is_replaced_at_once_without_a_call() {
    let mut account = in_use(&Endpoint::good()).await;
    let old = account.generation();
    sleep(LIFE).await;
    account.request().await.unwrap();
    let began = Instant::now();
    let replaced = account.credential.replacement(old).await;
    assert_eq!(replaced, Ok(Replacement { forced: false }));
    assert_eq!((began.elapsed(), account.endpoint.calls()), (Duration::ZERO, 2));
}

#[tokio::test(start_paused = true)]
async fn a_storm_of_refusals_forces_one_refresh() {
    let account = in_use(&Endpoint::good()).await;
    let refused = account.generation();
    let all: Vec<_> = (0..500)
        .map(|_| {
            let credential = account.credential.clone();
            tokio::spawn(async move { credential.replacement(refused).await })
        })
        .collect();
    for one in all {
        assert!(one.await.unwrap().is_ok());
    }
    let late = account.credential.replacement(refused).await;
    assert_eq!(late, Ok(Replacement { forced: false }));
    assert_eq!(account.endpoint.calls(), 2);
}

#[tokio::test(start_paused = true)]
async fn a_token_fetched_less_than_ten_seconds_ago_is_not_replaced() {
    let mut account = Account::of(&Endpoint::good());
    account.request().await.unwrap();
    sleep(seconds(10) - Duration::from_millis(1)).await;
    let refused = account.credential.replacement(account.generation()).await;
    assert_eq!(refused, Err(NoReplacement::JustFetched));
    sleep(Duration::from_millis(1)).await;
    let refused = account.credential.replacement(account.generation()).await;
    assert_eq!(refused, Ok(Replacement { forced: true }));
}

#[tokio::test(start_paused = true)]
async fn why_there_is_no_replacement_is_said() {
    let cases = [
        (FetchError::NeedsLogin("log in"), Unavailable::NeedsLogin("log in")),
        (transient("down"), Unavailable::Trouble("down".into(), seconds(1))),
    ];
    for (error, expected) in cases {
        let endpoint = Endpoint::first([Outcome::Token(LIFE), Outcome::Fail(error)]);
        let mut account = in_use(&endpoint).await;
        let refused = account.credential.replacement(account.generation()).await;
        assert_eq!(refused, Err(NoReplacement::Unavailable(expected)));
        // The token is not over by the clock, and only the upstream knows for which operations.
        assert_eq!(account.request().await, Ok("access-1".to_owned()));
        for _ in 0..50 {
            let again = account.credential.replacement(account.generation()).await;
            assert!(again.is_err());
        }
        assert_eq!(endpoint.calls(), 2, "the pause holds for forced refreshes too");
    }
}

/// Has every token refused for `span`, with requests every second, and counts the refreshes that
/// were forced.
async fn refused_throughout(account: &mut Account, span: Duration) -> usize {
    let began = Instant::now();
    let mut forced = 0;
    while began.elapsed() < span {
        account.request().await.unwrap();
        if let Ok(replacement) = account.credential.replacement(account.generation()).await {
            account.request().await.unwrap();
            if replacement.forced {
                forced += 1;
                account.credential.refused_again();
                account.credential.refused_again();
            }
        }
        sleep(seconds(1)).await;
    }
    forced
}

#[tokio::test(start_paused = true)]
async fn an_upstream_that_refuses_every_token_costs_a_bounded_number_of_calls_an_hour() {
    let endpoint = Endpoint::new(|_, _| (Duration::ZERO, Outcome::Token(LIFE)));
    let mut account = in_use(&endpoint).await;
    // At minutes 0, 1, 3, 7, 15, 30 and 45.
    assert_eq!(refused_throughout(&mut account, seconds(3600)).await, 7);
    // From then on every quarter of an hour.
    assert_eq!(refused_throughout(&mut account, seconds(3600)).await, 4);
    let by_age = seconds(7200).as_secs() / (LIFE - AHEAD).as_secs();
    let calls = endpoint.calls();
    assert!(calls <= 1 + 7 + 4 + usize::try_from(by_age).unwrap(), "{calls} calls in two hours");
}

#[tokio::test(start_paused = true)]
async fn the_first_answer_that_is_not_401_ends_the_pause() {
    let mut account = in_use(&Endpoint::good()).await;
    refused_throughout(&mut account, seconds(600)).await;
    let paused = account.credential.replacement(account.generation()).await;
    assert_eq!(paused, Err(NoReplacement::Paused));
    account.credential.accepted();
    let forced = account.credential.replacement(account.generation()).await;
    assert_eq!(forced, Ok(Replacement { forced: true }));
    account.request().await.unwrap();
    account.credential.refused_again();
    sleep(seconds(60)).await;
    let forced = account.credential.replacement(account.generation()).await;
    assert_eq!(forced, Ok(Replacement { forced: true }), "it begins at a minute again");
}

#[tokio::test(start_paused = true)]
async fn the_pause_of_forced_refreshes_holds_up_no_other_refresh() {
    let mut account = in_use(&Endpoint::good()).await;
    account.credential.replacement(account.generation()).await.unwrap();
    account.request().await.unwrap();
    account.credential.refused_again();
    sleep(LIFE).await;
    assert_eq!(account.request().await, Ok("access-3".to_owned()));
}

#[tokio::test(start_paused = true)]
async fn a_refusal_that_comes_in_the_middle_of_a_refresh_joins_it() {
    let endpoint = Endpoint::new(|_, _| (seconds(5), Outcome::Token(LIFE)));
    let mut account = in_use(&endpoint).await;
    sleep(LIFE - AHEAD).await;
    account.request().await.unwrap();
    sleep(seconds(2)).await;
    let began = Instant::now();
    let replaced = account.credential.replacement(account.generation()).await;
    assert!(replaced.is_ok());
    assert_eq!((began.elapsed(), endpoint.calls()), (seconds(3), 2));
}

#[tokio::test(start_paused = true)]
async fn a_newer_token_that_is_about_to_be_published_is_waited_for() {
    let endpoint = Endpoint::new(|_, _| (seconds(5), Outcome::Token(LIFE)));
    let account = in_use(&endpoint).await;
    let credential = account.credential.clone();
    credential.refresh_soon();
    // The moment between the two steps of a publication, drawn out.
    let mut next = Token::new(&secret("SECRET-next"), account.clock.moment(), LIFE, AHEAD);
    next.generation = account.generation() + 1;
    credential.current.store(Some(std::sync::Arc::new(next)));
    let replaced = credential.replacement(account.generation()).await;
    assert!(replaced.is_ok(), "{replaced:?}");
    assert_eq!(endpoint.calls(), 2);
}

#[tokio::test(start_paused = true)]
async fn only_a_credential_that_can_be_refreshed_says_so() {
    let account = Account::of(&Endpoint::good());
    assert!(account.credential.can_refresh());
    let name = crate::types::account::AccountName::default_name();
    assert!(!Credential::fixed(name.clone(), &secret("t"), None).can_refresh());
    assert!(!Credential::none(name).can_refresh());
}
