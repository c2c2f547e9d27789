use std::time::Duration;

use tokio::time::{Instant, sleep};

use super::super::Unavailable;
use super::bench::{AHEAD, Account, Endpoint, LIFE, Outcome, seconds, transient};

/// Calls in an outage of 40 minutes with a request every second: one when the token becomes stale,
/// then after 1, 2, 4, 8, 16 and 32 s and every minute.
const CALLS_IN_THE_OUTAGE: usize = 6 + 39;

#[tokio::test(start_paused = true)]
async fn an_outage_longer_than_a_tokens_life_is_bounded_and_over_within_one_step() {
    let began = Instant::now();
    let outage = began + LIFE - AHEAD..began + LIFE - AHEAD + seconds(2400);
    let ends = outage.end;
    let endpoint = Endpoint::new(move |_, _| match outage.contains(&Instant::now()) {
        true => (Duration::ZERO, Outcome::Fail(transient("it is down"))),
        false => (Duration::ZERO, Outcome::Token(LIFE)),
    });
    let mut account = Account::of(&endpoint);
    account.request().await.unwrap();
    while Instant::now() < ends {
        match account.request().await {
            Ok(token) => {
                assert_eq!(token, "access-1");
                assert!(began.elapsed() < LIFE, "a token past its end");
                assert_eq!(account.credential.readiness(), Ok(()));
            }
            Err(Unavailable::Trouble(what, wait)) => {
                assert!(began.elapsed() >= LIFE, "refused after {:?}", began.elapsed());
                assert!(wait <= seconds(60), "{wait:?}");
                assert_eq!(what, "it is down");
                assert!(account.credential.readiness().is_err());
            }
            Err(other) => panic!("{other:?}"),
        }
        sleep(seconds(1)).await;
    }
    let calls = endpoint.calls() - 1;
    assert!((40..=CALLS_IN_THE_OUTAGE).contains(&calls), "{calls} calls");
    while account.request().await.is_err() {
        sleep(seconds(1)).await;
    }
    assert!(ends.elapsed() <= seconds(60), "{:?} after its end", ends.elapsed());
    assert_eq!(account.credential.readiness(), Ok(()));
    assert_eq!(endpoint.calls(), calls + 2);
}

#[tokio::test(start_paused = true)]
async fn no_number_of_requests_makes_more_calls_in_an_outage() {
    let endpoint =
        Endpoint::new(|_, _| (Duration::from_millis(50), Outcome::Fail(transient("down"))));
    let mut account = Account::of(&endpoint);
    for _ in 0..6000 {
        assert!(account.request().await.is_err());
        account.credential.refresh_soon();
        sleep(Duration::from_millis(10)).await;
    }
    // At seconds 0, 1, 3, 7, 15 and 31, and one more where the calls' own time adds up.
    assert!(endpoint.calls() <= 7, "{} calls in a minute", endpoint.calls());
}

#[tokio::test(start_paused = true)]
async fn the_pauses_begin_anew_after_a_success() {
    let down = || Outcome::Fail(transient("it is down"));
    let script = [down(), down(), down(), down(), Outcome::Token(LIFE), down()];
    let endpoint = Endpoint::first(script);
    let mut account = Account::of(&endpoint);
    while account.request().await.is_err() {
        sleep(seconds(1)).await;
    }
    sleep(LIFE).await;
    let failed = account.request().await;
    assert_eq!(failed, Err(Unavailable::Trouble("it is down".into(), seconds(1))));
}
