//! Second stage: which account, and which path upstream.
//!
//! It reads where a request is to go and takes the proxy's own signs off it (`/@NAME/`,
//! `X-HubSpot-Account`). Whether that account may do it is the policy's business.

mod operation;

use bytes::Bytes;
use http::HeaderValue;
use http::header::HeaderName;
use http::request::Parts;
use http::uri::PathAndQuery;

use super::gate;
use crate::accounts::{Account, Accounts, Kind, NotFound};
use crate::telemetry::record::ChosenBy;
use crate::types::account::AccountName;
use crate::types::refusal::Refusal;
use crate::types::target::Target;

use operation::Takes;

static X_HUBSPOT_ACCOUNT: HeaderName = HeaderName::from_static("x-hubspot-account");

const OTHER_LISTENER: &str =
    "it came in at an address that serves one account only, and names another";
const TWO_NAMES: &str = "it names two different accounts";
const OTHER_KEY: &str = "its client key is for one account only, and it names another";

/// Where a request goes.
#[derive(Debug)]
pub enum Route {
    /// To one of the proxy's own paths, given in its decoded form.
    Local(String),
    /// To the upstream.
    Upstream(Destination),
}

/// An account and the target to judge and to send, query included.
#[derive(Debug)]
pub struct Destination {
    /// The account's index in [`Accounts::all`].
    pub account: usize,
    pub chosen_by: ChosenBy,
    pub target: Target,
}

/// The accounts that a request is bound to before it names one.
#[derive(Clone, Copy, Debug, Default)]
pub struct Reserved<'a> {
    /// The only account of the listener that it came in at.
    pub listener: Option<&'a AccountName>,
    /// The only account of the client key that it shows.
    pub key: Option<&'a AccountName>,
}

/// Finds the route of a request that the gate has let in.
pub fn choose(
    head: &mut Parts,
    accounts: &Accounts,
    reserved: Reserved<'_>,
) -> Result<Route, Refusal> {
    let whole = head.uri.path_and_query().cloned();
    let whole = whole.unwrap_or_else(|| PathAndQuery::from_static("/"));
    let (named, target) = split_account(&whole)?;
    let target = Target::new(target);
    if let Some(local) = local_path(&target) {
        return Ok(Route::Local(local));
    }
    let mut chosen = Chosen::default();
    for (name, conflict, by) in [
        (reserved.listener, OTHER_LISTENER, ChosenBy::Listener),
        (reserved.key, OTHER_KEY, ChosenBy::ClientKey),
    ] {
        let Some(name) = name else { continue };
        // It is gone when the store alone held it and it was removed.
        let account = accounts.position(name);
        let account = account.ok_or_else(|| Refusal::UnknownAccount(Some(name.clone())))?;
        chosen.add(account, conflict, by)?;
    }
    if let Some(name) = named {
        chosen.add(find(accounts, name)?, TWO_NAMES, ChosenBy::Path)?;
    }
    for value in head.headers.get_all(&X_HUBSPOT_ACCOUNT) {
        chosen.add(find(accounts, header_text(value)?)?, TWO_NAMES, ChosenBy::Header)?;
    }
    let takes = operation::takes(target.decoded());
    let (account, chosen_by) = match chosen.account {
        Some(account) => (account, chosen.by),
        None => by_itself(accounts, takes).ok_or(Refusal::AccountRequired)?,
    };
    check_kind(&accounts.all()[account], takes)?;
    Ok(Route::Upstream(Destination { account, chosen_by, target }))
}

/// The account of a request that names none.
fn by_itself(accounts: &Accounts, takes: Takes) -> Option<(usize, ChosenBy)> {
    let developer = accounts.only_developer().filter(|_| takes == Takes::DeveloperKey);
    match developer {
        Some(developer) => Some((developer, ChosenBy::Operation)),
        None => accounts.default_index().map(|account| (account, ChosenBy::Default)),
    }
}

