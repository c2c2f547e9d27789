//! Third stage: what may be done at all.
//!
//! First the guard, the same for every account: the paths that mint, read or end credentials,
//! through which a client could otherwise get hold of a token, or end the grant that everybody
//! shares. Then the policy of the account. Both judge the path as it is sent and in its decoded
//! form, so that no spelling slips past a rule.

pub mod access;

use http::Method;

use crate::accounts::Account;
use crate::telemetry::redact;
use crate::types::client_key::ClientKey;
use crate::types::path;
use crate::types::policy::{Asked, Mode, Part, Policy, Rule, Rules};
use crate::types::refusal::Refusal;
use crate::types::target::Target;

use access::Access;

/// A `DELETE` of this uninstalls the app whose grant the proxy holds.
const UNINSTALL: &[u8] = b"/external-install";
/// More of a path is not repeated in an answer.
const LONGEST_SHOWN: usize = 200;
const LONGEST_METHOD: usize = 10;

/// Refuses what touches credentials, and what the account's policy or that of the client's key denies.
pub fn check(
    method: &Method,
    target: &Target,
    account: &Account,
    key: Option<&ClientKey>,
) -> Result<(), Refusal> {
    let forms = [Some(target.decoded()), Some(target.path().as_bytes()), target.twice_decoded()];
    if forms.into_iter().flatten().any(|form| is_guarded(method, form)) {
        return Err(Refusal::CredentialPathBlocked);
    }
    let denied = |denial: Denial<'_>| denial.explain(method, target);
    judge(&account.policy, method, target).map_err(|denial| {
        Refusal::PolicyDenied(format!("The policy of account {}", account.name), denied(denial))
    })?;
    let Some((key, policy)) = key.and_then(|key| Some((key, key.policy.as_ref()?))) else {
        return Ok(());
    };
    judge(policy, method, target).map_err(|denial| {
        Refusal::PolicyDenied(format!("The policy of client key {}", key.name), denied(denial))
    })
}

/// Which part of a policy denies a request.
#[derive(Debug)]
enum Denial<'a> {
    Rule(&'a Rule, &'a Part<Rules>),
    Mode(Access, &'a Part<Mode>),
    /// No rule allows it; `spelling` where one would, were the path spelled as the rule is.
    NotAllowed {
        spelling: bool,
        allow: &'a Part<Rules>,
    },
}

fn judge<'a>(policy: &'a Policy, method: &Method, target: &Target) -> Result<(), Denial<'a>> {
    let Policy { mode, allow, deny } = policy;
    if policy.is_open() {
        return Ok(());
    }
    let asked = Asked::about(method, target);
    if let Some(rule) = deny.value.first_to_match_either(asked) {
        return Err(Denial::Rule(rule, deny));
    }
    let limit = match mode.value {
        Mode::ReadWrite => Access::Destructive,
        Mode::NoDestructive => Access::Write,
        Mode::ReadOnly => Access::Read,
    };
    if limit < Access::Destructive {
        let access = access::of(method, target);
        if access > limit {
            return Err(Denial::Mode(access, mode));
        }
    }
    if !allow.value.is_empty() && !allow.value.any_matches_both(asked) {
        let spelling = allow.value.first_to_match_either(asked).is_some();
        return Err(Denial::NotAllowed { spelling, allow });
    }
    Ok(())
}

impl Denial<'_> {
    /// What was asked, what denies it, and where that can be changed.
    fn explain(&self, method: &Method, target: &Target) -> String {
        // Any word can stand for a method, also one that is no answer's business.
        let method = Some(method.as_str()).filter(|name| name.len() <= LONGEST_METHOD);
        let asked = format!("{} {}", method.unwrap_or("a request to"), shown(target.path()));
        match self {
            Self::Rule(rule, Part { key, set_in, .. }) => {
                format!("{asked}: rule `{rule}` in {key}; change it in {set_in}")
            }
            Self::Mode(access, Part { value, key, set_in }) => {
                let does = match access {
                    Access::Destructive => "can destroy data",
                    Access::Write | Access::Read => "may change data",
                };
                format!("{asked}, which {does}: {key} is `{value}`; change it in {set_in}")
            }
            Self::NotAllowed { spelling: false, allow: Part { key, set_in, .. } } => {
                format!("{asked}: no rule in {key} allows it; add one in {set_in}")
            }
            Self::NotAllowed { spelling: true, allow: Part { key, .. } } => {
                format!(
                    "{asked}: a rule in {key} allows it in another spelling only; send method and path as they stand there"
                )
            }
        }
    }
}

/// A path as it may be written down, and no longer than a reader wants it.
fn shown(path: &str) -> String {
    let mut path = redact::path(path);
    if path.len() > LONGEST_SHOWN {
        path.truncate(path.floor_char_boundary(LONGEST_SHOWN));
        path.push_str("...");
    }
    path
}

fn is_guarded(method: &Method, path: &[u8]) -> bool {
    if path::credential_prefix(path).is_some() {
        return true;
    }
    // What else than GET and HEAD a server might take for a DELETE is none of its documented uses.
    !matches!(*method, Method::GET | Method::HEAD) && path.ends_with(UNINSTALL)
}

#[cfg(test)]
mod tests;
