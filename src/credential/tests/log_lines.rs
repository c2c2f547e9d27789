use std::io::{self, Write};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use parking_lot::Mutex;
use tokio::time::sleep;
use tracing::Dispatch;
use tracing::subscriber::DefaultGuard;
use tracing_subscriber::fmt::MakeWriter;

use super::super::source::FetchError;
use super::bench::{Account, Endpoint, LIFE, Outcome, seconds, transient};
use super::faulty_store::FaultyStore;

/// What this thread logs, at all levels.
#[derive(Clone, Default)]
struct Captured(Arc<Mutex<Vec<u8>>>);

impl Captured {
    fn begin() -> (Self, DefaultGuard) {
        // As long as there is one subscriber alone, a thread without any decides for all whether a line
        // that it is the first to reach is ever logged.
        static ANOTHER: OnceLock<Dispatch> = OnceLock::new();
        ANOTHER.get_or_init(|| Dispatch::new(tracing_subscriber::registry()));
        let captured = Self::default();
        let subscriber = tracing_subscriber::fmt()
            .with_max_level(tracing::Level::TRACE)
            .with_ansi(false)
            .with_writer(captured.clone())
            .finish();
        (captured, tracing::subscriber::set_default(subscriber))
    }

    /// The lines, none of which may hold a secret. All secrets of these tests bear one mark.
    fn lines(&self) -> Vec<String> {
        let text = String::from_utf8(self.0.lock().clone()).unwrap();
        assert!(!text.contains("SECRET"), "{text}");
        let own = text.lines().filter(|line| line.contains("hubspot_proxy"));
        own.map(str::to_owned).collect()
    }
}

impl Write for Captured {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl<'a> MakeWriter<'a> for Captured {
    type Writer = Self;

    fn make_writer(&'a self) -> Self {
        self.clone()
    }
}

#[track_caller]
fn assert_says(lines: &[String], parts: &[&str]) {
    assert_eq!(lines.len(), parts.len(), "{lines:#?}");
    for (line, part) in lines.iter().zip(parts) {
        assert!(line.contains(part), "{part:?} in {lines:#?}");
    }
}

async fn ask(account: &mut Account, times: usize) {
    for _ in 0..times {
        // Some of these fail, which is what is to be logged.
        let _ = account.request().await;
        sleep(Duration::from_millis(100)).await;
    }
}

#[tokio::test(start_paused = true)]
async fn an_outage_is_one_line_when_it_begins_and_one_when_it_ends() {
    let (captured, _guard) = Captured::begin();
    let down = || Outcome::Fail(transient("it is down"));
    let script = [Outcome::Token(LIFE), down(), down(), down(), down(), down()];
    let mut account = Account::of(&Endpoint::first(script));
    ask(&mut account, 10).await;
    assert_says(&captured.lines(), &[]);
    sleep(LIFE - seconds(60)).await;
    ask(&mut account, 600).await;
    assert_eq!(account.request().await, Ok("access-7".to_owned()));
    assert_says(&captured.lines(), &["it is down", "well again"]);
}

#[tokio::test(start_paused = true)]
async fn another_retry_after_is_no_other_state() {
    let (captured, _guard) = Captured::begin();
    let busy = |seconds| {
        let asked = Some(Duration::from_secs(seconds));
        Outcome::Fail(FetchError::Transient("the endpoint answers 429".into(), asked))
    };
    let mut account = Account::of(&Endpoint::first([busy(3), busy(2), busy(1)]));
    ask(&mut account, 100).await;
    assert_says(&captured.lines(), &["answers 429", "well again"]);
}

#[tokio::test(start_paused = true)]
async fn what_only_a_person_can_mend_is_one_line() {
    let cases = [
        (FetchError::NeedsLogin("log in"), "log in"),
        (FetchError::Misconfigured("client_id".to_owned()), "client_id"),
        (FetchError::WrongPortal { found: 8, configured: 7 }, "Hub ID 8"),
    ];
    for (error, said) in cases {
        let (captured, _guard) = Captured::begin();
        let endpoint = Endpoint::new(move |_, _| (Duration::ZERO, Outcome::Fail(error.clone())));
        let mut account = Account::of(&endpoint);
        ask(&mut account, 2000).await;
        let lines = captured.lines();
        assert_says(&lines, &[said]);
        assert!(lines[0].contains("WARN") && lines[0].contains("account=default"), "{lines:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_token_without_a_portal_is_mentioned_once() {
    let (captured, _guard) = Captured::begin();
    let mut account = Account::of_portal(&Endpoint::good(), 7);
    for _ in 0..5 {
        account.request().await.unwrap();
        sleep(LIFE).await;
    }
    assert_says(&captured.lines(), &["hub_id is not checked"]);
}

#[tokio::test(start_paused = true)]
async fn a_store_that_takes_nothing_is_one_line_and_its_recovery_another() {
    let (captured, _guard) = Captured::begin();
    let store = FaultyStore::new();
    let mut account = Account::stored(&Endpoint::good(), &store);
    store.fail("commit", usize::MAX);
    ask(&mut account, 300).await;
    // Also over several refreshes.
    sleep(LIFE).await;
    ask(&mut account, 300).await;
    assert_says(&captured.lines(), &["could not be written"]);
    store.mend();
    ask(&mut account, 300).await;
    assert_says(&captured.lines(), &["could not be written", "well again"]);
    sleep(LIFE).await;
    ask(&mut account, 10).await;
    assert_eq!(captured.lines().len(), 2);
}
