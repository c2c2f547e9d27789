//! The credential of each account: whether HubSpot accepts it, for which portal and for which scopes.

use super::finding::Finding;
use super::subject::Subject;
use super::token::{Asked, State};
use crate::config::CredentialConfig;
use crate::store::StoredKind;
use crate::types::account::AccountName;

fn each(subject: &Subject, finding: impl Fn(&Asked) -> Finding) -> Vec<Finding> {
    if subject.config().is_none() {
        return vec![subject.unloaded()];
    }
    if subject.tokens.is_empty() {
        return vec![Finding::skipped("there is no account")];
    }
    subject.tokens.iter().map(|asked| finding(asked).of(&asked.name)).collect()
}

/// `token`
pub fn state(subject: &Subject) -> Vec<Finding> {
    let is_static = |asked: &Asked| {
        let configured = subject.config().and_then(|config| config.accounts.get(&asked.name));
        let kept = subject.store.accounts().iter().find(|stored| stored.name == asked.name);
        match configured.map(|account| &account.credential) {
            Some(CredentialConfig::OAuth { .. }) => false,
            Some(CredentialConfig::Stored) | None => {
                kept.is_some_and(|stored| stored.kind != StoredKind::OAuth)
            }
            Some(_) => true,
        }
    };
    each(subject, |asked| of_state(&asked.name, &asked.state, is_static(asked)))
}

fn of_state(name: &AccountName, state: &State, is_static: bool) -> Finding {
    let login = format!("run `hubspot-proxy login {name}`");
    match state {
        State::Accepted { interrupted: false, .. } => Finding::ok("HubSpot accepts its credential"),
        State::Accepted { interrupted: true, .. } => Finding::warning(
            "HubSpot accepts its refresh token; a refresh of it was interrupted",
            "start the proxy, which ends it: run `hubspot-proxy`",
        ),
        State::None(why) => Finding::failed(
            format!("it has nothing to call HubSpot with: {why}"),
            format!("{login}, or put in what you have with `hubspot-proxy accounts import {name}`"),
        ),
        State::Refused if is_static => Finding::failed(
            "HubSpot does not know its token or key: it was rotated, revoked or deactivated, or is of another host",
            "copy the present one from HubSpot (the app's page, Auth; or Personal access key) to where the account's secret is",
        ),
        State::Refused => Finding::failed(
            "HubSpot refuses its refresh token: it was revoked, or the app uninstalled",
            login,
        ),
        State::AppRefused(true) => Finding::failed(
            "client id and client secret are swapped: HubSpot knows them the other way round",
            format!(
                "set accounts.{name}.client_id to what is now the secret, and the secret to what is now the id (HUBSPOT_CLIENT_ID and HUBSPOT_CLIENT_SECRET in the environment)"
            ),
        ),
        State::AppRefused(false) => Finding::failed(
            "HubSpot refuses the client id or the client secret",
            format!(
                "copy both anew from the app's page in HubSpot (Auth) to accounts.{name}.client_id and accounts.{name}.client_secret"
            ),
        ),
        State::Elsewhere(what) => Finding::told(what, &login),
        State::Failed(error) => Finding::warning(
            format!("HubSpot could not be asked: {error}"),
            "run `hubspot-proxy doctor` again in a minute; what the network checks say goes first",
        ),
        State::Unasked(why) => Finding::skipped(why.clone()),
    }
}

/// `hub-id`
pub fn hub_id(subject: &Subject) -> Vec<Finding> {
    each(subject, |asked| {
        let State::Accepted { hub_id: found, .. } = asked.state else {
            return Finding::skipped("its credential is not known to be accepted");
        };
        let name = &asked.name;
        match (asked.hub_id, found) {
            (Some(wanted), Some(found)) if wanted != found => Finding::failed(
                format!(
                    "its credential is for the portal with Hub ID {found}, and accounts.{name}.hub_id is {wanted}"
                ),
                format!(
                    "set accounts.{name}.hub_id = {found}, or run `hubspot-proxy login {name}` and choose the portal {wanted}"
                ),
            ),
            (Some(wanted), Some(_)) => Finding::ok(format!("{wanted}, as configured")),
            (Some(_), None) => Finding::skipped("HubSpot does not say whose it is"),
            (None, Some(found)) => {
                Finding::ok(format!("{found} (accounts.{name}.hub_id would hold it to that)"))
            }
            (None, None) => Finding::skipped("it is not configured, and HubSpot does not say"),
        }
    })
}

/// `scopes`
pub fn scopes(subject: &Subject) -> Vec<Finding> {
    each(subject, |asked| {
        let State::Accepted { scopes, .. } = &asked.state else {
            return Finding::skipped("its credential is not known to be accepted");
        };
        if scopes.is_empty() {
            return Finding::skipped("HubSpot does not say which were granted");
        }
        let missing: Vec<&str> = asked
            .wanted
            .iter()
            .filter(|scope| !scopes.contains(scope))
            .map(String::as_str)
            .collect();
        if missing.is_empty() {
            return Finding::ok(format!("{} granted", scopes.len()));
        }
        let name = &asked.name;
        Finding::failed(
            format!("configured and not granted: {}", missing.join(" ")),
            format!(
                "add them to the app in HubSpot and run `hubspot-proxy login {name}`, or remove them from accounts.{name}.scopes"
            ),
        )
    })
}
