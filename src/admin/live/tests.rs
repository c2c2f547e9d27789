use std::time::Duration;

use bytes::Bytes;
use tokio::sync::{mpsc, watch};

use super::{LONGEST, feed};

struct Feed {
    newest: watch::Sender<Bytes>,
    ending: watch::Sender<bool>,
    reader: mpsc::Receiver<Bytes>,
}

fn fed() -> Feed {
    let (newest, ending) = (watch::Sender::default(), watch::Sender::new(false));
    let (sender, reader) = mpsc::channel(1);
    tokio::spawn(feed(sender, newest.subscribe(), ending.subscribe()));
    Feed { newest, ending, reader }
}

#[tokio::test(start_paused = true)]
async fn who_reads_nothing_has_one_update_waiting_and_then_gets_the_newest() {
    let mut fed = fed();
    for number in 0..1000 {
        fed.newest.send_replace(format!("{number}").into());
        tokio::time::sleep(Duration::from_millis(500)).await;
        assert!(fed.reader.len() <= 1);
    }
    assert_eq!(fed.reader.recv().await.as_deref(), Some(&b"0"[..]));
    assert_eq!(fed.reader.recv().await.as_deref(), Some(&b"999"[..]), "all between are left out");
}

#[tokio::test(start_paused = true)]
async fn a_stream_ends_with_its_reader_with_the_proxy_and_after_an_hour() {
    let one = fed();
    let began = tokio::time::Instant::now();
    assert_eq!(one.newest.receiver_count(), 1);
    drop(one.reader);
    one.newest.send_replace("x".into());
    tokio::time::sleep(Duration::from_millis(1)).await;
    assert_eq!(one.newest.receiver_count(), 0, "its place is free");

    let mut two = fed();
    two.ending.send_replace(true);
    assert_eq!(two.reader.recv().await, None);
    assert!(began.elapsed() < LONGEST);

    let mut three = fed();
    assert_eq!(three.reader.recv().await, None);
    assert!(began.elapsed() >= LONGEST);
}
