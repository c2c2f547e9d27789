use std::time::Duration;

use tokio::time::{Instant, sleep};

use super::super::Unavailable;
use super::super::source::FetchError;
use super::bench::{Account, Endpoint, LIFE, Outcome, seconds, transient};

#[tokio::test(start_paused = true)]
async fn each_failure_reaches_the_request_as_what_it_is() {
    let cases = [
        (FetchError::NeedsLogin("log in"), Unavailable::NeedsLogin("log in")),
        (
            FetchError::Misconfigured("client_id".to_owned()),
            Unavailable::Misconfigured("client_id".to_owned()),
        ),
        (
            FetchError::WrongPortal { found: 1, configured: 2 },
            Unavailable::WrongPortal { found: 1, configured: 2 },
        ),
        (transient("down"), Unavailable::Trouble("down".into(), seconds(1))),
    ];
    for (error, expected) in cases {
        let mut account = Account::of(&Endpoint::first([Outcome::Fail(error)]));
        assert!(account.credential.readiness().is_ok(), "nothing is known against it yet");
        assert_eq!(account.request().await, Err(expected.clone()));
        assert_eq!(account.credential.readiness(), Err(expected));
    }
}

#[tokio::test(start_paused = true)]
async fn a_refused_grant_is_never_presented_again() {
    let endpoint = Endpoint::first([Outcome::Fail(FetchError::NeedsLogin("log in"))]);
    let mut account = Account::of(&endpoint);
    for _ in 0..100 {
        assert_eq!(account.request().await, Err(Unavailable::NeedsLogin("log in")));
        account.credential.refresh_soon();
        sleep(seconds(3600)).await;
    }
    assert_eq!(endpoint.calls(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_grant_refused_while_the_token_has_time_stops_nothing_before_its_end() {
    let refused = Outcome::Fail(FetchError::NeedsLogin("log in"));
    let endpoint = Endpoint::first([Outcome::Token(LIFE), refused]);
    let mut account = Account::of(&endpoint);
    account.request().await.unwrap();
    sleep(LIFE - seconds(200)).await;
    let until_its_end = Instant::now() + seconds(199);
    while Instant::now() < until_its_end {
        assert_eq!(account.request().await, Ok("access-1".to_owned()));
        assert_eq!(account.credential.readiness(), Ok(()));
        sleep(seconds(3)).await;
    }
    assert_eq!(account.request().await, Err(Unavailable::NeedsLogin("log in")));
    assert_eq!(endpoint.calls(), 2);
}

#[tokio::test(start_paused = true)]
async fn a_wrong_setting_is_tried_again_after_a_minute() {
    let wrong = || Outcome::Fail(FetchError::Misconfigured("client_secret".to_owned()));
    let endpoint = Endpoint::first([wrong(), wrong()]);
    let mut account = Account::of(&endpoint);
    for second in 0..120 {
        assert!(account.request().await.is_err());
        assert_eq!(endpoint.calls(), 1 + usize::from(second >= 60), "second {second}");
        sleep(seconds(1)).await;
    }
    assert!(account.request().await.is_ok());
}

#[tokio::test(start_paused = true)]
async fn a_token_of_another_portal_is_not_used_and_none_is_asked_for_again() {
    let endpoint = Endpoint::new(|_, _| (Duration::ZERO, Outcome::TokenOf(8)));
    let mut account = Account::of_portal(&endpoint, 7);
    let wrong = Unavailable::WrongPortal { found: 8, configured: 7 };
    for _ in 0..10 {
        assert_eq!(account.request().await, Err(wrong.clone()));
        sleep(seconds(600)).await;
    }
    assert_eq!((endpoint.calls(), account.generation()), (1, 0));
    let mut right = Account::of_portal(&Endpoint::first([Outcome::TokenOf(7)]), 7);
    assert!(right.request().await.is_ok());
    let mut unknown = Account::of_portal(&Endpoint::good(), 7);
    assert!(unknown.request().await.is_ok(), "the answer does not say which portal");
}

#[tokio::test(start_paused = true)]
async fn what_the_endpoint_asks_for_in_retry_after_is_waited_for() {
    for (asked, waited) in [(0, 1), (20, 20), (299, 299), (86_400, 300)] {
        let busy = FetchError::Transient("busy".into(), Some(seconds(asked)));
        let endpoint = Endpoint::first([Outcome::Fail(busy)]);
        let mut account = Account::of(&endpoint);
        let expected = Unavailable::Trouble("busy".into(), seconds(waited));
        assert_eq!(account.request().await, Err(expected));
        sleep(seconds(waited) - Duration::from_millis(1)).await;
        let nearly = Unavailable::Trouble("busy".into(), Duration::from_millis(1));
        assert_eq!(account.request().await, Err(nearly));
        assert_eq!(endpoint.calls(), 1, "asked for {asked}");
        sleep(Duration::from_millis(1)).await;
        assert!(account.request().await.is_ok(), "asked for {asked}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_hanging_endpoint_counts_as_trouble_after_half_a_minute() {
    let endpoint = Endpoint::first([Outcome::Hang]);
    let mut account = Account::of(&endpoint);
    let began = Instant::now();
    assert!(matches!(account.request().await, Err(Unavailable::Trouble(..))));
    assert_eq!(began.elapsed(), seconds(15));
    assert!(account.credential.readiness().is_ok(), "it may still come");
    sleep(seconds(17)).await;
    assert!(account.credential.readiness().is_err());
    assert_eq!(account.request().await, Ok("access-2".to_owned()));
    assert_eq!(endpoint.most_in_flight(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_refresh_that_panics_does_not_block_the_account() {
    let endpoint = Endpoint::first([Outcome::Panic]);
    let mut account = Account::of(&endpoint);
    let began = Instant::now();
    assert!(matches!(account.request().await, Err(Unavailable::Trouble(..))));
    assert_eq!(began.elapsed(), Duration::ZERO, "who waits is told");
    sleep(seconds(1)).await;
    assert_eq!(account.request().await, Ok("access-2".to_owned()));
}

#[tokio::test(start_paused = true)]
async fn refreshes_that_panic_pause_as_other_failures_do() {
    let endpoint = Endpoint::new(|_, _| (Duration::ZERO, Outcome::Panic));
    let mut account = Account::of(&endpoint);
    for _ in 0..600 {
        assert!(account.request().await.is_err());
        sleep(Duration::from_millis(100)).await;
    }
    assert!(endpoint.calls() <= 7, "{} calls in a minute", endpoint.calls());
}
