//! Keeps the accounts that are served in step with the store, which other processes change: a
//! login, a logout, an import or a removal is noticed without a restart.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Mutex;
use tracing::{info, warn};

use super::open::{OpenError, Opener};
use super::{Accounts, Shared};

/// What could not be read is tried again after this time.
const AGAIN: Duration = Duration::from_secs(5);

/// Opens the accounts anew each time that `changed` returns true, until it returns false.
pub async fn follow(
    opener: &Mutex<Opener>,
    accounts: &Shared,
    mut changed: impl AsyncFnMut() -> bool,
) {
    let mut failing = false;
    loop {
        tokio::select! {
            more = changed() => if !more { return },
            () = tokio::time::sleep(AGAIN), if failing || accounts.load().is_incomplete() => {}
        }
        // Held to the end, so that a reload does not come between.
        let opener = opener.lock().await;
        match reopened(&opener, &accounts.load()).await {
            Ok(None) => failing = false,
            Ok(Some(newest)) => {
                failing = false;
                accounts.store(Arc::new(newest));
            }
            // What is served goes on as it is, until the store can be read again.
            Err(error) if !failing => {
                failing = true;
                warn!("the accounts cannot be brought up to date: {error}");
            }
            Err(_) => {}
        }
    }
}

/// The accounts as the store has them now; `None` where that changes nothing.
async fn reopened(opener: &Opener, before: &Accounts) -> Result<Option<Accounts>, OpenError> {
    let stored = opener.stored().await?;
    let names: Vec<_> = stored.iter().map(|stored| stored.name.clone()).collect();
    let roster = opener.config.roster(&names);
    let newest = opener.open(&roster, &stored, Some(before), None).await?;
    let is_same = newest.all().len() == before.all().len()
        && newest.all().iter().zip(before.all()).all(|(new, old)| Arc::ptr_eq(new, old))
        && newest.keys() == before.keys();
    if is_same {
        return Ok(None);
    }
    tell(before, &newest);
    Ok(Some(newest))
}

fn tell(before: &Accounts, newest: &Accounts) {
    for account in newest.all() {
        match before.named(&account.name) {
            None => info!(account = %account.name, "the account has been added to the store"),
            Some(old) if !Arc::ptr_eq(old, account) => {
                info!(account = %account.name, "the account's stored credential has changed");
            }
            Some(_) => {}
        }
    }
    for account in before.all().iter().filter(|old| newest.named(&old.name).is_none()) {
        info!(account = %account.name, "the account has been removed from the store");
    }
}