/// The account that all who name one have named so far.
#[derive(Default)]
struct Chosen {
    account: Option<usize>,
    /// What to say to whom names another.
    conflict: &'static str,
    /// Who was the first to name it.
    by: ChosenBy,
}

impl Chosen {
    fn add(&mut self, account: usize, conflict: &'static str, by: ChosenBy) -> Result<(), Refusal> {
        match self.account {
            None => *self = Self { account: Some(account), conflict, by },
            Some(before) if before == account => {}
            Some(_) => {
                return Err(Refusal::AccountConflict(match self.conflict {
                    TWO_NAMES => conflict,
                    reserved => reserved,
                }));
            }
        }
        Ok(())
    }
}

/// An app's token and a developer's key are sent to the operations that take them, and to no other.
fn check_kind(account: &Account, takes: Takes) -> Result<(), Refusal> {
    let serves = match (&account.kind, takes) {
        (Kind::Portal, _)
        | (Kind::App, Takes::App)
        | (Kind::Developer { .. }, Takes::DeveloperKey) => return Ok(()),
        (Kind::App, _) => "the webhooks journal",
        (Kind::Developer { .. }, _) => "operations that take a developer API key",
    };
    Err(Refusal::CredentialKind(account.name.clone(), serves))
}

/// Takes `/@key:KEY` and then `/@NAME` off the front, and makes several slashes at the start one: HubSpot's Node client
/// sends `//crm/...` when its base URL ends in a slash.
fn split_account(whole: &PathAndQuery) -> Result<(Option<&str>, PathAndQuery), Refusal> {
    let text = whole.as_str();
    let path_length = whole.path().len();
    let past_key = gate::client_key::key_in_path(whole.path())
        .map_or(0, |key| gate::client_key::IN_PATH.len() + key.len());
    let (named, rest) = match text[past_key..path_length].strip_prefix("/@") {
        None => (None, past_key),
        Some(after) => {
            let start = past_key + 2;
            let end = after.find('/').map_or(path_length, |at| start + at);
            (Some(&text[start..end]), end)
        }
    };
    let slashes = text[rest..path_length].bytes().take_while(|b| *b == b'/').count();
    if slashes == 1 && rest == 0 {
        return Ok((None, whole.clone()));
    }
    let tail = &text[rest + slashes..];
    if tail.starts_with('@') {
        // Were it sent on, a second name or one behind several slashes would look like a path.
        return Err(Refusal::BadRequestTarget(
            "`/@NAME` stands once, at the very start or behind `/@key:KEY`",
        ));
    }
    let target = Bytes::from(["/", tail].concat());
    let target = PathAndQuery::from_maybe_shared(target)
        .map_err(|_| Refusal::BadRequestTarget("it is not a path"))?;
    Ok((named, target))
}

fn find(accounts: &Accounts, name: &str) -> Result<usize, Refusal> {
    accounts.find(name).map_err(|error| match error {
        NotFound::Unknown(name) => Refusal::UnknownAccount(name),
        NotFound::Ambiguous => Refusal::AccountConflict("two accounts have this Hub ID"),
    })
}

fn header_text(value: &HeaderValue) -> Result<&str, Refusal> {
    value.to_str().map(str::trim).map_err(|_| Refusal::UnknownAccount(None))
}

/// The decoded form of a path that is never forwarded, in whichever form it shows.
fn local_path(target: &Target) -> Option<String> {
    let (raw, decoded) = (target.path(), target.decoded());
    let is_local = |path: &[u8]| {
        path == b"/_proxy" || path.starts_with(b"/_proxy/") || path == b"/favicon.ico"
    };
    if !is_local(raw.as_bytes()) && !is_local(decoded) {
        return None;
    }
    // The dashboard's own address ends in a slash, which the decoded form drops.
    let page = raw == "/_proxy/";
    let text = String::from_utf8_lossy(decoded).into_owned();
    Some(if page { "/_proxy/".to_owned() } else { text })
}

#[cfg(test)]
mod tests;
