//! A limit of time that a process which was stopped does not trip over.
//!
//! When a process is stopped and goes on later (a debugger, SIGSTOP, a laptop's lid), it finds every
//! time limit over at once, while the answer that it was waiting for may lie in its socket. An answer
//! of a token endpoint must not be thrown away unread: with a server that rotates refresh tokens, it
//! holds the only one that is still good.

use std::time::Duration;

/// What is there already is taken within this time.
const GRACE: Duration = Duration::from_secs(1);

/// The outcome of `work`, or `None` when there is none within `limit` and a moment more, which begins
/// only when this process has seen that the limit is over.
pub async fn within<T>(limit: Duration, work: impl Future<Output = T>) -> Option<T> {
    let mut work = std::pin::pin!(work);
    match tokio::time::timeout(limit, work.as_mut()).await {
        Ok(outcome) => Some(outcome),
        Err(_) => tokio::time::timeout(GRACE, work).await.ok(),
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::within;

    #[tokio::test(start_paused = true)]
    async fn an_answer_that_came_while_the_process_stood_still_is_taken() {
        let (sender, receiver) = tokio::sync::oneshot::channel();
        let waiting = tokio::spawn(within(Duration::from_secs(10), receiver));
        tokio::task::yield_now().await;
        // The time is over before the answer has been looked at.
        tokio::time::advance(Duration::from_secs(60)).await;
        sender.send("the answer").unwrap();
        assert_eq!(waiting.await.unwrap(), Some(Ok("the answer")));
    }

    #[tokio::test(start_paused = true)]
    async fn what_never_answers_is_given_up() {
        let never = std::future::pending::<()>();
        assert_eq!(within(Duration::from_secs(10), never).await, None);
    }
}
