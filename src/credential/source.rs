//! How a kind of account gets a token.

pub mod refresh_token;

use std::borrow::Cow;
use std::pin::Pin;
use std::time::Duration;

use crate::types::secret::Secret;

/// A token that was just fetched.
#[derive(Debug)]
pub struct Fetched {
    pub token: Secret,
    /// From now on.
    pub life: Duration,
}

/// Why none could be fetched.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FetchError {
    /// The grant was refused: only a new login helps.
    NeedsLogin(&'static str),
    /// A setting is wrong: only a change of it helps.
    Misconfigured(String),
    /// May pass by itself; the time is what the endpoint asked to wait.
    Transient(Cow<'static, str>, Option<Duration>),
}

/// A fetch on its way.
pub type Fetch<'a> = Pin<Box<dyn Future<Output = Result<Fetched, FetchError>> + Send + 'a>>;

/// Fetches tokens for one account. Called by one refresh at a time.
pub trait TokenSource: Send + Sync {
    /// One attempt to get a new token.
    fn fetch(&self) -> Fetch<'_>;
}
