use std::sync::Arc;
use std::time::Duration;

use http::HeaderMap;
use http::header::{AUTHORIZATION, HeaderValue};
use parking_lot::Mutex;

use super::{CODE_LIVES, IDLE, MOST_CODES, MOST_SESSIONS, Sessions};
use crate::types::clock::{Clock, WallTime};

struct SetClock(Mutex<(WallTime, Duration)>);

impl SetClock {
    fn pass(&self, span: Duration) {
        let mut now = self.0.lock();
        *now = (now.0.after(span), now.1 + span);
    }
}

impl Clock for SetClock {
    fn now(&self) -> WallTime {
        self.0.lock().0
    }

    fn steady(&self) -> Duration {
        self.0.lock().1
    }
}

fn sessions() -> (Sessions, Arc<SetClock>) {
    let clock = Arc::new(SetClock(Mutex::new((WallTime(1_000_000), Duration::from_secs(5)))));
    (Sessions::new(Arc::clone(&clock) as _), clock)
}

fn code(sessions: &Sessions) -> String {
    sessions.make_code().unwrap().expose().to_owned()
}

fn token(sessions: &Sessions, code: &str) -> Option<String> {
    sessions.exchange(code.as_bytes()).unwrap().map(|token| token.expose().to_owned())
}

fn admits(sessions: &Sessions, text: &str) -> bool {
    let mut headers = HeaderMap::new();
    headers.insert(AUTHORIZATION, HeaderValue::from_str(text).unwrap());
    sessions.admit(&headers)
}

#[test]
fn a_code_works_once() {
    let (sessions, _) = sessions();
    let code = code(&sessions);
    assert_eq!(code.len(), "hspcode_".len() + 43);
    let token = token(&sessions, &code).unwrap();
    assert!(admits(&sessions, &format!("Bearer {token}")));
    assert_eq!(super::tests::token(&sessions, &code), None);
    for wrong in [code.as_str(), &token[..token.len() - 1], "hspsession_", ""] {
        assert!(!admits(&sessions, &format!("Bearer {wrong}")), "{wrong}");
        assert_eq!(super::tests::token(&sessions, wrong), None);
    }
    assert!(!admits(&sessions, &token) && !sessions.admit(&HeaderMap::new()));
}

#[test]
fn a_code_waits_no_longer_than_it_lives() {
    let (sessions, clock) = sessions();
    let (early, late) = (code(&sessions), code(&sessions));
    clock.pass(CODE_LIVES - Duration::from_millis(1));
    assert!(token(&sessions, &early).is_some());
    clock.pass(Duration::from_millis(1));
    assert_eq!(token(&sessions, &late), None);
}

#[test]
fn a_token_lives_on_with_each_use_and_ends_when_there_is_none() {
    let (sessions, clock) = sessions();
    let token = token(&sessions, &code(&sessions)).unwrap();
    let bearer = format!("Bearer {token}");
    for _ in 0..3 {
        clock.pass(IDLE - Duration::from_secs(1));
        assert!(admits(&sessions, &bearer));
    }
    clock.pass(IDLE);
    assert!(!admits(&sessions, &bearer));
}

#[test]
fn a_clock_that_is_set_back_lets_nothing_live_longer() {
    let (sessions, clock) = sessions();
    let code = code(&sessions);
    *clock.0.lock() = (WallTime(0), Duration::from_secs(5) + CODE_LIVES);
    assert_eq!(token(&sessions, &code), None);
}

#[test]
fn the_oldest_gives_way_when_there_are_too_many() {
    let (sessions, _) = sessions();
    let codes: Vec<_> = (0..=MOST_CODES).map(|_| code(&sessions)).collect();
    assert_eq!(token(&sessions, &codes[0]), None);
    let first = token(&sessions, &codes[1]).unwrap();
    let idle = token(&sessions, &codes[2]).unwrap();
    assert!(admits(&sessions, &format!("Bearer {first}")));
    for _ in 0..MOST_SESSIONS - 1 {
        token(&sessions, &code(&sessions)).unwrap();
    }
    assert!(!admits(&sessions, &format!("Bearer {idle}")));
    assert!(admits(&sessions, &format!("Bearer {first}")));
}
