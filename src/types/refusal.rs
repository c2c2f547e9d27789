//! The answers that are the proxy's own: why a request was not served, or not by the upstream.

use std::borrow::Cow;
use std::time::Duration;

use http::StatusCode;

use super::account::AccountName;

/// Why the proxy answers by itself. Each has a status, a stable code (the value of
/// `X-HubSpot-Proxy-Error`) and a sentence that says what to do; none holds a secret, a body or a
/// query string.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// The message itself is not acceptable: `Host`, framing.
    BadRequest(&'static str),
    /// The request target is not acceptable.
    BadRequestTarget(&'static str),
    /// Several accounts, none named, no default.
    AccountRequired,
    /// The name as given, where it has the form of an account's name.
    UnknownAccount(Option<AccountName>),
    AccountConflict(&'static str),
    /// The account, and what it does serve.
    CredentialKind(AccountName, &'static str),
    ClientKeyRequired,
    /// What is wrong with the key that was shown.
    ClientKeyInvalid(&'static str),
    /// The admin API is for who can read the proxy's admin key.
    AdminKeyRequired,
    /// Whose connection it is.
    UserNotAllowed(String),
    HostNotAllowed,
    OriginNotAllowed(&'static str),
    CredentialPathBlocked,
    /// Whose policy it is, what was asked, and which part of it denies that and where it is set.
    PolicyDenied(String, String),
    NotFound,
    /// What the path takes: the value of `Allow` (RFC 9110, section 15.5.6).
    MethodNotAllowed {
        allow: &'static str,
    },
    /// The limit in bytes.
    PayloadTooLarge(u64),
    HeadersTooLarge,
    /// The account and what to do, in which `NAME` stands for it.
    NeedsLogin(AccountName, &'static str),
    /// The account and what is wrong with which of its settings.
    Misconfigured(AccountName, String),
    /// The account, what happened at the token endpoint, and when the next try is due.
    TokenUnavailable(AccountName, Cow<'static, str>, Duration),
    /// The account, the Hub ID that its token is for, and the configured one.
    WrongPortal(AccountName, u64, u64),
    Overloaded,
    Internal,
    /// What failed on the way.
    UpstreamUnreachable(String),
    /// `repeatable`: the request cannot have changed anything.
    UpstreamClosed {
        what: &'static str,
        repeatable: bool,
    },
    UpstreamTimeout {
        repeatable: bool,
    },
}

impl Refusal {
    /// The value of `X-HubSpot-Proxy-Error`.
    pub fn code(&self) -> &'static str {
        match self {
            Self::BadRequest(_) => "bad-request",
            Self::BadRequestTarget(_) => "bad-request-target",
            Self::AccountRequired => "account-required",
            Self::UnknownAccount(_) => "unknown-account",
            Self::AccountConflict(_) => "account-conflict",
            Self::CredentialKind(..) => "credential-kind",
            Self::ClientKeyRequired => "client-key-required",
            Self::ClientKeyInvalid(_) => "client-key-invalid",
            Self::AdminKeyRequired => "admin-key-required",
            Self::UserNotAllowed(_) => "user-not-allowed",
            Self::HostNotAllowed => "host-not-allowed",
            Self::OriginNotAllowed(_) => "origin-not-allowed",
            Self::CredentialPathBlocked => "credential-path-blocked",
            Self::PolicyDenied(..) => "policy-denied",
            Self::NotFound => "not-found",
            Self::MethodNotAllowed { .. } => "method-not-allowed",
            Self::PayloadTooLarge(_) => "payload-too-large",
            Self::HeadersTooLarge => "headers-too-large",
            Self::NeedsLogin(..) => "needs-login",
            Self::Misconfigured(..) => "misconfigured",
            Self::TokenUnavailable(..) => "token-unavailable",
            Self::WrongPortal(..) => "wrong-portal",
            Self::Overloaded => "overloaded",
            Self::Internal => "internal",
            Self::UpstreamUnreachable(_) => "upstream-unreachable",
            Self::UpstreamClosed { .. } => "upstream-closed",
            Self::UpstreamTimeout { .. } => "upstream-timeout",
        }
    }

    /// The status of the answer.
    pub fn status(&self) -> StatusCode {
        match self {
            Self::BadRequest(_)
            | Self::BadRequestTarget(_)
            | Self::AccountRequired
            | Self::UnknownAccount(_)
            | Self::AccountConflict(_)
            | Self::CredentialKind(..) => StatusCode::BAD_REQUEST,
            Self::ClientKeyRequired | Self::ClientKeyInvalid(_) | Self::AdminKeyRequired => {
                StatusCode::UNAUTHORIZED
            }
            Self::UserNotAllowed(_)
            | Self::HostNotAllowed
            | Self::OriginNotAllowed(_)
            | Self::CredentialPathBlocked
            | Self::PolicyDenied(..) => StatusCode::FORBIDDEN,
            Self::NotFound => StatusCode::NOT_FOUND,
            Self::MethodNotAllowed { .. } => StatusCode::METHOD_NOT_ALLOWED,
            Self::PayloadTooLarge(_) => StatusCode::PAYLOAD_TOO_LARGE,
            Self::HeadersTooLarge => StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE,
            Self::NeedsLogin(..)
            | Self::Misconfigured(..)
            | Self::TokenUnavailable(..)
            | Self::WrongPortal(..)
            | Self::Overloaded => StatusCode::SERVICE_UNAVAILABLE,
            Self::Internal => StatusCode::INTERNAL_SERVER_ERROR,
            Self::UpstreamUnreachable(_) | Self::UpstreamClosed { .. } => StatusCode::BAD_GATEWAY,
            Self::UpstreamTimeout { .. } => StatusCode::GATEWAY_TIMEOUT,
        }
    }

    /// One sentence for a person: what failed and what to do.
    pub fn message(&self) -> String {
        match self {
            Self::BadRequest(what) => format!("The proxy cannot accept this request: {what}."),
            Self::BadRequestTarget(what) => {
                format!("The proxy does not forward this request target: {what}.")
            }
            Self::AccountRequired => "Several accounts are configured and this request names none: put /@NAME in front of the path, send X-HubSpot-Account, or set default_account.".to_owned(),
            Self::UnknownAccount(Some(name)) => format!("There is no account {name}: check the name against proxy.toml."),
            Self::UnknownAccount(None) => "The request names an account by something that is neither an account's name nor a Hub ID of one.".to_owned(),
            Self::AccountConflict(what) => format!("The account of this request is not clear: {what}."),
            Self::CredentialKind(account, serves) => format!("Account {account} serves {serves} only: name another account for this operation."),
            Self::HostNotAllowed => "The Host header must be localhost, 127.0.0.1 or [::1] with the port that the proxy listens on, or one of server.allowed_hosts.".to_owned(),
            Self::OriginNotAllowed(what) => format!("Web pages may not call the proxy, but for those of server.allowed_origins: {what}."),
            Self::ClientKeyRequired => "This proxy serves requests with a client key only: make one with `hubspot-proxy keys create --name NAME`, and send it as `Authorization: Bearer KEY`.".to_owned(),
            Self::ClientKeyInvalid(what) => format!("The client key of this request is not valid: {what}. `hubspot-proxy keys list` shows the keys there are, and `hubspot-proxy keys create --name NAME` makes one."),
            Self::AdminKeyRequired => "This is the proxy's admin API: send the key of the file admin.key in its runtime folder as `Authorization: Bearer KEY`, or use its control socket, as `hubspot-proxy status` does.".to_owned(),
            Self::UserNotAllowed(who) => format!("This proxy does not serve {who}: who runs it can add a user to server.allowed_users."),
            Self::CredentialPathBlocked => "The proxy does not forward requests that mint, read or revoke credentials; it keeps the token by itself, so remove this call.".to_owned(),
            Self::PolicyDenied(whose, what) => format!("{whose} denies {what}."),
            Self::NotFound => "There is nothing at this local path of the proxy.".to_owned(),
            Self::MethodNotAllowed { .. } => "The proxy does not forward TRACE and CONNECT, and its local paths answer GET and HEAD only.".to_owned(),
            Self::PayloadTooLarge(limit) => format!("The request body is larger than server.max_body_size ({limit} bytes)."),
            Self::HeadersTooLarge => "The request's headers are larger than server.max_header_size, or more than server.max_headers.".to_owned(),
            Self::NeedsLogin(account, what) => {
                let what = what.replace("NAME", account.as_str());
                format!("Account {account} needs a new login: {what}.")
            }
            Self::Misconfigured(account, what) => format!("Account {account} cannot be used: {what}."),
            Self::TokenUnavailable(account, what, _) => format!("There is no valid token for account {account} at the moment: {what}. The proxy keeps trying."),
            Self::WrongPortal(account, found, configured) => format!("The token of account {account} is for Hub ID {found}, and its hub_id is {configured}: correct hub_id, or give the account a token of that portal."),
            Self::Overloaded => "The proxy has reached its limit of connections: try again in a moment.".to_owned(),
            Self::Internal => "The proxy failed on this request; its log says more under this correlationId.".to_owned(),
            Self::UpstreamUnreachable(what) => format!("The upstream cannot be reached: {what}."),
            Self::UpstreamClosed { what, .. } => format!("The upstream gave no answer: {what}."),
            Self::UpstreamTimeout { .. } => "The upstream did not answer within upstream.response_timeout.".to_owned(),
        }
    }

    /// After how many seconds a repeat makes sense, where that is known.
    pub fn retry_after(&self) -> Option<u64> {
        match self {
            // Rounded up: who comes back early is sent away again.
            Self::TokenUnavailable(_, _, wait) => {
                Some((wait.as_secs() + u64::from(wait.subsec_nanos() > 0)).max(1))
            }
            Self::Overloaded => Some(1),
            _ => None,
        }
    }

    /// Whether a client that repeats by itself may do so: not where a repeat cannot help, nor
    /// where the first may have changed something.
    pub fn may_be_repeated(&self) -> bool {
        match self {
            Self::TokenUnavailable(..) | Self::Overloaded | Self::UpstreamUnreachable(_) => true,
            Self::UpstreamClosed { repeatable, .. } | Self::UpstreamTimeout { repeatable } => {
                *repeatable
            }
            _ => false,
        }
    }
}

#[cfg(test)]
mod tests;
