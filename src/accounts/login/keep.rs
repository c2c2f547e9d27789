//! What a login has brought: whether it is for the portal that is meant, and then its place in the
//! store.

use super::Brought;
use crate::store::{AccountStore, NewAccount, StoreError};
use crate::types::account::AccountName;
use crate::types::secret::Secret;

/// What is wrong with the portal that the user has chosen, if `hub_id` is configured.
pub fn wrong_portal(
    account: &AccountName,
    hub_id: Option<u64>,
    brought: &Brought,
) -> Option<String> {
    let (configured, found) = (hub_id?, brought.new.hub_id?);
    (configured != found).then(|| format!(
        "this login is for the portal with Hub ID {found}, and hub_id of account {account} is {configured}: choose that portal on HubSpot's page, or correct hub_id; the login from before is unchanged"
    ))
}

/// Makes `new` the account's credential. `seed` is the refresh token that is configured, if one is: it is
/// older than this login, and must not undo it.
pub async fn keep(
    store: &dyn AccountStore,
    account: &AccountName,
    seed: Option<&Secret>,
    new: &NewAccount,
) -> Result<(), StoreError> {
    if let Some(seed) = seed {
        match store.seed(account, seed).await {
            Ok(()) | Err(StoreError::OtherOrigin(_)) => {}
            Err(error) => return Err(error),
        }
    }
    store.replace(account, new).await
}

/// For the last page that the browser shows.
pub fn connected(account: &AccountName, hub_id: Option<u64>) -> String {
    let portal =
        hub_id.map(|hub_id| format!(" to the portal with Hub ID {hub_id}")).unwrap_or_default();
    format!("Account {account} is connected{portal}. You can close this page.")
}
