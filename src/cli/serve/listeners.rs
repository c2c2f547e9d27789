//! The addresses that the proxy listens on: opened, or taken from a service manager.

use tracing::warn;

use super::super::Failure;
use super::super::addresses::shown_addresses;
use crate::config::{Config, Listen};
use crate::server::listener::{self, Inherited, Listener};
use crate::types::account::AccountName;

/// An address that is listened on, as a person would type it.
pub struct Shown {
    pub address: String,
    /// The only account that it serves.
    pub account: Option<AccountName>,
}

/// A listener and the only account that it serves.
pub type Reserved = (Listener, Option<AccountName>);

/// Opens the addresses for all accounts, then each account's own.
pub fn open_listeners(
    config: &Config,
    mut inherited: Inherited,
) -> Result<(Vec<Reserved>, Vec<Shown>), Failure> {
    let own = config.accounts.iter().map(|(name, account)| (&account.listen, Some(name)));
    let (mut listeners, mut shown) = (Vec::new(), Vec::new());
    let mut configured = Vec::new();
    for (entries, account) in [(&config.server.listen, None)].into_iter().chain(own) {
        let opened = listener::open_beside(&mut inherited, entries).map_err(Failure::failed)?;
        configured.extend(entries.iter().map(Listen::to_string));
        let addresses = shown_addresses(entries, &opened).into_iter();
        shown.extend(addresses.map(|address| Shown { address, account: account.cloned() }));
        listeners.extend(opened.into_iter().map(|listener| (listener, account.cloned())));
    }
    inherited.check_all_used(&configured).map_err(Failure::usage)?;
    Ok((listeners, shown))
}

/// Says what a listener that other machines can reach means.
pub fn warn_of_exposure(listeners: &[Reserved]) {
    let addresses = listeners.iter().filter_map(|(listener, _)| listener.address());
    for address in addresses.filter(|address| !address.ip().is_loopback()) {
        warn!(
            "other machines can reach {address}: client keys and answers travel in clear, unless TLS ends in front of the proxy"
        );
    }
}
