//! The configured secrets: whether they can be had, and whether they are what they should be.

use std::sync::Arc;
use std::time::Duration;

use super::finding::{Finding, Fix};
use super::given::Given;
use super::subject::Subject;
use crate::config::{CredentialConfig, SecretError};
use crate::types::account::AccountName;
use crate::types::secret::Secret;

/// A program that prints a secret takes no longer here: nobody is to type a password meanwhile.
const COMMAND_LIMIT: Duration = Duration::from_secs(5);

/// A configured secret, or why it cannot be had.
pub struct Read {
    /// What names it, such as `accounts.acme.token`.
    pub key: String,
    pub account: AccountName,
    /// Where it is, in words.
    pub place: String,
    pub value: Result<Secret, SecretError>,
}

/// Reads them all at once; one may wait for a program or a keyring.
pub async fn read_all(given: &Given) -> Vec<Read> {
    let mut reading = Vec::new();
    for secret in given.secrets() {
        let (place, env) = (secret.place.clone(), Arc::clone(&given.env));
        let read = tokio::task::spawn_blocking(move || place.read_within(&env, COMMAND_LIMIT));
        if let Some(account) = secret.account {
            reading.push((secret.key, account.clone(), secret.place.to_string(), read));
        }
    }
    let mut all = Vec::with_capacity(reading.len());
    for (key, account, place, read) in reading {
        // What panics has no secret to give, and is a fault of ours.
        let value = read.await.unwrap_or_else(|_| Err(SecretError::Keyring("it failed".into())));
        all.push(Read { key, account, place, value });
    }
    all
}

/// `secrets`
pub fn reachable(subject: &Subject) -> Vec<Finding> {
    if subject.config().is_none() {
        return vec![subject.unloaded()];
    }
    if subject.secrets.is_empty() {
        return vec![Finding::skipped("none is configured")];
    }
    let finding = |read: &Read| {
        let finding = match &read.value {
            Ok(_) => Finding::ok(format!("{} can be read: {}", read.key, read.place)),
            Err(error) => {
                let otherwise = format!("put the secret there, or correct {}", read.key);
                let told = Finding::told(format!("{}: {error}", read.key), &otherwise);
                match error {
                    SecretError::Exposed(path) => {
                        told.fixed_by(Fix::Mode { path: path.clone(), mode: 0o600 })
                    }
                    _ => told,
                }
            }
        };
        finding.of(&read.account)
    };
    subject.secrets.iter().map(finding).collect()
}

/// `credential-form`
pub fn form(subject: &Subject) -> Vec<Finding> {
    let Some(config) = subject.config() else { return vec![subject.unloaded()] };
    let mut findings = Vec::new();
    for (name, account) in &config.accounts {
        let wrong = match &account.credential {
            CredentialConfig::OAuth { client_id, .. }
            | CredentialConfig::ClientCredentials { client_id, .. } => {
                client_id_objection(name, client_id)
            }
            _ => None,
        };
        let read = subject.secrets.iter().filter(|read| read.account == *name);
        let in_secret = read.filter_map(|read| {
            let value = read.value.as_ref().ok()?;
            secret_objection(&read.key, &read.place, value)
        });
        findings.extend(wrong.into_iter().chain(in_secret).map(|finding| finding.of(name)));
    }
    if findings.is_empty() {
        findings.push(match config.accounts.is_empty() {
            true => Finding::skipped("no account is configured"),
            false => Finding::ok("client ids and secrets have the forms of their kinds"),
        });
    }
    findings
}

fn client_id_objection(name: &AccountName, client_id: &str) -> Option<Finding> {
    let mend = format!(
        "write the client id into accounts.{name}.client_id (or HUBSPOT_CLIENT_ID): HubSpot shows it on the app's page, under Auth"
    );
    if !client_id.is_empty() && client_id.bytes().all(|byte| byte.is_ascii_digit()) {
        let seen = format!("accounts.{name}.client_id is a number, as app ids are: no client id");
        return Some(Finding::failed(seen, mend));
    }
    let is_token = ["pat-", "hsp_", "CiR"].iter().any(|start| client_id.starts_with(start));
    // What stands there is not shown.
    is_token.then(|| {
        Finding::failed(format!("accounts.{name}.client_id holds a token, not a client id"), mend)
    })
}

/// What a secret's beginning says of its kind, where that is another than its key's.
fn secret_objection(key: &str, place: &str, value: &Secret) -> Option<Finding> {
    let (_, kind) = key.rsplit_once('.')?;
    let begins = |start: &str| value.expose().starts_with(start);
    let put = |what: &str| format!("put {what} there ({place})");
    if begins("hsp_") {
        let seen = format!("{key} is a client key of this proxy, not a credential of HubSpot");
        return Some(Finding::failed(seen, put("HubSpot's own")));
    }
    let is_access_token = ["pat-na", "pat-eu", "pat-ap"].iter().any(|start| begins(start));
    match kind {
        "token" if begins("CiR") => Some(Finding::failed(
            format!("{key} is a personal access key, which is no token by itself"),
            "set `type = \"personal_access_key\"` and write `key` in place of `token` (or set HUBSPOT_PERSONAL_ACCESS_KEY in place of HUBSPOT_ACCESS_TOKEN)",
        )),
        "key" if is_access_token => Some(Finding::failed(
            format!("{key} is a static access token, not a key"),
            "set `type = \"access_token\"` and write `token` in place of `key` (or set HUBSPOT_ACCESS_TOKEN)",
        )),
        "client_secret" if is_access_token => Some(Finding::failed(
            format!("{key} is a static access token, not a client secret"),
            put("the app's client secret"),
        )),
        "refresh_token" if is_access_token => Some(Finding::failed(
            format!("{key} is a static access token, not a refresh token"),
            put("a refresh token"),
        )),
        _ => None,
    }
}
