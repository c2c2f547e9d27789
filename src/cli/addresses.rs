//! Addresses as a person would type them.

use crate::config::Listen;
use crate::server::listener::Listener;

/// The addresses as a person would type them.
pub fn shown_addresses(entries: &[Listen], listeners: &[Listener]) -> Vec<String> {
    let mut bound = listeners.iter();
    let mut shown = Vec::new();
    for entry in entries {
        let Some(first) = bound.next() else { break };
        let port = first.address.port();
        match entry {
            Listen::Address(_) => shown.push(format!("http://{}", first.address)),
            Listen::Localhost(_) => {
                shown.push(format!("http://localhost:{port}"));
                // The second family of the same entry.
                let rest = bound.as_slice();
                if rest.first().is_some_and(|l| l.address.port() == port && l.address.is_ipv6()) {
                    bound.next();
                }
            }
        }
    }
    shown
}
