use std::cell::Cell;
use std::collections::VecDeque;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};

use bytes::Bytes;
use http::HeaderMap;
use http_body::{Body, Frame};

use super::{BodyFailure, BodyLimits, RequestBody};

/// A client that sends these parts; `None` is a pause.
struct Client(VecDeque<Option<Result<Frame<Bytes>, ()>>>);

impl Body for Client {
    type Data = Bytes;
    type Error = ();

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, ()>>> {
        match self.0.pop_front() {
            None => Poll::Ready(None),
            Some(None) => Poll::Pending,
            Some(Some(frame)) => Poll::Ready(Some(frame)),
        }
    }
}

fn data(text: &'static str) -> Option<Result<Frame<Bytes>, ()>> {
    Some(Ok(Frame::data(Bytes::from_static(text.as_bytes()))))
}

fn sending(
    parts: impl IntoIterator<Item = Option<Result<Frame<Bytes>, ()>>>,
    keep: usize,
    accept: Option<u64>,
) -> RequestBody<Client> {
    let client = Client(parts.into_iter().collect());
    RequestBody::streaming(client, BodyLimits { keep, accept }, Rc::new(Cell::new(true)))
}

/// Reads until the end, a pause or an error.
fn read(body: &mut RequestBody<Client>) -> (String, Option<HeaderMap>, Option<BodyFailure>) {
    let mut cx = Context::from_waker(Waker::noop());
    let (mut text, mut trailers) = (String::new(), None);
    loop {
        match Pin::new(&mut *body).poll_frame(&mut cx) {
            Poll::Ready(Some(Ok(frame))) => match frame.into_data() {
                Ok(part) => text.push_str(std::str::from_utf8(&part).unwrap()),
                Err(frame) => trailers = frame.into_trailers().ok(),
            },
            Poll::Ready(Some(Err(failure))) => return (text, trailers, Some(failure)),
            Poll::Ready(None) | Poll::Pending => return (text, trailers, None),
        }
    }
}

#[test]
fn a_second_attempt_sends_the_kept_prefix_and_then_the_rest() {
    let mut first = sending([data("ab"), data("cd"), None, data("ef")], 16, None);
    assert_eq!(read(&mut first).0, "abcd");
    let mut second = first.progress().again().unwrap();
    assert_eq!(read(&mut second).0, "abcdef");
    let mut third = second.progress().again().unwrap();
    assert_eq!(read(&mut third).0, "abcdef");
}

#[test]
fn what_was_kept_decides_at_exactly_the_bound() {
    for (keep, possible) in [(0, false), (3, false), (4, true), (5, true)] {
        let mut first = sending([data("ab"), data("cd")], keep, None);
        assert_eq!(read(&mut first).0, "abcd");
        assert_eq!(first.progress().again().is_some(), possible, "keep {keep}");
    }
}

#[test]
fn a_body_nobody_has_read_can_be_sent_again_even_when_nothing_is_kept() {
    let first = sending([data("ab")], 0, None);
    let mut second = first.progress().again().unwrap();
    assert_eq!(read(&mut second).0, "ab");
}

#[test]
fn an_attempt_that_was_given_up_takes_nothing_more() {
    let mut first = sending([data("ab"), None, data("cd")], 16, None);
    assert_eq!(read(&mut first).0, "ab");
    let mut second = first.progress().again().unwrap();
    assert_eq!(read(&mut first).2, Some(BodyFailure::Abandoned));
    assert_eq!(read(&mut second).0, "abcd");
}

#[test]
fn trailers_are_sent_again() {
    let mut trailers = HeaderMap::new();
    trailers.insert("x-checksum", "1".parse().unwrap());
    let parts = [data("ab"), Some(Ok(Frame::trailers(trailers.clone())))];
    let mut first = sending(parts, 16, None);
    assert_eq!(read(&mut first).1, Some(trailers.clone()));
    assert!(first.progress().is_complete());
    let mut second = first.progress().again().unwrap();
    assert!(!first.progress().is_complete());
    assert_eq!(read(&mut second), ("ab".to_owned(), Some(trailers), None));
    assert!(first.progress().is_complete());
}

#[test]
fn credentials_in_trailers_do_not_pass() {
    let mut trailers = HeaderMap::new();
    trailers.insert("authorization", "Bearer mine".parse().unwrap());
    trailers.insert("private-app", "mine".parse().unwrap());
    trailers.insert("x-checksum", "1".parse().unwrap());
    let mut body = sending([Some(Ok(Frame::trailers(trailers)))], 0, None);
    let passed = read(&mut body).1.unwrap();
    assert_eq!(passed.keys().map(|k| k.as_str()).collect::<Vec<_>>(), ["x-checksum"]);
}

#[test]
fn a_broken_or_oversized_body_is_told_apart_and_stays_broken() {
    let cases = [
        (sending([data("ab"), Some(Err(()))], 16, None), BodyFailure::Client),
        (sending([data("ab"), data("c")], 16, Some(2)), BodyFailure::TooLarge),
    ];
    for (mut body, expected) in cases {
        assert_eq!(read(&mut body), ("ab".to_owned(), None, Some(expected)));
        assert_eq!(read(&mut body).2, Some(expected));
        assert_eq!(body.progress().failure(), Some(expected));
        assert!(body.progress().again().is_none());
    }
}

#[test]
fn a_held_body_takes_nothing_from_the_client_until_it_is_released_or_sent_again() {
    let mut first = sending([data("ab"), None, data("cd")], 16, None);
    assert_eq!(read(&mut first).0, "ab");
    let held = first.progress().hold();
    assert_eq!(read(&mut first), (String::new(), None, None));
    held.release();
    assert_eq!(read(&mut first).0, "cd");
    let held = first.progress().hold();
    let mut second = first.progress().again().unwrap();
    held.forget();
    assert_eq!(read(&mut first).2, Some(BodyFailure::Abandoned));
    assert_eq!(read(&mut second).0, "abcd");
}

#[test]
fn a_held_body_that_nobody_decides_on_ends_every_attempt() {
    let mut first = sending([data("ab"), None, data("cd")], 16, None);
    drop(first.progress().hold());
    assert_eq!(read(&mut first).2, Some(BodyFailure::Abandoned));
}

#[test]
fn a_second_attempt_is_complete_with_the_last_kept_part() {
    let mut first = sending([data("ab"), data("cd")], 16, None);
    read(&mut first);
    let mut second = first.progress().again().unwrap();
    let mut cx = Context::from_waker(Waker::noop());
    assert!(!second.progress().is_complete());
    while !second.is_end_stream() {
        assert!(Pin::new(&mut second).poll_frame(&mut cx).is_ready());
    }
    assert!(second.progress().is_complete());
}

#[test]
fn many_small_parts_are_kept_as_few_and_sent_again_in_order() {
    let parts = (0..1000).map(|_| data("0123456789"));
    let mut first = sending(parts, 16 * 1024, None);
    assert_eq!(read(&mut first).0.len(), 10_000);
    let source = first.source.as_ref().unwrap();
    assert_eq!(source.borrow().kept_parts(), 1);
    let mut second = first.progress().again().unwrap();
    assert_eq!(read(&mut second).0, "0123456789".repeat(1000));
}
