//! OAuth, and the other ways to a token: what needs no Bearer.
//!
//! `grants` holds the state; `token` issues, `inspect` tells about tokens and ends them, `consent`
//! is the page on which a user allows an app, `access_key` exchanges a personal access key.

mod access_key;
mod consent;
pub(super) mod grants;
mod inspect;
mod token;

use http::{Method, StatusCode};
use subtle::ConstantTimeEq;

use super::answer::{Answer, Problem};
use super::exchange::{Call, nothing_here};
use super::path::Pairs;
use super::{Sandbox, demo};

/// Answers the paths that need no Bearer; `None` for all others.
pub(super) fn open(sandbox: &Sandbox, call: &Call, segments: &[&str]) -> Option<Answer> {
    let method = call.method.as_str();
    let answer = match (method, segments) {
        ("GET" | "POST", ["oauth", "authorize"] | ["oauth", "authorize", "user"]) => {
            consent::route(sandbox, call)
        }
        ("GET", ["oauth", portal, "authorize"]) if portal.parse::<u64>().is_ok() => {
            consent::route(sandbox, call)
        }
        ("POST", ["oauth", "token"]) => token::issue(sandbox, call),
        ("POST", ["oauth", "token", "introspect"]) => inspect::introspect(sandbox, call),
        ("POST", ["oauth", "token", "revoke"]) => inspect::revoke(sandbox, call),
        ("GET" | "DELETE", ["oauth", kind @ ("access-tokens" | "refresh-tokens"), token])
            if call.path.version() == Some("v1") =>
        {
            inspect::first_version(sandbox, call, kind, token)
        }
        ("POST", ["oauth", "private-apps", "get", "access-token-info"]) => {
            inspect::static_token(call)
        }
        ("POST", ["localdevauth", "auth", "refresh"]) => access_key::refresh(sandbox, call),
        (_, ["oauth" | "localdevauth", ..]) => Err(nothing_here(call)),
        _ => return None,
    };
    Some(answer)
}

/// The fields of a form, in v1 also those of the query.
fn form(call: &Call) -> Result<Pairs, Problem> {
    let content_type = call.headers.get(http::header::CONTENT_TYPE);
    let content_type = content_type.and_then(|value| value.to_str().ok()).unwrap_or_default();
    let media_type = content_type.split(';').next().unwrap_or_default().trim();
    let is_form = media_type.eq_ignore_ascii_case("application/x-www-form-urlencoded");
    let mut fields = match is_form {
        true => Pairs::parse(&call.body),
        false if call.body.is_empty() => Pairs::default(),
        false => {
            return Err(Problem::new(
                StatusCode::UNSUPPORTED_MEDIA_TYPE,
                "VALIDATION_ERROR",
                "The body must be application/x-www-form-urlencoded.",
            ));
        }
    };
    if call.path.version() == Some("v1") && call.method == Method::POST {
        fields.extend(Pairs::parse(&encoded(&call.query)));
    }
    Ok(fields)
}

fn encoded(pairs: &Pairs) -> Vec<u8> {
    let mut text = form_urlencoded::Serializer::new(String::new());
    text.extend_pairs(pairs.iter());
    text.finish().into_bytes()
}

/// An error of RFC 6749, section 5.2, with HubSpot's own fields.
fn refused(error: &str, status: &str, message: &str) -> Problem {
    Problem::new(StatusCode::BAD_REQUEST, "VALIDATION_ERROR", message)
        .with("error", error.into())
        .with("error_description", message.into())
        .with("status", status.into())
}

/// Checks the client in a form.
fn client(fields: &Pairs) -> Result<(), Problem> {
    let given = |name| fields.get(name).unwrap_or_default();
    if given("client_id") != demo::CLIENT_ID {
        return Err(refused("invalid_client", "BAD_CLIENT_ID", "missing or unknown client id"));
    }
    if !same(given("client_secret"), demo::CLIENT_SECRET) {
        let message = "missing or invalid client secret";
        return Err(refused("invalid_client", "BAD_CLIENT_SECRET", message));
    }
    Ok(())
}

fn same(one: &str, other: &str) -> bool {
    one.as_bytes().ct_eq(other.as_bytes()).into()
}
