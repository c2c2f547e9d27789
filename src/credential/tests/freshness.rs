use std::time::Duration;

use tokio::time::{Instant, sleep};

use super::super::hot::Freshness::{Expired, Fresh, Missing, Stale};
use super::bench::{AHEAD, Account, Endpoint, LIFE, Outcome, seconds, transient};

#[tokio::test(start_paused = true)]
async fn a_hundred_waiters_share_one_refresh() {
    let account = Account::of(&Endpoint::good());
    let waiters: Vec<_> = (0..100)
        .map(|_| {
            let mut core = account.another_core();
            tokio::spawn(async move { core.request().await })
        })
        .collect();
    for waiter in waiters {
        assert_eq!(waiter.await.unwrap(), Ok("access-1".to_owned()));
    }
    assert_eq!(account.endpoint.calls(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_failure_is_shared_as_well() {
    let endpoint = Endpoint::new(|_, _| (seconds(1), Outcome::Fail(transient("it is down"))));
    let account = Account::of(&endpoint);
    let waiters: Vec<_> = (0..100)
        .map(|_| {
            let mut core = account.another_core();
            tokio::spawn(async move { core.request().await })
        })
        .collect();
    for waiter in waiters {
        assert!(waiter.await.unwrap().is_err());
    }
    assert_eq!(endpoint.calls(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_waiter_that_goes_away_does_not_end_the_refresh() {
    let endpoint = Endpoint::new(|_, _| (seconds(5), Outcome::Token(LIFE)));
    let mut account = Account::of(&endpoint);
    let mut core = account.another_core();
    let waiter = tokio::spawn(async move { core.request().await });
    sleep(seconds(1)).await;
    waiter.abort();
    assert!(waiter.await.unwrap_err().is_cancelled());
    sleep(seconds(5)).await;
    let began = Instant::now();
    assert_eq!(account.request().await, Ok("access-1".to_owned()));
    assert_eq!(began.elapsed(), Duration::ZERO);
    assert_eq!(endpoint.calls(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_fresh_token_is_used_without_a_call_and_an_idle_account_makes_none() {
    let mut account = Account::of(&Endpoint::good());
    account.request().await.unwrap();
    for _ in 0..10 {
        assert_eq!(account.request().await, Ok("access-1".to_owned()));
    }
    sleep(100 * LIFE).await;
    assert_eq!(account.endpoint.calls(), 1);
    assert_eq!(account.freshness(), Missing);
}

#[tokio::test(start_paused = true)]
async fn a_stale_token_is_used_while_one_refresh_runs_in_the_background() {
    let endpoint = Endpoint::new(|_, _| (seconds(3), Outcome::Token(LIFE)));
    let mut account = Account::of(&endpoint);
    account.request().await.unwrap();
    sleep(LIFE - AHEAD - seconds(1)).await;
    assert_eq!((account.freshness(), endpoint.calls()), (Fresh, 1));
    sleep(seconds(1)).await;
    assert_eq!(account.freshness(), Stale);
    for _ in 0..200 {
        let began = Instant::now();
        assert_eq!(account.request().await, Ok("access-1".to_owned()));
        assert_eq!(began.elapsed(), Duration::ZERO);
    }
    sleep(seconds(4)).await;
    assert_eq!(endpoint.calls(), 2);
    assert_eq!(account.request().await, Ok("access-2".to_owned()));
    assert_eq!(account.freshness(), Fresh);
    assert_eq!(account.endpoint.calls(), 2);
}

#[tokio::test(start_paused = true)]
async fn an_expired_token_is_waited_for() {
    let endpoint = Endpoint::new(|_, _| (seconds(3), Outcome::Token(LIFE)));
    let mut account = Account::of(&endpoint);
    account.request().await.unwrap();
    sleep(LIFE - seconds(10)).await;
    assert_eq!(account.freshness(), Expired);
    let began = Instant::now();
    assert_eq!(account.request().await, Ok("access-2".to_owned()));
    assert_eq!(began.elapsed(), seconds(3));
}

#[tokio::test(start_paused = true)]
async fn a_token_in_its_last_seconds_is_used_when_the_refresh_fails_or_pauses() {
    let endpoint = Endpoint::first([Outcome::Token(LIFE), Outcome::Fail(transient("it is down"))]);
    let mut account = Account::of(&endpoint);
    account.request().await.unwrap();
    sleep(LIFE - seconds(10)).await;
    assert_eq!(account.request().await, Ok("access-1".to_owned()));
    assert_eq!(endpoint.calls(), 2);
    let began = Instant::now();
    for _ in 0..20 {
        assert_eq!(account.request().await, Ok("access-1".to_owned()));
    }
    assert_eq!((began.elapsed(), endpoint.calls()), (Duration::ZERO, 2));
    sleep(seconds(1)).await;
    assert_eq!(account.request().await, Ok("access-3".to_owned()));
}

#[tokio::test(start_paused = true)]
async fn a_request_waits_fifteen_seconds_and_then_takes_the_old_token_or_an_error() {
    let endpoint = Endpoint::new(|call, _| match call {
        1 => (Duration::ZERO, Outcome::Token(seconds(300))),
        _ => (Duration::ZERO, Outcome::Hang),
    });
    let mut account = Account::of(&endpoint);
    account.request().await.unwrap();
    sleep(seconds(291)).await;
    let began = Instant::now();
    assert!(account.request().await.is_err(), "its life ended during the wait");
    assert_eq!(began.elapsed(), seconds(15));
    // The hanging call is given up after half a minute; then the next may be made.
    sleep(seconds(20)).await;
    assert!(account.request().await.is_err());
    assert_eq!((endpoint.calls(), endpoint.most_in_flight()), (3, 1));
}

#[tokio::test(start_paused = true)]
async fn a_sleep_of_the_machine_ends_a_token_although_the_steady_clock_stood_still() {
    let mut account = Account::of(&Endpoint::good());
    account.request().await.unwrap();
    account.clock.jump(4 * 3600);
    assert_eq!(account.freshness(), Missing);
    assert_eq!(account.request().await, Ok("access-2".to_owned()));
    assert_eq!(account.freshness(), Fresh);
}

#[tokio::test(start_paused = true)]
async fn a_wall_clock_that_is_set_back_gives_a_token_no_longer_life() {
    let mut account = Account::of(&Endpoint::good());
    account.request().await.unwrap();
    account.clock.jump(-7200);
    assert_eq!(account.freshness(), Fresh);
    sleep(LIFE - AHEAD).await;
    assert_eq!(account.freshness(), Stale);
    sleep(AHEAD).await;
    assert_eq!(account.freshness(), Missing);
    assert_eq!(account.request().await, Ok("access-2".to_owned()));
    sleep(LIFE - AHEAD - seconds(1)).await;
    assert_eq!(account.request().await, Ok("access-2".to_owned()));
    assert_eq!(account.endpoint.calls(), 2);
}

#[tokio::test(start_paused = true)]
async fn a_clock_set_forward_and_back_again_costs_one_refresh() {
    let mut account = Account::of(&Endpoint::good());
    account.request().await.unwrap();
    account.clock.jump(86_400);
    assert_eq!(account.request().await, Ok("access-2".to_owned()));
    account.clock.jump(-86_400);
    for _ in 0..10 {
        assert_eq!(account.request().await, Ok("access-2".to_owned()));
        sleep(seconds(60)).await;
    }
    assert_eq!(account.endpoint.calls(), 2);
}

#[tokio::test(start_paused = true)]
async fn a_pause_after_a_failure_goes_by_the_steady_clock() {
    for jump in [-86_400, 86_400] {
        let endpoint = Endpoint::first([
            Outcome::Fail(transient("it is down")),
            Outcome::Fail(transient("it is down")),
        ]);
        let mut account = Account::of(&endpoint);
        assert!(account.request().await.is_err());
        account.clock.jump(jump);
        assert!(account.request().await.is_err());
        assert_eq!(endpoint.calls(), 1, "jump {jump}");
        sleep(seconds(1)).await;
        assert!(account.request().await.is_err());
        assert_eq!(endpoint.calls(), 2, "jump {jump}");
        sleep(seconds(2)).await;
        assert!(account.request().await.is_ok());
    }
}
